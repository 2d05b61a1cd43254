"""Compressed slices hold the same Hounsfield units; what was lost is visible, what is missing is named."""

import numpy as np
import pytest
from dicom_fixtures import LOSSLESS, Stack, write_as
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from fgf_keras.data.dicom.jpeg import check_jpeg
from fgf_keras.data.dicom.series import read_series
from fgf_keras.data.dicom.slice_header import read_slice_header
from fgf_keras.data.refusal import DicomError


def needs_gdcm():
    pytest.importorskip("gdcm", reason="python-gdcm, which writes the files, is not installed")


@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEGLossless], ids=lambda s: s.name)
def test_lossless_syntaxes_hold_the_same_hounsfield_units(tmp_path, rng, syntax, bits, signed):
    if syntax.is_encapsulated:
        needs_gdcm()
    lowest = -(1 << (bits - 1)) if signed else 0
    stored = rng.integers(lowest, lowest + (1 << bits), (12, 16))
    stored[0, :2] = lowest, lowest + (1 << bits) - 1
    kind = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": signed}
    path = write_as(Stack().dataset(0, stored=stored, **kind), tmp_path / "file", syntax)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    series = read_series([path])
    np.testing.assert_array_equal(series.read_hu(0), stored - 1024)
    assert not series.headers[0].lossy


def test_lossy_pixels_are_read_and_said_to_be_lossy(tmp_path):
    pytest.importorskip("jpeg_ls", reason="pyjpegls, which writes the file, is not installed")
    stack = Stack()
    dataset = stack.dataset(0)
    dataset.compress(JPEGLSNearLossless, jls_error=2)
    dataset.save_as(tmp_path / "file")
    series = read_series([tmp_path / "file"])
    assert series.headers[0].lossy
    error = abs(series.read_hu(0) - (stack.stored[0] - 1024))
    assert 0 < error.max() <= 2


@pytest.mark.parametrize(
    ("syntax", "says", "lossy"),
    [
        (None, None, False),
        (None, "00", False),
        (None, "01", True),
        (None, ["00", "01"], True),
        (JPEGBaseline8Bit, "00", True),
        (JPEG2000, None, True),
        (JPEG2000, "00", False),
        (JPEG2000Lossless, None, False),
        # Compressed with loss once, now kept as it is.
        (JPEG2000Lossless, "01", True),
    ],
)
def test_a_file_is_lossy_by_its_word_or_else_by_its_syntax(tmp_path, syntax, says, lossy):
    dataset = Stack().dataset(0, LossyImageCompression=says)
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        # Headers are read without decoding; one empty offset table and one fragment.
        dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\2\0\0\0ab"
    dataset.save_as(tmp_path / "file")
    assert read_slice_header(tmp_path / "file").lossy is lossy


def jpeg(tmp_path):
    needs_gdcm()
    path = write_as(Stack().dataset(0), tmp_path / "file", JPEGLosslessSV1)
    (stream,) = generate_frames(dcmread(path).PixelData, number_of_frames=1)
    return stream


def test_an_intact_jpeg_stream_is_handed_on(tmp_path):
    stream = jpeg(tmp_path)
    check_jpeg(stream, 12, 16, 16)
    # Fill bytes behind the end make the length even.
    check_jpeg(stream + b"\0", 12, 16, 16)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        # gdcm ended the process on the first two: 20 bits a sample, and a marker that is none.
        (lambda s, frame: s.__setitem__(frame + 4, 20), "20 bits"),
        (lambda s, frame: s.__setitem__(s.index(b"\xff\xda"), 0xEF), "no segment"),
        (lambda s, frame: s.__setitem__(frame + 6, 13), "13x16"),
        (lambda s, frame: s.__setitem__(frame + 9, 3), "3 components"),
        (lambda s, frame: s.__setitem__(frame + 1, 0xFE), "0 frame headers"),
        (lambda s, frame: s.__setitem__(0, 0), "no start"),
        (lambda s, frame: s.__setitem__(slice(frame + 2, frame + 4), b"\xff\0"), "header"),
        (lambda s, frame: s.__delitem__(slice(frame + 7, None)), "inside its header"),
        (lambda s, frame: s.__delitem__(slice(-8, None)), "no end"),
    ],
)
def test_a_damaged_jpeg_stream_is_refused_before_it_is_decoded(tmp_path, edit, what):
    stream = bytearray(jpeg(tmp_path))
    edit(stream, stream.index(b"\xff\xc3"))
    with pytest.raises(DicomError, match=what) as caught:
        check_jpeg(bytes(stream), 12, 16, 16)
    assert caught.value.kind == "bad_pixels"


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
def test_a_compressed_slice_that_lost_its_end_is_refused(tmp_path, syntax):
    needs_gdcm()
    path = write_as(Stack().dataset(0), tmp_path / "file", syntax)
    series, whole = read_series([path]), path.read_bytes()
    for lost in range(1, 40):
        path.write_bytes(whole[:-lost])
        with pytest.raises(DicomError) as caught:
            series.read_hu(0)
        assert caught.value.kind == "truncated"


@pytest.mark.parametrize(
    ("syntax", "package"),
    [
        (JPEG2000Lossless, "pylibjpeg pylibjpeg-openjpeg"),
        (JPEGLSLossless, "pyjpegls"),
        (JPEGLosslessSV1, "python-gdcm"),
    ],
)
def test_a_missing_decoder_is_named_with_how_to_install_it(tmp_path, monkeypatch, syntax, package):
    needs_gdcm()
    series = read_series([write_as(Stack().dataset(0), tmp_path / "file", syntax)])
    # As pydicom finds it where no package that decodes this syntax is installed.
    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    with pytest.raises(DicomError) as caught:
        series.read_hu(0)
    assert caught.value.kind == "no_decoder"
    assert syntax.name in caught.value.reason
    assert "`pip install fgf-keras[dicom]`" in caught.value.remedy
    assert f"`pip install {package}`" in caught.value.remedy
