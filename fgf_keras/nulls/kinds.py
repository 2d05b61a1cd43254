"""Nulls drawn at random: white noise, smooth fields, fields with the spectrum of the feature gradients."""

import math

import numpy as np
import tensorflow as tf

from fgf_keras.nulls.boxed import BoxedGradients, FieldShares
from fgf_keras.nulls.fields import TRUNCATE, matched_fields, smooth_fields, white_coordinates
from fgf_keras.nulls.null import Null, RandomFields
from fgf_keras.nulls.white import fixed_field_alignment


class White(Null):
    """White noise over the whole support, in as few coordinates as necessary, see `white_coordinates`."""

    def shares(self, patient: str, gradients: BoxedGradients) -> FieldShares:
        """See `Null.shares`."""
        shares = {}
        for number, (kind, gram) in enumerate(gradients.grams.items()):
            seed = self.seed(patient, number)
            coordinates = white_coordinates(self.draws, gradients.count, gram, gradients.dimension, seed)
            directions, fields = coordinates
            shares[kind] = fixed_field_alignment(directions, gram, fields).numpy()[: self.draws]
        # Their law is known, and nothing compares them with S or F draw by draw.
        seed = self.seed(patient, 2)
        partial = gradients.without_others.white_shares(self.draws, gradients.dimension, seed)
        return FieldShares(shares["S"], shares.get("F"), partial)


class Smooth(RandomFields):
    """White noise smoothed by a Gaussian of standard deviation `length` px."""

    def fields(self, gradients: BoxedGradients, count: int, seed: np.ndarray) -> tf.Tensor:
        """See `RandomFields.fields`."""
        fields = smooth_fields(count * gradients.count, gradients.shape, self.length, seed)
        return tf.reshape(fields, [count, gradients.count, *gradients.shape])

    def pixels(self, gradients: BoxedGradients) -> float:
        """See `RandomFields.pixels`; includes the margin needed for smoothing."""
        *edges, channels = gradients.shape
        margin = 2 * TRUNCATE * self.length
        return math.prod([gradients.count, *(edge + margin for edge in edges), channels])


class Matched(RandomFields):
    """Fields with the power spectrum of the feature gradients and random phases."""

    def fields(self, gradients: BoxedGradients, count: int, seed: np.ndarray) -> tf.Tensor:
        """See `RandomFields.fields`."""
        return matched_fields(count, gradients.features, seed)

    def pixels(self, gradients: BoxedGradients) -> float:
        """See `RandomFields.pixels`; includes the padding of the Fourier transform."""
        return 2**gradients.mask.ndim * np.size(gradients.features)
