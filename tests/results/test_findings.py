"""Each signature is found in figures that have it, not in others, and unknown where it cannot be told."""

import copy
import dataclasses

import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras import AlignmentModel, Brightness, Extent
from fgf_keras.commands.evaluation import evaluate
from fgf_keras.config import parse_config
from fgf_keras.config.data import PhantomConfig
from fgf_keras.config.reward import RewardConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.report.sections.findings import findings_summary
from fgf_keras.results.arm import TrialResult
from fgf_keras.results.findings import comparison_findings, run_findings
from fgf_keras.results.metrics import RunMetrics

NAMES = ["brightness", "extent"]
SUM, NONE = RewardConfig(kind="sum", weight=0.5), RewardConfig(kind="none")
CONFIG = parse_config(
    {
        "features": NAMES,
        "evaluate": {"support": ["mask"], "nulls": ["smooth"], "noise_draws": 0, "bootstrap": 200},
        "protocol": {"arms": ["baseline", "sum", "placebo"]},
    }
)
GOOD = {"value": 0.8, "ci": [0.7, 0.9]}


@pytest.fixture(scope="module")
def evaluated():
    """What `evaluate` finds of a small network that nobody has trained."""
    config = PhantomConfig(patients=60, prevalence=0.4)
    cohort = phantom_cohort(config, size=24, window=(-50, 300), spacing=(1.0, 1.0), seed=0)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((24, 24, 1)), keras.layers.Flatten(), keras.layers.Dense(4, activation="elu")]
    model = AlignmentModel(keras.Sequential([*layers, keras.layers.Dense(1)]), [Brightness(), Extent()])
    splits = {"train": np.arange(10), "validation": np.arange(10, 30), "test": np.arange(30, 60)}
    return evaluate(model, cohort, splits, CONFIG.evaluate, reward=SUM, seed=0, n_train=10)


@pytest.fixture
def measured(evaluated):
    """Makes a `TrialResult`: that of the network, with metrics set as a test wants them."""

    def make(*, auc=None, logit=None, columns=None, effects=None, smooth=None, **shares):
        metrics, behaviour = copy.deepcopy((evaluated.metrics, evaluated.behaviour))
        patients = evaluated.patients[evaluated.patients["split"] == "test"].copy()
        test = metrics["splits"]["test"]
        if auc:
            test["auc"] = auc
        for name, mean in shares.items():
            kind, feature = name.split("_")
            summary = test["alignment"]["mask"][kind][feature]
            ci = [mean - 0.01, mean + 0.01] if mean is not None else [None, None]
            (summary["squared"] if feature == "joint" else summary).update(mean=mean, ci=ci)
        if smooth:
            for quantity in "SF":
                test["alignment"]["mask"]["nulls"]["smooth"][quantity]["joint"]["null_q95"] = smooth
        if logit is not None:
            patients["logit"], patients["decision"] = logit, (np.asarray(logit) > 0).astype(int)
        for name, values in (columns or {}).items():
            patients[f"mask.{name}"] = values
        for name, effect in (effects or {}).items():
            effect = effect * patients["logit"].std()
            behaviour["features"][name]["effect"] = {"mean": effect, "ci": [0.9 * effect, 1.1 * effect]}
        return TrialResult.of(RunMetrics.of(metrics), patients, behaviour, "test")

    return make


def of_run(measured, reward=SUM):
    found = run_findings(measured, reward, NAMES, CONFIG.evaluate, seed=0)
    return {finding["name"]: finding for finding in found}


def of_arms(*trials, arms=("baseline", "sum", "placebo")):
    found = comparison_findings(CONFIG, {("", arm): trial for arm, trial in zip(arms, trials)})
    return {(f["name"], f["title"].rpartition("(")[2].rstrip(")")): f for f in found}


def scores(labels, gap, seed=0):
    return np.random.default_rng(seed).normal(size=len(labels)) + gap * (2 * labels - 1)


def labels_of(trial):
    return trial.patients["label"].to_numpy()


POOR = "poor_alignment_despite_accuracy"


@pytest.mark.parametrize(
    ("figures", "found"),
    [
        ({"auc": GOOD, "S_joint": 0.1, "F_joint": 0.12}, True),
        ({"auc": GOOD, "S_joint": 0.9, "F_joint": 0.9}, False),
        ({"auc": GOOD, "S_joint": 0.9, "F_joint": 0.1}, False),
        ({"auc": {"value": 0.6, "ci": [0.45, 0.7]}, "S_joint": 0.1, "F_joint": 0.1}, False),
        ({"auc": GOOD, "S_joint": None, "F_joint": None}, None),
    ],
)
def test_alignment_is_poor_where_the_model_is_good_without_the_features(measured, figures, found):
    finding = of_run(measured(**figures))[POOR]
    assert finding["found"] is found
    if found:
        assert "0.800 [0.700, 0.900]" in finding["why"]
        assert "S 0.100 and F 0.120" in finding["why"]
        assert "features" in finding["try"]


def test_alignment_that_smooth_fields_reach_is_poor_however_large(measured):
    trial = measured(auc=GOOD, S_joint=0.5, F_joint=0.5)
    assert of_run(trial)[POOR]["found"] is False
    finding = of_run(measured(auc=GOOD, S_joint=0.5, F_joint=0.5, smooth=0.6))[POOR]
    assert finding["found"] is True
    assert "at most S 0.600, F 0.600" in finding["why"]


LOST = "accuracy_lost_to_reward"


def test_accuracy_is_lost_where_it_fell_and_joint_s_rose(measured):
    labels = labels_of(measured())
    n = len(labels)
    good, bad = scores(labels, 1.5), scores(labels, 0.0, seed=1)
    low, high = {"S_joint": np.full(n, 0.3)}, {"S_joint": np.full(n, 0.6)}
    baseline = measured(logit=good, columns=low)
    found = of_arms(baseline, measured(logit=bad, columns=high))
    assert found[LOST, "sum"]["found"] is True
    difference = roc_auc_score(labels, bad) - roc_auc_score(labels, good)
    assert f"AUC {difference:+.3f}" in found[LOST, "sum"]["why"]
    difference = balanced_accuracy_score(labels, bad > 0) - balanced_accuracy_score(labels, good > 0)
    assert f"balanced accuracy {difference:+.3f}" in found[LOST, "sum"]["why"]
    assert "joint S (support mask) +0.300" in found[LOST, "sum"]["why"]
    assert (LOST, "baseline") not in found

    assert of_arms(baseline, measured(logit=good, columns=high))[LOST, "sum"]["found"] is False
    # Worse without more alignment is not what a reward costs.
    assert of_arms(baseline, measured(logit=bad, columns=low))[LOST, "sum"]["found"] is False
    assert of_arms(None, measured(logit=bad, columns=high))[LOST, "sum"]["found"] is None


def test_a_single_run_has_no_baseline_but_can_be_turned_round(measured):
    finding = of_run(measured())[LOST]
    assert finding["found"] is None
    assert "no baseline" in finding["why"]
    turned = measured(auc={"value": 0.2, "ci": [0.1, 0.35]})
    assert of_run(turned)[LOST]["found"] is True
    assert "0.200 [0.100, 0.350]" in of_run(turned)[LOST]["why"]
    assert of_run(turned, NONE)[LOST]["found"] is None


def test_over_splits_the_difference_is_that_of_the_splits(measured):
    config = CONFIG.model_copy(
        update={"protocol": CONFIG.protocol.model_copy(update={"repeats": 4, "arms": CONFIG.protocol.arms})}
    )
    trials = {}
    for i, split in enumerate(config.protocol.split_names):
        auc = 0.8 + 0.01 * i
        trials[split, "baseline"] = measured(auc={"value": auc, "ci": [0, 1]}, S_joint=0.3)
        trials[split, "placebo"] = None
        worse = {"value": auc - 0.2 - 0.01 * (i % 2), "ci": [0, 1]}
        trials[split, "sum"] = measured(auc=worse, S_joint=0.6 + 0.01 * i)
    found = {(f["name"], f["title"]): f for f in comparison_findings(config, trials)}
    lost = found[LOST, "accuracy lost to a reward too large (sum)"]
    assert lost["found"] is True
    assert "AUC -0.205 [" in lost["why"]
    assert "joint S (support mask) +0.315" in lost["why"]
    failed = [f for (_, title), f in found.items() if "(placebo)" in title]
    assert failed
    assert all(f["found"] is None and "failed" in f["why"] for f in failed)


def test_networks_that_turned_their_score_round_are_counted(measured):
    config = CONFIG.model_copy(update={"protocol": CONFIG.protocol.model_copy(update={"repeats": 10})})
    turned, guessing = {"value": 0.2, "ci": [0.1, 0.35]}, {"value": 0.6, "ci": [0.45, 0.7]}

    def found(of_sum, of_baseline):
        trials = {}
        for i, split in enumerate(config.protocol.split_names):
            trials[split, "baseline"] = measured(auc=turned if i < of_baseline else GOOD)
            trials[split, "placebo"] = None
            trials[split, "sum"] = measured(auc=turned if i < of_sum else guessing)
        of = {
            f["title"].rpartition("(")[2]: f for f in comparison_findings(config, trials) if f["name"] == LOST
        }
        return of["sum)"]

    finding = found(2, 0)
    assert finding["found"] is True
    assert "2 of 10 networks falls where it should rise: AUC 0.200, 0.200" in finding["why"]
    assert finding["why"].endswith("; in baseline 0 of 10")
    # One in ten is what chance does, and what the baseline does as often is not the reward's doing.
    assert "falls where" not in found(1, 0)["why"]
    assert "falls where" not in found(2, 2)["why"]


def test_scores_that_are_turned_round_only_together_are_found(measured):
    config = CONFIG.model_copy(update={"protocol": CONFIG.protocol.model_copy(update={"repeats": 10})})
    trials = {}
    for i, split in enumerate(config.protocol.split_names):
        trials[split, "baseline"], trials[split, "placebo"] = measured(auc=GOOD), None
        trials[split, "sum"] = measured(auc={"value": 0.42 + 0.02 * (i % 2), "ci": [0.3, 0.6]})
    found = {f["title"]: f for f in comparison_findings(config, trials) if f["name"] == LOST}
    finding = found["accuracy lost to a reward too large (sum)"]
    assert finding["found"] is True
    assert finding["why"].startswith("the AUC is 0.430 [")
    assert finding["why"].endswith("the score falls where it should rise")


UNSTABLE = "unstable_alignment"


def test_alignment_is_unstable_where_s_and_f_disagree_on_gradients_near_zero(measured):
    n = len(labels_of(measured()))
    few = np.arange(n) < n // 5
    norm, s = np.where(few, 0.001, 1.0), np.full(n, 0.7)
    agreed = {"gradient_norm": norm, "S_joint": s, "F_joint": s - 0.02, "status": "reached"}
    torn = agreed | {"F_joint": np.where(few, 0.2, s - 0.02)}
    finding = of_run(measured(columns=torn))[UNSTABLE]
    assert finding["found"] is True
    assert f"{n // 5} more is below 0.1 of the median" in finding["why"]
    assert "0.500 near zero, 0.020 elsewhere" in finding["why"]
    assert of_run(measured(columns=agreed))[UNSTABLE]["found"] is False
    assert of_run(measured(columns=torn | {"gradient_norm": 1.0}))[UNSTABLE]["found"] is False


def test_alignment_is_unstable_where_it_is_undefined_for_many(measured):
    n = len(labels_of(measured()))
    few = np.arange(n) < n // 5
    status = np.where(few, "not_reached", "reached")
    finding = of_run(measured(columns={"status": status, "F_joint": 0.5, "S_joint": 0.5}))[UNSTABLE]
    assert finding["found"] is True
    assert f"S is undefined for 0 and F for {n // 5} of {n} patients" in finding["why"]
    nowhere = {"S_joint": np.nan, "F_joint": np.nan, "status": "stationary", "gradient_norm": 0.0}
    assert of_run(measured(columns=nowhere))[UNSTABLE]["found"] is True


def test_what_an_older_evaluation_left_cannot_be_checked(measured):
    trial = measured()
    del trial.patients["mask.gradient_norm"]
    finding = of_run(trial)[UNSTABLE]
    assert finding["found"] is None
    assert "evaluate the run again" in finding["why"]


WITHOUT = "reward_without_gain"


def test_a_reward_is_without_gain_where_only_s_rose(measured):
    labels = labels_of(measured())
    n, logit = len(labels), scores(labels, 1.0)
    low, high = {"S_brightness": np.full(n, 0.3)}, {"S_brightness": np.full(n, 0.6)}
    same = {"brightness": 0.5, "extent": 0.5}
    baseline = measured(logit=logit, columns=low, effects=same)
    idle = measured(logit=logit, columns=high, effects=same)
    finding = of_arms(baseline, idle)[WITHOUT, "sum"]
    assert finding["found"] is True
    assert "brightness: S +0.300" in finding["why"]
    assert "by 0.500 of its sd (baseline: 0.500)" in finding["why"]
    assert "extent" not in finding["why"]

    used = measured(logit=logit, columns=high, effects=same | {"brightness": 0.9})
    assert of_arms(baseline, used)[WITHOUT, "sum"]["found"] is False
    # More than before, and still next to nothing.
    nothing = measured(logit=logit, columns=low, effects=same | {"brightness": 0.01})
    little = measured(logit=logit, columns=high, effects=same | {"brightness": 0.05})
    assert of_arms(nothing, little)[WITHOUT, "sum"]["found"] is True
    better = measured(logit=scores(labels, 3.0), columns=high, effects=same)
    guessing = measured(logit=scores(labels, 0.0, seed=1), columns=low, effects=same)
    assert of_arms(guessing, better)[WITHOUT, "sum"]["found"] is False
    assert of_arms(baseline, baseline)[WITHOUT, "sum"]["found"] is False
    # What a random reward does to the feature as well is no gain.
    placebo = measured(logit=logit, columns=low, effects=same | {"brightness": 0.9})
    found = of_arms(baseline, used, placebo)
    assert found[WITHOUT, "sum"]["found"] is True
    assert "(placebo: 0.900)" in found[WITHOUT, "sum"]["why"]
    assert (WITHOUT, "placebo") not in found


def test_effects_over_splits_are_compared_within_each(measured):
    """They differ more between splits than between the arms, in every one of which the reward's is larger."""
    labels = labels_of(measured())
    logit, splits = scores(labels, 1.0), {f"repeat_{k}": 0.3 + 0.1 * k for k in range(6)}

    def arm(share, slope, more):
        trials = {}
        for split, effect in splits.items():
            values = {"S_brightness": share + slope * effect}
            effects = {"brightness": effect + more(effect), "extent": 0.5}
            trials[split] = measured(logit=logit, **values, effects=effects)
        return trials

    def found(more):
        arms = {"baseline": arm(0.3, 0.0, lambda effect: 0.0), "sum": arm(0.6, 0.1, more)}
        trials = {(split, name): trial for name, each in arms.items() for split, trial in each.items()}
        (finding,) = (f for f in comparison_findings(CONFIG, trials) if f["name"] == WITHOUT)
        assert "brightness: S +0.3" in finding["why"]
        return finding["found"]

    assert found(lambda effect: 0.1 + 0.01 * effect) is False
    assert found(lambda effect: 0.5 - effect) is True


def test_a_gain_cannot_be_told_without_a_baseline_or_behaviour(measured):
    trial = measured()
    assert of_run(trial)[WITHOUT]["found"] is None
    rises = {"S_brightness": trial.patients["mask.S_brightness"] + 0.2}
    arm = measured(columns=rises)
    finding = of_arms(trial, dataclasses.replace(arm, behaviour=None))[WITHOUT, "sum"]
    assert finding["found"] is None
    assert "evaluate.behaviour" in finding["why"]


def test_patients_without_s_are_left_out_of_both_arms(measured):
    labels = labels_of(measured())
    s = np.linspace(0.2, 0.4, len(labels))
    holes = np.where(np.arange(len(labels)) < 3, np.nan, s + 0.1)
    found = of_arms(measured(columns={"S_joint": s}), measured(columns={"S_joint": holes}))[LOST, "sum"]
    assert "joint S (support mask) +0.100 [+0.100, +0.100]" in found["why"]


def test_what_was_found_is_told_with_a_remedy_and_the_rest_in_a_line(measured):
    run = run_findings(measured(auc=GOOD, S_joint=0.1, F_joint=0.1), SUM, NAMES, CONFIG.evaluate, seed=0)
    (bullets,) = findings_summary(run)
    lines = bullets.items
    assert lines[0].startswith("Found: poor alignment despite good accuracy. AUC 0.800")
    assert "Try: " in lines[0]
    assert lines[1].startswith("Found: a network that does not clear its bar. AUC 0.800 [0.700, 0.900], bar")
    assert lines[2] == "Checked, not found: alignment undefined or unstable for many patients."
    assert lines[3].startswith("Cannot be checked: accuracy lost to a reward too large; a reward that")
    assert lines[3].endswith("because there is no baseline to compare with.")
    arms = comparison_findings(CONFIG, {("", arm): measured() for arm in ("baseline", "sum", "placebo")})
    (bullets,) = findings_summary(arms)
    bar = "Found: a network that does not clear its bar (baseline, sum, placebo). baseline: AUC "
    lines = [line for line in bullets.items if not line.startswith(bar)]
    assert len(lines) == len(bullets.items) - 1
    assert "alignment undefined or unstable for many patients (baseline, sum, placebo)" in lines[0]
