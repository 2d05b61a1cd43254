"""The decoders of compressed pixels, and the packages to install if one is missing."""

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
    """Plugins of pydicom for a transfer syntax, best first, and the packages to install."""

    plugins: tuple[str, ...]
    packages: str


# Only one decoder is tried: by default, pydicom passes pixels that one decoder refuses to the next, and gdcm
# crashes the process on some damaged streams. Therefore gdcm decodes only what no other plugin does, and only
# after a check. Pillow is always installed but lacks high-throughput JPEG 2000; pylibjpeg and its plugin are
# of no use without each other.
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
        DicomError: `no_decoder` or `bad_pixels`. Other exceptions due to damaged pixels are not converted.
    """
    plugin = _plugin(dataset.file_meta.TransferSyntaxUID)
    if plugin == "gdcm":
        size = [whole_number(dataset, keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
        frames = int(number(dataset, "NumberOfFrames") or 1)
        for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
            check_jpeg(stream, *size)
    return pixel_array(dataset, decoding_plugin=plugin)


def _plugin(syntax: uid.UID) -> str:
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


def _available(syntax: uid.UID) -> tuple[str, ...]:
    try:
        return get_decoder(syntax).available_plugins
    except NotImplementedError:
        return ()
