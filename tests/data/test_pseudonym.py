"""What patients are called in what is written."""

import re

import pytest

from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.errors import DataError


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.txt"
    path.write_text("0123456789abcdef0123\n", encoding="utf-8")
    return str(path)


UNSAFE = [
    "../x",
    "..",
    ".",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "",
    "a\0b",
    "x" * 300,
    "a\nb",
    "a.",
    "C:x",
    "~",
    "-",
]


@pytest.mark.parametrize("patient_id", UNSAFE)
def test_what_could_lead_out_of_a_folder_is_replaced(patient_id, tmp_path):
    name = Names(None).patient(patient_id)
    assert re.fullmatch(r"\w[\w-]*", name)
    assert len(name) <= 64
    (tmp_path / name).write_text("", encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_replaced_names_stay_apart():
    names = Names(None)
    assert len({names.patient(p) for p in UNSAFE}) == len(UNSAFE)


@pytest.mark.parametrize("patient_id", ["HN-CHUM-001", "phantom-0001", "12", "Ä 7", "a.b"])
def test_ordinary_ids_stay(patient_id):
    assert Names(None).patient(patient_id) == patient_id


def test_a_keyed_hash_depends_on_the_key_and_says_nothing(key, tmp_path):
    other = tmp_path / "other"
    other.write_text("another key of 20 by", encoding="utf-8")
    one, again, two = Names(key), Names(key), Names(str(other))
    assert one.patient("P-1") == again.patient("P-1") != two.patient("P-1")
    assert one.patient("P-1") != one.patient("P-2")
    assert re.fullmatch("p-[0-9a-f]{16}", one.patient("P-1"))
    assert re.fullmatch(r"2\.25\.\d{1,39}", one.uid("1.2.3"))
    assert one.uid("") == ""
    assert one.check == again.check != two.check
    assert Names(None).check is None
    # As computed with: printf 'patient\0P-1' | openssl dgst -sha256 -hmac 0123456789abcdef0123
    assert one.patient("P-1") == "p-7cda5c2cdf3a042d"


def test_a_key_that_is_missing_or_can_be_guessed_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Names(str(tmp_path / "none"))
    short = tmp_path / "short"
    short.write_text("secret\n" + " " * 20, encoding="utf-8")
    with pytest.raises(DataError, match="6 bytes"):
        Names(str(short))
