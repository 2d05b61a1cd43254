"""What is measured of a model, and what is left out where it is not asked for."""

import keras
import pytest

from fgf_keras.commands.collapse import collapse_content
from fgf_keras.commands.evaluation import evaluate
from fgf_keras.config import EvaluateConfig, parse_config
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.training.build import build_model

CONFIG = parse_config(
    {
        "data": {"size": 24, "phantom": {"patients": 24, "prevalence": 0.4}},
        "model": {"filters": [2], "kernel_sizes": [3], "pool_size": 4, "dense": [2]},
        "features": ["brightness"],
    }
)


@pytest.fixture(scope="module")
def evaluated():
    """Evaluations with and without the patients trained on."""
    cohort = source_of(CONFIG).cohort()
    splits = stratified_splits(cohort, CONFIG.data.splits, seed=0)
    keras.utils.set_random_seed(1)
    model = build_model(CONFIG, cohort.images.shape[1:], 2)
    known = {"support": ["mask"], "nulls": ["white"], "noise_draws": 0, "bootstrap": 100, "pictures": 0}
    found = [
        evaluate(
            model,
            cohort,
            splits,
            EvaluateConfig(training_patients=part, **known),
            reward=CONFIG.reward,
            seed=0,
            n_train=len(splits["train"]),
            hu_window=CONFIG.data.window,
        )
        for part in (True, False)
    ]
    return cohort, splits, *found


def test_without_the_training_patients_the_others_are_measured_alike(evaluated):
    cohort, splits, whole, part = evaluated
    for name in ("validation", "test"):
        theirs, own = (found.metrics["splits"][name] for found in (whole, part))
        assert own["auc"] == theirs["auc"]
        expected = theirs["alignment"]["mask"]["S"]["brightness"]["mean"]
        assert own["alignment"]["mask"]["S"]["brightness"]["mean"] == pytest.approx(expected, rel=1e-5)
    assert part.patients.index.tolist() == whole.patients[whole.patients["split"] != "train"].index.tolist()
    assert part.patients["label"].tolist() == [
        int(cohort.labels[i]) for i in sorted([*splits["validation"], *splits["test"]])
    ]


def test_effects_have_the_size_of_the_spread_over_the_training_patients(evaluated):
    cohort, splits, whole, part = evaluated
    low, high = CONFIG.data.window
    pixels = cohort.masks.sum(axis=(1, 2, 3))
    brightness = (high - low) * (cohort.images * cohort.masks).sum(axis=(1, 2, 3)) / pixels
    spread = brightness[splits["train"]].std(ddof=1)
    for found in (whole, part):
        reference = found.metrics["reference"]
        assert (reference["of"], reference["units"]) == ("training patients", {"brightness": "HU"})
        assert reference["sd"]["brightness"] == pytest.approx(spread, rel=1e-4)
        patients = found.patients[found.patients["split"] == "test"]
        effect = patients["mask.slope_brightness"] * spread
        assert patients["mask.effect_brightness"].tolist() == pytest.approx(effect.tolist(), rel=1e-4)
        summary = found.metrics["splits"]["test"]["effects"]["mask"]["brightness"]["effect"]
        assert summary["mean"] == pytest.approx(effect.mean(), rel=1e-4)


def test_of_the_training_patients_the_number_of_patients_stays(evaluated):
    _, _, whole, part = evaluated
    assert part.metrics["n_train"] == whole.metrics["splits"]["train"]["n"]
    assert list(part.metrics["splits"]) == ["validation", "test"]


def test_features_collapse_to_their_means_over_the_training_patients(evaluated):
    cohort, splits, whole, part = evaluated
    low, high = CONFIG.data.window
    pixels = cohort.masks.sum(axis=(1, 2, 3))
    brightness = low + (high - low) * (cohort.images * cohort.masks).sum(axis=(1, 2, 3)) / pixels
    for found in (whole, part):
        mean = found.metrics["reference"]["mean"]["brightness"]
        assert mean == pytest.approx(brightness[splits["train"]].mean(), rel=1e-4)
        content = found.collapse
        assert (content["split"], content["n"]) == ("test", len(splits["test"]))
        assert content["threshold"] == found.metrics["threshold"]["logit"]
        entry = content["features"]["brightness"]
        assert (entry["target"], entry["unit"]) == (mean, "HU")
        assert entry["auc"]["before"] == pytest.approx(found.metrics["splits"]["test"]["auc"]["value"])


def test_nothing_collapses_where_it_is_not_asked_for_or_has_no_target(evaluated):
    cohort, splits, whole, _ = evaluated
    model = build_model(CONFIG, cohort.images.shape[1:], 2)
    rows = splits["test"]
    known = {"threshold": 0.0, "seed": 0}
    targets = whole.metrics["reference"]["mean"]
    assert collapse_content(model, cohort, rows, "test", EvaluateConfig(), targets=None, **known) is None
    settings = EvaluateConfig(collapse=False)
    assert collapse_content(model, cohort, rows, "test", settings, targets=targets, **known) is None
