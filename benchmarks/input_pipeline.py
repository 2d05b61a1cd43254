"""From prepared slices to training steps: reading, batches, waiting for them, memory, and the start.

Phantom patients are written as DICOM and prepared into a store, as a user would: slices of --drawn pixels on
a canvas of --size, so that tumours have the size of real ones. The store is read; batches
are drawn from it as whole canvases and as windows around the tumours, which is what training uses, with and
without augmentation; a training loop says how much of its time it waits for the next batch, and how much
memory it has before and after its epochs; and train.py is started on the store in a process of its own, until
its first training step is done.

    python benchmarks/input_pipeline.py [--patients 160] [--size 512] [--drawn 192] [--batch 16] [--epochs 5]
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fgf_keras.config import load_config

CONFIGS = Path(__file__).parent.parent / "configs"


def training_config(store, size, *more):
    words = ["data.source=prepared", f"data.root={store}", f"data.size={size}", "protocol.arms=[]"]
    splits = ["data.splits.test=0.3", "data.splits.validation=0.2", f"run.dir={store}-runs"]
    return load_config(CONFIGS / "hn_cnn.yaml", [*words, *splits, *more])


def prepared_phantom(folder, patients, size, drawn):
    """The folder of prepared slices."""
    from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom
    from fgf_keras.data.prepared.prepare import prepare

    root, store = Path(folder, "dicom"), Path(folder, "store")
    words = [f"data.root={root}", f"data.out={store}", f"data.size={size}"]
    config = load_config(CONFIGS / "phantom_dicom.yaml", [*words, f"data.phantom.patients={patients}"])
    write_phantom_dicom(
        root,
        config.data.phantom,
        size=drawn,
        spacing=config.data.spacing,
        seed=config.seed,
        slices=5,
        objects=["rtstruct"],
        n_jobs=os.cpu_count(),
    )
    prepare(config.data, n_jobs=os.cpu_count())
    return store


def resident_mb():
    """Memory of this process now."""
    return (
        int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        * os.sysconf("SC_PAGE_SIZE")
        / 1e6
    )


def seconds(function):
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def draw(dataset, epochs):
    for _ in dataset.repeat(epochs):
        pass


def epochs_of_batches(cohort, batch, augment, repeats):
    """Seconds of an epoch over the cohort, by (windows or canvases, augmented or not); interleaved."""
    import numpy as np

    from fgf_keras.data.dataset import make_dataset

    options = {"batch_size": batch, "seed": 0, "training": True}
    datasets = {
        f"{shape}{'_augmented' if how else ''}": make_dataset(
            cohort, np.arange(len(cohort)), augment=how, windows=shape == "windows", **options
        )
        for how in (None, augment)
        for shape in ("canvases", "windows")
    }
    times = {name: [] for name in datasets}
    for repeat in range(repeats + 1):
        for name, dataset in datasets.items():
            # Windows take so little that one epoch would measure its beginning.
            count = 20 if name.startswith("windows") else 1
            taken = seconds(functools.partial(draw, dataset, count)) / count
            if repeat:  # the first traces and warms up
                times[name].append(taken)
    shape = datasets["windows_augmented"].element_spec[0]["image"].shape
    return {name: statistics.median(values) for name, values in times.items()}, shape[1:3]


def training_loop(config, cohort, epochs):
    """Median seconds of a step, share of waiting, and memory (MB) after each epoch."""
    import keras
    import numpy as np
    import tensorflow as tf

    from fgf_keras.data.dataset import make_dataset
    from fgf_keras.training.build import build_model

    keras.utils.set_random_seed(0)
    model = build_model(config, cohort.images.shape[1:], cohort.class_count)
    dataset = make_dataset(
        cohort,
        np.arange(len(cohort)),
        batch_size=config.train.batch_size,
        seed=0,
        augment=config.data.augment,
        training=True,
        windows=True,
    )
    # The last batch of an epoch may be smaller.
    step = tf.function(model.train_step, reduce_retracing=True)
    batches = iter(dataset.repeat())
    waiting, steps, memory = 0.0, [], []
    for epoch in range(epochs + 1):
        for _ in range(len(dataset)):
            begun = time.perf_counter()
            batch = next(batches)
            got = time.perf_counter()
            step(batch)["loss"].numpy()
            if epoch:  # the first traces
                waiting += got - begun
                steps.append(time.perf_counter() - begun)
        memory.append(resident_mb())
    return statistics.median(steps), waiting / sum(steps), memory


def first_step(store, size):
    """Seconds from starting Python until the first training step is done."""
    begun = time.perf_counter()
    argv = [sys.executable, __file__, "--start", str(store), "--size", str(size)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line == STARTED:
                taken = time.perf_counter() - begun
                process.kill()
                return taken
    raise SystemExit("Training ended before its first step.")


STARTED = "The first step is done.\n"


def start(store, size):
    """What train.py does; says when the first training step is done."""
    from fgf_keras._backend import import_tensorflow
    from fgf_keras.commands.train import run_training

    import_tensorflow()
    import keras

    from fgf_keras.training import fit

    class Tell(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            print(STARTED, end="", flush=True)

    callbacks = fit._callbacks
    fit._callbacks = lambda *arguments: [*callbacks(*arguments), Tell()]
    run_training(training_config(store, size))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--size", type=int, default=512, help="canvas, px")
    parser.add_argument("--drawn", type=int, default=192, help="phantom slices, px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="of the training loop")
    parser.add_argument("--start", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = arguments.size
    if arguments.start:
        start(arguments.start, size)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = prepared_phantom(folder, arguments.patients, size, min(size, arguments.drawn))
        starts = [first_step(store, size) for _ in range(3)]
        from fgf_keras.data.source import source_of

        config = training_config(store, size, f"train.batch_size={arguments.batch}")
        reads = [seconds(lambda: source_of(config).cohort()) for _ in range(3)]
        cohort = source_of(config).cohort()
        epochs, window = epochs_of_batches(cohort, arguments.batch, config.data.augment, arguments.repeats)
        step, waiting, memory = training_loop(config, cohort, arguments.epochs)
    count = len(cohort)
    print(
        f"{count} patients of {size}x{size}, windows of {window[0]}x{window[1]}, batch {arguments.batch}, "
        f"{os.cpu_count()} cores, median of {arguments.repeats}\n"
    )
    rows = {
        "read_store": {"median_s": statistics.median(reads), "patients_a_s": count / statistics.median(reads)}
    }
    for name, median in epochs.items():
        canvases = epochs[name.replace("windows", "canvases")]
        rows[name] = {"median_s": median, "patients_a_s": count / median, "ratio": median / canvases}
    print(f"{'':24}{'patients/s':>12}{'ratio':>8}")
    for name, row in rows.items():
        print(f"{name:24}{row['patients_a_s']:12.0f}" + (f"{row['ratio']:8.3f}" if "ratio" in row else ""))
    rows["training_step"] = {"median_s": step, "waiting": waiting}
    rows["memory"] = {"first_epoch_mb": memory[0], "last_epoch_mb": memory[-1]}
    rows["first_step"] = {"median_s": statistics.median(starts)}
    print(f"\ntraining step {1000 * step:.0f} ms, of which waiting for data {100 * waiting:.2f} %")
    print(f"memory after each epoch: {', '.join(f'{mb:.0f}' for mb in memory)} MB")
    print(f"start of train.py to its first step: {statistics.median(starts):.1f} s\n")
    print(json.dumps({name: {k: round(v, 5) for k, v in row.items()} for name, row in rows.items()}))


if __name__ == "__main__":
    main()
