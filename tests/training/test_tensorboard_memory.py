"""What TensorBoard is shown of an epoch does not stay in memory."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# The fields of a picture alone, kept, would be 0.1 MB per patient and epoch; a graph traced anew, several MB
# per epoch.
EPOCHS, MARGIN_MB = 30, 6

PROGRAM = """
import gc, json, sys, tempfile
import keras, numpy as np
import fgf_keras
from fgf_keras.training.tensorboard.alignment import AlignmentSummaries
from fgf_keras.training.tensorboard.scalars import EpochScalars
from fgf_keras.training.tensorboard.writers import SummaryWriters

SIZE = 64
rng = np.random.default_rng(0)
masks = np.zeros((8, SIZE, SIZE, 1), np.uint8)
masks[:, 10:40, 20:50] = 1
images = rng.uniform(0, 1, masks.shape).astype(np.float32)
features = [fgf_keras.Brightness(), fgf_keras.Extent()]
network = fgf_keras.paper_cnn((SIZE, SIZE, 1), filters=[4], kernel_sizes=[3], pool_size=4, dense=[4])
model = fgf_keras.AlignmentModel(network, features)
model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))

def resident_mb():
    gc.collect()
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

class Resident(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []
    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(resident_mb())

resident = Resident()
with tempfile.TemporaryDirectory() as folder, SummaryWriters(folder) as writers:
    measuring = fgf_keras.AlignmentCallback(
        (images, masks),
        training=(images, masks),
        flow_every=1,
        batch_size=4,
        summaries=AlignmentSummaries(writers, labels=np.arange(8) % 2, null_draws=20, pictures_every=1),
    )
    model.fit(
        {"image": images, "mask": masks},
        np.arange(8) % 2,
        epochs=int(sys.argv[1]),
        callbacks=[measuring, EpochScalars(writers, model.feature_names), resident],
        verbose=0,
    )
print(json.dumps(resident.seen))
"""


def test_memory_does_not_grow_over_epochs():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(EPOCHS)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    resident = json.loads(done.stdout.splitlines()[-1])
    # The first half fills what allocators keep for later.
    assert max(resident[EPOCHS // 2 :]) - max(resident[: EPOCHS // 2]) < MARGIN_MB
