"""What TensorBoard's HParams page shows of a run: its settings beside its final metrics."""

import tensorflow as tf
from tensorboard.plugins.hparams import api

from fgf_keras.config import Config
from fgf_keras.run_folder import RunFolder


def write_hparams(folder: RunFolder, config: Config, figures: dict[str, dict[str, float]], *, arm: str):
    """Write kind and weight of the reward, features and seed, and the figures of each split.

    Args:
        folder: of the run; written below its logs.
        config: of the run.
        figures: by split, then by name; NaN where undefined.
        arm: name of the arm of a comparison.
    """
    reward = config.reward
    weight = reward.weight
    if isinstance(weight, dict):
        weight = ", ".join(f"{name} {value:g}" for name, value in weight.items())
    settings = {
        "arm": arm,
        "reward": reward.kind,
        "lambda": 0.0 if reward.kind == "none" else weight,
        "features": ", ".join(feature.name for feature in config.features),
        "rewarded_features": ", ".join(reward.features or ["all"]) if reward.kind != "none" else "none",
        "seed": config.seed,
    }
    writer = tf.summary.create_file_writer(str(folder.logs / "hparams"))
    with writer.as_default(step=config.train.epochs):
        api.hparams(settings)
        for split, values in figures.items():
            for name, value in values.items():
                tf.summary.scalar(f"{split}/{name}", value)
    writer.close()
