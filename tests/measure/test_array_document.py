"""What docs/arrays.md shows works: its blocks run in order, with PyTorch and JAX if they are there."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "arrays.md"


@pytest.fixture(scope="module")
def names():
    """The names that the blocks for PyTorch define."""
    pytest.importorskip("torch")
    names = {}
    for block in blocks():
        if "import jax" not in block:
            exec(compile(block, DOCUMENT.name, "exec"), names)
    return names


def blocks():
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_blocks_are_python():
    assert len(blocks()) == 4
    for block in blocks():
        compile(block, DOCUMENT.name, "exec")


def test_gradients_of_pytorch_have_the_shares_of_least_squares(names):
    frame = names["explanation"].to_frame()
    assert len(frame) == 20
    for k in range(20):
        z = names["score_gradients"][k].ravel().astype(np.float64)
        G = np.stack([g[k].ravel() for g in names["feature_gradients"].values()], axis=1).astype(np.float64)
        fitted = G @ np.linalg.lstsq(G, z, rcond=None)[0]
        assert frame["S_joint"].iloc[k] == pytest.approx(fitted @ fitted / (z @ z))


def test_tensors_need_not_be_converted(names):
    torch = pytest.importorskip("torch")
    features = {name: torch.from_numpy(array) for name, array in names["feature_gradients"].items()}
    arguments = {"scores": torch.from_numpy(names["logits"]), "batch_size": 7}
    frame = names["fgf_keras"].alignment(torch.from_numpy(names["score_gradients"]), features, **arguments)
    expected = names["explanation"].to_frame()
    for column in ("logit", "S_joint", "slope_contrast"):
        assert np.allclose(frame.to_frame()[column], expected[column], rtol=1e-9)


def test_paths_of_pytorch_end_on_the_boundary_and_add_up(names):
    frame = names["explanation"].to_frame()
    assert (frame["status"] == "reached").all()
    parts = frame.filter(regex="^contribution_(brightness|contrast)$").sum(axis=1) + frame["unexplained"]
    assert np.allclose(parts, names["logits"], atol=1e-3)
    assert frame["F_joint"].between(0, 1).all()


def test_gradients_of_jax_are_arrays_too(names):
    pytest.importorskip("jax")
    (block,) = (block for block in blocks() if "import jax" in block)
    exec(compile(block, DOCUMENT.name, "exec"), names)
    frame = names["jax_explanation"].to_frame()
    images = names["images"].movedim(1, -1).numpy().astype(np.float64)
    z = 1 - np.tanh(images) ** 2
    g = images - images.mean(axis=(1, 2, 3), keepdims=True)
    cosine = (z * g).sum(axis=(1, 2, 3)) ** 2 / ((z**2).sum(axis=(1, 2, 3)) * (g**2).sum(axis=(1, 2, 3)))
    assert np.allclose(frame["S_contrast"], cosine, atol=1e-5)
