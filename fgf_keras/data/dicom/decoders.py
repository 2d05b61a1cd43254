"""Which decoder takes which compressed pixels, and what to install where it is missing."""

from typing import NamedTuple

import numpy as np
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, pixel_array

from fgf_keras.data.dicom.files import number, whole_number
from fgf_keras.data.dicom.jpeg import check_jpeg
from fgf_keras.data.refusal import DicomError


class Decoders(NamedTuple):
    """Plugins of pydicom that may decode a transfer syntax, best first, and the packages to install."""

    plugins: tuple[str, ...]
    packages: str


# Only one decoder is asked: left to itself, pydicom passes what one refuses on to the next, and gdcm ends the
# whole process on some damaged streams. So gdcm takes only what nothing else does, and after a check.
# Pillow is always there but lacks high-throughput JPEG 2000; pylibjpeg does nothing without its plugin, and
# the other way round.
JPEG_2000 = Decoders(("pillow", "pylibjpeg"), "pylibjpeg pylibjpeg-openjpeg")
DECODERS: dict[uid.UID, Decoders] = {
    uid.RLELossless: Decoders(("pydicom",), "pydicom"),
    **dict.fromkeys(uid.JPEG2000TransferSyntaxes, JPEG_2000),
    **dict.fromkeys(uid.JPEGLSTransferSyntaxes, Decoders(("pyjpegls",), "pyjpegls")),
    **dict.fromkeys(uid.JPEGTransferSyntaxes, Decoders(("gdcm",), "python-gdcm")),
    uid.JPEGBaseline8Bit: Decoders(("pillow",), "pillow"),
}


def decode_pixels(dataset: FileDataset) -> np.ndarray:
    """The stored values of an image in any transfer syntax that can be read, (rows, columns) or more.

    Raises:
        DicomError: `no_decoder` or `bad_pixels`. What damaged pixels lead to is raised as it comes.
    """
    plugin = _plugin(dataset.file_meta.TransferSyntaxUID)
    if plugin == "gdcm":
        size = [whole_number(dataset, keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
        frames = int(number(dataset, "NumberOfFrames") or 1)
        for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
            check_jpeg(stream, *size)
    return pixel_array(dataset, decoding_plugin=plugin)


def _plugin(syntax):
    if not syntax.is_encapsulated:
        return ""
    if syntax not in DECODERS:
        raise DicomError(
            "no_decoder",
            f"Pixels compressed as {syntax.name} cannot be decoded.",
            "Convert the series to an uncompressed transfer syntax.",
        )
    available = _available(syntax)
    for plugin in DECODERS[syntax].plugins:
        if plugin in available:
            return plugin
    raise DicomError(
        "no_decoder",
        f"No decoder for pixels compressed as {syntax.name} is installed.",
        f"Run `pip install fgf-keras[dicom]`, or only `pip install {DECODERS[syntax].packages}`.",
    )


def _available(syntax):
    try:
        return get_decoder(syntax).available_plugins
    except NotImplementedError:
        return ()
