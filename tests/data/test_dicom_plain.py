"""The quick way to read a header says what pydicom says, or leaves the file to it."""

from dataclasses import asdict

import numpy as np
import pytest
from dicom_damage import variants
from dicom_fixtures import L_SHAPE, Stack, write_as
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from fgf_keras.data.dicom.contents import FILE_TAGS, file_content
from fgf_keras.data.dicom.files import OpenedFile, header_by_pydicom, odd_values
from fgf_keras.data.dicom.plain import READ_SIZES, plain_header
from fgf_keras.data.refusal import DicomError

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
]


def quickly(path):
    """As it would be opened without pydicom, None where it would not."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        found = plain_header(stream, size, FILE_TAGS)
        return found and OpenedFile(found[0], found[1], size, size - found[2])


def by_pydicom(path):
    with path.open("rb") as stream:
        return header_by_pydicom(stream, path.stat().st_size, FILE_TAGS)


def outcome(opened, path):
    """Everything that is taken from a header, or the refusal."""
    try:
        content = file_content(opened, path)
    except DicomError as error:
        return error.kind, str(error)
    header = content.header
    if isinstance(header, DicomError):
        header = header.kind, str(header)
    elif header:
        header = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(header).items()}
    return *content[:-1], header, opened.transfer_syntax, opened.pixel_bytes


def agree(path):
    """Whether the file is read quickly; then both ways must say the same."""
    quick = quickly(path)
    if quick is None:
        return False
    with odd_values():
        assert outcome(quick, path) == outcome(by_pydicom(path), path)
    return True


@pytest.fixture
def stack(tmp_path):
    return Stack().write(tmp_path / "ct")


def structure_set(stack, path):
    contours = [stack.points(L_SHAPE, height) for height in stack.heights]
    frame, item = Dataset(), Dataset()
    frame.FrameOfReferenceUID, item.ROINumber = stack.frame, 1
    frame.RTReferencedStudySequence = [item]
    return stack.structure_set(path, [(1, "GTV", contours)], ReferencedFrameOfReferenceSequence=[frame])


def segmentation(stack, path):
    return stack.segmentation(path, [(1, i, np.eye(12, 16, dtype=bool)) for i in range(3)])


def ct(stack, path):
    stack.dataset(1, AcquisitionNumber="4", SeriesDescription="Thorax").save_as(path)
    return path


KINDS = {"CT": ct, "RTSTRUCT": structure_set, "SEG": segmentation}
CASES = [
    pytest.param(kind, syntax, id=f"{kind}-{syntax.name}")
    for kind in KINDS
    for syntax in SYNTAXES
    if kind == "CT" or not syntax.is_encapsulated
]


def set_lengths(dataset, undefined):
    """Write sequences and their items with or without lengths."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
                set_lengths(item, undefined)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("kind", "syntax"), CASES)
def test_ordinary_files_are_read_quickly_and_alike(stack, tmp_path, kind, syntax, undefined):
    dataset = dcmread(KINDS[kind](stack, tmp_path / "file"))
    set_lengths(dataset, undefined)
    assert agree(write_as(dataset, tmp_path / "file", syntax))


def test_a_deflated_file_is_left_to_pydicom(stack, tmp_path):
    path = write_as(stack.dataset(0), tmp_path / "file", DeflatedExplicitVRLittleEndian)
    assert quickly(path) is None
    assert outcome(by_pydicom(path), path)[1] == stack.sops[0]


def raw(dataset, keyword, vr, value):
    """An element with any bytes as its value."""
    tag = Tag(keyword)
    dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def private(dataset):
    block = dataset.private_block(0x0009, "MAKER", create=True)
    item = Dataset()
    item.PatientName = "x"
    block.add_new(1, "SQ", [item])
    block.add_new(2, "UN", b"12")
    set_lengths(dataset, True)


def icon(dataset):
    item = Dataset()
    item.Rows, item.Columns, item.SOPInstanceUID = 1, 1, "9.9.9"
    dataset.IconImageSequence = [item]
    set_lengths(dataset, True)


ODD = {
    "blanks around decimals": lambda ds: ds.update({"PixelSpacing": [" 0.9 ", " 7e-1"]}),
    "three spacings": lambda ds: ds.update({"PixelSpacing": ["1", "1", "1"]}),
    "no spacing": lambda ds: ds.update({"PixelSpacing": None}),
    "a word for a number": lambda ds: raw(ds, "PixelSpacing", "DS", b"0.9\\wide"),
    "a huge number": lambda ds: raw(ds, "SliceThickness", "DS", b"1e999 "),
    "not a number": lambda ds: raw(ds, "SliceThickness", "DS", b"nan "),
    "a comma": lambda ds: raw(ds, "SliceThickness", "DS", b"2,5 "),
    "ends in a backslash": lambda ds: raw(ds, "PixelSpacing", "DS", b"1\\1\\ "),
    "zeros behind decimals": lambda ds: raw(ds, "PixelSpacing", "DS", b"1\\1.0\0\0"),
    "a broken integer": lambda ds: raw(ds, "AcquisitionNumber", "IS", b"1.5 "),
    "a long integer": lambda ds: raw(ds, "AcquisitionNumber", "IS", b"99999999999 "),
    "frames": lambda ds: ds.update({"NumberOfFrames": 2}),
    "one frame": lambda ds: ds.update({"NumberOfFrames": 1}),
    "no frames": lambda ds: ds.update({"NumberOfFrames": None}),
    "rows of four bytes": lambda ds: raw(ds, "Rows", "US", b"\0\1\0\1"),
    "rows as text": lambda ds: raw(ds, "Rows", "IS", b"12"),
    "rows of unknown kind": lambda ds: raw(ds, "Rows", "UN", b"\x0c\0"),
    "no rows": lambda ds: raw(ds, "Rows", "US", b""),
    "blank behind an identifier": lambda ds: raw(ds, "StudyInstanceUID", "UI", b"1.2.3 "),
    "letters in an identifier": lambda ds: raw(ds, "StudyInstanceUID", "UI", b"1.2.x\0"),
    "two identifiers": lambda ds: raw(ds, "FrameOfReferenceUID", "UI", b"1.2\\1.3\0"),
    "no identifier": lambda ds: raw(ds, "SOPInstanceUID", "UI", b""),
    "zeros for an identifier": lambda ds: raw(ds, "SOPInstanceUID", "UI", b"\0\0"),
    "small letters": lambda ds: raw(ds, "Modality", "CS", b"ct"),
    "blank in front": lambda ds: raw(ds, "Modality", "CS", b" CT "),
    "blanks only": lambda ds: raw(ds, "Modality", "CS", b"  "),
    "two modalities": lambda ds: raw(ds, "Modality", "CS", b"CT\\MR "),
    "image type": lambda ds: ds.update({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    "one image type": lambda ds: ds.update({"ImageType": "LOCALIZER"}),
    "blanks between types": lambda ds: raw(ds, "ImageType", "CS", b"ORIGINAL \\ LOCALIZER "),
    "lossy": lambda ds: ds.update({"LossyImageCompression": "01"}),
    "two patients": lambda ds: raw(ds, "PatientID", "LO", b"A\\B "),
    "blanks around a patient": lambda ds: raw(ds, "PatientID", "LO", b"  A B  "),
    "no patient": lambda ds: raw(ds, "PatientID", "LO", b""),
    "Latin letters": lambda ds: ds.update({"SpecificCharacterSet": "ISO_IR 100", "PatientID": "Jörg"}),
    "controls of Latin": lambda ds: (
        ds.update({"SpecificCharacterSet": "ISO_IR 100"}),
        raw(ds, "PatientID", "LO", b"a\x85\xa0"),
    ),
    "Unicode": lambda ds: ds.update(
        {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "Schädel 胸"}
    ),
    "no Unicode": lambda ds: (
        ds.update({"SpecificCharacterSet": "ISO_IR 192"}),
        raw(ds, "PatientID", "LO", b"a\xff"),
    ),
    "Cyrillic": lambda ds: ds.update({"SpecificCharacterSet": "ISO_IR 144", "PatientID": "Иван"}),
    "Japanese": lambda ds: (
        ds.update({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}),
        raw(ds, "PatientID", "LO", b"\x1b$B;3ED\x1b(B"),
    ),
    "yen": lambda ds: (
        ds.update({"SpecificCharacterSet": "ISO_IR 13"}),
        raw(ds, "PatientID", "LO", b"a\\b~"),
    ),
    "no such characters": lambda ds: raw(ds, "SpecificCharacterSet", "CS", b"ISO_IR 999"),
    "eight bits without a character set": lambda ds: raw(ds, "PatientID", "LO", b"a\xe4"),
    "private": private,
    "icon": icon,
    "padding behind the pixels": lambda ds: ds.update({"DataSetTrailingPadding": b"\0" * 8}),
    "a large element": lambda ds: ds.update({"EncapsulatedDocument": bytes(READ_SIZES[0])}),
    "a very large element": lambda ds: ds.update({"EncapsulatedDocument": bytes(READ_SIZES[1])}),
    "no pixels": lambda ds: ds.pop("PixelData"),
    **{f"no {k}": lambda ds, k=k: ds.pop(k, None) for k in FILE_TAGS},
}


# What hospitals write every day must not take the slow way.
STILL_ORDINARY = {
    "blanks around decimals",
    "one frame",
    "blank behind an identifier",
    "blank in front",
    "image type",
    "blanks between types",
    "Latin letters",
    "Unicode",
    "private",
    "icon",
    "padding behind the pixels",
    "a large element",
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom while the odd values are written
@pytest.mark.parametrize("syntax", SYNTAXES[:3], ids=lambda s: s.name)
@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_read_alike_or_left_to_pydicom(stack, tmp_path, name, syntax):
    dataset = stack.dataset(1)
    # Else it depends on elements that are taken away.
    dataset["PixelData"].VR = "OW"
    ODD[name](dataset)
    quick = agree(write_as(dataset, tmp_path / "file", syntax))
    assert quick or name not in STILL_ORDINARY


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("kind", "syntax"), CASES)
def test_damaged_files_are_read_alike_or_left_to_pydicom(stack, tmp_path, rng, kind, syntax):
    dataset = dcmread(KINDS[kind](stack, tmp_path / "file"))
    set_lengths(dataset, True)
    path = write_as(dataset, tmp_path / "file", syntax)
    read = [agree(path) for _ in variants(path, rng, 60)]
    # Where the damage lies in what is not asked for, there is something to compare.
    assert sum(read) > 10


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_length_that_reads_like_a_value_representation_is_left_to_pydicom(stack, tmp_path):
    path = write_as(stack.dataset(0), tmp_path / "file", ImplicitVRLittleEndian)
    assert agree(path)
    data, first = path.read_bytes(), b"\x08\0\x16\0"
    at = data.index(first)
    # pydicom takes the letters AA for those of an explicit syntax.
    path.write_bytes(data[:at] + b"\x08\0\x01\0AA\0\0" + bytes(0x4141) + data[at:])
    assert not agree(path)


@pytest.mark.parametrize("behind", [b"\xfe\xff\x0d\xe0\0\0\0\0", b"\x28\0\x10\0\2\0\0\0\1\0", b"\0" * 5])
def test_what_has_no_place_at_the_end_is_left_to_pydicom(stack, tmp_path, behind):
    """The end of an item that never began, an element out of order, less than an element."""
    dataset = dcmread(structure_set(stack, tmp_path / "file"))
    set_lengths(dataset, True)
    path = write_as(dataset, tmp_path / "file", ImplicitVRLittleEndian)
    assert agree(path)
    path.write_bytes(path.read_bytes() + behind)
    assert not agree(path)


def test_characters_of_an_item_are_not_those_of_the_file(stack, tmp_path):
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    dataset = stack.dataset(0, SpecificCharacterSet="ISO_IR 100", ReferencedImageSequence=[item])
    raw(dataset, "PatientID", "LO", "Jörg ".encode())
    set_lengths(dataset, True)
    path = write_as(dataset, tmp_path / "file", ExplicitVRLittleEndian)
    agree(path)
    assert "JÃ¶rg" in file_content(quickly(path) or by_pydicom(path), path).key


def test_real_files_are_read_quickly_and_alike(real_data):
    files = [path for path in (real_data / "sts").rglob("*") if path.suffix == ".dcm"]
    assert files
    assert all(agree(path) for path in files)
    others = [p for p in real_data.rglob("*") if p.is_file() and "sts" not in p.parts]
    assert sum(agree(path) for path in others) > 10
