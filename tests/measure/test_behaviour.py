"""Classifiers that use one feature and nothing else: only its moves change their score."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import (
    AlignmentModel,
    AutodiffFeature,
    Brightness,
    Extent,
    LinearNoise,
    LogAspectRatio,
    explain,
)
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.behaviour import AMOUNTS, behaviour
from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.report.sections.behaviour import behaviour_summary

SIZE = 48
N = 24
ROWS = np.arange(4, N)
NAMES = ["brightness", "extent", "log_aspect_ratio"]
QUICK = {"noise_draws": 0, "flow": Flow(max_steps=8)}


class OnlyOf(keras.layers.Layer):
    """10 times a feature of what the classifier sees, from a middle on."""

    def __init__(self, feature):
        super().__init__()
        self.feature = feature
        self.middle = {"brightness": 0.32, "extent": 4.5}[feature.name]

    def call(self, image):
        value = self.feature.value(image, tf.cast(image > 0, image.dtype))
        return 10 * (value - self.middle)[:, tf.newaxis]


@pytest.fixture(scope="module")
def cohort():
    config = PhantomConfig(patients=N)
    return phantom_cohort(config, size=SIZE, window=(-50, 300), spacing=(1.0, 1.0), seed=0)


def features():
    return [Brightness(), Extent(), LogAspectRatio()]


def only_of(feature):
    inputs = keras.Input((SIZE, SIZE, 1))
    return AlignmentModel(keras.Model(inputs, OnlyOf(feature)(inputs)), features())


def explained(model, cohort):
    return {"mask": explain(model, cohort.images, cohort.masks, spacing=cohort.spacing, **QUICK)}


def found_in(model, cohort, rows=ROWS, explanations=None, **settings):
    asked = {"split": "test", "bootstrap": 100} | settings
    return behaviour(model, cohort, rows, explanations or explained(model, cohort), **asked)


@pytest.fixture(scope="module")
def brightness(cohort):
    return found_in(only_of(Brightness()), cohort)


@pytest.fixture(scope="module")
def extent(cohort):
    return found_in(only_of(Extent()), cohort)


def deviation(feature, cohort):
    return np.std(feature.value(cohort.images[ROWS], cohort.masks[ROWS].astype(np.float32)), ddof=1)


@pytest.mark.parametrize("used", ["brightness", "extent"])
def test_only_the_feature_that_is_used_moves_the_score(request, cohort, used):
    found = request.getfixturevalue(used)
    feature = {"brightness": Brightness(), "extent": Extent()}[used]
    effects = {name: entry["effect"]["mean"] for name, entry in found["features"].items()}
    assert effects.pop(used) == pytest.approx(10 * deviation(feature, cohort), rel=0.01)
    assert max(effects.values()) < 0.12 * 10 * deviation(feature, cohort)
    entry = found["features"][used]
    for move, amount in zip(entry["moves"], AMOUNTS):
        assert move["amount"] == amount
        assert move["score_change"]["mean"] == pytest.approx(10 * move["feature_change"], rel=1e-3)
        assert move["feature_change"] == pytest.approx(amount * deviation(feature, cohort), rel=0.15)


def test_agreement_is_that_of_s_and_f_with_the_effects(brightness, extent):
    for used, found in (("brightness", brightness), ("extent", extent)):
        agreement = found["agreement"]["mask"]
        for order in ("order_by_effect", "order_by_S", "order_by_F"):
            assert agreement[order][0] == used
            assert sorted(agreement[order]) == NAMES
        assert agreement["S"]["n"] == len(ROWS)
        for kind in "SF":
            assert agreement[kind]["n"] > 10
            # The two others are in no particular order: 1 where they agree, ½ where they do not.
            assert agreement[kind]["spearman_mean"] >= 0.5
            low, high = agreement[kind]["ci"]
            assert low <= agreement[kind]["spearman_mean"] <= high


def test_moves_are_clean(brightness):
    for name, entry in brightness["features"].items():
        for move in entry["moves"]:
            assert set(move["other_changes"]) == set(NAMES) - {name}
            assert max(move["other_changes"].values()) < 0.2
            assert N - 6 < move["n"] + 4 <= N


def test_the_same_in_a_window_as_on_the_canvas_and_every_time(cohort):
    keras.utils.set_random_seed(0)
    classifier = paper_cnn((SIZE, SIZE, 1), filters=(4,), kernel_sizes=(3,), pool_size=2, dense=(4,))
    models = [AlignmentModel(classifier, features(), evaluation=each) for each in ("roi", "dense")]
    explanations = explained(models[0], cohort)
    roi, dense, again = (
        found_in(model, cohort, ROWS, explanations, batch_size=size)
        for model, size in zip([*models, models[0]], (16, 16, 7))
    )
    for name in NAMES:
        effects = [each["features"][name]["effect"]["mean"] for each in (roi, dense, again)]
        assert effects[0] > 0
        assert effects == pytest.approx([effects[0]] * 3, rel=1e-3)
    assert roi == found_in(models[0], cohort, ROWS, explanations)


def test_what_has_no_known_move_is_left_where_it_is_but_watched(cohort):
    def contrast(image, mask):
        return tf.reduce_max(image * mask, [1, 2, 3]) - tf.reduce_sum(image * mask, [1, 2, 3]) / 100

    model = AlignmentModel(
        only_of(Brightness()).classifier, [Brightness(), LinearNoise(), AutodiffFeature(contrast)]
    )
    found = found_in(model, cohort)
    for name in ("noise", "contrast"):
        entry = found["features"][name]
        assert entry == {"unit": "", "left_out": 0, "moves": [], "effect": {"mean": None, "ci": [None, None]}}
    moves = found["features"]["brightness"]["moves"]
    assert all(set(move["other_changes"]) == {"noise", "contrast"} for move in moves)
    assert all(size > 0 for move in moves for size in move["other_changes"].values())
    # One feature alone has no rank.
    assert found["agreement"]["mask"]["S"] == {"spearman_mean": None, "ci": [None, None], "n": 0}
    assert "noise (no known move in image space)" in behaviour_summary(found)[-1].items[0]


def test_patients_who_would_leave_the_canvas_are_counted(cohort):
    rows, columns = np.nonzero(cohort.masks[ROWS[3], ..., 0])
    corner = {name: getattr(cohort, name).copy() for name in ("images", "masks")}
    for field in corner.values():
        field[ROWS[3]] = np.roll(field[ROWS[3]], (-rows.min(), -columns.min()), axis=(0, 1))
    model = only_of(Extent())
    before, after = (found_in(model, each) for each in (cohort, dataclasses.replace(cohort, **corner)))
    was, found = (
        {move["amount"]: move["n"] for move in each["features"]["extent"]["moves"]}
        for each in (before, after)
    )
    assert found == {-1: was[-1], -0.5: was[-0.5], 0.5: was[0.5] - 1, 1: was[1] - 1}
    assert after["features"]["brightness"]["moves"][-1]["n"] == len(ROWS)
    # The effect is then that of the move inwards.
    assert after["features"]["extent"]["left_out"] == before["features"]["extent"]["left_out"]
    expected = 10 * deviation(Extent(), cohort)
    assert after["features"]["extent"]["effect"]["mean"] == pytest.approx(expected, rel=0.01)
    table = behaviour_summary(after)[0]
    assert table.header[4] == "+1 sd"
    assert table.rows[1][4].endswith(f"({found[1]})")


@pytest.mark.parametrize("rows", [[0], [1, 1]])
def test_without_a_spread_there_is_no_amount(cohort, rows):
    found = found_in(only_of(Brightness()), cohort, rows)
    for entry in found["features"].values():
        assert entry["moves"] == []
        assert entry["left_out"] == found["n"] == len(rows)
    agreement = found["agreement"]["mask"]
    assert agreement["S"]["spearman_mean"] is None
    assert agreement["order_by_effect"] == agreement["order_by_S"] == []
    assert behaviour_summary(found)[0].kind == "bullets"
