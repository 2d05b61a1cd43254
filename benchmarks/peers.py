"""The training step with reward beside PyTorch and JAX, and the flow beside Captum's integrated gradients.

The same network with the same weights, batch, loss (task - 0.1·Σ mean S_i, three features) and optimiser
(Adam) everywhere. PyTorch (double backprop) and JAX (gradient of a gradient, compiled) run in processes of
another environment, each asked in turn for one step while the others wait, on the same two cores. Neither has
the features: they are given the features' gradients, which do not depend on the network, as arrays, and need
not compute them. At the start, loss and all weight gradients of the first batch are compared with those in
float64; where they differ, the program ends with an error.

roi_reward_step computes the network in a window around the tumours, and all others on the whole canvas: an
exact algorithm against dense ones. Its time depends on the largest tumour of a batch, so several batches are
taken. Ratios are to Keras's plain step without reward (keras_plain_step). Beside the time on the wall stands
that of the cores, which depends less on what else the machine does.

The second table has times a patient, at the same number of gradient evaluations: integrated gradients of
Captum are a field that says which pixels made the score; the flow of fgf_keras follows the gradient to the
decision boundary and says which share of the way each feature explains (in a window, and on the canvas).

    make bench-peers ARGS='--masks hn_cnn/data'

At 512 px, batch 16, it needs about 20 GB of free memory: 12 GB of them PyTorch's, 6 GB JAX's.

Without --masks, tumours are ellipses on noise; with it, random batches of the cohort that configs/hn_cnn.yaml
describes, in that folder.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from measuring import compiled, features, network, tumour
from peer import Clock, Peer
from training_step import REFERENCE, keras_network

import fgf_keras
from fgf_keras.config import load_config
from fgf_keras.data.source import source_of
from fgf_keras.features.base import stack_gradients
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure

ROOT = Path(__file__).parent.parent
THREADS = 2
# Largest differences from float64: of the loss, relative, and of gradients, relative to the largest entry of
# each weight's. Gradients of biases are sums over millions of pixels, which not all
# add up with care in float32.
LOSS_TOLERANCE, KERNEL_TOLERANCE, BIAS_TOLERANCE = 1e-5, 1e-4, 1e-2


def on_two_cores():
    """Bind this process and those it starts, and TensorFlow's threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def phantom_batch(size, batch, length, rng):
    """Image, mask (B, H, W, 1) and label (B,), float32."""
    mask = np.stack([tumour(size, length, rng) for _ in range(batch)])
    return _float32(rng.uniform(size=mask.shape), mask, np.arange(batch) % 2)


def taken_batches(arguments):
    """As `phantom_batch`, several; and what they are."""
    size, batch, rng = arguments.size, arguments.batch, np.random.default_rng(0)
    if not arguments.masks:
        what = f"tumours of {arguments.tumour} px"
        return [phantom_batch(size, batch, arguments.tumour, rng) for _ in range(arguments.batches)], what
    words = [f"data.root={arguments.masks}", f"data.size={size}"]
    cohort = source_of(load_config(ROOT / "configs" / "hn_cnn.yaml", words)).cohort()
    picked = [cohort.select(rng.choice(len(cohort), batch, replace=False)) for _ in range(arguments.batches)]
    return [_float32(one.images, one.masks, one.labels) for one in picked], "the cohort's tumours"


def _float32(*arrays):
    return tuple(np.asarray(array, np.float32) for array in arrays)


def models(size):
    """Our steps, by the names of the JSON line."""
    result = {
        REFERENCE: keras_network(size),
        "reward_dense": fgf_keras.AlignmentModel(network(size), features(), evaluation="dense"),
        "roi_reward_step": fgf_keras.AlignmentModel(network(size), features(), evaluation="roi"),
    }
    return {name: compiled(model) for name, model in result.items()}


def timed(function, *arguments):
    """What a clock reads when the numbers are there."""
    clock = Clock()
    tf.nest.map_structure(lambda t: t.numpy() if tf.is_tensor(t) else t, function(*arguments))
    return clock.read()


def interleaved(runs, repeats):
    """What each run returned, a list; all take turns. The first round is not counted."""
    times = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            read = run()
            if repeat:
                times[name].append(read)
    return times


class Kept(keras.optimizers.SGD):
    """Keeps the gradients that it is given, and changes nothing."""

    def apply(self, grads, trainable_variables=None):
        """See Keras."""
        del trainable_variables
        self.kept = [gradient.numpy() for gradient in grads]


def our_gradients(model, inputs, label):
    """Loss and weight gradients of a training step."""
    model.compile(Kept(), keras.losses.BinaryCrossentropy(from_logits=True))
    logs = model.train_step((inputs, label))
    return float(logs["loss"]), model.optimizer.kept


def compare(found, exact):
    """Print how far loss and gradients of each name lie from exact ones; end the program where too far."""
    loss, gradients = exact
    for name, (other_loss, other) in found.items():
        assert [g.shape for g in other] == [g.shape for g in gradients]
        far = [float(abs(a - b).max() / abs(b).max()) for a, b in zip(other, gradients)]
        differences = {
            "loss": (abs(other_loss - loss) / abs(loss), LOSS_TOLERANCE),
            "kernels": (max(far[::2]), KERNEL_TOLERANCE),
            "biases": (max(far[1::2]), BIAS_TOLERANCE),
        }
        print(f"{name:32}" + "".join(f"{part:>10} {d:7.1e}" for part, (d, _) in differences.items()))
        for part, (difference, tolerance) in differences.items():
            if not difference <= tolerance:
                raise SystemExit(
                    f"{name} does not compute the same: {part} differ by {difference:.1e} from float64, and "
                    f"{tolerance:.0e} is allowed."
                )


def handed_over(batch, path):
    """Write for the peers what the classifier sees, and unit gradients of the features on the mask."""
    image, mask, label = batch
    seen = image * mask
    gradients = stack_gradients(features(), seen, mask).numpy()[..., 0] * mask[:, None, ..., 0]
    norms = np.sqrt((gradients**2).sum((2, 3), keepdims=True))
    unit = gradients / np.where(norms > 0, norms, 1)
    np.savez(path, seen=seen, mask=mask, features=unit, label=label)


def exactly(size, batch, reward):
    """Loss and weight gradients in float64, in a window (that is the whole canvas: see the tests)."""
    image, mask, label = (array.astype(np.float64) for array in batch)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    classifier = keras_network(size)
    model = fgf_keras.AlignmentModel(classifier, features(), reward=reward, evaluation="roi")
    keras.config.set_dtype_policy(before)
    classifier.set_weights(keras_network(size).get_weights())
    return our_gradients(model, {"image": image, "mask": mask}, label)


def check(size, batch, peers, folder):
    """Compare loss and gradients of everything, for the step with reward and for the plain one."""
    image, mask, label = batch
    found = {"sum": {}, "none": {}}
    for name, model in models(size).items():
        inputs = image * mask if name == REFERENCE else {"image": image, "mask": mask}
        found["none" if name == REFERENCE else "sum"][name] = our_gradients(model, inputs, label)
    for name, peer in peers.items():
        loss = peer.ask(do="gradients", name=name, out=f"{folder}/gradients.npz")["loss"]
        with np.load(f"{folder}/gradients.npz") as file:
            gradients = [file[key] for key in sorted(file, key=int)]
        found["sum" if "reward" in name else "none"][name] = loss, gradients
    print(f"{'differences from float64':32}")
    for reward, by_name in found.items():
        compare(by_name, exactly(size, batch, reward))


def steps(own, batch, peers):
    """Functions of no arguments that return what a clock reads, for a batch."""
    image, mask, label = batch
    runs = {}
    for name, model in own.items():
        inputs = image * mask if name == REFERENCE else {"image": image, "mask": mask}
        data = iter(tf.data.Dataset.from_tensors((inputs, label)).repeat())
        runs[name] = lambda model=model, data=data: timed(model.train_function, data)
    for name, peer in peers.items():
        runs[name] = lambda name=name, peer=peer: peer.ask(do="step", name=name)
    return runs


def explanations(size, batch, torch):
    """Functions as those of `steps`, and the gradient evaluations that each spends."""
    image, mask, _ = (tf.constant(array) for array in batch)
    spacing = tf.ones([len(image), 2])

    def flow(evaluation):
        # No further attempts, so that the number of evaluations is the same for all.
        measure = AlignmentMeasure(
            network(size),
            features(),
            image.shape[1:],
            mask_input=True,
            evaluation=evaluation,
            flow=Flow(steps=4, max_steps=8),
        )
        return measure.along_flow

    flows = {"flow_roi": flow("roi"), "flow_dense": flow("dense")}
    (evaluations,) = set(flows["flow_roi"](image, mask, spacing)["evaluations"].numpy().tolist())
    runs = {name: lambda f=f: timed(f, image, mask, spacing) for name, f in flows.items()}
    job = {"do": "attribute", "evaluations": evaluations}
    runs["captum_integrated_gradients"] = lambda: torch.ask(**job)
    return runs, evaluations


def medians(times):
    """Median seconds and seconds of the cores, by name."""
    return {
        name: {"median_s": _median(reads, "seconds"), "cpu_s": _median(reads, "cpu_seconds")}
        for name, reads in times.items()
    }


def _median(reads, key):
    return statistics.median(read[key] for read in reads)


def table(title, rows, reference):
    """Print rows, and give each its ratio to that of a name."""
    print(f"\n{title:32}{'ms':>10}{'ratio':>10}{'CPU ms':>10}{'ratio':>10}")
    for name, row in rows.items():
        row["ratio"], row["cpu_ratio"] = (row[key] / rows[reference][key] for key in ("median_s", "cpu_s"))
        print(
            f"{name:32}{1000 * row['median_s']:10.1f}{row['ratio']:10.3f}"
            f"{1000 * row['cpu_s']:10.1f}{row['cpu_ratio']:10.3f}"
        )


def step_table(rows, by_batch, peers):
    """Print the steps, and add to each row how it compares with the step in a window."""
    table("a training step", rows, REFERENCE)
    ours = rows["roi_reward_step"]
    ours["ratio_by_batch"] = by_batch
    print(f"\nroi_reward_step: ratio {min(by_batch):.3f} to {max(by_batch):.3f} over batches")
    for name in (name for name in peers if "reward" in name):
        rows[name]["times_roi"] = rows[name]["median_s"] / ours["median_s"]
        rows[name]["cpu_times_roi"] = rows[name]["cpu_s"] / ours["cpu_s"]
        print(
            f"{rows[name]['times_roi']:.0f} times as fast as {name}, {rows[name]['cpu_times_roi']:.0f} times "
            "by the seconds of the cores"
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="canvas, px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tumour", type=int, default=48, help="length of the tumours, px, without --masks")
    parser.add_argument("--masks", metavar="DIR", help="the cohort whose images and masks are taken")
    parser.add_argument("--batches", type=int, default=3, help="how many; window sizes differ between them")
    parser.add_argument("--repeats", type=int, default=3, help="counted, for each batch")
    parser.add_argument(
        "--peer", default=str(ROOT / ".venv-peers/bin/python"), help="Python with PyTorch and JAX"
    )
    arguments = parser.parse_args()
    if not Path(arguments.peer).exists():
        parser.error(f"there is no {arguments.peer}: `make bench-peers` makes that environment")
    on_two_cores()
    size = arguments.size
    batches, what = taken_batches(arguments)
    workers = [Peer(arguments.peer, "peer_torch.py"), Peer(arguments.peer, "peer_jax.py")]
    started = [worker.ask(do="start", threads=THREADS) for worker in workers]
    peers = {name: worker for worker, one in zip(workers, started) for name in one["steps"]}
    versions = ", ".join([f"TensorFlow {tf.__version__}", *(one["version"] for one in started)])
    print(f"{size}x{size}, batch {arguments.batch}, {what}, {THREADS} threads each, {versions}")
    print(f"{arguments.batches} batches, {arguments.repeats} steps on each; load {os.getloadavg()[0]:.1f}\n")
    own = models(size)
    for model in own.values():
        model.make_train_function()
    times, by_batch = {}, []
    with tempfile.TemporaryDirectory() as folder:
        weights = keras_network(size).get_weights()
        np.savez(f"{folder}/weights.npz", **{str(i): array for i, array in enumerate(weights)})
        for worker in workers:
            worker.ask(do="set_weights", path=f"{folder}/weights.npz")
        for number, batch in enumerate(batches):
            handed_over(batch, f"{folder}/batch.npz")
            for worker in workers:
                worker.ask(do="set_batch", path=f"{folder}/batch.npz")
            if not number:
                check(size, batch, peers, folder)
            found = interleaved(steps(own, batch, peers), arguments.repeats)
            for name, reads in found.items():
                times.setdefault(name, []).extend(reads)
            median = medians(found)
            by_batch.append(median["roi_reward_step"]["median_s"] / median[REFERENCE]["median_s"])
        rows = medians(times)
        step_table(rows, by_batch, peers)
        runs, evaluations = explanations(size, batches[0], workers[0])
        patients = medians(interleaved(runs, arguments.repeats))
    for worker in workers:
        worker.end()
    for row in patients.values():
        row.update({key: value / arguments.batch for key, value in row.items()})
    table(f"a patient, {evaluations} evaluations", patients, "flow_roi")
    print("\n" + json.dumps(_rounded({**rows, **patients})))


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else float(f"{value:.4g}")


if __name__ == "__main__":
    main()
