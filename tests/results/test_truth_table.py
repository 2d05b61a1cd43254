"""Roles, rankings and rates of trials under known laws, from constructed figures."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from metrics_file import alignment, metrics_content, part
from sklearn.metrics import roc_auc_score

from fgf_keras.commands.outcome import write_tables
from fgf_keras.config import parse_config
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.law import LATENTS, phantom_labels
from fgf_keras.data.phantom.oracle import oracle_auc
from fgf_keras.data.phantom.phantom import phantom_id
from fgf_keras.report.sections.truth import truth_plot, truth_tables
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.study import Study
from fgf_keras.results.truth import (
    ranked_first,
    rate_table,
    readings,
    recovery_table,
    truth_table,
)

FEATURES = ("brightness", "extent")
LAWS = {
    "nothing": {},
    "wide": {"extent": 4.0},
    "both": {"brightness": 2.0, "extent": 2.0},
    "rough": {"texture": 4.0},
}
CONFIG = parse_config(
    {
        "features": list(FEATURES),
        "data": {"phantom": {"patients": 40, "seed": 5}},
        "evaluate": {"support": ["mask"], "nulls": ["smooth"], "null_draws": 39},
        "truth": {"laws": LAWS, "prevalences": [0.5, 0.1]},
    }
)
# S of brightness and extent: ranked rightly by extent over nothing alone.
MEANS = {"nothing": (0.6, 0.1), "wide": (0.5, 0.4), "both": (0.7, 0.5), "rough": (0.6, 0.1)}
NULL = 0.3


def metrics(law, learned=True):
    shares, smooth = {}, {"draws": 39}
    for kind, scale in (("S", 1), ("F", 0.9)):
        means = {name: scale * mean for name, mean in zip(FEATURES, MEANS[law])}
        shares[kind] = means | {"joint": 0.9}
        smooth[kind] = {
            name: {"effect": mean - NULL, "null_q05": 0.2, "null_q95": 0.4, "p": 0.5}
            for name, mean in means.items()
        }
        smooth[kind]["joint"] = dict.fromkeys(("effect", "null_q05", "null_q95", "p"))
    partial = {name: 2 / 3 * mean for name, mean in zip(FEATURES, MEANS[law])}
    smooth["partial"] = {
        name: {"effect": mean - NULL, "null_q05": 0.2, "null_q95": 0.4, "p": 0.03}
        for name, mean in partial.items()
    }
    supports = {"mask": alignment(shares, undefined=(0, 1), nulls={"smooth": smooth}, partial=partial)}
    auc = {"value": 0.8, "ci": [0.7 if learned else 0.4, 0.9]}
    return RunMetrics.of(metrics_content({"test": part(supports, auc=auc, n=10, n_positive=4)}))


def patients(significant):
    """Ten patients, of whom some have p = 0.01 for S, and one has no F."""
    p = np.where(np.arange(10) < significant, 0.01, 0.5)
    columns = {}
    for name in (*FEATURES, "joint"):
        columns[f"mask.p_smooth_{name}"] = p
        columns[f"mask.p_smooth_F_{name}"] = np.where(np.arange(10) == 9, np.nan, p)
    for name in FEATURES:
        columns[f"mask.p_smooth_partial_{name}"] = np.where(np.arange(10) < significant, 0.01, 0.9)
        columns[f"mask.unique_{name}"] = columns[f"mask.shapley_{name}"] = np.full(10, 0.2)
    labels = {"split": "test", "label": np.arange(10) % 2}
    return pd.DataFrame(
        labels | columns, index=pd.Index([phantom_id(i) for i in range(10)], name="patient_id")
    )


@pytest.fixture
def found():
    return {("", arm.name): metrics(arm.law_name, arm.prevalence == 0.5) for arm in CONFIG.arms}


@pytest.fixture
def tables():
    """At 0.5 two of ten patients are significant, at 0.1 none is."""
    return {("", arm.name): patients(2 if arm.prevalence == 0.5 else 0) for arm in CONFIG.arms}


def study(found, tables):
    return Study(CONFIG, "test", found, tables, oracle=dict.fromkeys(found, 0.9))


def table_of(found, tables):
    return truth_table(CONFIG, found, tables, dict.fromkeys(found, 0.9))


def test_roles_are_those_of_the_law(found, tables):
    table = table_of(found, tables)
    at_half = table[table["prevalence"] == 0.5]
    roles = at_half.groupby("law", sort=False)[["feature", "role"]].apply(
        lambda g: dict(g.to_numpy().tolist())
    )
    unused = dict.fromkeys((*FEATURES, "joint"), "unused")
    assert roles.to_dict() == {
        "nothing": dict.fromkeys((*FEATURES, "joint"), "nothing"),
        "wide": {"brightness": "unused", "extent": "used", "joint": "used"},
        "both": dict.fromkeys((*FEATURES, "joint"), "used"),
        "rough": unused,
    }
    assert set(table["learned"] == (table["prevalence"] == 0.5)) == {True}


def test_effects_are_above_the_null_and_above_labels_by_lot(found, tables):
    table = table_of(found, tables).set_index(["law", "prevalence", "feature"])
    held = table.loc[("wide", 0.1, "extent")]
    assert held["S_over_smooth"] == pytest.approx(0.4 - NULL)
    assert held["F_over_nothing"] == pytest.approx(0.9 * (0.4 - 0.1))
    assert held["undefined_F"] == 1
    assert held["partial_over_smooth"] == pytest.approx(2 / 3 * 0.4 - NULL)
    assert held["partial_over_nothing"] == pytest.approx(2 / 3 * (0.4 - 0.1))
    assert held["undefined_partial"] == 2
    assert table.loc[("wide", 0.5, "extent"), "S_smooth_rate"] == pytest.approx(0.2)
    assert table.loc[("wide", 0.5, "extent"), "F_smooth_rate"] == pytest.approx(2 / 9)


def test_recovery_is_asked_where_some_features_are_used_and_some_are_not(found, tables):
    table = table_of(found, tables)
    recovery = recovery_table(table).set_index("reading")
    assert set(recovery["law"]) == {"wide"}
    assert list(recovery.index) == readings(table)
    assert recovery.loc["S", ["trials", "recovered"]].tolist() == [2, 0]
    above = recovery.loc["S_over_nothing", ["trials", "recovered", "learned", "recovered_learned"]]
    assert above.tolist() == [2, 2, 1, 1]
    shown = truth_tables(study(found, tables))[1]
    assert shown.header == ["ranked by", "wide"]
    assert ["S over nothing", "2/2 (1/1)"] in shown.rows


@pytest.mark.parametrize(
    ("values", "used", "right"),
    [
        ([0.3, 0.2, 0.1], [0, 1], True),
        ([0.3, 0.1, 0.2], [0, 1], False),
        ([0.3, 0.3, 0.1], [0], False),
        ([0.3, np.nan, 0.1], [0], None),
    ],
)
def test_used_features_have_to_come_first(values, used, right):
    assert ranked_first(pd.Series(values), used) is right


def test_rates_are_of_networks_by_role(found, tables):
    rates = rate_table(table_of(found, tables), tables, CONFIG).set_index(["role", "quantity", "feature"])
    unused = rates.loc[("unused", "S", "brightness")]
    assert (unused["networks"], unused["patients"], unused["undefined"]) == (4, 40, 0)
    assert unused["rate"] == pytest.approx(0.1)
    assert unused["rate_low"] < 0.1 < unused["rate_high"]
    # Mostly p = 0.5: at 0.5 the uniform distribution has half of what lies there.
    assert unused["distance"] == pytest.approx(0.5)
    assert (unused["cohort_hits"], unused["cohorts"]) == (0, 4)
    lot = rates.loc[("nothing", "F", "joint")]
    assert (lot["networks"], lot["undefined"], lot["cohorts"]) == (2, 2, 0)
    assert rates.loc[("used", "S", "extent"), "networks"] == 4
    partial = rates.loc[("nothing", "partial", "extent")]
    assert (partial["networks"], partial["patients"], partial["cohort_hits"]) == (2, 20, 2)
    assert partial["distance"] == pytest.approx(0.8)
    assert ("nothing", "partial", "joint") not in rates.index
    shown = truth_tables(study(found, tables))[2]
    assert shown.header[3:] == ["brightness", "extent", "joint", "distance", "networks"]
    (told,) = [row[3:] for row in shown.rows if row[:3] == ["not used", "smooth", "S"]]
    assert told[0].startswith("0.10 [0.00, ")
    assert told[3:] == ["0.50, 0.50, 0.50", "0/4, 0/2, 0/0"]
    (told,) = [row[3:] for row in shown.rows if row[:3] == ["not used", "smooth", "partial"]]
    assert told[2:] == ["–", "0.80, 0.80, –", "4/4, 2/2, –"]


def test_runs_of_earlier_versions_have_no_partial_shares(found, tables):
    tables = {key: table.loc[:, ~table.columns.str.contains("partial")] for key, table in tables.items()}
    for key, run in found.items():
        content = json.loads(json.dumps(run.content))
        mask = content["splits"]["test"]["alignment"]["mask"]
        del mask["partial"], mask["nulls"]["smooth"]["partial"]
        found[key] = RunMetrics.of(content)
    table = table_of(found, tables)
    assert "partial" not in readings(table)
    assert set(rate_table(table, tables, CONFIG)["quantity"]) == {"S", "F"}


def test_a_failed_trial_is_told_and_left_out(found, tables, tmp_path):
    found["", "wide_0.1"] = None
    table = table_of(found, tables)
    assert table[(table["law"] == "wide") & (table["prevalence"] == 0.1)]["S"].isna().all()
    assert set(recovery_table(table)["trials"]) == {1}
    write_tables(study(found, tables), tmp_path)
    assert '"wide_0.1"' in (tmp_path / "truth.json").read_text(encoding="utf-8")
    lines = (tmp_path / "truth.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("| wide | 0.")]
    assert line.endswith(r"| 0.50 | 0.40\* | 0.45 | 0.36\* | brightness, brightness | 0 / 1 |")
    assert (tmp_path / "truth.png").stat().st_size > 10_000


def with_lenses(found, population):
    """The same metrics with a population share of brightness and extent, and effects of either sign."""
    entries = {
        name: {"share": mean, "ci": [mean - 0.05, mean + 0.05], "p": 0.01, "chance": 0.1}
        for name, mean in population.items()
    }
    estimate = {"median": 0.0, "positive": 0.5, "negative": 0.5, "n": 10}
    sizes = {"brightness": 0.2, "extent": 0.9}
    for key, metrics in found.items():
        content = copy.deepcopy(metrics.content)
        test = content["splits"]["test"]
        test["population"] = {"n": 10, "permutations": 99, "ranks": entries}
        effects = {
            name: {"effect_size": estimate | {"mean": mean, "ci": [mean - 0.1, mean + 0.1]}}
            for name, mean in sizes.items()
        }
        test["effects"] = {"mask": effects}
        found[key] = RunMetrics.of(content)
    return found


def test_other_lenses_are_readings_with_intervals(found, tables):
    population = {"brightness": 0.1, "extent": 0.6, "joint": 0.7}
    moves = {"features": {"extent": {"effect": {"mean": 1.0, "ci": [0.8, 1.2]}}}}
    found = with_lenses(found, population)
    behaviour = dict.fromkeys(found, moves)
    table = truth_table(CONFIG, found, tables, dict.fromkeys(found, 0.9), behaviour)
    rows = table[(table["law"] == "wide") & (table["prevalence"] == 0.5)].set_index("feature")
    assert rows.loc["extent", ["population", "population_low", "effect", "moved"]].tolist() == pytest.approx(
        [0.6, 0.55, 0.9, 1.0]
    )
    assert rows.loc["joint", "population"] == 0.7
    assert np.isnan(rows.loc["brightness", "moved"])
    recovery = recovery_table(table).set_index(["law", "reading"])
    assert recovery.loc[("wide", "population"), ["trials", "recovered", "apart"]].tolist() == [2, 2, 2]
    assert recovery.loc[("wide", "effect"), "apart"] == 2
    assert np.isnan(recovery.loc[("wide", "S"), "apart"])
    # Undefined for a feature: no ranking.
    assert recovery.loc[("wide", "moved"), "trials"] == 0
    other = truth_table(
        CONFIG, with_lenses(found, population | {"extent": 0.15}), tables, dict.fromkeys(found, 0.9)
    )
    overlapping = recovery_table(other).set_index(["law", "reading"]).loc[("wide", "population")]
    assert overlapping[["recovered", "apart"]].tolist() == [2, 0]


def test_the_oracle_knows_the_law():
    law = PhantomConfig(patients=300, prevalence=0.3, brightness=0.0, extent=4.0)
    drawn = phantom_labels(law, 5)
    rows = pd.DataFrame({"label": drawn.labels}, index=[phantom_id(i) for i in range(300)])
    assert oracle_auc(law, 5, rows) > 0.9
    extent = drawn.latents[:, LATENTS.index("extent")]
    assert oracle_auc(law, 5, rows) == pytest.approx(roc_auc_score(drawn.labels, extent))
    nothing = law.model_copy(update={"extent": 0.0})
    assert np.isnan(oracle_auc(nothing, 5, rows))


def test_the_figure_has_one_panel_per_law(found, tables):
    panels = [axes for axes in truth_plot(table_of(found, tables)).axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == list(LAWS)
