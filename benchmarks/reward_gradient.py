"""Which gradient of the reward serves networks with kinks better: the exact one, or a difference?

The second derivative of ReLU and max pooling does not see switches; a central difference over a finite step
does. Paper CNNs of both kinds are trained on the phantom, each seed with the same weights, splits and order
under no reward, the exact gradient and the difference; S and AUC are of phantoms that none was trained on.

    python benchmarks/reward_gradient.py [--seeds 8 --epochs 15 --weights 0.3 1.0]
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import warnings

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import fgf_keras
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.training.reward_schedule import RewardSchedule

KINDS = {
    "relu, max pooling": {"activation": "relu", "pooling": "max"},
    "elu, average pooling": {"activation": "elu", "pooling": "average"},
}
SIZE, TRAINED = 48, 200
PHANTOM = PhantomConfig(patients=2 * TRAINED, prevalence=0.4)


def trained(kind, gradient, weight, seed, epochs):
    """S_joint and AUC of a network on phantoms it was not trained on."""
    cohort = phantom_cohort(PHANTOM, size=SIZE, window=[-50, 300], spacing=[1.0, 1.0], seed=seed)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    features = [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]
    classifier = fgf_keras.paper_cnn((SIZE, SIZE, 1), filters=(16, 32), kernel_sizes=(5, 3), **KINDS[kind])
    reward = (
        {"reward": "none"} if gradient is None else {"reward_weight": weight, "reward_gradient": gradient}
    )
    # The difference calls the classifier as it is, on the canvas; so do the others here.
    model = fgf_keras.AlignmentModel(classifier, features, evaluation="dense", **reward)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    arrays = {"image": cohort.images, "mask": cohort.masks}
    inputs, others = (
        {k: a[part] for k, a in arrays.items()} for part in (slice(TRAINED), slice(TRAINED, None))
    )
    warm = [RewardSchedule(epochs // 3)] if gradient else []
    model.fit(inputs, cohort.labels[:TRAINED], epochs=epochs, batch_size=16, verbose=0, callbacks=warm)
    found = model.evaluate(others, cohort.labels[TRAINED:], batch_size=50, verbose=0, return_dict=True)
    logits = model.predict(others, batch_size=50, verbose=0)[:, 0]
    return {"S_joint": found["S_joint"], "auc": roc_auc_score(cohort.labels[TRAINED:], logits)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.3, 1.0])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for kind in KINDS:
        arms = [(None, 0.0), *((g, w) for w in options.weights for g in ("exact", "difference"))]
        for seed in range(options.seeds):
            for gradient, weight in arms:
                found = trained(kind, gradient, weight, seed, options.epochs)
                rows.append({"network": kind, "weight": weight, "gradient": gradient or "none", **found})
    table = pd.DataFrame(rows).groupby(["network", "weight", "gradient"])[["S_joint", "auc"]]
    summary = table.agg(["mean", "sem", "min"]).round(4)
    print(f"{options.seeds} seeds, {options.epochs} epochs, {TRAINED} phantoms of {SIZE} px\n")
    print(summary.to_string())
    print(json.dumps({"reward_gradient": rows}, default=np.ndarray.tolist))


if __name__ == "__main__":
    main()
