"""A run on volumes from training to the report and back from the export, as a user starts it."""

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from fgf_keras.commands.explain_served import explain_images
from fgf_keras.config import load_config
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError
from fgf_keras.serving.load import load_saved_model
from tests.commands import command

VOLUMES = """
data:
  dimension: 3
  size: [8, 16, 16]
  spacing: [3.0, 1.0, 1.0]
  phantom: {patients: 40, prevalence: 0.4}
model: {filters: [4], kernel_sizes: [3], dense: []}
features: [brightness, extent]
reward: {kind: sum, weight: 0.1}
train: {epochs: 2, flow_patients: 2, pictures_patients: 1}
evaluate: {bootstrap: 100, noise_draws: 1, pictures: 2, flow: {steps: 2, max_steps: 4}, null_draws: 40}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, and its configuration."""
    folder = tmp_path_factory.mktemp("volumes")
    (folder / "volumes.yaml").write_text(VOLUMES, encoding="utf-8")
    done = command("train.py", "--config", "volumes.yaml", "run.dir=runs", cwd=folder)
    assert done.code == 0, done.err
    return folder / "runs" / "latest", load_config(folder / "volumes.yaml", [])


def test_the_folder_is_complete(run):
    folder, _ = run
    files = {path.name for path in (folder / "evaluation").iterdir()}
    whole = {"metrics.json", "patients.csv", "report.html", "report.md", "patients_mask.png"}
    whole |= {"behaviour.json", "controls.json", "collapse.json"}
    assert whole <= files
    data = json.loads((folder / "evaluation" / "data.json").read_text(encoding="utf-8"))
    assert data["dimension"] == 3


def test_the_report_speaks_of_volumes(run):
    report = (run[0] / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "a box of 8 × 16 × 16 voxels (slices, rows, columns) of 3 × 1 × 1 mm" in report
    assert "three slices through the centre of the tumour" in report
    assert "One slice per patient" not in report


def test_measurements_are_defined(run):
    patients = pd.read_csv(run[0] / "evaluation" / "patients.csv", index_col=0)
    assert patients["mask.S_joint"].between(0, 1).all()
    # The mask holds less than the box.
    assert (patients["image.gradient_norm"] >= patients["mask.gradient_norm"]).all()


def test_the_export_gives_the_same_numbers(run):
    folder, config = run
    served = load_saved_model(folder / "saved_model")
    assert served.description.image_shape == (8, 16, 16, 1)
    assert served.description.spacing_mm == (3.0, 1.0, 1.0)
    patients = pd.read_csv(folder / "evaluation" / "patients.csv", index_col=0)
    cohort = source_of(config).cohort()
    tested = patients.index[patients["split"] == "test"][:3]
    rows = [cohort.patient_id.tolist().index(name) for name in tested]
    explanation = served.explain(cohort.images[rows], cohort.masks[rows])
    assert explanation.gradient.shape == (3, 8, 16, 16, 1)
    frame = explanation.to_frame()
    for column in ("S_joint", "S_extent", "F_joint"):
        np.testing.assert_allclose(frame[column], patients.loc[tested, f"mask.{column}"], atol=1e-4)
    empty = served.predict(cohort.images[rows], np.zeros_like(cohort.masks[rows])).to_frame()
    assert (empty["status"] == "mask_empty").all()


def test_a_scan_is_explained_by_the_export(run, tmp_path):
    """A NIfTI scan of finer rows and columns, whose tumour has known values and extent."""
    grid = np.stack(np.meshgrid(np.arange(12) * 3.0, np.arange(60) * 0.5, np.arange(60) * 0.5, indexing="ij"))
    inside = ((grid - np.reshape([16.0, 15.0, 15.0], (3, 1, 1, 1))) ** 2).sum(axis=0) <= 6**2
    for name, values in (("image", np.where(inside, 90, -60)), ("mask", inside)):
        image = sitk.GetImageFromArray(values.astype(np.int16))
        image.SetSpacing([0.5, 0.5, 3.0])
        sitk.WriteImage(image, tmp_path / f"{name}.nii.gz")
    out = explain_images(
        run[0] / "saved_model", tmp_path / "image.nii.gz", tmp_path / "out", mask=tmp_path / "mask.nii.gz"
    )
    explained = json.loads((out / "image.json").read_text(encoding="utf-8"))
    assert explained["status"] == "ok"
    # A ball of radius r has extent r·√(3/5), and the border is a little darker than 90 HU.
    assert explained["value_extent"] == pytest.approx(6 * np.sqrt(0.6), rel=0.05)
    assert 70 < explained["value_brightness"] < 91
    assert (out / "image.png").stat().st_size > 1000


def test_slices_are_refused_by_a_model_of_volumes(run, tmp_path):
    (tmp_path / "slice.png").write_bytes(b"")
    with pytest.raises(DataError, match="takes volumes, and PNG files are slices"):
        explain_images(run[0] / "saved_model", tmp_path / "slice.png", tmp_path / "out")
