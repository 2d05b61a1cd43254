"""A check, before training, for features that cannot explain anything in a cohort."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from fgf_keras.data.cohort import Cohort
from fgf_keras.data.slices import listing
from fgf_keras.errors import FeatureError
from fgf_keras.features.base import Feature
from fgf_keras.features.units import is_constant

# Patients in memory at once.
BATCH = 16


def check_features(features: Sequence[Feature], cohort: Cohort) -> None:
    """Refuse features that have the same value for every patient, or are not a number for some.

    Args:
        features: list of `Feature`.
        cohort: patients.

    Raises:
        FeatureError: it names the feature, its value or the patients, and a remedy.
    """
    for feature in features:
        values = feature_values(feature, cohort)
        undefined = ~np.isfinite(values)
        if undefined.any():
            raise FeatureError(
                f"Feature {feature.name!r} is not a number for {undefined.sum()} of {len(values)} patients: "
                f"{listing(cohort.patient_id[undefined])}. Leave these patients out, or fix the feature."
            )
        if is_constant(values):
            raise FeatureError(
                f"Feature {feature.name!r} is {values[0]:g} for all {len(values)} patients: it tells none of "
                "them apart, and alignment with it says nothing about them. Leave it out of features, or "
                "look at the slices with fgf preview."
            )


def feature_values(feature: Feature, cohort: Cohort) -> np.ndarray:
    """The value of the feature for every patient, (N,), on what a classifier sees: image·mask."""
    values = []
    for start in range(0, len(cohort), BATCH):
        rows = slice(start, start + BATCH)
        masks = cohort.masks[rows]
        arrays = (cohort.images[rows] * masks, masks, cohort.spacing[rows])
        values.append(feature.value(*(tf.constant(a, tf.float32) for a in arrays)).numpy())
    return np.concatenate(values)
