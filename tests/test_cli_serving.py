"""From a run to a served model, and from a study to what that says: fgf export, explain, bench-serving."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from commands import TINY, command, commands
from PIL import Image
from typer.testing import CliRunner

from fgf_keras.cli import serving as cli_serving
from fgf_keras.cli.main import app
from fgf_keras.config import load_config
from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom
from fgf_keras.data.prepared.store import SliceStore

FGF = "fgf_keras/__main__.py"
DICOM = """
data:
  source: dicom
  root: dicom
  out: prepared
  labels_file: clinical.xlsx
  id_column: "Patient #"
  centre: image
  spacing_mm: 1.0
  roi: {table: {file: regions.xlsx}}
  splits: {test: 8, validation: 6}
"""
PATIENTS = 24
# Of shares.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a cohort of DICOM, a run that was trained on it, and a comparison."""
    place = tmp_path_factory.mktemp("serving")
    tree = TINY.replace("data:\n", DICOM.strip() + "\n", 1).replace("patients: 60", f"patients: {PATIENTS}")
    tree = tree.replace("bootstrap: 100", "bootstrap: 100, collapse: false, controls: false")
    (place / "tiny.yaml").write_text(tree, encoding="utf-8")
    data = load_config(place / "tiny.yaml").data
    write_phantom_dicom(place / "dicom", data.phantom, size=32, spacing=[1.0, 1.0], seed=0, slices=5)
    trained = command("train.py", "--config", "tiny.yaml", "run.dir=runs", cwd=place)
    assert trained.code == 0, trained.err
    shutil.copytree(place / "runs" / "latest", place / "compared")
    config = (place / "compared" / "config.yaml").read_text(encoding="utf-8")
    (place / "compared" / "config.yaml").write_text(
        config.replace("  repeats: 1\n", "  repeats: 2\n").replace("arms: []", "arms: [baseline, sum]"),
        encoding="utf-8",
    )
    return place


@pytest.fixture(scope="module")
def patient(place):
    """One of the test patients."""
    return patients_table(place).query("split == 'test'").index[0]


def patients_table(place):
    path = place / "runs" / "latest" / "evaluation" / "patients.csv"
    return pd.read_csv(path, index_col="patient_id", dtype={"patient_id": str})


@pytest.fixture(scope="module")
def done(place, patient):
    """What the commands do and refuse."""
    store = SliceStore.reading(place / "prepared")
    row = {line["patient_id"]: int(line["row"]) for line in store.cohort()}[patient]
    hu, mask = store.slice(row)
    for name, values in (("image", hu), ("mask", mask)):
        volume = sitk.GetImageFromArray(values[np.newaxis])
        sitk.WriteImage(volume, str(place / f"{name}.nii.gz"))
    windowed = np.clip((hu + 50) / 350, 0, 1)
    (place / "png").mkdir()
    Image.fromarray(np.where(mask, np.maximum(1, np.rint(255 * windowed)), 0).astype(np.uint8)).save(
        place / "png" / "one.png"
    )
    # A black slice has no tumour.
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(place / "black.png")
    served = ["--saved-model", "runs/latest/saved_model"]
    explain = [FGF, "explain", *served, "--images"]
    study = f"dicom/{patient}"
    return commands(
        {
            "next": [FGF, "export", "--run", "runs/latest"],
            "of a comparison": [FGF, "export", "--run", "compared"],
            "of nothing": [FGF, "export", "--run", "nowhere"],
            "study": [*explain, study, "--out", "study", "data.roi.pattern=gtv primary"],
            "cohort": [*explain, "dicom", "--out", "cohort"],
            "prepared": [*explain, "prepared", "--out", "prepared_out"],
            "volume": [*explain, "image.nii.gz", "--mask", "mask.nii.gz", "--out", "volume"],
            "png": [*explain, "png", "--out", "png_out"],
            "other window": [*explain, "prepared", "--out", "window", "--window", "-100", "200"],
            "no region": [*explain, study],
            "no mask": [*explain, "image.nii.gz"],
            "no images": [*explain, "nowhere"],
            "black": [*explain, "black.png"],
            "no file of ours": [*explain, "tiny.yaml"],
            "not of data": [*explain, "png", "seed=3"],
            "unknown key": [*explain, "png", "data.sizes=3"],
            "window upside down": [*explain, "png", "--window", "300", "-50"],
            "no model": [FGF, "explain", "--saved-model", "runs", "--images", "png"],
            "a file": [FGF, "explain", "--saved-model", "runs/latest/model.keras", "--images", "png"],
            "bench": [FGF, "bench-serving", *served, "--seconds", "0.01", "--requests", "100"],
            # Last: the highest version is what the others would take, and XLA takes its time.
            "seventh": [FGF, "export", "--run", "runs/latest", "--version", "7", "--jit-compile"],
            "seventh again": [FGF, "export", "--run", "runs/latest", "--version", "7"],
        },
        cwd=place,
    )


def told(place, folder, patient):
    return json.loads((place / folder / f"{patient}.json").read_text(encoding="utf-8"))


def test_an_export_is_the_next_version_or_the_one_that_is_asked_for(done, place):
    assert done["next"].code == 0, done["next"].err
    assert done["seventh"].code == 0, done["seventh"].err
    folders = {path.name for path in (place / "runs" / "latest" / "saved_model").iterdir()}
    assert folders == {"1", "2", "7"}
    assert "saved_model/2" in done["next"].out
    described = [
        json.loads(
            (place / f"runs/latest/saved_model/{n}/assets.extra/fgf_keras.json").read_text(encoding="utf-8")
        )
        for n in (1, 2, 7)
    ]
    assert described[0] == described[1]
    assert [one["jit_compile"] for one in described] == [False, False, True]


def test_the_description_holds_the_run_but_no_places(done, place):
    described = json.loads(
        (place / "runs/latest/saved_model/1/assets.extra/fgf_keras.json").read_text(encoding="utf-8")
    )
    metrics = json.loads((place / "runs/latest/metrics.json").read_text(encoding="utf-8"))
    assert described["threshold"]["logit"] == metrics["threshold"]["logit"]
    assert described["window_hu"] == [-50, 300]
    assert described["spacing_mm"] == [1.0, 1.0]
    assert described["config"]["features"][0]["name"] == "brightness"
    assert not {"root", "out", "pseudonymise"} & set(described["config"]["data"])
    assert "run" not in described["config"]


def test_what_cannot_be_exported_is_said(done):
    assert done["seventh again"].code == 1
    assert "saved_model/7 exists already" in done["seventh again"].err
    assert done["of a comparison"].code == 1
    assert "compared is a comparison" in done["of a comparison"].err
    assert "repeat_0/baseline" in done["of a comparison"].err
    assert done["of nothing"].code == 1
    assert "does not exist" in done["of nothing"].err


@pytest.mark.parametrize("folder", ["study", "cohort", "prepared_out", "volume"])
def test_a_patient_is_told_as_the_run_told_it_wherever_the_slice_is_from(done, place, patient, folder):
    command_name = {"prepared_out": "prepared"}.get(folder, folder)
    assert done[command_name].code == 0, done[command_name].err
    name = "image" if folder == "volume" else patient
    found = told(place, folder, name)
    expected = patients_table(place).loc[patient]
    assert found["status"] == "ok"
    assert found["logit"] == pytest.approx(expected["logit"], abs=CLOSE)
    assert found["class"] == expected["decision"]
    for key in ("S_brightness", "S_extent", "S_joint", "F_joint", "unique_extent"):
        assert found[key] == pytest.approx(expected[f"mask.{key}"], abs=CLOSE), key
    assert found["flow_status"] == expected["mask.status"]
    assert found["model"]["version"] == "2"
    with Image.open(place / folder / f"{name}.png") as picture:
        assert picture.size[0] > 600


def test_everybody_of_a_cohort_is_told(done, place):
    everybody = set(patients_table(place).index)
    for folder in ("cohort", "prepared_out"):
        assert {path.stem for path in (place / folder).glob("*.json")} == everybody
        assert {path.stem for path in (place / folder).glob("*.png")} == everybody
    assert len({path.name for path in (place / "study").glob("*.json")}) == 1
    assert sum(name in done["cohort"].out for name in everybody) == len(everybody)


def test_slices_of_eight_bits_differ_by_their_rounding(done, place, patient):
    assert done["png"].code == 0, done["png"].err
    found, expected = told(place, "png_out", "one"), patients_table(place).loc[patient]
    assert found["S_joint"] == pytest.approx(expected["mask.S_joint"], abs=0.02)
    assert found["logit"] == pytest.approx(expected["logit"], abs=0.05)


def test_another_window_makes_another_image(done, place, patient):
    assert done["other window"].code == 0, done["other window"].err
    assert abs(told(place, "window", patient)["logit"] - told(place, "prepared_out", patient)["logit"]) > 1e-4


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no region", "data.roi.names=[NAME]"),
        ("no mask", "needs --mask"),
        ("no images", "'nowhere' does not exist"),
        ("black", "without a single pixel above 0"),
        ("no file of ours", "is no PNG"),
        ("not of data", "overrides of data alone. Received: seed=3"),
        ("unknown key", "data.sizes"),
        ("window upside down", "--window must be low, then high"),
        ("no model", "not a whole SavedModel"),
        ("a file", "model.keras is exported by fgf export --run DIR"),
    ],
)
def test_what_cannot_be_explained_is_said(done, place, name, sentence):
    assert done[name].code == 1, done[name].out
    assert sentence in done[name].err
    assert "Traceback" not in done[name].err
    assert not (place / "explanations").exists()


def test_images_are_looked_for_before_tensorflow_is_loaded(monkeypatch):
    monkeypatch.setattr(cli_serving, "import_tensorflow", lambda: pytest.fail("TensorFlow is loaded"))
    result = CliRunner().invoke(app, ["explain", "--saved-model", "runs", "--images", "nowhere"])
    assert result.exit_code == 1
    assert "'nowhere' does not exist" in result.stderr


def test_a_benchmark_ends_in_a_line_of_json(done):
    assert done["bench"].code == 0, done["bench"].err
    tables = json.loads(done["bench"].out.strip().splitlines()[-1])
    throughput = tables["throughput"]
    assert {(row["signature"], row["batch"], row["callers"]) for row in throughput} == {
        (name, batch, callers)
        for name in ("serving_default", "explain")
        for batch in (1, 16)
        for callers in (1, 4, 16)
    }
    assert all(0 < row["p50_ms"] <= row["p99_ms"] and row["per_second"] > 0 for row in throughput)
    assert [row["requests"] for row in tables["memory"]] == list(range(0, 101, 10))
    cold, warm = tables["cold start"]
    assert cold["warmup_s"] < warm["warmup_s"]
    assert warm["first_explain_s"] < cold["first_explain_s"]
