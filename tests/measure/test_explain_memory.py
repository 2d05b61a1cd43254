"""The memory of `explain` is that of a batch: neither patients nor draws nor flow steps add to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# On a busy machine the allocator opens more arenas, which are no memory of ours.
SURROUNDINGS = os.environ | {"MALLOC_ARENA_MAX": "2"}

# Measured growth is 0 to 9 MB, of graphs and allocator. With each case stands what holding fields would add.
MARGIN_MB = 16
# A busy machine can add 20 MB once, by threads that run at the same time; what is held grows every time.
ATTEMPTS = 3

PROGRAM = """
import gc, json, sys
import keras, numpy as np
from fgf_keras import Brightness, Flow, Nulls, explain

SIZE = 128
def peak_mb():
    # Not ru_maxrss, which starts from that of the parent: a large one would hide all growth.
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024

model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
image = np.random.default_rng(0).uniform(0, 1, (1, SIZE, SIZE, 1)).astype(np.float32)
mask = np.zeros((1, SIZE, SIZE, 1), np.uint8)
mask[:, 30:90, 40:80] = 1

def measured(patients, flow=None, nulls=None, **settings):
    settings |= {"flow": Flow(**(flow or {})), "nulls": Nulls(**(nulls or {}))}
    # A view: the input itself takes no memory, however many patients it has.
    images, masks = (np.broadcast_to(a, (patients, SIZE, SIZE, 1)) for a in (image, mask))
    explain(model, images, masks, features=[Brightness()], **settings)
    # The graphs of one call hold each other; without this they would add up over the calls.
    gc.collect()
    return peak_mb()

few, many, common = json.loads(sys.argv[1])
measured(**few, **common)
before = measured(**few, **common)
print(json.dumps(measured(**many, **common) - before))
"""


def growth_of(program, *argv, below):
    """MB that a program prints: the first below a limit, or the least of all attempts."""
    found = []
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [sys.executable, "-c", program, *argv],
            cwd=ROOT,
            env=SURROUNDINGS,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        if found[-1] < below:
            break
    return min(found)


@pytest.mark.parametrize(
    ("few", "many", "common", "held_mb"),
    [
        # One field of 64 kB for each of 600 more patients; noise features, tapes and paths would hold more.
        ({"patients": 40}, {"patients": 640}, {"batch_size": 8, "flow": {"max_steps": 8}}, 37),
        # One field for each of 62 more draws, times 16 patients of the batch.
        (
            {"noise_draws": 2},
            {"noise_draws": 64},
            {"patients": 16, "batch_size": 16, "flow": {"max_steps": 8}},
            62,
        ),
        # One field inside the mask (12 kB) for each of 3180 more draws of one null, for one patient.
        (
            {"nulls": {"kinds": ["smooth", "matched"], "draws": 20}},
            {"nulls": {"kinds": ["smooth", "matched"], "draws": 3200}},
            {"patients": 2, "noise_draws": 0, "flow": {"max_steps": 8}},
            38,
        ),
        # One field for each of 96 more steps, times 32 patients of the batch; four stages would hold four.
        # TensorFlow's pools grow by up to 28 MB from 2 to 32 steps, and by 35 to 128: so it begins with 32.
        (
            {"flow": {"steps": 32, "max_steps": 512}},
            {"flow": {"steps": 128, "max_steps": 512}},
            {"patients": 32, "batch_size": 32},
            190,
        ),
    ],
    ids=["patients", "noise draws", "null draws", "flow steps"],
)
def test_peak_memory_does_not_grow_with(few, many, common, held_mb):
    assert held_mb > 2 * MARGIN_MB
    assert growth_of(PROGRAM, json.dumps([few, many, common]), below=MARGIN_MB) < MARGIN_MB


def test_graphs_of_calls_do_not_add_up():
    """A classifier with gradients of its own: without care each call would leave its graphs, 40 MB."""
    program = (
        PROGRAM.split("few, many, common")[0]
        + """
from fgf_keras import paper_cnn

model = paper_cnn((SIZE, SIZE, 1), filters=[4, 8], kernel_sizes=[5, 3], pool_size=4, dense=[8])
before = [measured(2) for _ in range(2)][-1]
print(json.dumps([measured(2) for _ in range(3)][-1] - before))
"""
    )
    assert growth_of(program, below=MARGIN_MB) < MARGIN_MB
