"""A check, before training, for features that cannot explain anything in a cohort."""

from collections.abc import Callable, Sequence

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
    """Refuse features that are not a number for some patients, or the same or undefined for all of them.

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
        known = values[_over_patients(feature.is_defined, cohort)]
        if not len(known):
            raise FeatureError(
                f"Feature {feature.name!r} is defined for none of {len(values)} patients. Leave it out of "
                "features, or look at the slices with fgf preview."
            )
        if is_constant(known):
            where = "" if len(known) == len(values) else f" of {len(values)} in whom it is defined"
            raise FeatureError(
                f"Feature {feature.name!r} is {known[0]:g} for all {len(known)} patients{where}: it tells "
                "none of them apart, and alignment with it says nothing about them. Leave it out of "
                "features, or look at the slices with fgf preview."
            )


def feature_values(feature: Feature, cohort: Cohort) -> np.ndarray:
    """The value of the feature for every patient, (N,), on what a classifier sees: image·mask."""
    return _over_patients(feature.value, cohort)


def defined_values(feature: Feature, cohort: Cohort) -> np.ndarray:
    """As `feature_values`, and NaN for patients in whom the feature is not defined, see `Feature.is_defined`.

    For what is fitted on values, where a continuation would pass for a measurement.
    """
    return np.where(_over_patients(feature.is_defined, cohort), feature_values(feature, cohort), np.nan)


def _over_patients(function: Callable[..., tf.Tensor], cohort: Cohort) -> np.ndarray:
    """What a method of a feature says of every patient, (N,)."""
    values = []
    for start in range(0, len(cohort), BATCH):
        rows = slice(start, start + BATCH)
        masks = cohort.masks[rows]
        arrays = (cohort.images[rows] * masks, masks, cohort.spacing[rows])
        values.append(function(*(tf.constant(a, tf.float32) for a in arrays)).numpy())
    return np.concatenate(values)
