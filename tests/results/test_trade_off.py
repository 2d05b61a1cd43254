"""The front of a trade-off, and the largest weight that costs nothing, chosen on validation alone."""

import numpy as np
import pandas as pd
import pytest
from metrics_file import alignment, metrics_content, part

from fgf_keras.commands.outcome import write_tables
from fgf_keras.config import parse_config
from fgf_keras.files import read_json
from fgf_keras.report.sections.trade_off import trade_off_section
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.study import Study
from fgf_keras.results.trade_off import largest_weights, pareto_front, penalised_features

CONFIG = parse_config(
    {
        "protocol": {"repeats": 3},
        "sweep": {"lowest": 0.01, "highest": 1.0, "points": 3, "kinds": ["sum", "joint"]},
        "evaluate": {"support": ["mask"]},
    }
)
# Validation AUC and joint S of each arm; what test says is the opposite.
AT = {
    "baseline": (0.80, 0.2),
    "sum_0.01": (0.80, 0.3),
    "sum_0.1": (0.785, 0.5),
    "sum_1": (0.70, 0.9),
    "joint_0.01": (0.75, 0.1),
    "joint_0.1": (0.76, 0.2),
    "joint_1": (0.60, 0.95),
}


def metrics(auc, joint, repeat):
    validation = {"mask": alignment({"joint": joint + 0.01 * repeat})}
    parts = {
        "validation": part(validation, auc=auc + 0.05 * repeat, n=15),
        "test": part({"mask": alignment({"joint": joint})}, auc=1 - auc),
    }
    return RunMetrics.of(metrics_content(parts))


@pytest.fixture
def trials():
    return {
        (f"repeat_{r}", arm): metrics(auc, joint, r) for r in range(3) for arm, (auc, joint) in AT.items()
    }


def test_the_front_holds_what_nothing_beats():
    points = [(0.8, 0.2), (0.8, 0.3), (0.7, 0.9), (0.6, 0.9), (0.9, np.nan), (0.7, 0.9)]
    assert pareto_front(points).tolist() == [False, True, True, False, False, True]


@pytest.mark.parametrize(("tolerance", "arm"), [(0.0, "sum_0.01"), (0.015, "sum_0.1"), (0.2, "sum_1")])
def test_the_largest_weight_within_the_tolerance_is_chosen(tolerance, arm):
    table = pd.DataFrame(
        {
            "arm": ["baseline", "sum_0.01", "sum_0.1", "sum_1"],
            "kind": ["none", "sum", "sum", "sum"],
            "weight": [0, 0.01, 0.1, 1],
            "failed": 0,
            "auc_change": [0, 0.0, -0.015, -0.1],
        }
    )
    assert largest_weights(table, tolerance) == {"sum": arm}


def test_a_weight_that_failed_somewhere_is_not_chosen(trials, tmp_path):
    trials["repeat_1", "sum_0.1"] = None
    write_tables(Study(CONFIG, "test", trials, {}), tmp_path)
    summary = read_json(tmp_path / "sweep.json")
    assert summary["chosen"]["sum"] == "sum_0.01"
    assert {row["arm"]: row["failed"] for row in summary["trade_off"]} == dict.fromkeys(AT, 0) | {
        "sum_0.1": 1
    }


def test_a_sweep_chooses_on_validation_and_reports_on_test(trials, tmp_path):
    write_tables(Study(CONFIG, "test", trials, {}), tmp_path)
    summary = read_json(tmp_path / "sweep.json")
    assert summary["chosen"] == {"sum": "sum_0.1", "joint": None}
    front = [row["arm"] for row in summary["trade_off"] if row["pareto"]]
    assert front == ["sum_0.01", "sum_0.1", "sum_1", "joint_1"]
    on_test = {row["figure"]: row for row in summary["test"]["sum"]}
    assert on_test["auc"]["mean"] == pytest.approx(1 - 0.785)
    chosen = next(row for row in summary["trade_off"] if row["arm"] == "sum_0.1")
    assert chosen["auc"] == pytest.approx(0.785 + 0.05)
    assert chosen["auc_change"] == pytest.approx(-0.015)
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == 7
    assert (tmp_path / "sweep.png").stat().st_size > 10_000


def test_a_penalty_is_judged_by_what_is_left_of_its_feature(tmp_path):
    """With every kind of reward: less of it is better, while the joint share, which falls too, is no aim."""
    kinds = ["sum", "joint", "signed", "distil", "flow"]
    config = parse_config(
        {
            "features": ["brightness", "extent"],
            "protocol": {"repeats": 2},
            "reward": {"targets": {"extent": "penalise", "brightness": "ignore"}},
            "sweep": {"lowest": 0.1, "highest": 1.0, "points": 2, "kinds": kinds},
            "evaluate": {"support": ["mask"]},
        }
    )
    at = {"baseline": (0.8, 0.3)}
    at |= {f"{kind}_0.1": (0.79, 0.2) for kind in kinds} | {f"{kind}_1": (0.7, 0.01) for kind in kinds}
    at["sum_0.1"] = (0.79, 0.25)
    found = {}
    for repeat in ("repeat_0", "repeat_1"):
        for arm, (auc, extent) in at.items():
            shares = {"mask": alignment({"brightness": 0.3, "extent": extent, "joint": 0.3 + extent})}
            content = metrics_content({name: part(shares, auc=auc) for name in ("validation", "test")})
            found[repeat, arm] = RunMetrics.of(content)
    study = Study(config, "test", found, {})
    table = study.trade_off.set_index("arm")
    assert table.loc["joint_1", "S_penalised"] == pytest.approx(0.01)
    assert table.loc["joint_1", "S_joint"] == pytest.approx(0.31)
    assert set(table.index[table["pareto"]]) == set(at) - {"sum_0.1"}
    section = trade_off_section(study)
    _, plot, rows = section.blocks
    assert "Down: reacts less to extent" in plot.caption
    assert rows.header[3:5] == ["S of what is penalised", "F of what is penalised"]
    assert all("extent" in sentence and "joint S" not in sentence for sentence in section.blocks[0].items)
    write_tables(study, tmp_path)
    assert (tmp_path / "sweep.png").stat().st_size > 10_000


def test_with_a_reward_beside_the_penalty_the_joint_share_is_the_aim():
    tree = {
        "features": ["brightness", "extent"],
        "reward": {"targets": {"extent": "penalise"}},
        "sweep": {"lowest": 0.1, "highest": 1.0, "points": 2},
    }
    assert penalised_features(parse_config(tree)) == []
    alone = tree | {"reward": {"targets": {"extent": "penalise", "brightness": "ignore"}}}
    assert penalised_features(parse_config(alone)) == ["extent"]
    unmeasured = {
        "features": ["brightness", "noise"],
        "targets": {"noise": "penalise", "brightness": "ignore"},
    }
    assert penalised_features(parse_config(tree | {"reward": unmeasured})) == []
