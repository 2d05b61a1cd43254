"""Which patients a report shows."""

import numpy as np
import pandas as pd
import pytest

from fgf_keras.results.chosen import GROUPS, chosen_patients


@pytest.fixture
def patients():
    """Forty patients, of whom the threshold 0 misses two of eight positive ones."""
    rng = np.random.default_rng(0)
    logit = np.concatenate([[-1.5, -0.2], rng.uniform(0.1, 3, 6), rng.uniform(-4, 1, 32)])
    return pd.DataFrame(
        {"label": np.repeat([1, 0], [8, 32]), "logit": logit, "decision": (logit > 0).astype(int)},
        index=pd.Index([f"p{i:02d}" for i in range(40)], name="patient_id"),
    )


@pytest.fixture
def alignment(patients):
    return pd.Series(np.linspace(0.2, 0.9, 40), index=patients.index)


def groups_of(patients, chosen):
    rows = patients.loc[list(chosen)]
    return set(zip(rows["label"], rows["decision"]))


def test_every_group_and_both_ends_of_alignment_are_shown(patients, alignment):
    chosen = chosen_patients(patients, alignment, 8)
    assert len(chosen) == 8
    assert groups_of(patients, chosen) == set(GROUPS)
    assert "p00" in chosen, "the missed positive that is furthest off, and smallest S"
    assert "largest joint S" in chosen["p39"]
    assert list(chosen) == list(patients.loc[list(chosen)].sort_values("logit", ascending=False).index)


def test_the_missed_positive_comes_before_everything_else(patients, alignment):
    (only,) = chosen_patients(patients, alignment, 1).items()
    assert only == (
        "p00",
        "median score of this group; smallest joint S; lowest score of this group",
    )
    assert len(groups_of(patients, chosen_patients(patients, alignment, 4))) == 4


def test_medians_and_extremes_are_those_of_their_groups(patients, alignment):
    chosen = chosen_patients(patients, alignment, 10)
    found = patients[(patients["label"] == 1) & (patients["decision"] == 1)]["logit"].sort_values()
    assert "median score of this group" in chosen[found.index[2]]
    assert "highest score of this group" in chosen[found.index[-1]]
    calm = patients[(patients["label"] == 0) & (patients["decision"] == 0)]["logit"]
    assert "lowest score of this group" in chosen[calm.idxmin()]


def test_empty_groups_and_undefined_alignment_leave_room_for_others(patients, alignment):
    patients["decision"] = 1
    chosen = chosen_patients(patients, alignment * np.nan, 9)
    assert len(chosen) == 9
    assert "spread over the scores" in chosen.values()
    assert not any("S" in reason for reason in chosen.values())
    assert len(chosen_patients(patients, alignment, 100)) == 40
    assert chosen_patients(patients, alignment, 0) == {}
