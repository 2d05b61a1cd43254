"""How time and memory grow with canvas, batch, features, patients, steps of the flow and draws of noise.

Every point is measured in a process of its own; memory is what its peak adds to TensorFlow, graphs included.
Exponents k of n^k are fitted by least squares of the logarithms over the upper half of the points, where what
is constant weighs least.

    python benchmarks/scaling.py [--quick] [--axes canvas batch …] [--plots docs/images] [--write PAGE]
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring import (
    compiled,
    features,
    inputs,
    markdown_table,
    memory_mb,
    network,
    peak_memory_mb,
    surroundings,
    write_section,
)

import fgf_keras
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.dataset import make_dataset
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.flow.settings import Flow
from fgf_keras.geometry.windows import bounding_box, crop
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.nulls.white import white_noise_alignment

SIZE, BATCH, TUMOUR = 192, 8, 32
# The patients of a large cohort have small slices, and a small network.
PATIENT_SIZE, PATIENT_BATCH = 32, 64
# A point is repeated until it has taken so long, but not more often than so.
SECONDS, MOST_REPEATS = 1.0, 5


def training_step(*, evaluation, size=SIZE, batch=BATCH, count=3):
    """A step with the reward for `count` features: the three of the paper, then linear noise."""
    noise = [fgf_keras.LinearNoise(seed=i, name=f"noise_{i}") for i in range(3, count)]
    named = [*features(), *noise][:count]
    given = inputs(size, batch, TUMOUR)
    model = compiled(fgf_keras.AlignmentModel(network(size), named, evaluation=evaluation))
    model.make_train_function()
    elements = ({"image": given.image, "mask": given.mask}, given.label)
    data = iter(tf.data.Dataset.from_tensors(elements).repeat())
    return lambda: model.train_function(data)


def flow(*, evaluation, steps):
    """F of a batch: a passage of so many steps and one of twice as many."""
    given = inputs(SIZE, BATCH, TUMOUR)
    settings = {"evaluation": evaluation, "flow": Flow(steps=steps, max_steps=2 * steps, tolerance=1.0)}
    measure = AlignmentMeasure(network(SIZE), features(), (SIZE, SIZE, 1), mask_input=True, **settings)
    spacing = tf.ones([BATCH, 2])
    return lambda: measure.along_flow(given.image, given.mask, spacing)


def noise_draws(*, evaluation, draws):
    """S of white noise against the gradients of a batch."""
    given = inputs(SIZE, BATCH, TUMOUR)
    field, mask, window = given.image, given.mask, None
    if evaluation == "roi":
        origin, edges = bounding_box(mask)[0], (TUMOUR, TUMOUR)
        origin = tf.minimum(origin, SIZE - TUMOUR)
        field, mask, window = crop(field, origin, edges), crop(mask, origin, edges), ((SIZE, SIZE), origin)
    section = (field * mask)[:, tf.newaxis]
    return tf.function(lambda: white_noise_alignment(section, mask, draws=draws, window=window))


def patients(*, work, count):
    """`explain` on a cohort, or an epoch of training on it; the cohort's own memory counts."""
    cohort = phantom_cohort(
        PhantomConfig(patients=count, prevalence=0.4),
        size=PATIENT_SIZE,
        window=[-50, 300],
        spacing=[1.0, 1.0],
        seed=0,
    )
    keras.utils.set_random_seed(0)
    shape = (PATIENT_SIZE, PATIENT_SIZE, 1)
    classifier = fgf_keras.paper_cnn(shape, filters=[8, 8], kernel_sizes=[5, 3], dense=[16])
    model = compiled(fgf_keras.AlignmentModel(classifier, features()))
    if work == "explain":
        settings = {"spacing": cohort.spacing, "batch_size": PATIENT_BATCH, "flow": Flow(max_steps=8)}
        return lambda: fgf_keras.explain(model, cohort.images, cohort.masks, **settings)
    batches = make_dataset(cohort, np.arange(count), batch_size=PATIENT_BATCH, seed=0, training=True)
    return lambda: model.fit(batches, shuffle=False, verbose=0)


class Axis(NamedTuple):
    """What is varied.

    Attributes:
        title: with its unit, for tables and plots.
        values: measured by default.
        quick: measured with --quick.
        series: by name, functions of a value to what is to be timed, a function of no arguments.
    """

    title: str
    values: tuple
    quick: tuple
    series: dict[str, Callable]


def placed(function, parameter):
    """The same on the whole canvas and in the window, as functions of one value."""
    return {
        name: lambda value, evaluation=evaluation: function(evaluation=evaluation, **{parameter: value})
        for name, evaluation in (("canvas", "dense"), ("window", "roi"))
    }


AXES = {
    "canvas": Axis(
        "Canvas, px",
        values=(128, 192, 256, 384, 512),
        quick=(128, 256),
        series=placed(training_step, "size"),
    ),
    "batch": Axis(
        "Batch", values=(1, 2, 4, 8, 16, 32, 64), quick=(4, 16), series=placed(training_step, "batch")
    ),
    "features": Axis(
        "Features", values=(1, 2, 4, 8, 16, 32), quick=(1, 8), series=placed(training_step, "count")
    ),
    "patients": Axis(
        "Patients",
        values=(10, 32, 100, 316, 1000, 3162, 10_000),
        quick=(100, 1000),
        series={
            work: lambda value, work=work: patients(work=work, count=value) for work in ("explain", "epoch")
        },
    ),
    "steps": Axis(
        "Steps of the flow", values=(2, 4, 8, 16, 32, 64), quick=(2, 8), series=placed(flow, "steps")
    ),
    "draws": Axis(
        "Draws of noise",
        values=(1, 3, 10, 32, 100, 316, 1000),
        quick=(10, 100),
        series=placed(noise_draws, "draws"),
    ),
}


def measured(axis, series, value):
    """Median seconds and added MB of a point, in this process."""
    load_libraries()
    before = memory_mb()
    run = AXES[axis].series[series](value)
    if series != "explain":  # which builds its graphs in every call
        finished(run)
    times = []
    while not times or (sum(times) < SECONDS and len(times) < MOST_REPEATS):
        begun = time.perf_counter()
        finished(run)
        times.append(time.perf_counter() - begun)
    return {"median_s": statistics.median(times), "added_mb": max(peak_memory_mb() - before, 1.0)}


def load_libraries():
    """The code of TensorFlow's runtime enters memory when it is first run; that is not what is measured."""
    kernel = tf.Variable(tf.ones([3, 3, 1, 4]))

    @tf.function
    def step(image):
        with tf.GradientTape() as tape:
            outputs = tf.reduce_sum(tf.nn.elu(tf.nn.conv2d(image, kernel, 1, "SAME")) ** 2)
        kernel.assign_sub(tape.gradient(outputs, kernel))
        return outputs

    step(tf.ones([1, 16, 16, 1]))


def finished(run):
    """Runs, and waits for the result."""
    tf.nest.map_structure(lambda t: t.numpy() if tf.is_tensor(t) else t, run())


def exponent(values, quantities):
    """k of n^k by least squares of the logarithms over the upper half of the points."""
    half = len(values) // 2 if len(values) > 2 else 0
    slope, _ = np.polyfit(np.log(values[half:]), np.log(quantities[half:]), 1)
    return float(slope)


def in_own_process(axis, series, value):
    # A server that has imported the slow libraries forks one process a point.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras", "fgf_keras"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measured, axis, series, value).result()


def curve(axis, series, values):
    """All points of a series with their exponents."""
    points = {}
    for value in values:
        points[value] = in_own_process(axis, series, value)
        print(f"{axis:10}{series:10}{value:8}{points[value]['median_s']:12.4f} s", end="")
        print(f"{points[value]['added_mb']:10.0f} MB", flush=True)
    seconds = [point["median_s"] for point in points.values()]
    memory = [point["added_mb"] for point in points.values()]
    return {
        "time_exponent": round(exponent(values, seconds), 2),
        "memory_exponent": round(exponent(values, memory), 2),
        "points": {n: {key: round(x, 5) for key, x in point.items()} for n, point in points.items()},
    }


def table(curves):
    rows = []
    for (axis, series), found in curves.items():
        (low, first), *_, (high, last) = found["points"].items()
        rows.append(
            [
                f"{AXES[axis].title}: {low}…{high}, {series}",
                f"{first['median_s']:.2g}…{last['median_s']:.2g}",
                f"{found['time_exponent']:.2f}",
                f"{first['added_mb']:.0f}…{last['added_mb']:.0f}",
                f"{found['memory_exponent']:.2f}",
            ]
        )
    return markdown_table(["", "s", "exponent", "MB", "exponent"], rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few and small points")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), metavar="AXIS")
    parser.add_argument("--plots", metavar="DIR", help="write scaling_time.png and scaling_memory.png there")
    parser.add_argument("--write", metavar="PAGE", help="put the table into a section of a Markdown page")
    arguments = parser.parse_args()
    told = (
        f"{surroundings()}. Where nothing else is varied: {SIZE} px, batch {BATCH}, tumours of {TUMOUR} px, "
        f"three features, patients of {PATIENT_SIZE} px in batches of {PATIENT_BATCH}."
    )
    print(f"{told}\n")
    curves = {
        (axis, series): curve(axis, series, AXES[axis].quick if arguments.quick else AXES[axis].values)
        for axis in arguments.axes
        for series in AXES[axis].series
    }
    print(f"\n{table(curves)}\n")
    if arguments.plots:
        from scaling_plot import save_plots

        save_plots(arguments.plots, {axis: AXES[axis].title for axis in arguments.axes}, curves)
    if arguments.write:
        write_section(arguments.write, "scaling", f"{told}\n\n{table(curves)}")
    print(json.dumps({f"{axis}_{series}": found for (axis, series), found in curves.items()}))


if __name__ == "__main__":
    main()
