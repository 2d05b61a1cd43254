"""Time and memory of a training step with the alignment reward against Keras's own plain step.

For every size and batch, all variants run interleaved in one process; the table gives medians and ratios to
Keras's plain step. Those named roi_ compute the network in a window around the tumour, all others on the
whole canvas; the ratios of roi_ steps depend on the size of the largest tumour of a batch. Memory is the peak
of a process that runs one variant and nothing else, in all, and added to TensorFlow and the inputs.

    python benchmarks/training_step.py [--size 512] [--batch 8] [--tumour 48] [--repeats 5]
    python benchmarks/training_step.py --sizes 192 256 512 --batches 8 16 [--variants keras_plain_step …]
    python benchmarks/training_step.py --size 512 --batch 16 --variant roi_reward_step   # its memory alone
"""

import argparse
import functools
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
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
from fgf_keras.models.input_gradient import section_gradients
from fgf_keras.models.placement import Placement

REFERENCE = "keras_plain_step"
# Steps of a process whose memory is measured: the first builds the graph and the optimiser's variables.
STEPS_FOR_MEMORY = 3


def keras_network(size):
    """The paper's network of Keras's own layers."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((size, size, 1))]
    for filters, kernel in ((32, 5), (64, 3), (128, 3)):
        layers += [
            keras.layers.Conv2D(filters, kernel, padding="same", activation="elu"),
            keras.layers.AveragePooling2D(4),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(256, "elu"), keras.layers.Dense(128, "elu")]
    return keras.Sequential([*layers, keras.layers.Dense(1)])


def forward(given):
    model, seen = keras_network(given.size), given.image * given.mask
    return tf.function(lambda: model(seen, training=False))


def input_gradient(given, *, of):
    model, seen = of(given.size), given.image * given.mask
    return tf.function(lambda: section_gradients(model, seen)[1])


def fitted(model, elements):
    """A step as `fit` takes it."""
    compiled(model).make_train_function()
    data = iter(tf.data.Dataset.from_tensors(elements).repeat())
    return lambda: model.train_function(data)


def plain_step(given, *, of):
    return fitted(of(given.size), (given.image * given.mask, given.label))


def bare_step(model, logits, label):
    """A step of the task alone on the logits that a function returns, in a bare tf.function."""
    optimizer, loss = keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            total = loss(label, logits())
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(total, variables), variables))
        return total

    return step


def raw_plain_step(given):
    """The plain step without `fit`: Keras's layers and optimizer in a bare tf.function."""
    model, seen = keras_network(given.size), given.image * given.mask
    return bare_step(model, lambda: model(seen, training=True), given.label)


def roi_plain_step(given):
    """The bare plain step in the window."""
    model = network(given.size)
    placement = Placement(model, evaluation="roi")

    def in_window(view):
        return view.classifier(view.image, training=True)

    return bare_step(model, lambda: placement.run(in_window, given.image, given.mask), given.label)


def reward_as_one_would_write_it(given):
    """The step from the Keras guide: persistent inner tape, features by autodiff inside the outer tape."""
    model, optimizer = keras_network(given.size), keras.optimizers.Adam()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    named = features()

    @tf.function
    def step(image, mask, label):
        with tf.GradientTape() as weight_tape:
            with tf.GradientTape(persistent=True) as input_tape:
                seen = image * mask
                input_tape.watch(seen)
                score = model(seen, training=True)
                values = [feature.value(seen, mask) for feature in named]
            z = tf.reshape(input_tape.gradient(score, seen), [len(image), -1])
            total = loss(label, score)
            for value in values:
                g = tf.reshape(input_tape.gradient(value, seen), [len(image), -1])
                norms = tf.reduce_sum(z * z, 1) * tf.reduce_sum(g * g, 1)
                total -= 0.1 * tf.reduce_mean(tf.reduce_sum(z * g, 1) ** 2 / (norms + 1e-12))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(weight_tape.gradient(total, variables), variables))
        return total

    return lambda: step(given.image, given.mask, given.label)


def our_step(given, *, reward, evaluation, **options):
    model = fgf_keras.AlignmentModel(
        network(given.size), features(), reward=reward, evaluation=evaluation, **options
    )
    return fitted(model, ({"image": given.image, "mask": given.mask}, given.label))


# Functions of `Inputs` to a function of no arguments, by the names of the JSON line.
VARIANTS = {
    "keras_forward": forward,
    "keras_input_gradient": functools.partial(input_gradient, of=keras_network),
    "input_gradient": functools.partial(input_gradient, of=network),
    REFERENCE: functools.partial(plain_step, of=keras_network),
    "raw_plain_step": raw_plain_step,
    "plain_step": functools.partial(plain_step, of=network),
    "roi_plain_step": roi_plain_step,
    "reward_as_one_would_write_it": reward_as_one_would_write_it,
    "measured_only_step": functools.partial(our_step, reward="none", evaluation="dense"),
    "reward_sum_step": functools.partial(our_step, reward="sum", evaluation="dense"),
    "reward_joint_step": functools.partial(our_step, reward="joint", evaluation="dense"),
    "roi_measured_only_step": functools.partial(our_step, reward="none", evaluation="roi"),
    "roi_reward_step": functools.partial(our_step, reward="sum", evaluation="roi"),
    "roi_signed_step": functools.partial(
        our_step,
        reward="signed",
        evaluation="roi",
        reward_direction={"brightness": 1.0, "extent": 1.0, "log_aspect_ratio": -1.0},
    ),
    "roi_flow_step": functools.partial(our_step, reward="flow", evaluation="roi"),
    "roi_limited_step": functools.partial(our_step, reward="sum", evaluation="roi", max_ratio=0.3),
    "roi_projected_step": functools.partial(
        our_step, reward="sum", evaluation="roi", max_ratio=0.3, project_conflicts=True
    ),
}


def finished(run):
    """Runs, and waits for the result."""
    tf.nest.map_structure(lambda t: t.numpy() if tf.is_tensor(t) else t, run())


def median_times(names, given, repeats):
    """Seconds a run of each variant, interleaved."""
    runs = {name: VARIANTS[name](given) for name in names}
    times = {name: [] for name in runs}
    for repeat in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            finished(run)
            if repeat >= 2:  # the first two trace and warm up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def memory(name, given):
    """MB of this process at its peak, and what of it came after TensorFlow and the inputs."""
    before = memory_mb()
    run = VARIANTS[name](given)
    for _ in range(STEPS_FOR_MEMORY):
        finished(run)
    peak = peak_memory_mb()
    return {"peak_mb": round(peak), "added_mb": round(peak - before)}


def memory_in_own_process(name, size, batch, length):
    words = ["--variant", name, "--size", size, "--batch", batch, "--tumour", length]
    done = subprocess.run([sys.executable, __file__, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} in a process of its own ended with code {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])[name]


def measured(size, batch, arguments):
    """Rows of the JSON line for one size and batch."""
    medians = median_times(arguments.variants, inputs(size, batch, arguments.tumour), arguments.repeats)
    rows = {}
    for name, median in medians.items():
        rows[name] = {"median_s": round(median, 5), "ratio": round(median / medians[REFERENCE], 3)}
        if arguments.memory:
            rows[name] |= memory_in_own_process(name, size, batch, arguments.tumour)
    # The graphs of one size hold each other, and are not those of the next.
    keras.backend.clear_session()
    gc.collect()
    return rows


def told(size, batch, rows, arguments):
    """The table of one size and batch, a row a variant."""
    print(
        f"\n{size}x{size}, batch {batch}, tumours of {arguments.tumour} px, median of {arguments.repeats}\n"
    )
    print(
        markdown_table(
            ("", *next(iter(rows.values()))), [(name, *row.values()) for name, row in rows.items()]
        )
    )


def section(sweep, arguments):
    """For a page: a row a size and batch, a column a variant; time as ratios to the reference, and memory."""
    names = list(next(iter(sweep.values())))
    parts = [f"{surroundings()}. Tumours of {arguments.tumour} px, medians of {arguments.repeats} steps."]

    def add(title, cell):
        lines = [
            [f"{size} px, {batch}", *(cell(rows, name) for name in names)]
            for (size, batch), rows in sweep.items()
        ]
        parts.append(f"{title}\n\n{markdown_table(['canvas, batch', *names], lines)}")

    add(
        f"Time, as a multiple of that of `{REFERENCE}`, whose own time is given:",
        lambda rows, name: (
            f"{rows[name]['median_s']:.2f} s" if name == REFERENCE else f"{rows[name]['ratio']:.2f}"
        ),
    )
    if arguments.memory:
        add(
            "Peak memory in MB in a process of its own; in brackets without TensorFlow and inputs:",
            lambda rows, name: f"{rows[name]['peak_mb']} ({rows[name]['added_mb']})",
        )
    return "\n\n".join(parts)


def parsed():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", "--sizes", type=int, nargs="+", default=[512], help="canvas, px")
    parser.add_argument("--batch", "--batches", type=int, nargs="+", default=[8])
    parser.add_argument("--tumour", type=int, default=48, help="length of the tumours, px")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--variant", choices=VARIANTS, metavar="NAME", help="measure the memory of one, here")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="time alone")
    parser.add_argument("--write", metavar="PAGE", help="put the tables into a section of a Markdown page")
    arguments = parser.parse_args()
    if arguments.variant and len(arguments.size) * len(arguments.batch) > 1:
        parser.error("--variant takes one --size and one --batch: peaks of a process cannot be told apart.")
    if REFERENCE not in arguments.variants:
        parser.error(f"--variants must name {REFERENCE}, to which the others are compared.")
    return arguments


def main():
    arguments = parsed()
    if arguments.variant:
        given = inputs(arguments.size[0], arguments.batch[0], arguments.tumour)
        print(json.dumps({arguments.variant: memory(arguments.variant, given)}))
        return
    print(surroundings())
    sweep = {}
    for size, batch in itertools.product(arguments.size, arguments.batch):
        sweep[size, batch] = measured(size, batch, arguments)
        told(size, batch, sweep[size, batch], arguments)
    if arguments.write:
        write_section(arguments.write, "training_step", section(sweep, arguments))
    several = {f"{size}px_batch_{batch}": rows for (size, batch), rows in sweep.items()}
    print()
    print(json.dumps(several if len(several) > 1 else next(iter(several.values()))))


if __name__ == "__main__":
    main()
