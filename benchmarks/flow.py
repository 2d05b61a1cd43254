"""F a patient: evaluations, error, its estimate and residual; explicit Euler to the sign change beside it.

The model of a run folder on patients of its cohort, or a network trained for a moment on the phantom; every
method follows the same patients to the boundary. Errors are 95 % quantiles of |F - F of a fine reference|, of
the joint share and of the worst feature; the reference is the flow with a tolerance of 1e-4. `default` is as
`explain` has it. The time of a patient alone is compared with one input gradient on the whole canvas.

    python benchmarks/flow.py [--run runs/hn_cnn/latest/baseline | --size 96] [--patients 64]
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import fgf_keras
from fgf_keras.commands.evaluate_run import load_model
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.source import source_of
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.status import ENDED
from fgf_keras.geometry.alignment import alignment_products, joint_alignment
from fgf_keras.geometry.products import on_support
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.models.input_gradient import decision_gradient
from fgf_keras.run.folder import RunFolder


def euler(network, features, image, mask, spacing, step, most=5000):
    """x ← x ∓ step·∇z/‖∇z‖ until the score changes sign; the joint share is averaged over the steps."""
    pair = tf.zeros([1, 2], tf.int32)

    @tf.function
    def evaluate(x):
        score, gradient = decision_gradient(network, x, pair)
        gradient = on_support(gradient, mask)
        stack = tf.stack([f.gradient(x, mask, spacing) for f in features], axis=1)
        share = joint_alignment(alignment_products(gradient[:, None], stack))
        return score[0], gradient / tf.norm(gradient), share[0]

    x = image * mask
    start, direction, share = evaluate(x)
    score, shares = start, []
    while score * start > 0 and len(shares) < most:
        shares.append(float(share))
        x -= step * tf.sign(start) * direction
        score, direction, share = evaluate(x)
    return len(shares) + 1, abs(float(score / start)), float(np.mean(shares)), bool(score * start <= 0)


def of_phantom(size):
    """Network, features and patients: a network trained for a moment."""
    cohort = phantom_cohort(
        PhantomConfig(patients=200, prevalence=0.4), size=size, window=[-50, 300], spacing=[1.0, 1.0], seed=0
    )
    keras.utils.set_random_seed(0)
    features = [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]
    model = fgf_keras.AlignmentModel(fgf_keras.paper_cnn((size, size, 1)), features, reward="none")
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    inputs = {"image": cohort.images, "mask": cohort.masks}
    model.fit(inputs, cohort.labels, epochs=8, batch_size=16, verbose=0)
    return model.classifier, features, cohort


def of_run(folder):
    """Network, features and patients of a run."""
    folder = RunFolder.open(folder)
    model = load_model(folder)
    return model.classifier, model.features, source_of(folder.load_config()).cohort()


def in_batches(function, arrays, batch=8):
    """A function's results for all patients, and the median time of a patient; the first batch traces."""
    parts, times = [], []
    for first in range(0, len(arrays[0]), batch):
        some = [tf.constant(array[first : first + batch]) for array in arrays]
        if not parts:
            function(*some)
        start = time.perf_counter()
        parts.append({key: value.numpy() for key, value in function(*some).items()})
        times.append((time.perf_counter() - start) / len(some[0]))
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}, statistics.median(times)


def described(evaluations, residual, joint, each, reference, unfinished, seconds):
    """A row of the table."""
    row = {
        "median_s": seconds,
        "evaluations_median": float(np.median(evaluations)),
        "evaluations_mean": float(np.mean(evaluations)),
        "residual_median": float(np.nanmedian(residual)),
        "residual_max": float(np.nanmax(residual)),
        "error_joint": float(np.nanquantile(abs(joint - reference["F_joint_arc"]), 0.95)),
    }
    if each is not None:
        row["error_feature"] = float(np.nanquantile(abs(each - reference["F_arc"]), 0.95, axis=0).max())
    return {**row, "unfinished": int(np.sum(unfinished))}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="folder of a run; a phantom by default")
    parser.add_argument("--size", type=int, default=96, help="canvas of the phantom, px")
    parser.add_argument("--patients", type=int, default=64)
    parser.add_argument("--euler", type=int, default=32, help="patients that explicit Euler follows too")
    arguments = parser.parse_args()
    network, features, cohort = of_run(arguments.run) if arguments.run else of_phantom(arguments.size)
    chosen = np.random.default_rng(0).permutation(len(cohort))[: arguments.patients]
    # In order of size: the windows of a batch are as large as its largest tumour needs.
    chosen = chosen[np.argsort(cohort.masks[chosen].sum(axis=(1, 2, 3)))]
    fields = [a[chosen].astype(np.float32) for a in (cohort.images, cohort.masks, cohort.spacing)]
    shape = fields[0].shape[1:]

    def measure(**settings):
        return AlignmentMeasure(network, features, shape, mask_input=True, **settings).along_flow

    reference, _ = in_batches(measure(flow=Flow(steps=64, max_steps=1024, tolerance=1e-4)), fields)
    rows = {}
    tolerances = {f"tolerance_{t}": {"flow": Flow(tolerance=t)} for t in (0.05, 0.0005)}
    for name, settings in {"default": {}, **tolerances}.items():
        found, seconds = in_batches(measure(**settings), fields)
        rows[name] = described(
            found["evaluations"],
            found["residual"],
            found["F_joint_arc"],
            found["F_arc"],
            reference,
            ~np.isin(found["status"], ENDED),
            seconds,
        )
        rows[name]["estimate_median"] = float(np.nanmedian(found["F_error_arc"].max(axis=1)))
    some = np.linspace(0, len(fields[0]) - 1, min(arguments.euler, len(fields[0]))).astype(int)
    for step in (0.1, 0.02):
        start = time.perf_counter()
        one = [[tf.constant(array[k : k + 1]) for array in fields] for k in some]
        evaluations, residual, joint, crossed = map(
            np.array, zip(*[euler(network, features, *arrays, step) for arrays in one])
        )
        seconds = (time.perf_counter() - start) / len(some)
        their_reference = {key: value[some] for key, value in reference.items()}
        rows[f"euler_step_{step}"] = described(
            evaluations, residual, joint, None, their_reference, ~crossed, seconds
        )
    patients = f"{len(fields[0])} patients ({len(some)} with Euler)"
    print(f"{shape[0]}x{shape[1]}, {patients}, {os.cpu_count()} cores\n")
    columns = list(rows["default"])
    print(f"{'':16}" + "".join(f"{name:>20}" for name in columns))
    for name, row in rows.items():
        print(f"{name:16}" + "".join(f"{row.get(column, float('nan')):20.3g}" for column in columns))
    rows.update(alone(network, measure(), fields, some))
    print()
    for row in rows.values():
        row["ratio"] = round(row["median_s"] / rows["canvas_input_gradient"]["median_s"], 3)
    print(f"one patient alone: F takes {rows['one_patient']['ratio']} input gradients on the canvas\n")
    print(json.dumps(rows))


def alone(network, along_flow, fields, some):
    """Time of F for one patient at a time, and of an input gradient on the canvas, in turn."""
    gradient = tf.function(lambda x: decision_gradient(network, x, tf.zeros([1, 2], tf.int32))[1])
    times = {"one_patient": [], "canvas_input_gradient": []}
    for k in some:
        image, mask, spacing = (tf.constant(array[k : k + 1]) for array in fields)
        for repeat in range(2):  # the first of a size of window chooses algorithms
            start = time.perf_counter()
            along_flow(image, mask, spacing)["F_arc"].numpy()
            middle = time.perf_counter()
            gradient(image * mask).numpy()
            if repeat:
                times["one_patient"].append(middle - start)
                times["canvas_input_gradient"].append(time.perf_counter() - middle)
    return {name: {"median_s": statistics.median(values)} for name, values in times.items()}


if __name__ == "__main__":
    main()
