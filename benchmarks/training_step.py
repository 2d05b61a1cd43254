"""Time of a training step with the alignment reward against Keras's own plain step.

All variants run interleaved in one process; the table gives medians and ratios to Keras's plain step. Those
named roi_ compute the network in a window around the tumour, all others on the whole canvas; the ratios of
roi_ steps depend on the size of the largest tumour of a batch.

    python benchmarks/training_step.py [--size 512] [--batch 8] [--tumour 48] [--repeats 10]
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
from fgf_keras.models.input_gradient import section_gradients
from fgf_keras.models.placement import placement

REFERENCE = "keras_plain_step"


def features():
    return [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]


def network(size):
    keras.utils.set_random_seed(0)
    return fgf_keras.paper_cnn((size, size, 1))


def keras_network(size):
    """The same network of Keras's own layers."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((size, size, 1))]
    for filters, kernel in ((32, 5), (64, 3), (128, 3)):
        layers += [
            keras.layers.Conv2D(filters, kernel, padding="same", activation="elu"),
            keras.layers.AveragePooling2D(4),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(256, "elu"), keras.layers.Dense(128, "elu")]
    return keras.Sequential([*layers, keras.layers.Dense(1)])


def compiled(model):
    model.compile(
        keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    return model


def reward_as_one_would_write_it(size):
    """The step from the Keras guide: persistent inner tape, features by autodiff inside the outer tape."""
    model, optimizer = keras_network(size), keras.optimizers.Adam()
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

    return step


def roi_plain_step(size, image, mask, label):
    """A step of the task alone, in the window."""
    model, optimizer = network(size), keras.optimizers.Adam()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    place = placement(model, evaluation="roi")

    def in_window(seen, mask, origin):
        del mask
        return place.classifier(origin)(seen, training=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            total = loss(label, place.run(in_window, image, mask))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(total, variables), variables))
        return total

    return step


def variants(size, image, mask, label):
    """Functions of no arguments, by the names of the JSON line."""
    theirs, ours_plain = keras_network(size), network(size)
    seen = image * mask
    inputs = {"image": image, "mask": mask}
    keras_step, our_plain_step = compiled(keras_network(size)), compiled(network(size))
    for model in (keras_step, our_plain_step):
        model.make_train_function()
    data = iter(tf.data.Dataset.from_tensors((seen, label)).repeat())
    ours = {
        name: compiled(fgf_keras.AlignmentModel(network(size), features(), **arguments))
        for name, arguments in {
            "measured_only_step": {"reward": "none", "evaluation": "dense"},
            "reward_sum_step": {"reward": "sum", "evaluation": "dense"},
            "reward_joint_step": {"reward": "joint", "evaluation": "dense"},
            "roi_measured_only_step": {"reward": "none", "evaluation": "roi"},
            "roi_reward_step": {"reward": "sum", "evaluation": "roi"},
        }.items()
    }
    our_data = iter(tf.data.Dataset.from_tensors((inputs, label)).repeat())
    for model in ours.values():
        model.make_train_function()
    written = reward_as_one_would_write_it(size)
    return {
        "keras_forward": tf.function(lambda: theirs(seen, training=False)),
        "keras_input_gradient": tf.function(lambda: section_gradients(theirs, seen)[1]),
        "input_gradient": tf.function(lambda: section_gradients(ours_plain, seen)[1]),
        REFERENCE: lambda: keras_step.train_function(data),
        "plain_step": lambda: our_plain_step.train_function(data),
        "roi_plain_step": roi_plain_step(size, image, mask, label),
        "reward_as_one_would_write_it": lambda: written(image, mask, label),
        **{name: (lambda model=model: model.train_function(our_data)) for name, model in ours.items()},
    }


def tumour(size, length, rng):
    """An ellipse two thirds as high as long, somewhere on the canvas: (size, size, 1)."""
    row, column = rng.uniform(length / 2, size - length / 2, size=2)
    y, x = np.mgrid[:size, :size] + 0.5
    return ((2 * (x - column) / length) ** 2 + (3 * (y - row) / length) ** 2 <= 1)[..., np.newaxis]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="canvas, px")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tumour", type=int, default=48, help="length of the tumours, px")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    size, batch = arguments.size, arguments.batch
    rng = np.random.default_rng(0)
    image = tf.constant(rng.uniform(size=(batch, size, size, 1)), tf.float32)
    mask = tf.constant(np.stack([tumour(size, arguments.tumour, rng) for _ in range(batch)]), tf.float32)
    label = tf.constant(np.arange(batch) % 2, tf.float32)
    runs = variants(size, image, mask, label)
    times = {name: [] for name in runs}
    for repeat in range(arguments.repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda t: t.numpy() if tf.is_tensor(t) else t, run())
            if repeat >= 2:  # the first two trace and warm up
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"{size}x{size}, batch {batch}, tumours of {arguments.tumour} px, {os.cpu_count()} cores, "
        f"median of {arguments.repeats}\n"
    )
    print(f"{'':32}{'ms':>8}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:32}{1000 * median:8.0f}{median / medians[REFERENCE]:8.2f}")
    print()
    print(
        json.dumps(
            {
                name: {"median_s": round(median, 5), "ratio": round(median / medians[REFERENCE], 3)}
                for name, median in medians.items()
            }
        )
    )


if __name__ == "__main__":
    main()
