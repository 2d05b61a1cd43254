"""The bars that a network has to clear: regressions on numbers that need no image network.

Those of `fgf_keras.results.bars` (size of the tumour, named features, clinical columns, the latter two
together), on the splits that a configuration draws (the first ones are those of its comparison), fitted on
what is not test. Prints mean and standard deviation over splits of balanced accuracy and AUC on the test
part, for the splits of the comparison and for more of them:

    python benchmarks/three_numbers.py --config configs/hn_cnn.yaml data.root=DIR data.size=192
"""

import argparse
import json

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras.commands.bars import CohortBars, bar_columns, clinical_columns
from fgf_keras.config import load_config
from fgf_keras.data.clinical import encoded
from fgf_keras.data.source import source_of
from fgf_keras.data.splits import repeated_splits
from fgf_keras.seeds import derived_seed
from fgf_keras.training.build import build_features


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--splits", type=int, default=200)
    options, overrides = parser.parse_known_args()
    config = load_config(options.config, overrides)
    source = source_of(config)
    cohort = source.cohort()
    groups = bar_columns(build_features(config.features), cohort, source.hu_window())
    several = sorted({config.protocol.repeats, options.splits})
    splits = repeated_splits(cohort, config.data.splits, repeats=several[-1], folds=None, seed=config.seed)
    figures = {}
    for number, split in enumerate(splits):
        seed = derived_seed(config.seed, number)
        if config.data.clinical:
            groups |= clinical_columns(encoded(cohort, config.data.clinical, split["train"]))
        for bar, pair in scores(groups, cohort, split, seed).items():
            figures.setdefault(bar, []).append(pair)
    found = {}
    for count in several:
        found[str(count)] = {bar: summary(np.array(pairs[:count])) for bar, pairs in figures.items()}
        for bar, metrics in found[str(count)].items():
            texts = (f"{name} {metric['mean']:.3f} ± {metric['sd']:.3f}" for name, metric in metrics.items())
            print(f"{count} splits, {bar}: {', '.join(texts)}")
    print(json.dumps({"bars": found}))


def scores(groups, cohort, split, seed):
    """Balanced accuracy and AUC of the test part by the name of the bar."""
    bars = CohortBars.of(groups, cohort, split, seed=seed)
    rows = split["test"]
    logits = bars.bars.logits(bars.columns.iloc[rows])
    labels = cohort.labels[rows]
    return {
        bar: (balanced_accuracy_score(labels, values > 0), roc_auc_score(labels, values))
        for bar, values in logits.items()
    }


def summary(pairs):
    """Mean and standard deviation over splits of both metrics."""
    means, deviations = pairs.mean(axis=0), pairs.std(axis=0, ddof=1)
    names = ("balanced accuracy", "AUC")
    return {
        name: {"mean": round(float(m), 3), "sd": round(float(d), 3)}
        for name, m, d in zip(names, means, deviations)
    }


if __name__ == "__main__":
    main()
