"""The bar that a network has to clear: a logistic regression on the features themselves.

Class-weighted, on standardised features, on the splits that a configuration draws (the first ones are those
of its comparison), trained on what is not test. Prints mean and standard deviation over splits of balanced
accuracy and AUC on the test part, for the splits of the comparison and for more of them:

    python benchmarks/three_numbers.py --config configs/hn_cnn.yaml data.root=DIR data.size=192
"""

import argparse
import json

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fgf_keras.config import load_config
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits
from fgf_keras.training.build import build_features


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--splits", type=int, default=200)
    options, overrides = parser.parse_known_args()
    config = load_config(options.config, overrides)
    cohort = source_of(config).cohort()
    values = feature_values(cohort, build_features(config.features))
    several = sorted({config.protocol.repeats, options.splits})
    splits = repeated_splits(cohort, config.data.splits, repeats=several[-1], folds=None, seed=config.seed)
    figures = np.array([scores(values, cohort.labels, split) for split in splits])
    found = {}
    for count in several:
        means, deviations = figures[:count].mean(axis=0), figures[:count].std(axis=0, ddof=1)
        found[str(count)] = {
            name: {"mean": round(float(m), 3), "sd": round(float(d), 3)}
            for name, m, d in zip(("balanced_accuracy", "auc"), means, deviations)
        }
        accuracy, auc = (f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in zip(means, deviations))
        print(f"{count} splits: balanced accuracy {accuracy}, AUC {auc}")
    print(json.dumps({"three_numbers": found}))


def feature_values(cohort, features):
    """(patients, features)."""
    columns = []
    for start in range(0, len(cohort), 16):
        rows = slice(start, start + 16)
        batch = [
            tf.constant(np.asarray(array[rows], np.float64))
            for array in (cohort.images, cohort.masks, cohort.spacing)
        ]
        columns.append(np.stack([feature.value(*batch) for feature in features], axis=1))
    return np.concatenate(columns)


def scores(values, labels, split):
    """Balanced accuracy and AUC of the test part."""
    train = np.concatenate([split["train"], split["validation"]])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    model.fit(values[train], labels[train])
    truth, given = labels[split["test"]], values[split["test"]]
    return (
        balanced_accuracy_score(truth, model.predict(given)),
        roc_auc_score(truth, model.predict_proba(given)[:, 1]),
    )


if __name__ == "__main__":
    main()
