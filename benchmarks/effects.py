"""What effects, contributions and shares of `explain` cost beside S and F alone, in time and memory.

Both are traced in one process for the same network and phantoms, and run in turn; the time is the ratio of
the medians of their processor times. Memory is the peak of a process of its own for each.

    python benchmarks/effects.py [--size 64] [--patients 64] [--repeats 7] [--no-memory]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import measuring
import numpy as np

import fgf_keras
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.geometry.alignment import joint_alignment, pointwise_alignment
from fgf_keras.measure import alignment_measure
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.path_quantities import PathQuantities

BATCH = 16


class Alone(PathQuantities):
    """F of each feature and of all of them, and nothing else along the path."""

    @property
    def widths(self):
        """See `PathQuantities.widths`."""
        return {"F": self.features, "F_joint": 1, "F_joint_magnitude": 1}

    def observed(self, point, products):
        """See `PathQuantities.observed`."""
        del point
        joint = joint_alignment(products)[:, None]
        return alignment_measure.tf.concat([pointwise_alignment(products), joint, joint**0.5], axis=1)

    def reported(self, flow):
        """See `PathQuantities.reported`."""
        means = self._by_name(flow.arc_mean)
        return {f"{name}_arc": values for name, values in means.items()}


def alone_at_sample(products, logits, *_):
    return {"logits": logits, "S": pointwise_alignment(products), "S_joint": joint_alignment(products)}


def measure_of(variant, network, size):
    """An `AlignmentMeasure` whose graphs are traced with everything, or with S and F alone."""
    whole = {name: getattr(alignment_measure, name) for name in ("quantities_at_sample", "PathQuantities")}
    changed = ("feature_changes",)
    kept = {name: getattr(alignment_measure, name) for name in changed}
    if variant == "alone":
        alignment_measure.quantities_at_sample = alone_at_sample
        alignment_measure.PathQuantities = Alone
        alignment_measure.feature_changes = lambda start, end, features: start.image[:, 0, 0]
    try:
        measure = AlignmentMeasure(network, measuring.features(), (size, size, 1), mask_input=True)
        _ = measure.at_sample, measure.along_flow
    finally:
        for name, value in (whole | kept).items():
            setattr(alignment_measure, name, value)
    return measure


def run(measure, cohort):
    for start in range(0, len(cohort), BATCH):
        rows = slice(start, start + BATCH)
        tensors = measure.tensors(cohort.images[rows], cohort.masks[rows], cohort.spacing[rows])
        for graph in (measure.at_sample, measure.along_flow):
            for value in graph(*tensors).values():
                np.asarray(value)


def prepared(size, patients):
    cohort = phantom_cohort(
        PhantomConfig(patients=patients), size=size, window=(-50, 300), spacing=(1.0, 1.0), seed=0
    )
    return fgf_keras.paper_cnn((size, size, 1), filters=(16, 32, 32), pool_size=2, dense=(64,)), cohort


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--patients", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--peak-of", choices=("alone", "everything"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    network, cohort = prepared(options.size, options.patients)
    if options.peak_of:
        run(measure_of(options.peak_of, network, options.size), cohort)
        print(measuring.peak_memory_mb())
        return
    measures = {name: measure_of(name, network, options.size) for name in ("alone", "everything")}
    times = {name: [] for name in measures}
    for repeat in range(options.repeats + 1):
        for name, measure in measures.items():
            before = time.process_time()
            run(measure, cohort)
            if repeat:
                times[name].append(time.process_time() - before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    found = {
        "patients": len(cohort),
        "alone_s": medians["alone"],
        "everything_s": medians["everything"],
        "ratio": medians["everything"] / medians["alone"],
    }
    if not options.no_memory:
        for name in measures:
            argv = [sys.executable, __file__, "--size", options.size, "--patients", options.patients]
            done = subprocess.run(
                [*map(str, argv), "--peak-of", name], capture_output=True, text=True, check=True
            )
            found[f"{name}_peak_mb"] = float(done.stdout.split()[-1])
    print(measuring.surroundings())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
