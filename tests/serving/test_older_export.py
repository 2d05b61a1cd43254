"""What earlier versions exported can still be loaded, and answers as it did then."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from fgf_keras import load_saved_model
from fgf_keras.serving.description import FORMAT

ARCHIVES = sorted(Path(__file__).parent.glob("export_format_*.tar.gz"))


def test_every_format_is_kept():
    assert [path.name for path in ARCHIVES] == [f"export_format_{n}.tar.gz" for n in range(1, FORMAT + 1)]


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_an_earlier_export_answers_as_it_did(archive, tmp_path):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    model = load_saved_model(tmp_path / "export")
    assert model.description.features == {"brightness": "", "log_aspect_ratio": ""}
    assert model.description.window_hu == (-50, 300)
    asked, answered = (dict(np.load(tmp_path / "export" / f"{name}.npz")) for name in ("asked", "answered"))
    found = model.explain(asked["images"], asked["masks"], spacing=asked["spacing"])
    assert (found.status == 0).all()
    for name in ("logit", "gradient", "boundary"):
        assert np.allclose(getattr(found, name), answered.pop(name), atol=1e-6)
    assert {"S_joint", "F_joint", "F_brightness", "unique_log_aspect_ratio", "flow_residual"} < set(answered)
    for name, values in answered.items():
        assert np.allclose(found.shares[name], values, atol=1e-5), name
