"""The folder of prepared slices: whole or not there."""

import csv
import json

import numpy as np
import pytest

from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.errors import DataError

SETTINGS = {"size": 16, "slice": "middle", "spacing_mm": None}


def content(rng, number):
    record = {"patient_id": f"P{number}", "fingerprint": f"f{number}", "area": 1.5, "note": None}
    return (
        record,
        rng.normal(0, 300, (16, 16)).astype(np.float32),
        rng.integers(0, 2, (16, 16)).astype(np.uint8),
    )


def cohort(store):
    return [{"patient_id": name, "label": 1, "row": row} for name, row in store.rows().items()]


def test_what_is_added_is_read_back(tmp_path, rng):
    added = [content(rng, i) for i in range(5)]
    with SliceStore.writing(tmp_path / "s", SETTINGS) as store:
        for item in added:
            store.add(*item)
        store.reject([{"patient_id": "x", "stage": "file", "reason": "a, b\nc", "remedy": '"d"'}])
        store.finish(cohort(store), {"versions": {}})
    store = SliceStore.reading(tmp_path / "s")
    assert store.records == [record for record, _, _ in added]
    for row, (_, image, mask) in enumerate(added):
        found = store.slice(row)
        np.testing.assert_array_equal(found[0], image)
        np.testing.assert_array_equal(found[1], mask)
    assert [line["row"] for line in store.cohort()] == list("01234")
    with (tmp_path / "s" / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream))["reason"] == "a, b\nc"
    chunks = [p for p in (tmp_path / "s" / "slices.zarr" / "image" / "c").rglob("*") if p.is_file()]
    assert len(chunks) == 5


def finished(folder, rng, names=("P0", "P1", "P2")):
    with SliceStore.writing(folder, SETTINGS) as store:
        for i, name in enumerate(names):
            record, *pixels = content(rng, i)
            store.add(record | {"patient_id": name}, *pixels)
        store.finish(cohort(store), {"counts": {"patients": len(names)}})
    return folder / "cohort.csv"


CHANGES = {
    "cut at a line": lambda data: data[: data.index(b"P2")],
    "cut inside a line": lambda data: data[:-3],
    "emptied": lambda data: b"",
    "another label": lambda data: data.replace(b"P1,1", b"P1,0"),
    "saved with a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "saved with other separators": lambda data: data.replace(b",", b";"),
    "saved in Latin-1": lambda data: data.replace(b"P1", "Pö".encode("latin-1")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_is_not_as_it_was_written_is_refused(tmp_path, rng, change):
    table = finished(tmp_path / "s", rng)
    table.write_bytes(CHANGES[change](table.read_bytes()))
    with pytest.raises(DataError, match=r"cohort\.csv is not the table that was prepared.*fgf prepare"):
        SliceStore.reading(tmp_path / "s").cohort()


@pytest.mark.parametrize("change", ["cut at a line", "emptied", "saved in Latin-1"])
def test_tables_without_a_checksum_are_held_against_the_number_of_patients(tmp_path, rng, change):
    table = finished(tmp_path / "s", rng)
    file = tmp_path / "s" / "provenance.json"
    provenance = json.loads(file.read_text(encoding="utf-8"))
    del provenance["cohort.csv"]
    file.write_text(json.dumps(provenance), encoding="utf-8")
    assert len(SliceStore.reading(tmp_path / "s").cohort()) == 3
    table.write_bytes(CHANGES[change](table.read_bytes()))
    with pytest.raises(DataError, match=r"rows, but 3 patients were prepared|damaged"):
        SliceStore.reading(tmp_path / "s").cohort()


@pytest.mark.parametrize("name", ["../x", "/abs/x", "..", "", "a\\b", "a\nb", "x" * 300])
def test_an_id_that_leads_elsewhere_is_refused(tmp_path, rng, name):
    finished(tmp_path / "s", rng, names=["P0", name])
    with pytest.raises(DataError, match="an id names a file"):
        SliceStore.reading(tmp_path / "s").cohort()


@pytest.mark.parametrize("cut", ["no newline", "half a line", "pixels without a line", "half a chunk"])
def test_a_writer_that_was_killed_leaves_no_half_of_a_patient(tmp_path, rng, cut):
    folder = tmp_path / "s"
    added = [content(rng, i) for i in range(3)]
    with SliceStore.writing(folder, SETTINGS) as store:
        for item in added:
            store.add(*item)
    journal = folder / "patients.jsonl"
    data = journal.read_bytes()
    last = data.splitlines(keepends=True)[-1]
    if cut == "no newline":
        journal.write_bytes(data[:-1])
    elif cut == "half a line":
        journal.write_bytes(data[: -len(last) // 2])
    else:
        journal.write_bytes(data[: -len(last)])
        if cut == "half a chunk":
            chunk = folder / "slices.zarr" / "image" / "c" / "2" / "0" / "0"
            chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(DataError, match="not all prepared"):
        SliceStore.reading(folder)
    with SliceStore.writing(folder, SETTINGS) as store:
        assert list(store.rows()) == ["P0", "P1"]
        store.add(*added[2])
        store.finish(cohort(store), {})
    store = SliceStore.reading(folder)
    for row, (record, image, mask) in enumerate(added):
        assert store.records[row] == record
        np.testing.assert_array_equal(store.slice(row)[0], image)
        np.testing.assert_array_equal(store.slice(row)[1], mask)


def test_the_last_slice_of_a_patient_is_the_valid_one(tmp_path, rng):
    with SliceStore.writing(tmp_path / "s", SETTINGS) as store:
        for number in (0, 1, 0):
            store.add(*content(rng, number))
        assert store.rows() == {"P0": 2, "P1": 1}


def test_other_settings_are_refused_by_name(tmp_path, rng):
    with SliceStore.writing(tmp_path / "s", SETTINGS | {"size": 8}):
        pass  # nothing came of it, so that nothing is contradicted
    with SliceStore.writing(tmp_path / "s", SETTINGS) as store:
        store.add(*content(rng, 0))
    with (
        pytest.raises(DataError, match="slice: 'middle', now 'centroid'"),
        SliceStore.writing(tmp_path / "s", SETTINGS | {"slice": "centroid"}),
    ):
        pass


def test_nothing_is_written_among_other_things(tmp_path):
    (tmp_path / "letter.txt").write_text("dear colleague", encoding="utf-8")
    with pytest.raises(DataError, match="holds other things"), SliceStore.writing(tmp_path, SETTINGS):
        pass
    with pytest.raises(DataError, match="is a file"), SliceStore.writing(tmp_path / "letter.txt", SETTINGS):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_one_writer_at_a_time(tmp_path):
    with (
        SliceStore.writing(tmp_path / "s", SETTINGS),
        pytest.raises(DataError, match="Another process"),
        SliceStore.writing(tmp_path / "s", SETTINGS),
    ):
        pass


def test_what_is_no_store_or_damaged_is_refused(tmp_path, rng):
    with pytest.raises(DataError, match="holds no prepared slices"):
        SliceStore.reading(tmp_path)
    folder = tmp_path / "s"
    with SliceStore.writing(folder, SETTINGS) as store:
        store.add(*content(rng, 0))
        store.finish(cohort(store), {})
    chunk = folder / "slices.zarr" / "image" / "c" / "0" / "0" / "0"
    kept = chunk.read_bytes()
    chunk.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(DataError, match="Row 0"):
        SliceStore.reading(folder).slice(0)
    chunk.write_bytes(kept)
    for file in ("slices.zarr/image/zarr.json", "slices.zarr/zarr.json"):
        kept = (folder / file).read_bytes()
        (folder / file).write_bytes(b"{")
        with pytest.raises(DataError, match=r"slices\.zarr"):
            SliceStore.reading(folder)
        (folder / file).write_bytes(kept)
    with (folder / "patients.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"patient_id": "P9"}) + "\n")
    with pytest.raises(DataError, match="lists 2 slices but holds 1"):
        SliceStore.reading(folder)
    (folder / "provenance.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        SliceStore.reading(folder)
