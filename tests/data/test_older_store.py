"""Slices that version 0.1 prepared are the same patients today."""

import tarfile
from pathlib import Path

import pytest

from fgf_keras.config import parse_config
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.source import source_of

ARCHIVE = Path(__file__).parent / "prepared_0_1.tar.gz"
# Of the cohort, as version 0.1 read it.
FINGERPRINT = "413e850edcee285074843f060d0d1257a0a896dfff18415edd5c920fdcf61000"


@pytest.fixture
def store(tmp_path):
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "prepared"


def test_a_store_is_read_as_it_was_written(store):
    source = source_of(parse_config({"data": {"source": "prepared", "root": str(store), "size": 24}}))
    cohort = source.cohort()
    assert cohort.labels.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    assert cohort.fingerprint() == FINGERPRINT
    assert source.pixel_spacing() == [2.0, 2.0]


def test_every_slice_is_whole(store):
    reading = SliceStore.reading(store)
    for line in reading.cohort():
        hu, mask = reading.slice(int(line["row"]))
        assert hu.shape == mask.shape == (24, 24)
        assert mask.sum() == int(line["pixels"])
