"""F a patient: evaluations and boundary residual, against explicit Euler with a stop at the sign change.

A network trained for a moment on the phantom; every method follows the same patients to the boundary. The
error in F is against 64 RK4 steps.

    python benchmarks/flow.py [--size 96] [--patients 64]
"""

import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import fgf_keras
from fgf_keras.config_data import PhantomConfig
from fgf_keras.data.phantom import phantom_cohort
from fgf_keras.geometry.alignment import alignment_products, joint_alignment
from fgf_keras.geometry.products import on_support
from fgf_keras.models.input_gradient import decision_gradient
from fgf_keras.models.measure import AlignmentMeasure


def euler(network, features, image, mask, step, most=5000):
    """x ← x ∓ step·∇z/‖∇z‖ until the score changes sign; the joint share is averaged over the steps."""
    pair = tf.zeros([1, 2], tf.int32)

    @tf.function
    def evaluate(x):
        score, gradient = decision_gradient(network, x, pair)
        gradient = on_support(gradient, mask)
        stack = tf.stack([f.gradient(x, mask) for f in features], axis=1)
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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=96, help="canvas, px")
    parser.add_argument("--patients", type=int, default=64)
    arguments = parser.parse_args()
    size = arguments.size
    cohort = phantom_cohort(
        PhantomConfig(patients=200, prevalence=0.4), size=size, window=[-50, 300], spacing=[1.0, 1.0], seed=0
    )
    features = [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]
    keras.utils.set_random_seed(0)
    network = fgf_keras.paper_cnn((size, size, 1))
    network.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    network.fit(cohort.images * cohort.masks, cohort.labels, epochs=8, batch_size=16, verbose=0)
    chosen = slice(0, arguments.patients)
    image, mask = (tf.constant(a[chosen], tf.float32) for a in (cohort.images, cohort.masks))
    spacing = tf.constant(cohort.spacing[chosen])

    def flow(steps):
        measure = AlignmentMeasure(
            network, features, image.shape[1:], mask_input=True, steps=steps, max_steps=64
        )
        measure.along_flow(image[:1], mask[:1], spacing[:1])
        start = time.perf_counter()
        result = measure.along_flow(image, mask, spacing)
        return result, time.perf_counter() - start

    reference = flow(64)[0]["F_joint_arc"].numpy()
    rows = {}
    for steps in (2, 4, 8, 16):
        result, seconds = flow(steps)
        rows[f"rk4_{steps}_steps"] = {
            "median_s": seconds / len(image),
            "evaluations_median": float(np.median(result["evaluations"])),
            "evaluations_max": int(np.max(result["evaluations"])),
            "residual_median": float(np.median(result["residual"])),
            "residual_max": float(np.max(result["residual"])),
            "error_in_F_p95": float(np.quantile(abs(result["F_joint_arc"] - reference), 0.95)),
            "unfinished": int(np.sum(result["status"].numpy() == 1)),
        }
    for step in (0.1, 0.02):
        start = time.perf_counter()
        runs = [euler(network, features, image[k : k + 1], mask[k : k + 1], step) for k in range(len(image))]
        seconds = time.perf_counter() - start
        evaluations, residual, share, crossed = map(np.array, zip(*runs))
        rows[f"euler_step_{step}"] = {
            "median_s": seconds / len(image),
            "evaluations_median": float(np.median(evaluations)),
            "evaluations_max": int(evaluations.max()),
            "residual_median": float(np.median(residual)),
            "residual_max": float(residual.max()),
            "error_in_F_p95": float(np.quantile(abs(share - reference), 0.95)),
            "unfinished": int(np.sum(~crossed)),
        }
    columns = list(next(iter(rows.values())))
    print(f"{size}x{size}, {len(image)} patients, {os.cpu_count()} cores; time is a patient's share\n")
    print(f"{'':18}" + "".join(f"{name:>20}" for name in columns))
    for name, row in rows.items():
        print(f"{name:18}" + "".join(f"{row[column]:20.3g}" for column in columns))
    print()
    reference_time = rows["rk4_4_steps"]["median_s"]
    print(
        json.dumps(
            {name: {**row, "ratio": round(row["median_s"] / reference_time, 3)} for name, row in rows.items()}
        )
    )


if __name__ == "__main__":
    main()
