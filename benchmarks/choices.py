"""Which weights of a training to keep, and which threshold to decide by: every choice on the same trainings.

Trains the configured network without a reward once per split, and evaluates each choice of weights with each
choice of threshold on the test part: mean and standard deviation over splits of AUC and balanced accuracy,
and paired differences from the first choice with the corrected interval of Nadeau and Bengio. A split that
is finished is kept as JSON in the folder, so that a run that was stopped goes on:

    python benchmarks/choices.py --config configs/hn_cnn.yaml --out runs/choices --seed 1000 \
        data.root=DIR train.epochs=60
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import joblib
import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras.config import load_config
from fgf_keras.config.load import dump_yaml
from fgf_keras.config.protocol import RewardConfig
from fgf_keras.data.dataset import make_dataset
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits
from fgf_keras.files import write_json
from fgf_keras.results.interval import Interval, signed
from fgf_keras.results.resampled import resampled_mean
from fgf_keras.results.threshold import decision_threshold
from fgf_keras.run.folder import RunFolder
from fgf_keras.seeds import derived_seed
from fgf_keras.training.fit import configure_compute, fit
from fgf_keras.training.weights.averaged import assign, values_of
from fgf_keras.training.weights.exponential import ExponentialAverage
from fgf_keras.training.weights.smoothed import smoothed

SMOOTHING, MOMENTA, LAST = (3, 5, 9, 15), (0.9, 0.99), (5, 10, 20, 30)
THRESHOLDS = ("validation", "validation_and_training", "prior")
DEFAULT = "best"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    options, overrides = parser.parse_known_args()
    config = load_config(options.config, [*overrides, f"seed={options.seed}"])
    train = config.train.model_copy(update={"measure": False, "weights": "best"})
    config = config.model_copy(update={"reward": RewardConfig(kind="none"), "train": train})
    options.out.mkdir(parents=True, exist_ok=True)
    cohort = source_of(config).cohort()
    splits = repeated_splits(cohort, config.data.splits, repeats=options.splits, folds=None, seed=config.seed)
    identity = hashlib.sha256((dump_yaml(config) + cohort.fingerprint()).encode()).hexdigest()[:16]
    missing = [k for k in range(len(splits)) if not file_of(options.out, identity, k).is_file()]
    with joblib.Parallel(options.jobs, return_as="generator_unordered") as pool:
        tasks = (
            joblib.delayed(measured)(config, cohort, splits[k], k, file_of(options.out, identity, k))
            for k in missing
        )
        for number in pool(tasks):
            print(f"split {number} of {len(splits)}", flush=True)
    figures = [
        json.loads(file_of(options.out, identity, k).read_text(encoding="utf-8")) for k in range(len(splits))
    ]
    sizes = {"n_train": len(splits[0]["train"]), "n_test": len(splits[0]["test"])}
    print_tables(figures, sizes)


def file_of(folder, identity, number):
    return folder / f"{identity}_{number}.json"


def measured(config, cohort, split, number, file):
    """Train on a split, and write the metrics of every choice."""
    keras.utils.clear_session()
    configure_compute(config.compute)
    config = config.model_copy(update={"seed": derived_seed(config.seed, number)})
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        model = fit(
            config, cohort, split, RunFolder(Path(folder)), title=None, alone=False, callbacks=[recorder]
        )
    labels = {part: cohort.labels[rows] for part, rows in split.items()}
    batches = {part: make_dataset(cohort, rows, batch_size=16, windows=True) for part, rows in split.items()}
    metrics = {}
    for name, weights in recorder.choices(model, batches["validation"], labels["validation"]).items():
        assign(model, weights)
        logits = {part: model.predict(dataset, verbose=0).ravel() for part, dataset in batches.items()}
        metrics[name] = part_metrics(config, labels, logits)
    write_json(file, metrics)
    return number


def part_metrics(config, labels, logits):
    """AUC and, for each threshold, balanced accuracy of the test part."""
    scores = {name: (labels[name], logits[name]) for name in ("train", "validation")}
    prevalence = float(labels["train"].mean()) if config.train.imbalance == "none" else None
    metrics = {"auc": float(roc_auc_score(labels["test"], logits["test"]))}
    metrics["validation_auc"] = float(roc_auc_score(labels["validation"], logits["validation"]))
    for kind in THRESHOLDS:
        threshold = decision_threshold(kind, scores, prevalence=prevalence)["logit"]
        metrics[kind] = float(balanced_accuracy_score(labels["test"], logits["test"] > threshold))
    return metrics


class Recorder(keras.callbacks.Callback):
    """Keeps the weights of every epoch, and their exponential averages."""

    def __init__(self):
        super().__init__()
        self.epochs, self.monitored = [], []
        self.averages = {momentum: ExponentialAverage(momentum) for momentum in MOMENTA}
        self.averaged = {momentum: [] for momentum in MOMENTA}

    def on_train_begin(self, logs=None):
        """Start the averages."""
        for average in self.averages.values():
            average.set_model(self.model)
            average.on_train_begin()

    def on_train_batch_end(self, batch, logs=None):
        """Update the averages."""
        for average in self.averages.values():
            average.on_train_batch_end(batch)

    def on_epoch_end(self, epoch, logs=None):
        """Keep the weights."""
        self.epochs.append(values_of(self.model))
        self.monitored.append(logs["val_auc"])
        for momentum, average in self.averages.items():
            self.averaged[momentum].append(average.average())

    def choices(self, model, validation, labels):
        """The weights by the name of the choice."""
        epochs = self.epochs
        choices = {DEFAULT: epochs[int(np.argmax(self.monitored))], "last": epochs[-1]}
        for length in SMOOTHING:
            choices[f"smoothed {length}"] = epochs[int(np.nanargmax(smoothed(self.monitored, length)))]
        for momentum, averages in self.averaged.items():
            choices[f"ema {momentum:g}"] = averages[-1]
            choices[f"ema {momentum:g}, best"] = best_of(averages, model, validation, labels)
        for length in LAST:
            means = [mean_of(epochs[max(0, k + 1 - length) : k + 1]) for k in range(len(epochs))]
            choices[f"swa {length}"] = means[-1]
            choices[f"swa {length}, best"] = best_of(means, model, validation, labels)
        return choices


def mean_of(weights):
    return [np.mean(values, axis=0) for values in zip(*weights)]


def best_of(weights, model, validation, labels):
    """The weights with the largest AUC of the validation part, the earliest of several."""
    aucs = []
    for values in weights:
        assign(model, values)
        aucs.append(roc_auc_score(labels, model.predict(validation, verbose=0).ravel()))
    return weights[int(np.argmax(aucs))]


def print_tables(figures, sizes):
    """Print mean ± sd of every choice, and its paired difference from the default."""
    columns = {"auc": "AUC", **{kind: f"balanced accuracy, {kind}" for kind in THRESHOLDS}}
    print("| weights | " + " | ".join(columns.values()) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name in figures[0]:
        cells = []
        for column in columns:
            reference = np.array(
                [each[DEFAULT][column if column == "auc" else "validation"] for each in figures]
            )
            values = np.array([each[name][column] for each in figures])
            difference = resampled_mean(values - reference, **sizes)
            interval = Interval(difference.mean, difference.low, difference.high)
            cell = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
            if np.any(values != reference):
                cell += f" ({signed(interval.mean)} [{signed(interval.low)}, {signed(interval.high)}])"
            cells.append(cell)
        print(f"| {name} | " + " | ".join(cells) + " |")
    means = {
        name: {column: float(np.mean([each[name][column] for each in figures])) for column in columns}
        for name in figures[0]
    }
    print(json.dumps({"choices": means, "splits": len(figures)}))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    main()
