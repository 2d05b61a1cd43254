"""What the reward is for, on a cohort whose truth is known."""

import keras
import numpy as np

from fgf_keras.config import parse_config
from fgf_keras.data.dataset import make_dataset
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import stratified_splits
from fgf_keras.training.build import build_model
from fgf_keras.training.reward_schedule import RewardSchedule

# Smallest gain of the joint S on the test split that counts, for every seed; about 0.6 is typical.
MARGIN = 0.2
WARMUP_EPOCHS = 10


def trained(seed, reward):
    """Test metrics of a model trained on a label that uses the extent of the tumour alone."""
    config = parse_config(
        {
            "seed": seed,
            "data": {
                "size": 48,
                "phantom": {"patients": 400, "prevalence": 0.4, "brightness": 0.0, "extent": 2.0},
            },
            "model": {"filters": [8, 8], "kernel_sizes": [5, 3], "dense": [16]},
            "features": ["extent", "log_aspect_ratio"],
            "reward": reward,
            "train": {"epochs": 40, "batch_size": 32, "learning_rate": 0.003},
        }
    )
    cohort = source_of(config).cohort()
    splits = stratified_splits(cohort, config.data.splits, seed=seed)
    keras.utils.set_random_seed(seed)
    model = build_model(config, cohort.images.shape[1:], cohort.class_count)
    training = make_dataset(cohort, splits["train"], batch_size=32, seed=seed, training=True)
    warmup = RewardSchedule(WARMUP_EPOCHS * int(np.ceil(len(splits["train"]) / 32)))
    model.fit(training, epochs=config.train.epochs, callbacks=[warmup], shuffle=False, verbose=0)
    test = make_dataset(cohort, splits["test"], batch_size=64)
    return model.evaluate(test, verbose=0, return_dict=True)


def test_the_reward_raises_alignment_with_what_the_label_uses_and_does_not_cost_auc():
    seeds = range(3)
    plain = [trained(seed, {"kind": "none"}) for seed in seeds]
    rewarded = [trained(seed, {"kind": "joint", "weight": 0.3}) for seed in seeds]
    gain = np.array([b["S_joint"] - a["S_joint"] for a, b in zip(plain, rewarded)])
    assert np.all(gain > MARGIN)
    auc = np.array([[run["auc"] for run in runs] for runs in (plain, rewarded)])
    assert auc[1].mean() >= auc[0].mean() - auc[0].std(ddof=1)
    used, unused = (
        np.mean([run[f"S_{name}"] for run in rewarded]) for name in ("extent", "log_aspect_ratio")
    )
    assert used > unused
