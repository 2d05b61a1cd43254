"""The weight of a reward over the epochs: start, ramp, and less of it where the task suffers."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import ModelError
from fgf_keras.training.reward_guard import RewardGuard, auc_standard_error
from fgf_keras.training.reward_schedule import RewardSchedule


class Counted(keras.callbacks.Callback):
    """A model's place in callbacks: it has the steps of an optimizer and a reward."""

    def __init__(self):
        super().__init__()
        self.optimizer = self
        self.iterations = 0
        self.reward_scale = tf.Variable(1.0)


def scales(schedule, steps):
    model = Counted()
    schedule.set_model(model)
    values = []
    for model.iterations in range(steps):
        schedule.on_train_batch_begin(model.iterations)
        values.append(float(model.reward_scale))
    return values


def test_a_reward_starts_late_and_rises():
    assert scales(RewardSchedule(ramp=4), 6) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert scales(RewardSchedule(ramp=2, start=3), 7) == [0, 0, 0, 0, 0.5, 1, 1]
    assert scales(RewardSchedule(start=2), 4) == [0, 0, 1, 1]
    reduced = RewardSchedule(ramp=2)
    reduced.factor = 0.5
    assert scales(reduced, 4) == [0, 0.25, 0.5, 0.5]
    with pytest.raises(ModelError, match=">= 0"):
        RewardSchedule(ramp=-1)


def guarded(aucs, *, start=0, ramp=0, **settings):
    """The guard after epochs of two steps with these validation AUCs, and its schedule."""
    schedule, model = RewardSchedule(ramp, start), Counted()
    guard = RewardGuard(schedule, **{"positive": 6, "negative": 36, **settings})
    guard.set_model(model)
    for epoch, auc in enumerate(aucs):
        model.iterations += 2
        guard.on_epoch_end(epoch, {"val_auc": auc})
    return guard, schedule


def test_an_inverted_score_reduces_the_reward_and_chance_does_not(caplog):
    guard, schedule = guarded([0.5, 0.4, 0.15, 0.1, 0.5])
    assert schedule.factor == 0.25
    assert [each["epoch"] for each in guard.reductions] == [3, 4]
    assert "Epoch 3: the validation AUC is below 0.5 with its 95 % interval" in caplog.text
    assert "Reward reduced to 0.25 λ" in caplog.text
    for each, factor in zip(guard.reductions, (0.5, 0.25)):
        assert each["factor"] == factor
        assert each["high"] == pytest.approx(each["auc"] + 1.96 * auc_standard_error(each["auc"], 6, 36))


def test_the_standard_error_is_that_of_resampled_scores(rng):
    """Hanley and McNeil's formula holds for exponential scores, which it was derived for."""
    aucs = []
    for _ in range(4000):
        positive, negative = rng.exponential(2.0, 12), rng.exponential(1.0, 40)
        aucs.append(np.mean(positive[:, None] > negative))
    assert auc_standard_error(2 / 3, 12, 40) == pytest.approx(np.std(aucs), rel=0.05)


def test_a_baseline_is_compared_with_at_the_same_epoch():
    baseline = [0.5, 0.7, 0.8]
    guard, schedule = guarded([0.5, 0.65, 0.65, 0.72, 0.69], baseline=baseline, tolerance=0.1)
    assert [each["epoch"] for each in guard.reductions] == [3, 5]  # after its end, with its last
    assert "more than 0.1 below that of the baseline, 0.800" in guard.reductions[0]["reason"]
    assert schedule.factor == 0.25
    assert guarded([0.5, 0.65, 0.65], baseline=baseline, tolerance=0.2)[0].reductions == []


def test_epochs_before_the_reward_do_not_count():
    guard, _ = guarded([0.1, 0.1, 0.1], start=4)
    assert [each["epoch"] for each in guard.reductions] == [3]
    assert guarded([float("nan")])[0].reductions == []
    # Two epochs of two steps in which the weight rises.
    assert [each["epoch"] for each in guarded([0.1] * 4, ramp=4)[0].reductions] == [3, 4]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"positive": 0}, "both classes"), ({"factor": 1.0}, "factor < 1"), ({"factor": -0.1}, "factor < 1")],
)
def test_a_guard_that_cannot_work_is_refused(settings, words):
    with pytest.raises(ModelError, match=words):
        guarded([], **settings)


def test_a_training_that_the_reward_inverts_goes_on_with_less_of_it(caplog):
    """A reward against the label, which the guard takes back until the task wins."""
    caplog.set_level(logging.WARNING)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    mask = np.zeros((60, 12, 12, 1), np.float32)
    mask[:, 2:10, 3:9] = 1
    level = 0.4 + 0.2 * labels[:, None, None, None]
    x = {"image": (level + rng.normal(0, 0.05, mask.shape)).astype(np.float32), "mask": mask}

    def auc(guarded):
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation="elu"), keras.layers.Dense(1)]
        model = fgf_keras.AlignmentModel(
            keras.Sequential([keras.Input((12, 12, 1)), *layers]),
            [fgf_keras.Brightness()],
            reward="signed",
            reward_direction={"brightness": -1.0},
            reward_weight=3.0,
        )
        metrics = [keras.metrics.AUC(from_logits=True, name="auc")]
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.003), loss, metrics=metrics)
        schedule = RewardSchedule()
        guard = RewardGuard(schedule, positive=30, negative=30)
        model.fit(
            x, labels, validation_data=(x, labels), epochs=40, batch_size=20, verbose=0,
            callbacks=[schedule, guard] if guarded else [],
        )  # fmt: skip
        return model.evaluate(x, labels, verbose=0, return_dict=True)["auc"], guard

    plain, _ = auc(guarded=False)
    kept, guard = auc(guarded=True)
    assert plain < 0.3
    assert kept > 0.9
    assert len(guard.reductions) == caplog.text.count("Reward reduced") > 0
