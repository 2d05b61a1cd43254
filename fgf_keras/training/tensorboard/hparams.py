"""TensorBoard's HParams page of a run: its settings beside its final metrics."""

import tensorflow as tf
from tensorboard.plugins.hparams import api

from fgf_keras.config import Config
from fgf_keras.results.columns import share_column
from fgf_keras.run.folder import RunFolder
from fgf_keras.training.tensorboard.writers import SummaryWriters


def write_hparams(folder: RunFolder, config: Config, metrics: dict[str, dict[str, float]]) -> None:
    """Write what was rewarded and by how much, and AUC, balanced accuracy, joint S and F of each part.

    By default the page shows the first five settings and the first five metrics, so there are no more than
    five settings, and S and F are those on the first support.

    Args:
        folder: of the run; the files are written below its logs.
        config: of the run.
        metrics: means by part, then by column, see `PartMetrics.means`; NaN where undefined.
    """
    reward = config.reward
    weight: float | str
    if isinstance(reward.weight, dict):
        weight = ", ".join(f"{name} {value:g}" for name, value in reward.weight.items())
    else:
        weight = reward.weight
    settings = {
        "reward": reward.kind,
        "lambda": 0.0 if reward.kind == "none" else weight,
        "features": ", ".join(feature.name for feature in config.features),
        "rewarded_features": ", ".join(reward.features or ["all"]) if reward.kind != "none" else "none",
        "seed": config.seed,
    }
    # The name of a row, because runs with the same settings are still different runs.
    trial = "/".join(folder.path.resolve().parts[-3:])
    headlines = [share_column(config.evaluate.support[0], quantity, "joint") for quantity in "SF"]
    with SummaryWriters(folder.logs) as writers, writers.run("hparams", config.train.epochs):
        api.hparams(settings, trial_id=trial)
        for part, values in metrics.items():
            for name in ("auc", "balanced_accuracy", *headlines):
                tf.summary.scalar(f"{part}/{name}", values[name])
