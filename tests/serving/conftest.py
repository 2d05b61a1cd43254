"""Tiny models, and what is asked of them."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from fgf_keras import AlignmentModel, Brightness, Extent, LogAspectRatio, export_saved_model, paper_cnn

SIZE = 16
SMALL = {"filters": (4, 4), "kernel_sizes": (3, 3), "pool_size": 2, "dense": (8,)}


@pytest.fixture(scope="session")
def make_model():
    """An `AlignmentModel` with random weights."""

    def make(classes=2, **choices):
        keras.utils.set_random_seed(2)
        classifier = paper_cnn((SIZE, SIZE, 1), classes=classes, **(SMALL | choices))
        return AlignmentModel(classifier, [Brightness(), Extent(), LogAspectRatio()], reward="none")

    return make


@pytest.fixture(scope="session")
def make_patients():
    """Images, masks and spacings of n patients; tumours of different places, sizes and shapes."""

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        image = rng.uniform(0, 1, (count, SIZE, SIZE, 1)).astype(np.float32)
        mask = np.zeros_like(image)
        for i in range(count):
            top, left = rng.integers(0, 5, 2)
            rows, columns = rng.integers(4, 11, 2)
            mask[i, top : top + rows, left : left + columns] = 1
        spacing = rng.uniform(0.5, 2, (count, 2)).astype(np.float32)
        return {"image": image, "mask": mask, "spacing": spacing}

    return make


@pytest.fixture(scope="session")
def exported(tmp_path_factory, make_model, make_patients):
    """A model and the folder of its export, one for all tests that change neither.

    Its threshold lies among the scores of `make_patients(7)`.
    """
    model, patients = make_model(), make_patients(7)
    logits = np.sort(model((patients["image"], patients["mask"])).numpy()[:, 0])
    path = tmp_path_factory.mktemp("exported") / "fgf" / "1"
    path.parent.mkdir()
    export_saved_model(
        model, path, threshold=float(logits[2:4].mean()), window_hu=(-50, 300), spacing_mm=(1.0, 1.5)
    )
    return model, path


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Runs Python where TensorFlow is and fgf_keras cannot be imported."""

    def run(program, *arguments):
        # -I keeps the working directory and PYTHONPATH out of the path; None makes a package unimportable.
        blocked = f"import sys\nsys.modules['fgf_keras'] = None\n{program}"
        return subprocess.run(
            [sys.executable, "-I", "-c", blocked, *map(str, arguments)],
            cwd=tmp_path_factory.mktemp("elsewhere"),
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            capture_output=True,
            text=True,
        )

    return run
