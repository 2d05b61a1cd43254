"""A folder is sorted by its headers; what cannot be used is listed and stops nothing."""

import os
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from dicom_fixtures import L_SHAPE, Stack

from fgf_keras.data.dicom import contents
from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.refusal import DicomError
from fgf_keras.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Two patients' slices in one folder, the rest somewhere else."""
    one, two = Stack(), Stack("FFS")
    one.write(tmp_path / "a")
    for path in one.files:
        path.rename(path.with_name(f"x{path.name}"))
    other = {i: {"PatientID": "P-2", "PatientName": "SECRET^NAME"} for i in range(5)}
    two.write(tmp_path / "a", other)
    (tmp_path / "b" / "deep").mkdir(parents=True)
    one.structure_set(tmp_path / "b" / "deep" / "no_extension", [(1, "GTV", [one.points(L_SHAPE, 5)])])
    one.segmentation(tmp_path / "b" / "seg.txt", [(1, 2, np.ones((12, 16), bool))])
    return tmp_path, one, two


def test_files_are_grouped_by_what_they_say(folder):
    root, one, two = folder
    index = index_folder(root)
    assert {(e.patient_id, e.series_uid) for e in index.series} == {("P-1", one.series), ("P-2", two.series)}
    for entry, stack in ((e, one if e.series_uid == one.series else two) for e in index.series):
        assert [h.sop_uid for h in entry.stack().headers] == stack.sops
    assert [e.frame_of_reference_uids for e in index.structure_sets] == [(one.frame,)]
    assert [e.frame_of_reference_uids for e in index.segmentations] == [(one.frame,)]
    assert len(index.studies()[("P-1", one.study)]) == 3
    assert not index.rejected
    assert "SECRET" not in repr(index)


def test_the_order_depends_on_the_files_alone(folder):
    root, *_ = folder
    first = index_folder(root)
    assert [e.files for e in first.series] == [e.files for e in index_folder(root).series]
    assert all(e.files == sorted(e.files) for e in first.series)


def test_the_number_of_processes_changes_nothing(folder, monkeypatch):
    root, one, _ = folder
    (root / "a" / "zero.dcm").touch()
    one.dataset(0, SOPInstanceUID="1.2.3", PixelSpacing=None).save_as(root / "no_spacing.dcm")
    serial = index_folder(root)
    monkeypatch.setattr(contents, "PARALLEL_FROM", 1)
    monkeypatch.setattr(contents, "BATCH", 3)
    parallel = index_folder(root, n_jobs=2)
    assert parallel.rejected == serial.rejected
    assert len(serial.rejected) == 2
    assert parallel.studies().keys() == serial.studies().keys()
    for ours, theirs in zip(parallel.studies().values(), serial.studies().values()):
        assert [_plain(entry) for entry in ours] == [_plain(entry) for entry in theirs]


def _plain(entry):
    """All that an entry holds in a form that can be compared."""
    fields = asdict(entry)
    for header in fields["headers"]:
        header.update({k: v.tolist() for k, v in header.items() if isinstance(v, np.ndarray)})
    return fields


def test_files_carry_what_a_fingerprint_needs(folder):
    root, one, _ = folder
    entry = next(e for e in index_folder(root).series if e.series_uid == one.series)
    assert [uid for uid, _ in entry.instances] == [h.sop_uid for h in entry.headers]
    assert [size for _, size in entry.instances] == [path.stat().st_size for path in entry.files]
    one.dataset(1, RescaleIntercept="0").save_as(root / "y")
    entry = next(e for e in index_folder(root).series if e.series_uid == one.series)
    assert one.sops[1] not in dict(entry.instances)
    assert len(entry.instances) == len(entry.files) == 4


def test_the_description_of_a_series_is_kept_but_not_shown(tmp_path):
    described = {i: {"SeriesDescription": f"Thorax {i}"} for i in (0, 4)}
    described[2] = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Käfig"}
    stack = Stack().write(tmp_path, described)
    (entry,) = index_folder(tmp_path).series
    # The names of the files sort the other way round.
    assert entry.description == "Thorax 4"
    assert "Thorax" not in repr(entry)
    stack.files[4].unlink()
    (entry,) = index_folder(tmp_path).series
    assert entry.description == ""


def test_files_that_cannot_be_used_are_listed_and_stop_nothing(folder):
    root, one, _ = folder
    (root / "a" / "zero.dcm").touch()
    (root / "a" / "notes.txt").write_text(
        "no DICOM, but long enough to hold a preamble " * 5, encoding="utf-8"
    )
    (root / "a" / "short").write_bytes(b"x")
    (root / "a" / "dangling").symlink_to(root / "nowhere")
    os.mkfifo(root / "a" / "pipe")
    cut = one.dataset(0, SOPInstanceUID="1.2.3", SeriesInstanceUID="1.2.4")
    cut.save_as(root / "cut.dcm")
    (root / "cut.dcm").write_bytes((root / "cut.dcm").read_bytes()[:-100])
    one.dataset(0, SOPInstanceUID=None).save_as(root / "nameless.dcm", enforce_file_format=False)
    index = index_folder(root)
    assert len(index.series) == 3
    assert {r.path: r.kind for r in index.rejected} == {
        "a/zero.dcm": "empty",
        "a/notes.txt": "not_dicom",
        "a/short": "not_dicom",
        "a/dangling": "unreadable",
        "a/pipe": "unreadable",
        "cut.dcm": "truncated",
        "nameless.dcm": "missing_tag",
    }
    assert all(r.reason and r.remedy and r.path not in r.reason for r in index.rejected)


def test_a_series_that_lost_a_slice_does_not_pass_for_a_shorter_one(folder):
    root, _, two = folder
    # The last slice: without it the gaps are as even as before.
    last = root / "a" / "95.dcm"
    last.write_bytes(last.read_bytes()[:-50])
    index = index_folder(root)
    assert [(r.path, r.series_uid) for r in index.rejected] == [("a/95.dcm", two.series)]
    entry = next(e for e in index.series if e.series_uid == two.series)
    with pytest.raises(DicomError, match="1 of 5 files"):
        entry.stack()


def test_copies_count_once(folder):
    root, one, _ = folder
    shutil.copytree(root / "a", root / "backup")
    index = index_folder(root)
    assert {r.kind for r in index.rejected} == {"copy"}
    assert len(index.rejected) == 10
    assert next(e for e in index.series if e.series_uid == one.series).stack().shape == one.shape


def test_files_that_contradict_each_other_are_both_rejected(folder):
    root, one, _ = folder
    for name, intercept in (("y", "0"), ("z", "1")):
        one.dataset(1, RescaleIntercept=intercept).save_as(root / name)
    index = index_folder(root)
    assert [r.kind for r in index.rejected] == ["conflict"] * 3
    with pytest.raises(DicomError, match="3 of 7 files"):
        next(e for e in index.series if e.series_uid == one.series).stack()


def test_links_in_a_circle_end(folder):
    root, *_ = folder
    (root / "a" / "loop").symlink_to(root)
    (root / "b" / "again").symlink_to(root / "a")
    index = index_folder(root)
    assert not index.rejected
    assert [len(e.files) for e in index.series] == [5, 5]


def test_a_folder_that_does_not_exist():
    with pytest.raises(DataError, match=r"data\.root"):
        index_folder("/nowhere/at/all")
