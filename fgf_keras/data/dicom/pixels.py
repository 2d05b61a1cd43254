"""Reading the Hounsfield units of one slice."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset
from scipy import ndimage

from fgf_keras.data.dicom.decoders import decode_pixels
from fgf_keras.data.dicom.files import (
    AGAIN,
    number,
    numbers,
    open_header,
    open_whole,
    read_dataset,
    refusing,
    required_text,
    text,
    whole_number,
)
from fgf_keras.data.dicom.slice_header import SliceHeader
from fgf_keras.data.refusal import DicomError

# HU of padding: air, as outside the reconstructed circle.
PADDING_HU = -1024.0
# RescaleType of values that are interpreted as Hounsfield units.
HOUNSFIELD = ("HU", "US")
# A padding value in this range is also the value of some tissue.
TISSUE_HU = (-1000.0, 3000.0)


def read_hu(header: SliceHeader, accept: Collection[str] = ()) -> np.ndarray:
    """Decode one slice and rescale it with its own slope and intercept.

    - MONOCHROME1 defines how values are displayed, not what they are: they are not inverted.
    - Pixels with PixelPaddingValue (or between it and PixelPaddingRangeLimit) become -1024 HU. If that value
      may also be tissue, only regions that touch the border of the image are padding.
    - Bits above BitsStored are not part of the value.
    - RescaleType US ("unspecified") is written by several programs if the source has no type; for CT it is
      interpreted as HU and counted in `SliceHeader.warnings`. Other types are refused, unless `accept`
      contains "rescale_type".
    - Compressed pixels are decoded even if the compression was lossy, see `SliceHeader.lossy`.

    Returns:
        (rows, columns) float32.

    Raises:
        DicomError: `no_decoder` (the message names the package), `not_hu`, `bad_pixels`, `changed`, or as
            for a header.
    """
    path = header.path
    with refusing(path):
        dataset = _open(path)
        if required_text(dataset, "SOPInstanceUID") != header.sop_uid:
            raise DicomError("changed", "The file now contains another slice.", "Read the series again.")
        slope, intercept = _rescale(dataset, accept)
        stored, padding = _stored_values(dataset)
        if stored.shape != (header.rows, header.columns):
            raise DicomError(
                "bad_pixels",
                f"The header promises {header.rows}x{header.columns} pixels, the file holds {stored.shape}.",
                AGAIN,
            )
        hu = (stored * slope + intercept).astype(np.float32)
        if padding is not None:
            value, pixels = padding
            if TISSUE_HU[0] < value * slope + intercept < TISSUE_HU[1]:
                pixels = _touching_border(pixels)
            hu[pixels] = PADDING_HU
        return hu


def _open(path: Path) -> FileDataset:
    """All elements; if lengths are not known from the header, the structure of the whole file is checked."""
    compressed = open_header(path, ["SOPInstanceUID"]).transfer_syntax.is_encapsulated
    return open_whole(path).dataset if compressed else read_dataset(path)


def _rescale(dataset: FileDataset, accept: Collection[str]) -> tuple[float, float]:
    kind = text(dataset, "RescaleType")
    if kind not in (None, *HOUNSFIELD) and "rescale_type" not in accept:
        raise DicomError(
            "not_hu",
            f"RescaleType is {kind!r}: the values are not Hounsfield units.",
            "Choose another reconstruction of the study; if they are Hounsfield units nevertheless, "
            "data.accept: [rescale_type] takes them as they are.",
        )
    slope, intercept = numbers(dataset, "RescaleSlope", 1)[0], numbers(dataset, "RescaleIntercept", 1)[0]
    if slope <= 0:
        raise DicomError("not_hu", f"RescaleSlope must be positive. Received: {slope}.", AGAIN)
    return slope, intercept


def _stored_values(dataset: FileDataset) -> tuple[np.ndarray, tuple[int, np.ndarray] | None]:
    """(rows, columns) int64, and the padding value with the mask of its pixels, or None."""
    if whole_number(dataset, "SamplesPerPixel") != 1:
        raise DicomError("bad_pixels", "The image is in colour.", "Choose a CT series.")
    stored, allocated = whole_number(dataset, "BitsStored"), whole_number(dataset, "BitsAllocated")
    if not 1 <= stored <= allocated or whole_number(dataset, "HighBit") != stored - 1:
        raise DicomError("bad_pixels", "BitsAllocated, BitsStored and HighBit contradict each other.", AGAIN)
    signed = whole_number(dataset, "PixelRepresentation")
    if signed not in (0, 1):
        raise DicomError("bad_pixels", "PixelRepresentation must be 0 or 1.", AGAIN)
    raw = decode_pixels(dataset).astype(np.int64)
    if raw.ndim != 2:
        raise DicomError("bad_pixels", f"The image has {raw.ndim} dimensions instead of 2.", AGAIN)
    values = _within_bits(raw, stored, signed)
    limits = [number(dataset, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if limits[0] is None:
        return values, None
    limit = limits[0] if limits[1] is None else limits[1]
    # Sometimes written as unsigned although the pixels are signed, or vice versa.
    first, last = (_within_bits(np.int64(v), allocated, signed) for v in (limits[0], limit))
    first, last = sorted((int(first), int(last)))
    # The padding value may be outside the range of the stored bits.
    return values, (first, ((values >= first) & (values <= last)) | ((raw >= first) & (raw <= last)))


def _within_bits(values: Any, bits: int, signed: int) -> Any:
    values = values & ((1 << bits) - 1)
    return np.where(values >> (bits - 1), values - (1 << bits), values) if signed else values


def _touching_border(pixels: np.ndarray) -> np.ndarray:
    labels, _ = ndimage.label(pixels)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, edge[edge > 0])
