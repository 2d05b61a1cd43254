"""From a folder of DICOM to a store that training reads."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack, l_mask
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from fgf_keras.cli.main import app
from fgf_keras.config import parse_config
from fgf_keras.data.prepared.preparation import is_prepared
from fgf_keras.data.prepared.prepare import WORTH_A_PROCESS, prepare
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError

SIZE = 24


def write_patient(folder, number, *, patient_id=None, shape=(4, 12, 16)):
    """A patient whose files lie flat among those of the others."""
    patient_id = patient_id or f"P-{number:03d}"
    stack = Stack(shape=shape)
    stack.stored = np.random.default_rng(number).integers(900, 1400, stack.stored.shape)
    named = {"PatientID": patient_id, "PatientName": "Secret^Name", "PatientBirthDate": "19500101"}
    stack.write(folder / f"ct{number}", dict.fromkeys(range(shape[0]), named))
    drawn = [stack.points(L_SHAPE, h) for h in stack.heights[1:3]]
    regions = [(2, "GTV", drawn), (3, "Cord", drawn)]
    stack.structure_set(folder / f"rs{number}.dcm", regions, **named, SeriesDescription="Mrs Secret")
    return stack


def write_labels(folder, count, extra=""):
    rows = "".join(f"P-{i:03d};{i % 2}\n" for i in range(count))
    (folder / "labels.csv").write_text(f"id;label\n{rows}{extra}", encoding="utf-8")


def write_source(root, count):
    """A folder with patients and their labels."""
    for i in range(count):
        write_patient(root, i)
    write_labels(root, count)


def make_config(root, out, **keys):
    data = {
        "source": "dicom",
        "root": str(root),
        "out": str(out),
        "labels_file": "labels.csv",
        "id_column": "id",
        "label_column": "label",
        "size": SIZE,
        "roi": {"names": ["gtv"]},
        "window": [-124, 376],
    }
    return parse_config({"data": data | keys})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    stacks = [write_patient(root, i) for i in range(6)]
    write_labels(root, 6)
    return root, stacks


def tree(folder, *, without=()):
    """Every file with its bytes."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if name not in without}


def test_the_cohort_is_what_the_files_say(source, tmp_path):
    root, stacks = source
    config = make_config(root, tmp_path / "out")
    before = tree(root)
    done = prepare(config.data)
    assert (done.patients, done.positive, done.added, done.rejected) == (6, 3, 6, ())
    assert tree(root) == before
    cohort = source_of(config).cohort()
    assert cohort.patient_id.tolist() == [f"P-{i:03d}" for i in range(6)]
    assert cohort.labels.tolist() == [0, 1] * 3
    np.testing.assert_allclose(cohort.spacing, [[0.9, 0.7]] * 6)
    for i, stack in enumerate(stacks):
        inside = cohort.masks[i, ..., 0] > 0
        assert inside.sum() == l_mask((12, 16)).sum()
        hu = stack.stored[1][l_mask((12, 16))] - 1024.0
        np.testing.assert_allclose(
            cohort.images[i, ..., 0][inside], np.clip((hu + 124) / 500, 0, 1), atol=1e-6
        )
    assert cohort.images[:, 0, 0].max() == 0  # air beyond the image


def test_the_table_describes_what_was_chosen(source, tmp_path):
    root, stacks = source
    prepare(make_config(root, tmp_path / "out").data)
    store = SliceStore.reading(tmp_path / "out")
    with (tmp_path / "out" / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        line = next(csv.DictReader(stream))
    hu, mask = store.slice(0)
    assert line["source_series_uid"] == stacks[0].series
    assert (line["roi_object"], line["roi_names"], line["roi_numbers"]) == ("rtstruct", "GTV", "2")
    assert (line["slice_index"], line["row"], line["label"]) == ("1", "0", "0")
    assert float(line["z_mm"]) == pytest.approx(stacks[0].position(1)[2])
    assert [float(line[f"spacing_{a}_mm"]) for a in "zyx"] == [2.5, 0.9, 0.7]
    assert int(line["pixels"]) == mask.sum()
    assert float(line["area_mm2"]) == pytest.approx(mask.sum() * 0.63)
    assert float(line["mean_hu"]) == pytest.approx(hu[mask > 0].mean())
    row, column, rows, columns = (int(line[f"box_{k}"]) for k in ("row", "column", "rows", "columns"))
    assert mask[row : row + rows, column : column + columns].sum() == mask.sum()
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["counts"] == {"patients": 6, "positive": 3, "left_out": {"patients": {}, "files": 0}}
    assert provenance["settings"]["roi"]["names"] == ["gtv"]


def test_nothing_that_names_a_person_is_written(source, tmp_path):
    root, _ = source
    prepare(make_config(root, tmp_path / "out").data)
    written = b"".join(tree(tmp_path / "out").values())
    for secret in (b"Secret", b"19500101", str(root).encode()):
        assert secret not in written


def test_several_processes_write_the_same_store(source, tmp_path, monkeypatch):
    root, _ = source
    monkeypatch.setitem(WORTH_A_PROCESS, "dicom", 1)
    prepare(make_config(root, tmp_path / "one").data, n_jobs=1)
    prepare(make_config(root, tmp_path / "two").data, n_jobs=2)
    unlike = ("provenance.json",)  # holds the time
    assert tree(tmp_path / "one", without=unlike) == tree(tmp_path / "two", without=unlike)


def test_only_what_is_missing_or_changed_is_done(tmp_path):
    root = tmp_path / "root"
    for i in range(3):
        write_patient(root, i)
    write_labels(root, 4)
    config = make_config(root, tmp_path / "out")
    assert prepare(config.data).added == 3
    store = SliceStore.reading(tmp_path / "out")
    kept = [store.slice(i)[0] for i in range(3)]
    assert prepare(config.data).added == 0
    write_patient(root, 3)
    assert prepare(config.data).added == 1
    stack = write_patient(root, 1)
    done = prepare(config.data)
    assert (done.patients, done.added) == (4, 1)
    store = SliceStore.reading(tmp_path / "out")
    assert [line["row"] for line in store.cohort()] == ["0", "4", "2", "3"]
    np.testing.assert_array_equal(store.slice(0)[0], kept[0])
    assert store.cohort()[1]["source_series_uid"] == stack.series
    again = source_of(config).cohort()
    assert again.patient_id.tolist() == [f"P-{i:03d}" for i in range(4)]
    # Whatever came first, the cohort is that of a fresh start.
    fresh = source_of(make_config(root, tmp_path / "fresh")).cohort()
    assert fresh.fingerprint() == again.fingerprint()


def test_a_patient_whose_files_break_leaves_the_cohort(tmp_path):
    root = tmp_path / "root"
    write_source(root, 2)
    config = make_config(root, tmp_path / "out")
    prepare(config.data)
    (root / "rs1.dcm").write_bytes((root / "rs1.dcm").read_bytes()[:-9])
    done = prepare(config.data)
    assert done.patients == 1
    assert {(r.patient_id, r.stage) for r in done.rejected} == {("P-001", "file"), ("P-001", "region")}


def test_what_is_wrong_is_listed_and_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(WORTH_A_PROCESS, "dicom", 1)
    root = tmp_path / "root"
    for i in range(7):
        write_patient(root, i)
    write_labels(root, 6, "P-100;1\n")  # no row for P-006, no files for P-100
    text = (root / "labels.csv").read_text(encoding="utf-8")
    (root / "labels.csv").write_text(text.replace("P-005;1", "P-005;"), encoding="utf-8")
    slices = sorted((root / "ct1").iterdir())
    slices[1].write_bytes(slices[1].read_bytes()[:-9])  # truncated pixels
    (root / "rs2.dcm").unlink()
    (root / "empty.dcm").write_bytes(b"")
    (root / "letter").write_text("dear colleague", encoding="utf-8")
    out = tmp_path / "out"
    done = prepare(make_config(root, out).data, n_jobs=2)
    assert done.patients == 3
    with (out / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        rejected = list(csv.DictReader(stream))
    found = {(r["patient_id"], r["stage"]) for r in rejected}
    assert found == {
        ("P-001", "file"),
        ("P-001", "series"),
        ("P-002", "region"),
        ("P-005", "label"),
        ("P-006", "label"),
        ("P-100", "file"),
        ("", "file"),
    }
    assert all(r["reason"] and r["remedy"] for r in rejected)
    assert "5 patients (file: 1, label: 2, series: 1, region: 1) and 2 files" in done.summary()


def test_nobody_left_is_an_error_that_says_why(tmp_path):
    root = tmp_path / "root"
    write_patient(root, 0)
    write_labels(root, 2)
    config = make_config(root, tmp_path / "out", roi={"names": ["tumour"]})
    with pytest.raises(DataError, match="No region fits 'tumour'"):
        prepare(config.data)
    with pytest.raises(DataError, match="not all prepared"):
        SliceStore.reading(tmp_path / "out")
    assert "2 'GTV', 3 'Cord'" in (tmp_path / "out" / "rejected.csv").read_text(encoding="utf-8")


def test_a_tumour_larger_than_the_canvas_is_rejected(source, tmp_path):
    root, _ = source
    config = make_config(root, tmp_path / "out", size=16, spacing_mm=0.2)
    with pytest.raises(DataError, match=r"more than the canvas of 16x16"):
        prepare(config.data)


def test_ids_can_be_pseudonyms(source, tmp_path):
    root, stacks = source
    (tmp_path / "key").write_text("0123456789abcdef", encoding="utf-8")
    (root / "other.txt").write_text("no DICOM", encoding="utf-8")
    config = make_config(root, tmp_path / "out", pseudonymise=str(tmp_path / "key"))
    prepare(config.data)
    (root / "other.txt").unlink()
    written = b"".join(data for name, data in tree(tmp_path / "out").items() if "slices.zarr" not in name)
    assert b"P-00" not in written
    assert not any(stack.series.encode() in written for stack in stacks)
    assert b"0123456789abcdef" not in written
    names = source_of(config).cohort().patient_id
    assert len(set(names)) == 6
    assert all(name.startswith("p-") for name in names)
    (tmp_path / "key").write_text("another key of 20 by", encoding="utf-8")
    with pytest.raises(DataError, match="other settings"):
        prepare(config.data)


def test_patients_who_were_not_followed_long_enough_are_left_out_with_the_reason(tmp_path):
    root = tmp_path / "source"
    write_source(root, 4)
    lines = ["id;label;event;followed", "P-000;0;;900", "P-001;1;200;900", "P-002;0;;300", "P-003;1;800;900"]
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    endpoint = {"days": 730, "event_days": "event", "follow_up_days": "followed"}
    config = make_config(root, tmp_path / "out", endpoint=endpoint)
    prepare(config.data, n_jobs=1)
    cohort = source_of(config).cohort()
    assert dict(zip(cohort.patient_id.tolist(), cohort.labels.tolist())) == {
        "P-000": 0,
        "P-001": 1,
        "P-003": 0,
    }
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as file:
        (rejected,) = csv.DictReader(file)
    assert rejected["patient_id"] == "P-002"
    assert "followed for 300 of 730 days" in rejected["reason"]


def test_other_labels_need_no_other_slices(tmp_path):
    root = tmp_path / "root"
    for i in range(3):
        write_patient(root, i)
    (root / "labels.csv").write_text("id;label;death\nP-000;0;1\nP-001;1;1\nP-002;1;0\n", encoding="utf-8")
    prepare(make_config(root, tmp_path / "out").data)
    assert source_of(make_config(root, tmp_path / "out", label_column="death")).cohort().labels.tolist() == [
        1,
        1,
        0,
    ]
    assert len(SliceStore.reading(tmp_path / "out")) == 3


def test_nothing_is_written_into_the_source(source):
    root, _ = source
    for out in (root, root / "deep" / "er"):
        with pytest.raises(DataError, match="nothing is ever written"):
            prepare(make_config(root, out).data)
    assert not (root / "deep").exists()


def test_a_prepared_cohort_needs_its_source_no_more(source, tmp_path):
    root, _ = source
    config = make_config(root, tmp_path / "out")
    first = source_of(config).cohort()
    away = make_config(tmp_path / "gone", tmp_path / "out")
    assert source_of(away).cohort().fingerprint() == first.fingerprint()
    prepared = parse_config(
        {"data": {"source": "prepared", "root": str(tmp_path / "out"), "size": SIZE, "window": [-124, 376]}}
    )
    assert source_of(prepared).cohort().fingerprint() == first.fingerprint()
    with pytest.raises(DataError, match=r"Set data\.size=24"):
        source_of(parse_config({"data": {"source": "prepared", "root": str(tmp_path / "out")}})).cohort()


def run(*words, **kwargs):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", "fgf_keras", *words], env=environment, stderr=subprocess.DEVNULL, **kwargs
    )


def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path):
    root = tmp_path / "root"
    write_source(root, 40)
    file = tmp_path / "config.yaml"
    data = make_config(root, "-").data
    file.write_text(json.dumps({"data": data.model_dump(mode="json", exclude_unset=True)}), encoding="utf-8")

    def command(out):
        return ["prepare", "--config", str(file), f"data.out={out}", "--jobs", "1"]

    assert run(*command(tmp_path / "whole"), stdout=subprocess.DEVNULL).wait() == 0
    killed = run(*command(tmp_path / "out"), stdout=subprocess.DEVNULL)
    journal = tmp_path / "out" / "patients.jsonl"
    while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 5):
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = journal.read_bytes().count(b"\n")
    assert 5 <= done < 40
    with pytest.raises(DataError, match="not all prepared"):
        SliceStore.reading(tmp_path / "out")
    again = run(*command(tmp_path / "out"), stdout=subprocess.PIPE)
    output = again.communicate()[0].decode()
    assert f"{40 - done} prepared now" in output
    unlike = ("provenance.json",)
    assert tree(tmp_path / "out", without=unlike) == tree(tmp_path / "whole", without=unlike)


def test_the_command_refuses_sources_that_need_no_preparation(tmp_path):
    result = CliRunner().invoke(app, ["prepare", "--config", "configs/phantom.yaml"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "needs no preparation" in result.output


def test_a_table_that_changed_is_not_what_was_prepared(tmp_path):
    root = tmp_path / "root"
    write_source(root, 3)
    (root / "regions.csv").write_text(
        "Patient;name\n" + "".join(f"P-{i:03d};GTV\n" for i in range(3)), encoding="utf-8"
    )
    rule = {"table": {"file": "regions.csv", "name_columns": ["name"]}}
    config = make_config(root, tmp_path / "out", roi=rule)
    assert source_of(config).cohort().labels.tolist() == [0, 1, 0]
    (root / "labels.csv").write_text("id;label\nP-000;1\nP-001;1\nP-002;0\n", encoding="utf-8")
    assert source_of(config).cohort().labels.tolist() == [1, 1, 0]
    (root / "regions.csv").write_text("Patient;name\nP-000;GTV\nP-001;Cord\nP-002;GTV\n", encoding="utf-8")
    source_of(config).cohort()
    rows = SliceStore.reading(tmp_path / "out").cohort()
    assert [line["roi_names"] for line in rows] == ["GTV", "Cord", "GTV"]


def test_another_source_folder_is_another_cohort(tmp_path):
    for name, patients in {"one": (0, 1), "two": (1, 2)}.items():
        for i in patients:
            write_patient(tmp_path / name, i)
        write_labels(tmp_path / name, 3)
    assert source_of(make_config(tmp_path / "one", tmp_path / "out")).cohort().patient_id.tolist() == [
        "P-000",
        "P-001",
    ]
    assert source_of(make_config(tmp_path / "two", tmp_path / "out")).cohort().patient_id.tolist() == [
        "P-001",
        "P-002",
    ]


def test_what_is_accepted_is_a_part_of_what_was_prepared(tmp_path):
    root = tmp_path / "source"
    write_source(root, 4)
    whole = Stack(heights=[0, 2.5, 5, 7.5, 10, 12.5, 15], shape=(7, 12, 16))
    named = {index: {"PatientID": "P-000"} for index in range(7)}
    for path in [*(root / "ct0").iterdir(), root / "rs0.dcm"]:
        path.unlink()
    whole.write(root / "ct0", named)
    drawn = [whole.points(L_SHAPE, h) for h in whole.heights[1:4]]
    whole.structure_set(root / "rs0.dcm", [(2, "GTV", drawn)], PatientID="P-000")
    whole.files[2].unlink()  # inside the region
    for accept, patients in (([], 3), (["gaps"], 4), ([], 3)):
        config = make_config(root, tmp_path / "out", accept=accept)
        # As a training does it: prepared again only where it is not up to date.
        assert len(source_of(config).cohort()) == patients
        assert is_prepared(config.data)


def test_a_slice_that_got_lost_is_noticed(source, tmp_path):
    root, _ = source
    config = make_config(root, tmp_path / "out")
    prepare(config.data)
    (tmp_path / "out" / "slices.zarr" / "image" / "c" / "2" / "0" / "0").unlink()
    with pytest.raises(DataError, match=r"Row 2 .* is not what cohort\.csv says of patient P-002"):
        source_of(config).cohort()


def test_a_preparation_that_fails_leaves_the_store_as_it_was(source, tmp_path):
    root, _ = source
    config = make_config(root, tmp_path / "out")
    prepare(config.data)
    (root / "labels.csv").rename(root / "away.csv")
    with pytest.raises(DataError, match=r"labels\.csv"):
        prepare(config.data)
    (root / "away.csv").rename(root / "labels.csv")
    assert len(source_of(config).cohort()) == 6


def test_with_a_key_reasons_hold_no_identifiers_and_no_quotations(tmp_path):
    root = tmp_path / "root"
    write_patient(root, 0)
    stack = write_patient(root, 1)
    # Two slices on one plane: the reason names both.
    twin = stack.dataset(1, PatientID="P-001", ImagePositionPatient=[str(v) for v in stack.position(2)])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    twin.save_as(root / "twin")
    write_patient(root, 2)
    write_labels(root, 2, "P-002;Hans Mueller died\n")
    (tmp_path / "key").write_text("0123456789abcdef", encoding="utf-8")
    plain = make_config(root, tmp_path / "plain", roi={"pattern": "gtv"})
    prepare(plain.data)
    assert stack.sops[2] in (tmp_path / "plain" / "rejected.csv").read_text(encoding="utf-8")
    keyed = make_config(root, tmp_path / "out", roi={"pattern": "gtv"}, pseudonymise=str(tmp_path / "key"))
    prepare(keyed.data)
    written = b"".join(data for name, data in tree(tmp_path / "out").items() if "slices.zarr" not in name)
    assert b"2.25." in written
    for secret in (stack.sops[2].encode(), b"Mueller", b"GTV"):
        assert secret not in written


def test_an_out_that_cannot_be_a_folder_is_refused(source, tmp_path):
    root, _ = source
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        prepare(make_config(root, tmp_path / "file" / "out").data)
