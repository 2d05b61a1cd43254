"""The alignment of a cohort is that of the patients in whom it is defined; the others are counted."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from fgf_keras import Explanation, FlowStatus
from fgf_keras.nulls.null import NullShares
from fgf_keras.results.alignment import alignment_table

NAMES = ["brightness", "extent"]
STATUS = [
    *[FlowStatus.REACHED] * 5,
    FlowStatus.NOT_REACHED,
    FlowStatus.ON_BOUNDARY,
    FlowStatus.STATIONARY,
]
N = len(STATUS)
DIMENSION = np.arange(20, 20 + N)
# Ends of paths that none of the patients has.
NONE = {"not_converged": 0, "overflow": 0, "blocked": 0, "feature_undefined": 0}


def explanation(classes=2, weight="arc", noise=True):
    """Eight patients; the last has no gradient, and the path of the sixth does not end on the boundary."""
    rng = np.random.default_rng(0)
    status = np.array(STATUS, np.int32)
    s, f = rng.uniform(0, 0.4, (2, N, 2))
    s_joint, f_joint = s.sum(axis=1), f.sum(axis=1)
    values = {
        "logits": rng.normal(size=(N, max(classes, 2) if classes > 2 else 1)),
        "logit": rng.normal(size=N),
        "class": np.zeros(N, int),
        "gradient_norm": np.ones(N),
        "S": s,
        "S_joint": s_joint,
        "unique": s,
        "shapley": s,
        "partial": 2 * s,
        "rank_others": np.ones((N, 2), int),
        "rank_without_others": np.full((N, 2), classes - 1),
        "rank": np.full(N, 2),
        "section_rank": np.full(N, classes - 1),
        "dimension": DIMENSION,
        "residual": np.zeros(N),
        "length": np.ones(N),
        "far": np.zeros(N, bool),
        "outside": np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.9, 0.0, 0.9]),
        "outside_excess": np.array([0.0, 0.1, 0.2, 0.3, 1.5, 4.0, 0.0, 4.0]),
        "status": status,
        "unexplained": rng.normal(size=N),
    }
    for key in ("value", "slope", "slope_alone", "effect", "change", "contribution"):
        values[key] = rng.normal(size=(N, 2))
    for kind, scale in (("arc", 1.0), ("score", 0.5)):
        values[f"F_{kind}"] = scale * f
        values[f"F_joint_{kind}"] = scale * f_joint
        values[f"F_joint_magnitude_{kind}"] = np.sqrt(scale * f_joint)
        values[f"F_error_{kind}"] = np.full((N, 3), 1e-3)
    if noise:
        values["S_noise"], values["F_noise_arc"] = rng.uniform(0, 0.1, (2, N))
    stationary = status == FlowStatus.STATIONARY
    for key, value in values.items():
        if key[0] in "SF" or key in ("unique", "shapley", "partial", "residual", "length"):
            value[stationary] = np.nan
    ids = np.array([f"P{i}" for i in range(N)])
    return Explanation(ids, NAMES, {"weight": weight}, values, classes)


def test_patients_without_gradient_are_counted_and_not_averaged():
    found = explanation()
    table = alignment_table(found, bootstrap=100)
    s = found.values["S"]
    assert table["n"] == N
    assert table["undefined"] == {"S": 1, "F": 2}
    assert table["status"] == {"reached": 5, "not_reached": 1, "stationary": 1, "on_boundary": 1} | NONE
    assert table["S"]["extent"]["mean"] == pytest.approx(s[:-1, 1].mean())
    assert table["S"]["extent"]["median"] == pytest.approx(np.median(s[:-1, 1]))


def test_a_path_that_does_not_end_on_the_boundary_has_no_f_but_has_s():
    found = explanation()
    f = found.values["F_arc"]
    ended = [0, 1, 2, 3, 4, 6]
    table = alignment_table(found, bootstrap=100)
    assert table["F"]["brightness"]["mean"] == pytest.approx(f[ended, 0].mean())


def test_partial_shares_have_patients_of_their_own_for_each_feature():
    found = explanation()
    found.values["partial"][2, 1] = np.nan
    table = alignment_table(found, bootstrap=100)
    partial = found.values["partial"]
    assert [table["partial"][name]["undefined"] for name in NAMES] == [1, 2]
    assert table["partial"]["brightness"]["mean"] == pytest.approx(partial[:-1, 0].mean())
    assert table["partial"]["extent"]["mean"] == pytest.approx(np.nanmean(partial[:, 1]))
    # What is undefined here is defined for S.
    assert table["undefined"] == {"S": 1, "F": 2}
    draws = np.random.default_rng(1).uniform(0, 0.9, (N, 50, 2))
    draws[np.isnan(partial)[:, np.newaxis] & np.ones((1, 50, 1), bool)] = np.nan
    s = np.zeros((N, 50, 3))
    found = dataclasses.replace(found, nulls={"matched": NullShares(s, s, partial=draws)})
    null = alignment_table(found, bootstrap=100)["nulls"]["matched"]["partial"]
    assert list(null) == NAMES
    means = draws[[0, 1, 3, 4, 5, 6], :, 1].mean(axis=0)
    assert null["extent"]["null_mean"] == pytest.approx(means.mean())
    reached = means >= table["partial"]["extent"]["mean"]
    assert null["extent"]["p"] == pytest.approx((1 + reached.sum()) / 51)
    # A null of one's own may have none.
    found = dataclasses.replace(found, nulls={"mine": NullShares(s, s)})
    assert set(alignment_table(found, bootstrap=100)["nulls"]["mine"]) == {"draws", "S", "F"}


def test_the_joint_share_is_given_squared_and_as_magnitude():
    found = explanation()
    joint = alignment_table(found, bootstrap=100)["S"]["joint"]
    share = found.values["S_joint"][:-1]
    assert joint["squared"]["mean"] == pytest.approx(share.mean())
    assert joint["magnitude"]["mean"] == pytest.approx(np.sqrt(share).mean())
    assert joint["magnitude"]["mean"] != pytest.approx(np.sqrt(share.mean()), abs=1e-6)


def test_noise_stands_beside_the_features_where_it_was_drawn():
    found = explanation()
    table = alignment_table(found, bootstrap=100)
    assert table["S"]["noise"]["mean"] == pytest.approx(found.values["S_noise"][:-1].mean())
    assert "noise" not in alignment_table(explanation(noise=False), bootstrap=100)["S"]


def test_f_is_that_of_the_weight_of_the_explanation():
    arc, score = (
        alignment_table(explanation(weight=weight, noise=False), bootstrap=100) for weight in ("arc", "score")
    )
    assert score["F"]["extent"]["mean"] == pytest.approx(arc["F"]["extent"]["mean"] / 2)
    assert score["S"] == arc["S"]


def test_white_noise_is_what_chance_gives_in_as_many_pixels():
    found = explanation()
    white = alignment_table(found, bootstrap=100)["white"]
    d = DIMENSION[:-1]
    assert white["extent"]["expected"] == pytest.approx(np.mean(1 / d))
    assert white["joint"]["expected"] == pytest.approx(np.mean(2 / d))
    p_values = stats.beta(1 / 2, (d - 1) / 2).sf(found.values["S"][:-1, 1])
    assert 0 < (p_values < 0.05).mean() < 1
    assert white["extent"]["below_0.05"] == pytest.approx((p_values < 0.05).mean())


def test_the_nulls_stand_beside_the_means_of_the_same_patients():
    found = explanation()
    assert "nulls" not in alignment_table(found, bootstrap=100)
    rng = np.random.default_rng(1)
    s, f = rng.uniform(0, 0.3, (2, N, 50, 3))
    found = dataclasses.replace(found, nulls={"matched": NullShares(s, f)})
    null = alignment_table(found, bootstrap=100)["nulls"]["matched"]
    assert null["draws"] == 50
    assert null["S"]["extent"]["null_mean"] == pytest.approx(s[:-1, :, 1].mean())
    ended = [0, 1, 2, 3, 4, 6]
    assert null["F"]["joint"]["null_mean"] == pytest.approx(f[ended, :, 2].mean())
    reached = f[ended, :, 2].mean(axis=0) >= found.values["F_joint_arc"][ended].mean()
    assert null["F"]["joint"]["p"] == pytest.approx((1 + reached.sum()) / 51)
    undefined = alignment_table(found, [7], bootstrap=100)["nulls"]["matched"]["S"]["extent"]
    assert set(undefined.values()) == {None}


def test_four_classes_are_held_against_a_section_of_three_dimensions():
    white = alignment_table(explanation(classes=4), bootstrap=100)["white"]
    assert white["extent"]["expected"] == pytest.approx(np.mean(3 / DIMENSION[:-1]))
    assert "joint" not in white


def test_a_split_is_its_own_patients_only():
    found = explanation()
    table = alignment_table(found, [0, 2, 5, 7], bootstrap=100)
    assert table["n"] == 4
    assert table["undefined"] == {"S": 1, "F": 2}
    assert table["status"] == {"reached": 2, "not_reached": 1, "stationary": 1, "on_boundary": 0} | NONE
    assert table["S"]["brightness"]["mean"] == pytest.approx(found.values["S"][[0, 2, 5], 0].mean())
    assert table["F"]["brightness"]["mean"] == pytest.approx(found.values["F_arc"][[0, 2], 0].mean())


def test_without_a_defined_patient_there_is_no_number():
    table = alignment_table(explanation(), [7], bootstrap=100)
    nothing = {"mean": None, "ci": [None, None], "median": None}
    assert table["S"]["extent"] == table["F"]["joint"]["squared"] == table["S"]["noise"] == nothing
    assert table["white"]["joint"] == {"expected": None, "below_0.05": None}


def test_the_interval_holds_the_mean_and_repeats_with_its_seed():
    found = explanation()
    table = alignment_table(found, bootstrap=500, seed=3)
    summary = table["S"]["brightness"]
    values = found.values["S"][:-1, 0]
    low, high = summary["ci"]
    assert values.min() <= low < summary["mean"] < high <= values.max()
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(N - 1), rel=0.25)
    assert table == alignment_table(found, bootstrap=500, seed=3)
    assert table != alignment_table(found, bootstrap=500, seed=4)
    narrow = alignment_table(found, bootstrap=500, confidence=0.5, seed=3)["S"]["brightness"]["ci"]
    assert low < narrow[0] < narrow[1] < high


def test_paths_that_end_outside_the_range_are_counted_and_the_others_averaged():
    found = explanation()
    table = alignment_table(found, bootstrap=100)["outside"]
    joint = found.values["F_joint_arc"]
    assert table == {
        "n": 2,
        "of": 6,
        "threshold": 0.1,
        "largest_excess": 1.5,
        "F_joint_inside": pytest.approx(joint[[0, 1, 2, 6]].mean()),
    }
    unknown = alignment_table(found, [7], bootstrap=100)["outside"]
    assert unknown == {"n": 0, "of": 0, "threshold": 0.1, "largest_excess": None, "F_joint_inside": None}
