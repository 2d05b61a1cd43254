"""How often each null calls a classifier aligned that knows nothing: false positives at level alpha.

Two kinds of classifiers know nothing of the features: networks with random weights, and networks trained on
permuted labels. Over several of each, on one phantom cohort, the program measures patients that no network
was trained on, and prints the share of p-values that
are at most alpha, for patients one by one and for the mean over the cohort, with a 95 % interval (Wilson for
the networks' cohort means; for patients, who share a network, from the spread between networks), and the
largest distance of the patients' p-values from the uniform distribution (Kolmogorov-Smirnov).

    python benchmarks/null_calibration.py [--networks 20] [--patients 300] [--trained 200] [--epochs 20]
"""

import argparse
import json
import logging

import keras
import numpy as np
import tensorflow as tf

import fgf_keras
from fgf_keras import Explanation
from fgf_keras.config import parse_config
from fgf_keras.config.named import NULLS
from fgf_keras.data.source import source_of
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls
from fgf_keras.results.rejections import rejections

CLASSIFIERS = ("random weights", "permuted labels")
BATCH = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--patients", type=int, default=300, help="that are measured")
    parser.add_argument("--trained", type=int, default=200, help="others, that networks are trained on")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--classifiers", nargs="+", choices=CLASSIFIERS, default=CLASSIFIERS)
    parser.add_argument("--alpha", type=float, default=0.05)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    cohort = phantom(options)
    networks = Networks(cohort, options.trained)
    figures = {}
    for kind in options.classifiers:
        found = []
        for seed in range(options.networks):
            networks.draw(seed)
            if kind == "permuted labels":
                networks.train_on_permuted_labels(seed, options.epochs)
            found.append(networks.p_values(options.draws, seed))
        figures[kind] = table(kind, found, options)
    print(json.dumps(figures))


def phantom(options):
    data = {"source": "phantom", "size": options.size}
    data["phantom"] = {"patients": options.patients + options.trained, "prevalence": 0.5}
    return source_of(parse_config({"seed": 0, "data": data})).cohort()


class Networks:
    """One network with ever new weights, so that its graphs are traced once."""

    def __init__(self, cohort, trained):
        rows = np.arange(len(cohort))
        self.training, self.cohort = cohort.select(rows[:trained]), cohort.select(rows[trained:])
        self.classifier = fgf_keras.paper_cnn(
            cohort.images.shape[1:], filters=[8, 16, 16], kernel_sizes=[5, 3, 3], pool_size=2, dense=[16]
        )
        optimizer = keras.optimizers.Adam(1e-3)
        self.classifier.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
        optimizer.build(self.classifier.trainable_variables)
        self.optimizer_start = [(v, v.numpy()) for v in optimizer.variables]
        features = [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]
        self.names = [feature.name for feature in features]
        self.measure = AlignmentMeasure(
            self.classifier,
            features,
            cohort.images.shape[1:],
            mask_input=True,
            nulls=True,
        )

    def draw(self, seed):
        """New random weights."""
        keras.utils.set_random_seed(seed)
        self.classifier.set_weights(keras.models.clone_model(self.classifier).get_weights())
        for variable, value in self.optimizer_start:
            variable.assign(value)

    def train_on_permuted_labels(self, seed, epochs):
        """Fit labels that belong to other patients."""
        labels = np.random.default_rng(seed).permutation(self.training.labels).astype(np.float32)
        seen = self.training.images * self.training.masks
        self.classifier.fit(seen, labels, epochs=epochs, batch_size=16, verbose=0)

    def p_values(self, count, seed):
        """(cohort's table, patients' table) without what is undefined."""
        c = self.cohort
        spacing = np.broadcast_to(c.spacing, (len(c), 2))
        draws, parts = NullDraws(Nulls(kinds=[*NULLS], draws=count, seed=seed)), []
        for first in range(0, len(c), BATCH):
            rows = slice(first, first + BATCH)
            tensors = [tf.constant(a[rows], tf.float32) for a in (c.images, c.masks, spacing)]
            part = {**self.measure.at_sample(*tensors), **self.measure.along_flow(*tensors)}
            part = {key: value.numpy() for key, value in part.items() if key != "boundary"}
            draws.take(c.patient_id[rows], part)
            parts.append(part)
        values = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        # Effects need a reference cohort and have no nulls.
        values["effect"] = np.full_like(values["slope"], np.nan)
        settings = {"weight": "arc", "support": "mask"}
        found = Explanation(c.patient_id, self.names, settings, values, 2, None, draws.finish())
        return found.against_chance(), found.against_chance(per_patient=True).dropna(subset=["p"])


def table(kind, found, options):
    print(f"\n{kind}: {options.networks} networks, {options.patients} patients, alpha = {options.alpha}")
    print("| null | of | feature | patients p ≤ alpha | largest distance from uniform | cohort p ≤ alpha |")
    print("|---|---|---|---|---|---|")
    figures = {}
    for (null, of, feature), _ in found[0][0].groupby(["null", "quantity", "feature"], sort=False):

        def these(frame, null=null, of=of, feature=feature):
            chosen = (frame["null"] == null) & (frame["quantity"] == of) & (frame["feature"] == feature)
            return frame.loc[chosen, "p"].to_numpy()

        r = rejections([these(one) for _, one in found], [these(mean)[0] for mean, _ in found], options.alpha)
        print(
            f"| {null} | {of} | {feature} | {r['rate']:.2f} [{r['rate_low']:.2f}, {r['rate_high']:.2f}] "
            f"| {r['distance']:.2f} "
            f"| {r['cohort_hits']}/{r['cohorts']} [{r['cohort_low']:.2f}, {r['cohort_high']:.2f}] |"
        )
        figures[f"{null} {of} {feature}"] = {
            "patients": round(r["rate"], 3),
            "interval": [round(r["rate_low"], 3), round(r["rate_high"], 3)],
            "distance": round(r["distance"], 3),
            "cohort": [r["cohort_hits"], r["cohorts"]],
        }
    return figures


if __name__ == "__main__":
    main()
