"""Bars of a cohort: what they see, on whom they are fitted, and that they stay the same afterwards."""

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fgf_keras.commands.bars import CohortBars, bar_columns
from fgf_keras.commands.evaluation import evaluate
from fgf_keras.config import EvaluateConfig, parse_config
from fgf_keras.data.clinical import encoded
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.features.core_contrast import CoreContrast
from fgf_keras.results.classification import choose_threshold
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.training.build import build_features, build_model

CONFIG = parse_config(
    {
        "data": {"size": 24, "phantom": {"patients": 60, "prevalence": 0.4}},
        "model": {"filters": [2], "kernel_sizes": [3], "pool_size": 4, "dense": [2]},
        "features": ["brightness", "extent"],
    }
)
STAGE = {"name": "stage", "order": ["T1", "T2", "T3", "T4"]}
SETTINGS = {
    "support": ["mask"], "nulls": ["white"], "noise_draws": 0, "bootstrap": 100, "pictures": 0,
    "behaviour": False, "controls": False, "collapse": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def cohort():
    return source_of(CONFIG).cohort()


@pytest.fixture(scope="module")
def splits(cohort):
    return stratified_splits(cohort, CONFIG.data.splits, seed=0)


def evaluated(cohort, splits, settings=None, **changes):
    keras.utils.set_random_seed(1)
    model = build_model(CONFIG, cohort.images.shape[1:], 2)
    settings = EvaluateConfig(**SETTINGS | (settings or {}))
    known = {"reward": CONFIG.reward, "seed": 0, "n_train": 30, "hu_window": CONFIG.data.window}
    return evaluate(model, cohort, splits, settings, **known | changes)


@pytest.fixture(scope="module")
def whole(cohort, splits):
    return evaluated(cohort, splits)


def test_the_area_is_that_of_the_mask_in_mm(cohort):
    wide = Cohort(
        cohort.patient_id, cohort.images, cohort.masks, cohort.labels, np.tile([2.0, 0.5], (60, 1)) * 3
    )
    groups = bar_columns(build_features(CONFIG.features), wide, (-50, 300))
    area = groups["area"]["slice area [mm²]"]
    assert area.index.tolist() == wide.patient_id.tolist()
    np.testing.assert_allclose(area, wide.masks.sum(axis=(1, 2, 3)) * 9)
    inside = [image[mask == 1].mean() * 350 - 50 for image, mask in zip(wide.images, wide.masks)]
    np.testing.assert_allclose(groups["features"]["brightness"], inside, rtol=1e-4)


def test_a_feature_that_is_not_defined_has_no_value(cohort):
    feature = CoreContrast(0.1)
    values = bar_columns([feature], cohort, None)["features"]["core_contrast"]
    masks = cohort.masks.astype(np.float32)
    defined = feature.is_defined(cohort.images * masks, masks, cohort.spacing.astype(np.float32)).numpy()
    assert 0 < defined.sum() < len(cohort)
    np.testing.assert_array_equal(values.notna(), defined)


def test_volumes_have_their_volume():
    config = parse_config(
        {
            "data": {
                "dimension": 3,
                "size": [6, 16, 16],
                "spacing": [3.0, 1.0, 2.0],
                "phantom": {"patients": 12},
            }
        }
    )
    cohort = source_of(config).cohort()
    groups = bar_columns(build_features(config.features[:1]), cohort, None)
    volumes = cohort.masks.sum(axis=(1, 2, 3, 4)) * 6
    np.testing.assert_allclose(groups["volume"]["tumour volume [mm³]"], volumes, rtol=1e-6)


def test_they_are_fitted_on_training_and_validation_and_compared_on_every_part(cohort, splits, whole):
    bars = whole.metrics["bars"]
    rows = np.concatenate([splits["train"], splits["validation"]])
    assert (bars["n"], bars["n_positive"]) == (len(rows), cohort.labels[rows].sum())
    values = bar_columns(build_features(CONFIG.features), cohort, CONFIG.data.window)["features"].to_numpy()
    strength = bars["models"]["features"]["C"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", tol=1e-6))
    model.fit(values[rows], cohort.labels[rows])
    logits = pd.Series(whole.patients["logit"])
    for part, positions in splits.items():
        found = whole.metrics["splits"][part]["bars"]["features"]
        labels, scores = cohort.labels[positions], model.decision_function(values[positions])
        assert found["auc"]["value"] == pytest.approx(roc_auc_score(labels, scores))
        assert found["balanced_accuracy"]["value"] == pytest.approx(
            balanced_accuracy_score(labels, scores > 0)
        )
        own = roc_auc_score(labels, logits[cohort.patient_id[positions]])
        assert found["auc_difference"]["value"] == pytest.approx(own - found["auc"]["value"])
    assert RunMetrics.of(whole.metrics).parts["test"].bars == ["area", "features"]
    assert "below_its_bar" in [finding["name"] for finding in whole.findings]


def test_without_measured_training_patients_they_are_the_same(cohort, splits, whole):
    part = evaluated(cohort, splits, {"training_patients": False})
    assert part.metrics["bars"] == whole.metrics["bars"]
    assert part.metrics["splits"]["test"]["bars"] == whole.metrics["splits"]["test"]["bars"]


def test_another_cohort_is_judged_by_the_same_bars(cohort, splits, whole):
    rows = splits["test"]
    again = evaluated(
        cohort.select(rows), {"external": np.arange(len(rows))},
        threshold=whole.metrics["threshold"], bars=whole.metrics["bars"],
    )  # fmt: skip
    assert again.metrics["bars"] == whole.metrics["bars"]
    assert again.metrics["splits"]["external"]["bars"] == whole.metrics["splits"]["test"]["bars"]
    # An earlier version kept none, and there is nobody to fit them on.
    alone = evaluated(
        cohort.select(rows), {"external": np.arange(len(rows))}, threshold=whole.metrics["threshold"]
    )
    assert "bars" not in alone.metrics


def test_they_can_be_left_out_and_the_threshold_be_the_prior(cohort, splits):
    found = evaluated(cohort, splits, {"bars": False, "threshold": "prior"}, prevalence=0.4)
    assert "bars" not in found.metrics
    assert "below_its_bar" not in [finding["name"] for finding in found.findings]
    assert found.metrics["threshold"]["chosen_on"] == "prior"
    assert found.metrics["threshold"]["probability"] == pytest.approx(0.4)


def test_training_patients_count_for_the_threshold_measured_or_not(cohort, splits, whole):
    kind = {"threshold": "validation_and_training"}
    measured, scored = (
        evaluated(cohort, splits, kind | {"training_patients": part}).metrics for part in (True, False)
    )
    assert list(scored["splits"]) == ["validation", "test"]
    assert measured["threshold"]["chosen_on"] == scored["threshold"]["chosen_on"] == "validation_and_training"
    assert measured["threshold"]["logit"] == pytest.approx(scored["threshold"]["logit"], abs=1e-5)
    rows = whole.patients["split"] != "test"
    labels, logits = whole.patients["label"][rows], whole.patients["logit"][rows]
    expected = choose_threshold(labels.to_numpy(), logits.to_numpy())
    assert measured["threshold"]["logit"] == pytest.approx(expected)


def test_clinical_columns_are_bars_alone_and_with_the_features():
    config = parse_config(
        {"data": {"size": 24, "phantom": {"patients": 60, "prevalence": 0.4}, "clinical": [STAGE]}}
    )
    cohort = source_of(config).cohort()
    splits = stratified_splits(cohort, config.data.splits, seed=0)
    cohort = encoded(cohort, config.data.clinical, splits["train"])
    groups = bar_columns(build_features(config.features), cohort, None)
    bars = CohortBars.of(groups, cohort, splits, seed=0)
    assert list(bars.bars.models) == ["area", "features", "clinical", "features_and_clinical"]
    assert set(groups["clinical"]) == set(cohort.encoding.names)
    # A cohort without these columns has the other bars.
    plain = {name: groups[name] for name in ("area", "features")}
    again = CohortBars.of(plain, cohort, {}, seed=0, earlier=bars.bars.content)
    assert list(again.bars.logits(again.columns)) == ["area", "features"]
