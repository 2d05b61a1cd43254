"""Measurements on changed images hold the clinical columns of each patient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras.config import parse_config
from fgf_keras.data.clinical import encoded
from fgf_keras.data.dataset import make_dataset
from fgf_keras.data.source import source_of
from fgf_keras.measure.behaviour import behaviour
from fgf_keras.measure.clinical import clinical_effects
from fgf_keras.measure.collapse import collapse
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.late_fusion import LateFusion, clinical_dense
from fgf_keras.models.paper_cnn import paper_cnn

N = 24


@pytest.fixture(scope="module")
def cohort():
    columns = [{"name": "stage", "order": ["T1", "T2", "T3", "T4"]}, "age"]
    data = {"size": 32, "phantom": {"patients": N, "prevalence": 0.4}, "clinical": columns}
    config = parse_config({"data": data})
    return encoded(source_of(config).cohort(), config.data.clinical, np.arange(N))


def model_of(cohort, dense=()):
    keras.utils.set_random_seed(2)
    image_part = paper_cnn((32, 32, 1), filters=[3], kernel_sizes=[3], pool_size=2, dense=[4])
    fusion = LateFusion(image_part, clinical_dense(cohort.column_count, dense=dense))
    rng = np.random.default_rng(3)
    part = fusion.clinical_part
    part.set_weights([rng.normal(size=weight.shape) for weight in part.get_weights()])
    features = ["brightness", "extent"]
    return AlignmentModel(fusion, features, reward="none"), AlignmentModel(
        image_part, features, reward="none"
    )


def test_moved_tumours_change_the_score_as_those_of_the_image_part(cohort):
    fused, alone = model_of(cohort)
    rows = np.arange(4, N)
    one = behaviour(fused, cohort, rows, {}, split="test", batch_size=5)
    two = behaviour(alone, cohort.with_encoding(None), rows, {}, split="test", batch_size=5)
    for name in ("brightness", "extent"):
        assert len(one["features"][name]["moves"]) == 4
        for own, other in zip(one["features"][name]["moves"], two["features"][name]["moves"]):
            assert own["score_change"]["mean"] == pytest.approx(other["score_change"]["mean"], abs=1e-5)


def test_collapsed_features_leave_the_clinical_part(cohort):
    fused, _ = model_of(cohort)
    known = {"targets": {"brightness": 0.3}, "draws": 0, "bootstrap": 100, "batch_size": 5}
    content = collapse(fused, cohort.model_inputs, cohort.masks, cohort.labels, **known)
    logits = fused.predict(
        {"image": cohort.images, "mask": cohort.masks.astype(np.float32), **cohort.inputs}, verbose=0
    )[:, 0]
    wins = np.sign(logits[cohort.labels == 1][:, None] - logits[cohort.labels == 0])
    entry = content["features"]["brightness"]
    assert entry["n"] == N
    assert entry["auc"]["before"] == pytest.approx((wins.mean() + 1) / 2)


def test_effects_of_a_linear_part_are_its_coefficients_and_of_a_deep_one_differences(cohort):
    fused, _ = model_of(cohort)
    effects = clinical_effects(fused, cohort)
    kernel, bias = fused.classifier.clinical_part.get_weights()
    values = cohort.inputs["clinical"]
    sd = values.std(axis=0)
    assert effects.is_linear
    np.testing.assert_allclose(effects.effect, np.tile(kernel[:, 0] * sd, (N, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(effects.logit, (values @ kernel + bias)[:, 0], rtol=1e-5, atol=1e-5)
    deep, alone = model_of(cohort, dense=[5])
    effects = clinical_effects(deep, cohort)
    assert not effects.is_linear
    above, below = values.copy(), values.copy()
    above[:, 0] += sd[0] / 2
    below[:, 0] -= sd[0] / 2
    part = deep.classifier.clinical_part
    expected = (part(above) - part(below)).numpy()[:, 0]
    np.testing.assert_allclose(effects.effect[:, 0], expected, atol=1e-5)
    assert effects.effect[:, 0].std() > 1e-3
    assert clinical_effects(alone, cohort) is None


@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("balanced", [True, False])
def test_data_sets_give_each_patient_its_own_columns(cohort, windows, balanced):
    dataset = make_dataset(
        cohort, np.arange(N), batch_size=5, seed=0, training=True, balanced=balanced, windows=windows
    )
    expected = {
        round(float((image * mask).sum()), 2): columns
        for image, mask, columns in zip(cohort.images, cohort.masks, cohort.inputs["clinical"])
    }
    assert len(expected) == N
    seen = 0
    for x, _ in dataset:
        assert x["clinical"].dtype == tf.float32
        for image, mask, columns in zip(x["image"], x["mask"], x["clinical"]):
            total = float(tf.reduce_sum(image * mask))
            key = min(expected, key=lambda sum_of: abs(sum_of - total))
            np.testing.assert_array_equal(columns, expected[key])
            seen += 1
    assert seen >= N
