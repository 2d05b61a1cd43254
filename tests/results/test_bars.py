"""Bars against regressions written anew, known answers, and columns that are of no use."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fgf_keras.errors import DataError
from fgf_keras.results.bars import Bars, bar_metrics, combined
from fgf_keras.results.regression import STRENGTHS


def patients(rng, count=120, strength=1.2):
    """Three columns of very different scale, of which the first two decide the label."""
    values = rng.normal(size=(count, 3)) * [1, 50, 0.01] + [5, -200, 0]
    logits = strength * (values[:, 0] - 5) + strength * (values[:, 1] + 200) / 50 - 1.5
    labels = (rng.uniform(size=count) < 1 / (1 + np.exp(-logits))).astype(int)
    return pd.DataFrame(values, columns=["extent", "brightness", "texture"]), labels


def test_a_bar_is_the_regression_of_scikit_learn(rng):
    table, labels = patients(rng)
    bars = Bars.fitted({"features": table}, labels, seed=3)

    def minus_loss(model, values, truth):
        score = model.decision_function(values)
        loss = np.log1p(np.exp(np.where(truth == 1, -score, score)))
        return -(loss[truth == 1].mean() + loss[truth == 0].mean()) / 2

    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-6)),
        {"logisticregression__C": STRENGTHS},
        scoring=minus_loss,
        cv=StratifiedKFold(5, shuffle=True, random_state=3),
    ).fit(table.to_numpy(), labels)
    model = bars.models["features"]
    assert model["C"] == search.best_params_["logisticregression__C"]
    expected = search.best_estimator_.decision_function(table.to_numpy())
    np.testing.assert_allclose(bars.logits(table)["features"], expected, rtol=1e-5, atol=1e-6)


def test_its_coefficients_minimise_the_class_weighted_loss(rng):
    table, labels = patients(rng)
    model = Bars.fitted({"features": table}, labels, seed=0).models["features"]
    standardised = ((table - table.mean()) / table.std(ddof=0)).to_numpy()
    weight = np.where(labels == 1, 1 / labels.mean(), 1 / (1 - labels.mean())) / 2

    def loss(parameters):
        score = standardised @ parameters[:3] + parameters[3]
        penalty = (parameters[:3] ** 2).sum() / (2 * model["C"])
        return weight @ np.logaddexp(0, np.where(labels == 1, -score, score)) + penalty

    best = minimize(loss, np.zeros(4), tol=1e-10).x
    coefficients = [entry["coefficient"] for entry in model["columns"].values()]
    np.testing.assert_allclose([*coefficients, model["intercept"]], best, atol=1e-3)
    assert [entry["sd"] for entry in model["columns"].values()] == pytest.approx(table.std(ddof=0).tolist())


def test_groups_are_bars_alone_and_together(rng):
    table, labels = patients(rng)
    groups = {
        "area": table[["extent"]].rename(columns={"extent": "area_mm2"}),
        "features": table[["brightness"]],
        "clinical": table[["texture"]],
    }
    bars = Bars.fitted(groups, labels, seed=0)
    assert list(bars.models) == ["area", "features", "clinical", "features_and_clinical"]
    assert list(bars.models["features_and_clinical"]["columns"]) == ["brightness", "texture"]
    together = bars.logits(combined(groups))
    assert roc_auc_score(labels, together["features"]) > roc_auc_score(labels, together["clinical"])
    # Another cohort without the clinical columns.
    assert list(bars.logits(combined({k: groups[k] for k in ("area", "features")}))) == ["area", "features"]
    with pytest.raises(DataError, match=r"different names\. More than once: extent"):
        combined({"area": table[["extent"]], "features": table})


def test_a_perfect_column_is_a_perfect_bar_and_noise_is_none(rng):
    labels = np.repeat([0, 1], [60, 20])
    fitted = {"features": pd.DataFrame({"f": labels + rng.normal(0, 0.05, 80)})}
    new_labels = rng.permutation(labels)
    new = pd.DataFrame({"f": new_labels + rng.normal(0, 0.05, 80)})
    scores = Bars.fitted(fitted, labels, seed=0).logits(new)["features"].to_numpy()
    settings = {"bootstrap": 500, "confidence": 0.95, "seed": 0}
    perfect = bar_metrics(new_labels, rng.normal(size=80), 0.0, scores, **settings)
    assert perfect["auc"]["value"] == perfect["balanced_accuracy"]["value"] == 1
    assert perfect["auc_difference"]["value"] < -0.2
    assert perfect["auc_difference"]["ci"][1] < 0, "the network is told that it falls short"
    noise = bar_metrics(new_labels, scores, 0.0, rng.normal(size=80), **settings)
    assert noise["auc"]["ci"][0] < 0.5 < noise["auc"]["ci"][1]
    assert noise["auc_difference"]["ci"][0] > 0, "the network clears a bar that knows nothing"


def test_without_a_signal_the_regularisation_is_the_strongest(rng):
    labels = rng.permutation(np.repeat([0, 1], [150, 50]))
    table = pd.DataFrame(rng.normal(size=(200, 8)), columns=list("abcdefgh"))
    model = Bars.fitted({"features": table}, labels, seed=0).models["features"]
    assert model["C"] <= 1e-2
    assert all(abs(entry["coefficient"]) < 0.3 for entry in model["columns"].values())


def test_differences_are_paired(rng):
    labels = np.repeat([0, 1], [40, 20])
    network = rng.normal(size=60) + labels
    bar = network + rng.normal(0, 0.3, 60)
    found = bar_metrics(labels, network, 0.4, bar, bootstrap=4000, confidence=0.9, seed=5)
    accuracy, bar_accuracy = (balanced_accuracy_score(labels, s > t) for s, t in ((network, 0.4), (bar, 0.0)))
    assert found["balanced_accuracy"]["value"] == pytest.approx(bar_accuracy)
    assert found["balanced_accuracy_difference"]["value"] == pytest.approx(accuracy - bar_accuracy)
    differences = []
    for _ in range(4000):
        rows = np.concatenate([rng.integers(0, 40, 40), rng.integers(40, 60, 20)])
        pair = [roc_auc_score(labels[rows], score[rows]) for score in (network, bar)]
        differences.append(pair[0] - pair[1])
    np.testing.assert_allclose(found["auc_difference"]["ci"], np.percentile(differences, [5, 95]), atol=0.006)
    same = bar_metrics(labels, bar, 0.0, bar, bootstrap=100, confidence=0.9, seed=5)
    assert same["auc_difference"] == {"value": 0, "ci": [0, 0]}


def test_columns_of_no_use_are_left_out_with_the_reason(rng):
    table, labels = patients(rng)
    bad = table.assign(site=3.0, missing=np.nan)
    bars = Bars.fitted({"features": bad, "clinical": bad[["site"]]}, labels, seed=0)
    assert bars.models["features"]["left_out"] == {
        "site": "3 for every patient",
        "missing": "undefined for every patient",
    }
    assert bars.content["models"]["clinical"] == {
        "reason": "no column tells patients apart: site is 3 for every patient"
    }
    without = Bars.fitted({"features": table}, labels, seed=0)
    np.testing.assert_allclose(bars.logits(bad)["features"], without.logits(table)["features"])


def test_an_undefined_value_counts_as_the_mean(rng):
    table, labels = patients(rng)
    gaps = table.copy()
    gaps.loc[:4, "extent"] = np.nan
    gaps.loc[3, "texture"] = np.inf
    bars = Bars.fitted({"features": gaps}, labels, seed=0)
    means = {name: entry["mean"] for name, entry in bars.models["features"]["columns"].items()}
    assert means["extent"] == pytest.approx(table["extent"][5:].mean())
    assert bars.undefined(gaps) == {"features": 5}
    filled = gaps.replace(np.inf, np.nan).fillna(means)
    np.testing.assert_allclose(bars.logits(gaps)["features"], bars.logits(filled)["features"])


@pytest.mark.parametrize(("labels", "classes"), [([0, 0, 0, 0], "[0]"), ([0, 1, 2, 1], "[0, 1, 2]")])
def test_other_than_two_classes_have_no_bar(labels, classes):
    bars = Bars.fitted({"area": pd.DataFrame({"area_mm2": [1.0, 2, 3, 4]})}, np.array(labels), seed=0)
    assert bars.models == {}
    assert bars.content["models"]["area"]["reason"].endswith(f"and there are {classes}")
    assert bars.logits(pd.DataFrame({"area_mm2": [1.0]})).empty


def test_a_single_positive_patient_leaves_nothing_to_choose():
    labels = np.array([0, 0, 0, 1])
    bars = Bars.fitted({"area": pd.DataFrame({"area_mm2": [1.0, 2, 3, 9]})}, labels, seed=0)
    assert bars.models["area"]["C"] == 0.1
