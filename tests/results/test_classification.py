"""Classification metrics are scikit-learn's; the threshold is the best there is; intervals hold the value."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from fgf_keras.errors import DataError
from fgf_keras.results.classification import choose_threshold, classification_metrics, resampled_metrics

METRICS = ("balanced_accuracy", "auc", "sensitivity", "specificity")


def scores(rng, n=60, gap=1.0, ties=False):
    labels = (rng.random(n) < 0.3).astype(int)
    logits = rng.normal(size=n) + gap * labels
    return labels, np.round(logits, 1) if ties else logits


def by_scikit_learn(labels, logits, threshold):
    decided = logits > threshold
    return {
        "balanced_accuracy": balanced_accuracy_score(labels, decided),
        "auc": roc_auc_score(labels, logits),
        "sensitivity": recall_score(labels, decided),
        "specificity": recall_score(1 - labels, ~decided),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 99.0])
def test_metrics_are_those_of_scikit_learn(rng, ties, threshold):
    labels, logits = scores(rng, ties=ties)
    found = classification_metrics(labels, logits, threshold, bootstrap=100)
    assert found["n"] == len(labels)
    assert found["n_positive"] == labels.sum()
    for name, value in by_scikit_learn(labels, logits, threshold).items():
        assert found[name]["value"] == pytest.approx(value)


def test_a_score_at_the_threshold_is_negative():
    found = classification_metrics([0, 1, 1], [0.0, 0.0, 1.0], 0.0, bootstrap=100)
    assert found["sensitivity"]["value"] == 0.5
    assert found["specificity"]["value"] == 1.0


def test_every_resample_has_the_metrics_that_scikit_learn_gives_it(rng):
    labels, logits = scores(rng, n=25, ties=True)
    positive, negative = logits[labels == 1], logits[labels == 0]
    found = resampled_metrics(positive, negative, 0.3, bootstrap=40, seed=7)
    draws = np.random.default_rng(7)
    of_positive = draws.integers(0, len(positive), (40, len(positive)))
    of_negative = draws.integers(0, len(negative), (40, len(negative)))
    for k in range(40):
        resample = np.concatenate([positive[of_positive[k]], negative[of_negative[k]]])
        truth = np.repeat([1, 0], [len(positive), len(negative)])
        for name, value in by_scikit_learn(truth, resample, 0.3).items():
            assert found[name][k] == pytest.approx(value), name


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_has_the_best_balanced_accuracy_there_is(seed):
    labels, logits = scores(np.random.default_rng(seed), ties=seed % 2 == 0)
    everywhere = [logits.min() - 1, *logits]
    best = max(balanced_accuracy_score(labels, logits > t) for t in everywhere)
    chosen = choose_threshold(labels, logits)
    assert balanced_accuracy_score(labels, logits > chosen) == pytest.approx(best)


def test_of_equally_good_thresholds_the_one_nearest_to_zero_is_taken():
    # Between -3 and -2 as good as between 1 and 2: one error each way round.
    labels, logits = [0, 1, 0, 1], [-3.0, -2.0, 1.0, 2.0]
    assert choose_threshold(labels, logits) == 1.5
    assert choose_threshold(labels, [-2.0, -1.0, 2.0, 3.0]) == -1.5


def test_the_threshold_lies_halfway_between_the_scores_that_it_separates():
    assert choose_threshold([0, 0, 1, 1], [1.0, 2.0, 5.0, 6.0]) == 3.5


def test_a_single_class_is_an_error_that_counts_the_patients():
    for call in (
        lambda: choose_threshold([0, 0, 0], [1.0, 2.0, 3.0]),
        lambda: classification_metrics([1, 1, 1], [1.0, 2.0, 3.0], 0.0),
    ):
        with pytest.raises(DataError, match=r"both classes.*among 3 patients"):
            call()


def test_the_interval_holds_the_value_and_narrows_with_the_number_of_patients(rng):
    widths = []
    for n in (50, 1000):
        labels, logits = scores(rng, n=n)
        found = classification_metrics(labels, logits, 0.4, bootstrap=200)
        for name in METRICS:
            low, high = found[name]["ci"]
            assert low <= found[name]["value"] <= high
        widths.append(np.subtract(*found["auc"]["ci"][::-1]))
    # 20 times the patients: about √20 times narrower.
    assert widths[1] < widths[0] / 3


def test_a_higher_confidence_widens_the_interval(rng):
    labels, logits = scores(rng)
    width = {}
    for confidence in (0.5, 0.95):
        low, high = classification_metrics(labels, logits, 0.4, confidence=confidence)["auc"]["ci"]
        width[confidence] = high - low
    # Of a normal law: 1.96 against 0.67 standard errors.
    assert width[0.95] / width[0.5] == pytest.approx(1.96 / 0.674, rel=0.2)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        labels, logits = scores(np.random.default_rng(seed), n=150, gap=1.0)
        low, high = classification_metrics(labels, logits, 0.0, bootstrap=100)["auc"]["ci"]
        covered += low <= 0.7602 <= high  # Φ(1/√2)
    # 95 % of 200 is 190, standard deviation 3; percentile intervals of 45 positives are a little narrow.
    assert covered >= 175


def test_the_same_seed_gives_the_same_interval(rng):
    labels, logits = scores(rng)
    one = classification_metrics(labels, logits, 0.4, bootstrap=100, seed=1)
    assert one == classification_metrics(labels, logits, 0.4, bootstrap=100, seed=1)
    assert one != classification_metrics(labels, logits, 0.4, bootstrap=100, seed=2)
