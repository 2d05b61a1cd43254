"""Keep an export of this version, and its answers, for the tests of versions to come.

    python tests/serving/keep_export.py tests/serving/export_format_<FORMAT>.tar.gz

To be run where the format of exports changes, and never again for that format.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np

from fgf_keras import (
    AlignmentModel,
    Brightness,
    LogAspectRatio,
    export_saved_model,
    load_saved_model,
    paper_cnn,
)

SIZE = 16


def main(archive):
    keras.utils.set_random_seed(2)
    classifier = paper_cnn((SIZE, SIZE, 1), filters=(2,), kernel_sizes=(3,), pool_size=4, dense=(4,))
    model = AlignmentModel(classifier, [Brightness(), LogAspectRatio()], reward="none")
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (3, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros_like(images)
    masks[:, 4:12, 3:9] = 1
    spacing = np.float32([[1, 1], [1, 2], [0.5, 0.5]])
    with tempfile.TemporaryDirectory() as place:
        export = Path(place, "export")
        export_saved_model(model, export / "1", threshold=0.05, window_hu=(-50, 300), spacing_mm=(1, 1))
        explanation = load_saved_model(export).explain(images, masks, spacing=spacing)
        shares = {name: explanation.shares[name].to_numpy() for name in explanation.shares}
        fields = {name: getattr(explanation, name) for name in ("logit", "gradient", "boundary")}
        np.savez(export / "asked.npz", images=images, masks=masks, spacing=spacing)
        np.savez(export / "answered.npz", **shares, **fields)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(export, arcname="export")


if __name__ == "__main__":
    main(sys.argv[1])
