"""Signed effects of a cohort: means over the patients in whom they are defined, and how many share a sign."""

import json

import numpy as np
import pytest

from fgf_keras import Explanation, FlowStatus
from fgf_keras.results.effects import EFFECTS, effects_content, effects_table

NAMES = ["brightness", "extent"]
N = 8


@pytest.fixture
def explanation():
    """Eight patients, of whom one has no spread of extent, and one a path that does not end."""
    rng = np.random.default_rng(0)
    values = {key: rng.normal(size=(N, 2)) for key in ("S", "unique", "value", *EFFECTS)}
    values |= {f"F_{average}": rng.normal(size=(N, 2)) for average in ("arc", "score")}
    single = ("logit", "class", "gradient_norm", "S_joint", "residual", "length", "far", "unexplained")
    single += ("outside", "outside_excess")
    flow = [f"{key}_{average}" for key in ("F_joint", "F_joint_magnitude") for average in ("arc", "score")]
    values |= {key: np.abs(rng.normal(size=N)) for key in (*single, *flow)}
    values |= {"F_error_arc": np.zeros((N, 3)), "logits": rng.normal(size=(N, 1))}
    values |= {key: np.full(N, 2) for key in ("rank", "section_rank", "dimension")}
    values["effect"][3, 1] = np.nan
    values["status"] = np.full(N, int(FlowStatus.REACHED))
    values["status"][5] = FlowStatus.NOT_REACHED
    return Explanation(np.arange(N).astype(str), NAMES, {"weight": "arc"}, values, 2)


def test_means_medians_and_signs_are_those_of_the_patients_in_whom_they_are_defined(explanation):
    rows = np.array([0, 2, 3, 5, 6])
    content = effects_content(explanation, rows, bootstrap=200)
    effect = explanation.values["effect"]
    for i, name in enumerate(NAMES):
        known = effect[rows, i][~np.isnan(effect[rows, i])]
        summary = content[name]["effect"]
        assert summary["mean"] == pytest.approx(known.mean())
        assert summary["median"] == pytest.approx(np.median(known))
        assert summary["positive"] == np.mean(known > 0)
        assert summary["negative"] == np.mean(known < 0)
        assert summary["n"] == len(known) == 5 - (name == "extent")
        assert summary["ci"][0] <= summary["mean"] <= summary["ci"][1]
        assert content[name]["slope"]["n"] == 5
        # Nothing along a path that did not end.
        on_path = explanation.values["contribution"][[0, 2, 3, 6], i]
        assert content[name]["contribution"]["mean"] == pytest.approx(on_path.mean())
        assert content[name]["change"]["n"] == 4
    assert content["unexplained"]["n"] == 4
    shares = [content[name]["contribution_share"]["mean"] for name in NAMES]
    assert sum(shares) + content["unexplained_share"]["mean"] == pytest.approx(1)


def test_what_is_defined_in_nobody_is_null(explanation):
    content = effects_content(explanation, np.array([5]), bootstrap=50)
    assert content["extent"]["contribution"] == {
        "mean": None,
        "ci": [None, None],
        "median": None,
        "positive": None,
        "negative": None,
        "n": 0,
    }
    json.dumps(content, allow_nan=False)


def test_the_table_has_a_row_for_each_quantity_of_each_feature(explanation):
    content = effects_content(explanation, np.arange(N), bootstrap=50)
    table = effects_table(content).set_index(["feature", "quantity"])
    assert len(table) == len(NAMES) * (len(EFFECTS) + 2) + 2
    row = table.loc["extent", "slope"]
    assert row["mean"] == content["extent"]["slope"]["mean"]
    assert [row["low"], row["high"]] == content["extent"]["slope"]["ci"]
    assert table.loc["", "unexplained"]["n"] == 7
    assert effects_table({}).empty
