"""Everything that stands for a feature, and what is said about the rest."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.config.named import FEATURES
from fgf_keras.errors import FeatureError
from fgf_keras.features import AutodiffFeature, Brightness, Column, Extent, Feature, __all__, base
from fgf_keras.features.registry import features_of

AXES = [1, 2, 3]


@keras.saving.register_keras_serializable(package="tests")
def total(image):
    return tf.reduce_sum(image, AXES)


@keras.saving.register_keras_serializable(package="tests")
def area(image, mask, spacing):
    return tf.reduce_sum(image * mask, AXES) * spacing[:, 0] * spacing[:, 1]


def power(image, mask, exponent=2.0, *, spacing=None):
    return tf.reduce_sum((image * mask) ** exponent, AXES) * spacing[:, 0]


class Sum:
    def __call__(self, image, *others):
        return tf.reduce_sum(image, AXES)


def images():
    return tf.constant(np.random.default_rng(0).uniform(0.2, 1, (2, 4, 5, 1)), tf.float32), tf.ones(
        (2, 4, 5, 1)
    )


def names(features):
    return [feature.name for feature in features_of(features)]


def test_one_thing_or_several_of_any_kind():
    assert names("brightness") == ["brightness"]
    assert names(Extent) == names(Extent()) == names([Extent]) == ["extent"]
    assert names(total) == ["total"]
    assert names(["noise", Brightness(), Extent, total, Sum()]) == [
        "noise",
        "brightness",
        "extent",
        "total",
        "Sum",
    ]
    assert names(f for f in FEATURES) == list(FEATURES)
    assert names(functools.partial(power, exponent=3.0)) == ["power"]
    assert names(tf.function(total)) == ["total"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("brightnes", "'brightnes' is not known; allowed: brightness, extent.*did you mean 'brightness'"),
        ([], "At least one feature"),
        ([3], r"Received: 3 \(of type int\)"),
        (None, r"Received: None"),
        ({"total": total}, "not a mapping"),
        (lambda image, mask: image, "A lambda has no name.*name='contrast'"),
        (Column, r"needs arguments.*'column'.*Give an instance: Column\(...\)"),
        (Feature, r"Give an instance: Feature\(...\)"),
        (Sum, "Sum is not a subclass of fgf_keras.Feature"),
        (["extent", Extent()], "Received twice: extent"),
        (lambda: 3, "A lambda"),
    ],
)
def test_what_stands_for_no_feature_is_refused_with_a_remedy(features, message):
    with pytest.raises(FeatureError, match=message):
        features_of(features)


def four(image, mask, spacing, radius):
    return image


def nothing():
    return 0


def keyword(image, mask, *, radius):
    return image


@pytest.mark.parametrize("function", [four, nothing, keyword])
def test_a_function_of_something_else_is_refused(function):
    with pytest.raises(FeatureError, match=r"must be a function of \(image\).*functools.partial"):
        features_of(function)


def test_functions_are_given_what_they_take():
    image, mask = images()
    spacing = tf.constant([[2.0, 3.0], [1.0, 0.5]])
    sums = tf.reduce_sum(image, AXES)
    expected = {total: sums, area: sums * [6.0, 0.5], Sum(): sums}
    for function, value in expected.items():
        (feature,) = features_of(function)
        np.testing.assert_allclose(feature.value(image, mask, spacing), value, rtol=1e-6)
    np.testing.assert_allclose(features_of(area)[0].value(image, mask), sums)
    np.testing.assert_allclose(features_of(area)[0].value(image, mask, (2.0, 2.0)), 4 * sums)
    squares = tf.reduce_sum(image**2, AXES) * [2.0, 1.0]
    np.testing.assert_allclose(features_of(power)[0].value(image, mask, spacing), squares, rtol=1e-6)
    np.testing.assert_allclose(features_of(area)[0].gradient(image, mask, spacing)[:, 0, 0, 0], [6.0, 0.5])


def test_registered_functions_of_any_signature_are_saved_and_others_say_why_not():
    for function in (total, area):
        (feature,) = features_of(function)
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(feature))
        np.testing.assert_array_equal(copy.value(*images()), feature.value(*images()))
    for function in (power, functools.partial(total), Sum()):
        (feature,) = features_of(function)
        assert "AutodiffFeature" in repr(feature)
        with pytest.raises(FeatureError, match=r"cannot be saved.*register_keras_serializable"):
            feature.get_config()


def with_numpy(image):
    return np.mean(image, axis=(1, 2, 3))


def with_float(image, mask):
    return tf.stack([float(tf.reduce_sum(one)) for one in tf.unstack(image)])


def with_a_method(image, mask):
    return image.mean(axis=(1, 2, 3))


def with_if(image, mask):
    return tf.reduce_sum(image, AXES) if tf.reduce_sum(image) > 0 else -tf.reduce_sum(image, AXES)


@pytest.mark.parametrize("function", [with_numpy, with_float, with_a_method, with_if])
def test_a_function_that_is_not_in_tensorflow_is_refused_in_graphs(function):
    (feature,) = features_of(function)
    run = tf.function(feature.gradient, autograph=False)
    with pytest.raises(
        FeatureError, match=r"'with_.*not a TensorFlow function.*tf.where.*fgf_keras.alignment"
    ):
        run(*images())


def test_an_array_is_no_tensor():
    for method in ("value", "gradient"):
        with pytest.raises(FeatureError, match=r"'with_numpy' is not a TensorFlow function.*of type ndarray"):
            getattr(features_of(with_numpy)[0], method)(*images())


def test_errors_of_the_function_itself_are_left_alone():
    def broken(image, mask):
        raise TypeError("mine")

    def missing(image, mask):
        return {}["gradient"]

    with pytest.raises(TypeError, match="mine"):
        features_of(broken)[0].value(*images())
    with pytest.raises(KeyError):
        features_of(missing)[0].gradient(*images())


def histogram(image, mask):
    flat = tf.reshape(image, [tf.shape(image)[0], -1])
    return tf.math.bincount(tf.cast(flat, tf.int32), weights=flat, axis=-1)[:, 0]


def logarithm(image, mask):
    return tf.math.real(tf.linalg.trace(tf.linalg.logm(tf.cast(image[:, :4, :4, 0], tf.complex64))))


def rounded(image, mask):
    return tf.reduce_sum(tf.round(mask), AXES)


@pytest.mark.parametrize("run", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize("function", [histogram, logarithm, tf.function(logarithm), rounded])
def test_a_function_without_a_gradient_is_named(function, run):
    (feature,) = features_of(function)
    with pytest.raises(FeatureError, match=f"'{feature.name}' (has no|uses an operation without a) gradient"):
        run(feature.gradient)(*images())


@pytest.mark.parametrize("shape", [(2, 1), ()])
def test_a_function_that_does_not_return_one_number_a_sample_is_named(shape):
    feature = AutodiffFeature(lambda image: tf.zeros(shape), name="other")
    with pytest.raises(FeatureError, match=r"'other' must return one number per sample.*axes \[1, 2, 3\]"):
        feature.value(*images())


def test_the_subpackage_has_all_features():
    classes = {type(feature).__name__ for feature in features_of(list(FEATURES))}
    assert classes < set(__all__)
    assert base.Feature is Feature
