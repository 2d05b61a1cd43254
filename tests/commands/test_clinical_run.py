"""A run with clinical columns: trained, evaluated, exported, and applied to a cohort with other headers."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from commands import ROOT, _python, commands
from PIL import Image

import fgf_keras
from fgf_keras.config import parse_config
from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError
from fgf_keras.serving.load import load_saved_model

COLUMNS = [
    {"name": "stage", "order": ["T1", "T2", "T3", "T4"]},
    {"name": "volume", "log": True},
    {"name": "age", "missing": ["?"]},
    {"name": "site", "kind": "categorical"},
]
SIZE = 32


def write_cohort(root, headers, *, enlarged=1, missing="?"):
    """The phantom as a folder of PNG slices, with its columns under other headers and finer pixels."""
    config = {"size": SIZE, "phantom": {"patients": 60, "prevalence": 0.4}, "clinical": COLUMNS}
    cohort = source_of(parse_config({"seed": 1, "data": config})).cohort()
    (root / "slices").mkdir(parents=True)
    for name, image, mask in zip(cohort.patient_id, cohort.images[..., 0], cohort.masks[..., 0]):
        pixels = np.where(mask, np.maximum(1, np.round(255 * image)), 0).astype(np.uint8)
        pixels = np.kron(pixels, np.ones((enlarged, enlarged), np.uint8))
        Image.fromarray(pixels).save(root / "slices" / f"{name}.png")
    table = cohort.clinical.rename(columns=dict(zip(("stage", "volume", "age", "site"), headers)))
    table["Distant"] = cohort.labels
    table.to_csv(root / "labels.csv", sep=";", index_label="id", na_rep=missing)


def data(root, **changed):
    settings = {"source": "png", "root": str(root), "size": SIZE, "labels_file": "labels.csv"}
    return settings | {"image_folder": "slices"} | changed


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folder of a run and how each command on it ended."""
    folder = tmp_path_factory.mktemp("clinical")
    write_cohort(folder / "own", ["stage", "volume", "age", "site"])
    write_cohort(folder / "other", ["T stage", "Vol.", "Age", "Where"], enlarged=2, missing="n/a")
    config = {
        "data": data(folder / "own", clinical=COLUMNS),
        "model": {"filters": [4, 4], "kernel_sizes": [3, 3], "pool_size": 2, "dense": [8]},
        "features": ["brightness", "extent"],
        "train": {"epochs": 6, "flow_patients": 4, "learning_rate": 0.01, "null_draws": 20},
        "evaluate": {
            "bootstrap": 100,
            "noise_draws": 0,
            "nulls": ["smooth"],
            "null_draws": 40,
            "support": ["mask"],
            "collapse_draws": 2,
            "pictures": 1,
            "flow": {"max_steps": 8},
        },
        "run": {"dir": str(folder / "runs")},
    }
    config["evaluate"]["threshold"] = "validation_and_training"
    alone = {**config, "model": {**config["model"], "clinical": False}}
    alone["run"] = {"dir": str(folder / "alone")}
    alone["train"] = {**config["train"], "epochs": 1, "measure": False}
    renamed = [
        {"name": "stage", "column": "T stage"},
        {"name": "volume", "column": "Vol."},
        {"name": "age", "column": "Age", "missing": ["n/a"]},
        {"name": "site", "column": "Where"},
    ]
    finer = {"spacing": [0.5, 0.5]}
    external = data(folder / "other", clinical=renamed, **finer, spacing_mm=1.0)
    files = {
        "own": config,
        "alone": alone,
        "external": {"data": external},
        "coarse": {"data": {k: v for k, v in external.items() if k != "spacing_mm"}},
        "unknown": {"data": {**external, "clinical": [*renamed, "grade"]}},
        "headers": {"data": {**external, "clinical": renamed[:3]}},
    }
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run = folder / "runs" / "latest"
    evaluate = ("evaluate.py", "--run", run)
    ends = commands(
        {
            "train": ("train.py", "--config", folder / "own.yaml"),
            "alone": ("train.py", "--config", folder / "alone.yaml"),
            "evaluate alone": ("evaluate.py", "--run", folder / "alone" / "latest"),
            "evaluate": evaluate,
            **{name: (*evaluate, "--config", folder / f"{name}.yaml") for name in list(files)[2:]},
        },
        cwd=folder,
    )
    return folder, run.resolve(), ends


def test_a_second_evaluation_gives_the_same_numbers(ended):
    _, run, ends = ended
    assert ends["train"].code == 0, ends["train"].err
    assert ends["evaluate"].code == 0, ends["evaluate"].err
    trained, again = (json.loads((run / name).read_text(encoding="utf-8")) for name in METRICS)
    assert trained == again
    assert json.loads((run / "environment.json").read_text(encoding="utf-8"))["data"]["clinical"] == names_of(
        run
    )


METRICS = ("metrics.json", "evaluation/metrics.json")


def names_of(run):
    return ClinicalEncoding.of_json(json.loads((run / "clinical.json").read_text(encoding="utf-8"))).names


def test_a_network_of_the_image_alone_is_compared_with_the_columns(ended):
    folder, _, ends = ended
    assert [ends[name].code for name in ("alone", "evaluate alone")] == [0, 0], ends["alone"].err
    run = folder / "alone" / "latest"
    one, two = (
        json.loads((path / "metrics.json").read_text(encoding="utf-8")) for path in (run, run / "evaluation")
    )
    assert one == two
    assert set(one["bars"]["models"]) == {"area", "features", "clinical", "features_and_clinical"}
    assert "clinical" not in one["splits"]["test"]
    model = keras.models.load_model(run / "model.keras")
    assert len(model.classifier.inputs) == 1
    assert load_saved_model(run / "saved_model" / "1").description.clinical is None


def test_the_columns_stand_beside_the_features(ended):
    _, run, _ = ended
    names = names_of(run)
    assert names[:2] == ["stage", "volume"]
    assert {"age_missing", "site=larynx"} <= set(names)
    patients = pd.read_csv(run / "evaluation" / "patients.csv", index_col="patient_id")
    np.testing.assert_allclose(
        patients["image_logit"] + patients["clinical_logit"], patients["logit"], atol=1e-4
    )
    model = keras.models.load_model(run / "model.keras")
    kernel, bias = model.classifier.clinical_part.layers[-1].get_weights()
    values = patients[[f"clinical.value_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(patients["clinical_logit"], (values @ kernel + bias)[:, 0], atol=1e-4)
    train = (patients["split"] == "train").to_numpy()
    content = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["splits"]["test"]
    for k, name in enumerate(names):
        effect = kernel[k, 0] * values[train, k].std()
        assert content["clinical"]["effects"][name]["mean"] == pytest.approx(effect, abs=1e-4)
    assert set(content["population"]["ranks"]) == {"brightness", "extent", *names, "joint"}
    report = (run / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "are of the image part" in report
    assert "named features and clinical columns" in report
    assert "| site=larynx |" in report


def test_a_cohort_with_other_headers_and_pixels_is_evaluated_with_the_training_encoding(ended):
    _, run, ends = ended
    assert ends["external"].code == 0, ends["external"].err
    own = pd.read_csv(run / "evaluation" / "patients.csv", index_col="patient_id")
    other = pd.read_csv(run / "evaluation-external" / "patients.csv", index_col="patient_id").loc[own.index]
    clinical = [name for name in own if name.startswith("clinical")]
    assert len(clinical) > 10
    pd.testing.assert_frame_equal(other[clinical], own[clinical])
    # The same slices after enlargement and resampling: the image part differs by interpolation alone.
    spread = own["image_logit"].std()
    assert (other["image_logit"] - own["image_logit"]).std() < 0.5 * spread
    assert np.corrcoef(other["image_logit"], own["image_logit"])[0, 1] > 0.9


def test_what_does_not_fit_the_training_says_what_to_do(ended):
    _, _, ends = ended
    for name, words in {
        "coarse": ["[0.5, 0.5] mm", "data.spacing_mm=1"],
        "unknown": ["grade is no clinical column of the training", "stage, volume, age, site"],
        "headers": ["no column 'site'", "data.clinical"],
    }.items():
        assert ends[name].code in (1, 2), name
        for word in words:
            assert word in ends[name].err, name
        assert "Traceback" not in ends[name].err


def test_the_export_says_how_columns_are_encoded(ended):
    folder, run, _ = ended
    served = load_saved_model(run / "saved_model")
    assert served.description.clinical["names"] == names_of(run)
    config = parse_config({"data": data(folder / "own", clinical=COLUMNS)})
    cohort = source_of(config).cohort()
    patients = pd.read_csv(run / "evaluation" / "patients.csv", index_col="patient_id").loc[cohort.patient_id]
    inputs = {"image": cohort.images, "clinical": served.encoded(cohort.clinical)}
    table = served.explain(inputs, cohort.masks).to_frame()
    np.testing.assert_allclose(table["logit"], patients["logit"], atol=1e-3)
    np.testing.assert_allclose(table["S_joint"], patients["mask.S_joint"], atol=1e-3)
    with pytest.raises(DataError, match="takes the inputs image, clinical"):
        served.predict(cohort.images, cohort.masks)
    with pytest.raises(DataError, match="Not in the table: age"):
        served.encoded(cohort.clinical.drop(columns="age"))
    anew = fgf_keras.explain(run / "saved_model" / "1", inputs, cohort.masks, features="brightness")
    np.testing.assert_allclose(anew.to_frame()["logit"], patients["logit"], atol=1e-3)


def test_fgf_explain_takes_the_table(ended):
    folder, run, _ = ended
    explain = ("-m", "fgf_keras", "explain", "--saved-model", run / "saved_model")
    own = (*explain, "--images", folder / "own" / "slices", "--out", folder / "explained")
    environment = {"PYTHONPATH": str(ROOT)}

    def ran(*arguments):
        return _python([*map(str, arguments)], folder, environment)

    code, _, err = ran(*own)
    assert code == 1
    assert "--clinical FILE" in err
    assert "Traceback" not in err
    code, _, err = ran(*own, "--clinical", folder / "own" / "labels.csv")
    assert code == 0, err
    patients = pd.read_csv(run / "evaluation" / "patients.csv", index_col="patient_id")
    for name in patients.index[:5]:
        content = json.loads((folder / "explained" / f"{name}.json").read_text(encoding="utf-8"))
        assert content["logit"] == pytest.approx(patients.loc[name, "logit"], abs=1e-3)
