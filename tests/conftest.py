"""Shared by all tests."""

import gc
import os
from pathlib import Path

# Before TensorFlow is imported: quiet, and no drawing on a screen.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

# Tracing makes many objects and no garbage; looking for it every 700 of them takes 5 to 18 % of the time.
gc.set_threshold(50_000)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def real_data():
    """The folder of real images with reference values; tests that need it skip where it is not given."""
    folder = os.environ.get("FGF_TEST_DATA")
    if not folder:
        pytest.skip("FGF_TEST_DATA is not set: it names the folder of real images and reference values")
    return Path(folder)
