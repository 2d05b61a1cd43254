"""Features of tables: what a column is, where it is, and what is said if it is not there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.errors import FeatureError
from fgf_keras.features import Column, LinearCombination
from fgf_keras.features.base import Feature, stack_gradients

COLUMNS = ("sex", "age", "bmi")
FEATURES = [
    Column("age", columns=COLUMNS),
    LinearCombination({"age": 0.5, "bmi": -2}, name="risk", columns=COLUMNS),
]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_values_and_gradients_are_those_of_the_columns(dtype, rng):
    table, mask = tf.constant(rng.normal(size=(4, 3)), dtype), tf.ones((4, 1), dtype)
    age, bmi = table[:, 1], table[:, 2]
    for feature, value, row in zip(FEATURES, (age, 0.5 * age - 2 * bmi), ([0, 1, 0], [0, 0.5, -2])):
        assert feature.value(table, mask).dtype == feature.gradient(table, mask).dtype == dtype
        np.testing.assert_allclose(feature.value(table, mask), value, rtol=1e-6)
        np.testing.assert_array_equal(feature.gradient(table, mask), np.tile(row, (4, 1)))
        np.testing.assert_array_equal(Feature.gradient(feature, table, mask), np.tile(row, (4, 1)))
    assert stack_gradients(FEATURES, table, mask).shape == (4, 2, 3)


def test_a_feature_works_inside_graphs_of_any_batch_size(rng):
    table = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    for feature in FEATURES:
        run = tf.function(lambda x, f=feature: (f.value(x, x[:, :1]), f.gradient(x, x[:, :1])))
        value, gradient = run.get_concrete_function(tf.TensorSpec([None, 3]))(table)
        np.testing.assert_allclose(value, feature.value(table, None))
        np.testing.assert_allclose(gradient, feature.gradient(table, None))


def test_missing_values_in_other_columns_do_no_harm():
    table = tf.constant([[np.nan, 40.0, 2.0]])
    assert float(FEATURES[1].value(table, None)[0]) == 16


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("mean radius", "mean_radius"),
        ("worst area (mm²)", "worst_area_mm2"),
        ("Débit", "Debit"),
        ("a.b-c", "a.b-c"),
    ],
)
def test_the_name_is_derived_from_the_column(column, name):
    assert Column(column).name == name
    assert Column(column, name="own").name == "own"


def test_a_column_is_bound_to_a_table_and_its_copy_alone_knows_it():
    column = Column("bmi")
    bound = column.bound(["bmi", "age"])
    assert (column.columns, bound.columns, bound.name) == (None, ("bmi", "age"), "bmi")
    table = tf.constant([[1.0, 2.0]])
    assert float(bound.value(table, None)[0]) == 1
    assert float(bound.bound(["age", "bmi"]).value(table, None)[0]) == 2


@pytest.mark.parametrize("method", ["value", "gradient"])
@pytest.mark.parametrize("feature", [Column("age"), LinearCombination({"age": 1, "bmi": 2}, name="risk")])
def test_an_unbound_feature_says_what_to_do(feature, method):
    with pytest.raises(FeatureError, match=r"DataFrame.*columns="):
        getattr(feature, method)(tf.ones((2, 3)), tf.ones((2, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("ages", columns=COLUMNS), r"'ages', which is not in the table. Did you mean 'age'"),
        (lambda: Column("zzz", columns=COLUMNS), "It has 'sex', 'age', 'bmi'"),
        (lambda: Column("age").bound(["age", "age"]), "2 columns"),
        (lambda: Column(3), "'age'. Received: 3"),
        (lambda: Column("年齢"), "give one with letters"),
        (lambda: LinearCombination({}, name="risk"), "needs the coefficients"),
        (lambda: LinearCombination({"age": float("nan")}, name="risk"), "finite numbers. Received: nan"),
        (lambda: LinearCombination({"age": 0}, name="risk"), "is constant"),
        (lambda: FEATURES[0].value(tf.ones((2, 4)), None), r"with 3 columns.*\(2, 4\)"),
        (lambda: FEATURES[0].value(tf.ones((2, 4, 4, 1)), None), "'age' takes tables.*Received: images"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(make, message):
    with pytest.raises(FeatureError, match=message):
        make()


@pytest.mark.parametrize("feature", [*FEATURES, Column("mean radius")], ids=lambda f: f.name)
def test_a_feature_survives_keras_serialisation(feature):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(feature))
    assert type(copy) is type(feature)
    assert copy.get_config() == feature.get_config()
    assert copy.columns == feature.columns
