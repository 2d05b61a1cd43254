"""Features that say nothing about a cohort are refused by name."""

import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AutodiffFeature, Brightness, Extent
from fgf_keras.config import parse_config
from fgf_keras.data.source import source_of
from fgf_keras.errors import FeatureError
from fgf_keras.features import CoreContrast
from fgf_keras.features.moments import weights
from fgf_keras.training.feature_check import check_features, defined_values, feature_values


@pytest.fixture(scope="module")
def cohort():
    return source_of(
        parse_config({"data": {"size": 32, "phantom": {"patients": 20, "prevalence": 0.5}}})
    ).cohort()


def test_features_that_differ_are_fine(cohort):
    check_features([Brightness(), Extent()], cohort)
    inside = [image[mask > 0].mean() for image, mask in zip(cohort.images, cohort.masks)]
    np.testing.assert_allclose(feature_values(Brightness(), cohort), inside, rtol=1e-5)


def test_a_constant_feature_is_named_with_its_value(cohort):
    constant = AutodiffFeature(lambda image, mask: 0 * weights(image, mask)[:, 0, 0] + 7, name="seven")
    with pytest.raises(FeatureError, match="'seven' is 7 for all 20 patients"):
        check_features([Brightness(), constant], cohort)


def test_a_feature_that_is_no_number_is_named_with_the_patients(cohort):
    brightness = Brightness().value(cohort.images, tf.cast(cohort.masks, tf.float32)).numpy()
    least = float(np.median(brightness))

    def root(image, mask):
        return tf.sqrt(Brightness().value(image, mask) - least)

    with pytest.raises(FeatureError, match=r"'root' is not a number for 10 of 20 patients: phantom-"):
        check_features([AutodiffFeature(root, name="root")], cohort)


def test_values_that_continue_beyond_their_definition_are_no_measurements(cohort):
    feature = CoreContrast(0.1)
    pixels = np.stack([mask[..., 0] > 0 for mask in cohort.masks])
    rows, columns = np.indices(pixels.shape[1:])
    nearest = []
    for tumour in pixels:
        y, x = rows[tumour] - rows[tumour].mean(), columns[tumour] - columns[tumour].mean()
        nearest.append(np.hypot(y, x).min() / np.sqrt(tumour.sum() / np.pi))
    without_core = np.array(nearest) > 0.1
    assert 0 < without_core.sum() < len(cohort)
    assert np.isfinite(feature_values(feature, cohort)).all()
    values = defined_values(feature, cohort)
    np.testing.assert_array_equal(np.isnan(values), without_core)
    np.testing.assert_array_equal(values[~without_core], feature_values(feature, cohort)[~without_core])
    check_features([feature], cohort)
    with pytest.raises(FeatureError, match=f"'core_contrast' is defined for none of {without_core.sum()} "):
        check_features([feature], cohort.select(np.flatnonzero(without_core)))
