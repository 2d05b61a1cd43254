"""A folder of masked 8-bit slices with a table of labels, as MaastrichtU-CDS/hn_cnn publishes its cohort.

`root/labels_file` has one row per patient; `root/image_folder/<id>.png` is the tumour on black, with the
intensity window mapped to 0..255. Pixels inside the tumour that the window maps to 0 (air, for example) are
holes, which are filled to obtain the mask.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes

from fgf_keras.config.data import DataConfig
from fgf_keras.data.canvas import resample
from fgf_keras.data.clinical_table import read_clinical
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.endpoint import cohort_labels
from fgf_keras.data.file_names import require_file_names
from fgf_keras.data.refusal import SourceError
from fgf_keras.data.slices import listing
from fgf_keras.data.source import Source
from fgf_keras.data.tables import LabelTable
from fgf_keras.errors import DataError


class PngSource(Source):
    """A folder of masked 8-bit slices."""

    def cohort(self) -> Cohort:
        """See `png_cohort`."""
        return png_cohort(self.data)

    def pixel_spacing(self) -> list[float]:
        """That of the files, or the one that they are resampled to."""
        return _spacing(self.data)

    def hu_window(self) -> None:
        """None: the slices have already been mapped to 0..255."""


def png_cohort(config: DataConfig) -> Cohort:
    """Read the cohort that `config` describes, in the order of the table.

    Slices are padded with 0 to `config.size`, equally on all sides, and never cropped. Values are divided by
    255; `config.window` is not applied, because the files contain windowed values. All slices have the
    spacing `config.spacing`, or are resampled from it to square pixels of `config.spacing_mm`, see
    `resampled`.

    Raises:
        DataError: as `endpoint.cohort_labels`; a missing folder; ids that are not valid file names; ids
            without an image or images without a row, unless `config.allow_missing` is true; labels
            other than 0 and 1; images that are not readable 8-bit grayscale, differ in shape, exceed
            `config.size` or are black.
    """
    root = config.root_folder
    if not root.is_dir():
        raise DataError(
            f"The folder {str(root)!r} does not exist. Let data.root name the folder of the cohort."
        )
    table = _read_labels(root / config.labels_file, config)
    rows, folder = table.labels, root / config.image_folder
    files = {name: path for name, path in png_files(folder).items() if name not in table.censored}
    without_image = [name for name in rows if name not in files]
    without_row = sorted(name for name in files if name not in rows)
    if (without_image or without_row) and not config.allow_missing:
        raise DataError(_mismatch(root / config.labels_file, folder, without_image, without_row))
    ids = [name for name in rows if name in files]
    if not ids:
        raise DataError(
            f"No id in {root / config.labels_file} has an image in {folder}. Rows: {listing(rows)}. Images: "
            f"{listing(sorted(files))}. Check data.id_column and data.image_folder."
        )
    images, masks = masked_slices([files[name] for name in ids], config)
    labels = np.array([rows[name] for name in ids], np.int64)
    return Cohort(
        patient_id=np.array(ids),
        images=images,
        masks=masks,
        labels=labels,
        spacing=np.tile(np.array(_spacing(config), np.float32), (len(ids), 1)),
        provenance={
            "source": "png",
            "parameters": {
                "root": str(config.root),
                "labels_file": config.labels_file,
                "sheets": config.sheets,
                "image_folder": config.image_folder,
                "id_column": config.id_column,
                "label_column": config.label_column,
                **({"endpoint": config.endpoint.model_dump()} if config.endpoint.days else {}),
                "size": config.size,
                "spacing": list(config.spacing),
                **({} if config.spacing_mm is None else {"spacing_mm": config.spacing_mm}),
            },
            "counts": {
                "rows": len(rows),
                "images": len(files),
                "patients": len(ids),
                "positive": int(labels.sum()),
                "rows_without_image": len(without_image),
                "images_without_row": len(without_row),
                **({"censored": len(table.censored)} if config.endpoint.days else {}),
            },
            "dropped": {"rows_without_image": without_image, "images_without_row": without_row},
            # A table may contain a single class: the other one then has no patients.
            "classes": 2,
        },
        clinical=read_clinical(config, root, ids),
    )


def _read_labels(path: Path, config: DataConfig) -> LabelTable:
    """The labels in the order of the table, all of them 0 or 1."""
    table = cohort_labels(path, config)
    require_file_names(table.places, f"{path}, column {config.id_column!r}")
    invalid = table.unlabelled | {name: repr(str(x)) for name, x in table.labels.items() if x not in (0, 1)}
    if invalid:
        received = listing(f"{name}: {invalid[name]}" for name in table.places if name in invalid)
        raise DataError(
            f"{path}, column {config.label_column!r}: a label must be 0 or 1. Received: {received}. Remove "
            "these rows, or set data.label_column."
        )
    return table


def masked_slices(paths: Sequence[Path], config: DataConfig) -> tuple[np.ndarray, np.ndarray]:
    """Read slices, divide them by 255, and place them in the middle of a canvas; returns their masks too.

    Args:
        paths: of the files.
        config: size of the canvas; with `spacing_mm`, slices of spacing `spacing` are resampled to it.

    Returns:
        (N, size, size, 1) float32 in [0, 1], and uint8.

    Raises:
        DataError: images that are not readable 8-bit grayscale, differ in shape, exceed the canvas or are
            black.
    """
    size = config.edge
    # Larger ones are refused before they are decoded; black borders of resampled ones may be cut off.
    largest = size
    if config.spacing_mm is not None:
        largest = 2 * math.ceil(size * max(1, config.spacing_mm / min(config.spacing)))
    slices = _read_images(paths, largest)
    images = np.zeros((len(slices), size, size, 1), np.float32)
    masks = np.zeros(images.shape, np.uint8)
    for i, pixels in enumerate(slices):
        image, mask = pixels / np.float32(255), binary_fill_holes(pixels > 0)
        if config.spacing_mm is not None:
            image, mask = resampled(image, mask, config, paths[i])
            image, mask = (_trimmed(field, mask, size, paths[i]) for field in (image, mask))
        height, width = image.shape
        top, left = (size - height) // 2, (size - width) // 2
        images[i, top : top + height, left : left + width, 0] = image
        masks[i, top : top + height, left : left + width, 0] = mask
    return images, masks


def resampled(
    image: np.ndarray, mask: np.ndarray, config: DataConfig, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A masked slice and its mask with square pixels of `config.spacing_mm`.

    As for slices of DICOM, but intensities are interpolated among the pixels of the tumour only, because
    outside of it the file is black: the interpolated image is divided by the interpolated mask.

    Args:
        image: (rows, columns) in [0, 1], 0 outside the mask.
        mask: (rows, columns) bool.
        config: `spacing` of the file in mm, and `spacing_mm`.
        path: of the file, for messages.

    Raises:
        DataError: no pixel of the tumour is left.
    """
    assert config.spacing_mm is not None
    try:
        weighted, inside = resample(image, mask, config.spacing, config.spacing_mm)
        # The same interpolation of the mask, before it is thresholded.
        weight, _ = resample(mask.astype(np.float32), mask, config.spacing, config.spacing_mm)
    except SourceError as error:
        raise error.at(str(path)) from None
    divided = np.divide(weighted, weight, out=np.zeros_like(weighted), where=inside)
    return np.clip(divided, 0, 1), inside


def _trimmed(field: np.ndarray, mask: np.ndarray, size: int, path: Path) -> np.ndarray:
    """The middle of a resampled slice that is larger than the canvas; what is cut off must be black."""
    first = [max(0, (edge - size) // 2) for edge in mask.shape]
    middle = tuple(slice(start, start + size) for start in first)
    if mask[middle].sum() < mask.sum():
        raise DataError(
            f"{path}: after resampling to data.spacing_mm, the tumour reaches beyond the canvas of "
            f"data.size={size}. Tumours are never cropped: set data.size={max(mask.shape)} or more."
        )
    return field[middle]


def _spacing(config: DataConfig) -> list[float]:
    return list(config.spacing) if config.spacing_mm is None else [config.spacing_mm] * 2


def png_files(folder: Path) -> dict[str, Path]:
    """The PNG files of a folder, by name without suffix.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(
            f"The folder of images {str(folder)!r} does not exist. Let data.image_folder name it, relative "
            "to data.root."
        )
    # Names that start with a dot belong to the file system, not to patients.
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.stem: path for path in paths if path.suffix.lower() == ".png"}


def _mismatch(table: Path, folder: Path, without_image: list[str], without_row: list[str]) -> str:
    parts = []
    if without_image:
        parts.append(f"{len(without_image)} ids of {table} have no image: {listing(without_image)}.")
    if without_row:
        parts.append(f"{len(without_row)} images in {folder} have no row: {listing(without_row)}.")
    return " ".join(parts) + " Complete them, or set data.allow_missing=true to drop them."


def _read_images(paths: Sequence[Path], size: int) -> list[np.ndarray]:
    slices = [_read_image(path, size) for path in paths]
    shape, count = Counter(pixels.shape for pixels in slices).most_common(1)[0]
    odd = [f"{p.name} ({s.shape[0]}x{s.shape[1]})" for p, s in zip(paths, slices) if s.shape != shape]
    if odd:
        raise DataError(
            f"All images of a cohort must have one shape. {count} in {paths[0].parent} have "
            f"{shape[0]}x{shape[1]} pixels, but not {listing(odd)}. Resample or pad these."
        )
    black = [path.name for path, pixels in zip(paths, slices) if not pixels.any()]
    if black:
        raise DataError(
            f"Images without a single pixel above 0 in {paths[0].parent}: {listing(black)}. They show no "
            "tumour: export them again, or remove image and row."
        )
    return slices


def _read_image(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            kind, mode, (width, height) = image.format, image.mode, image.size
            # Checked before decoding, so that a huge file is not decoded at all.
            readable = kind == "PNG" and mode == "L" and max(width, height) <= size
            pixels = np.asarray(image) if readable else None
    except Exception as error:  # decoders raise many types: OSError, SyntaxError, struct.error, …
        raise DataError(f"{path} cannot be read as an image: {error}. Export it again as PNG.") from error
    if kind != "PNG":
        raise DataError(
            f"{path} holds {kind}, whatever its name says. Where compression changes what is 0, artefacts "
            "become tumour: export it again as PNG from the original."
        )
    if mode != "L":
        raise DataError(f"{path} must be 8-bit grayscale (mode 'L'). Received: mode {mode!r}. Convert it.")
    if pixels is None:
        raise DataError(
            f"{path} has {height}x{width} pixels, more than data.size={size}. Images are never cropped: "
            f"set data.size={max(height, width)} or more."
        )
    return pixels
