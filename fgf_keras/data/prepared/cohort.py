"""The cohort in a folder of prepared slices, and the sources that use it."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fgf_keras.config.data import DataConfig
from fgf_keras.data.canvas import windowed
from fgf_keras.data.clinical_table import read_clinical
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.prepared.preparation import is_prepared
from fgf_keras.data.prepared.prepare import prepare
from fgf_keras.data.prepared.preview import SheetEntry
from fgf_keras.data.prepared.pseudonym import Names
from fgf_keras.data.prepared.store import SliceStore, store_shape
from fgf_keras.data.source import Source
from fgf_keras.errors import DataError

# HU; the table is written with six decimals.
MEAN_TOLERANCE = 1e-3


class StoreSource(Source):
    """A folder of prepared slices, `data.root`."""

    def cohort(self) -> Cohort:
        """See `prepared_cohort`."""
        cohort, folder = prepared_cohort(self.data.root_folder, self.data), self.data.root_folder
        return dataclasses.replace(cohort, clinical=read_clinical(self.data, folder, cohort.patient_id))

    def pixel_spacing(self) -> list[float] | None:
        """The spacing with which the slices were prepared."""
        settings = SliceStore.reading(self.data.root_folder).settings
        if settings.get("dimension") == 3:
            return list(settings["spacing"])
        return _of_one_edge(settings["spacing_mm"])


class PreparedSource(Source):
    """DICOM or volumes, prepared into `data.out` unless this has already been done."""

    def cohort(self) -> Cohort:
        """See `prepare` and `prepared_cohort`."""
        if not is_prepared(self.data):
            prepare(self.data, n_jobs=os.cpu_count() or 1)
        cohort, names = prepared_cohort(self.data.out_folder, self.data), Names(self.data.pseudonymise)
        clinical = read_clinical(self.data, self.data.root_folder, cohort.patient_id, names.patient)
        return dataclasses.replace(cohort, clinical=clinical)

    def pixel_spacing(self) -> list[float] | None:
        """The spacing with which the slices are prepared."""
        if self.data.dimension == 3:
            return list(self.data.spacing)
        return _of_one_edge(self.data.spacing_mm)


def _of_one_edge(spacing_mm: float | None) -> list[float] | None:
    return None if spacing_mm is None else [spacing_mm, spacing_mm]


def prepared_cohort(folder: Path, config: DataConfig) -> Cohort:
    """Read prepared slices or volumes and map `config.window` to [0, 1].

    Args:
        folder: written by `fgf prepare`.
        config: `dimension` and `size` must be those of the store, and `spacing` that of its volumes.

    Returns:
        A cohort in the order of `cohort.csv`. Its provenance has the settings of the slices, but not the
        folder.

    Raises:
        DataError: the store is missing, unfinished or damaged, or its slices have another size.
    """
    store = SliceStore.reading(folder)
    _check_form(store, config)
    table, shape = store.cohort(), store_shape(store.settings)
    axes = "zyx"[-len(shape) :]
    images = np.empty((len(table), *shape, 1), np.float32)
    masks = np.empty((len(table), *shape, 1), np.uint8)
    try:
        for i, line in enumerate(table):
            hu, mask = _slice(store, line)
            images[i, ..., 0] = windowed(hu, config.window)
            masks[i, ..., 0] = mask
        labels = np.array([int(line["label"]) for line in table], np.int64)
        spacing = np.array([[line[f"spacing_{axis}_mm"] for axis in axes] for line in table], np.float32)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(
            f"cohort.csv in {str(folder)!r} is damaged: {error}. Prepare the slices again."
        ) from None
    provenance = store.provenance()
    return Cohort(
        patient_id=np.array([line["patient_id"] for line in table]),
        images=images,
        masks=masks,
        labels=labels,
        spacing=spacing,
        provenance={
            "source": "prepared",
            "parameters": {"settings": store.settings, "of": provenance["of"], "window": list(config.window)},
            "counts": provenance["counts"],
            # A table may contain a single class: the others then have no patients.
            "classes": max(2, int(labels.max()) + 1),
        },
    )


def _check_form(store: SliceStore, config: DataConfig) -> None:
    """Refuse a store whose slices or volumes are not those of the configuration."""
    size, folder = store.settings["size"], str(store.path)
    expected = {2: config.size, 3: list(config.shape)}[config.dimension]
    dimension = store.settings.get("dimension", 2)
    if dimension != config.dimension:
        kind = {2: "slices", 3: "volumes"}[dimension]
        raise DataError(
            f"{folder!r} holds {kind}, but data.dimension={config.dimension}. Set "
            f"data.dimension={dimension}, or prepare into another folder."
        )
    if size != expected:
        by = "x".join(map(str, store_shape(store.settings)))
        kind = {2: "slices", 3: "volumes"}[dimension]
        raise DataError(
            f"The {kind} in {folder!r} have {by} pixels, but data.size={config.size}. "
            f"Set data.size={size}, or prepare them into another folder."
        )
    if dimension == 3 and store.settings["spacing"] != list(config.spacing):
        raise DataError(
            f"The volumes in {folder!r} have a spacing of {store.settings['spacing']} mm, but "
            f"data.spacing={config.spacing}. Set data.spacing={store.settings['spacing']}, or prepare them "
            "into another folder."
        )


def sheet_entries(store: SliceStore) -> Iterator[SheetEntry]:
    """Yield the entries of a contact sheet, one per patient; of volumes, the slice with the largest area.

    Raises:
        DataError: the table is damaged.
    """
    for line in store.cohort():
        with _damage(store):
            hu, mask = _slice(store, line)
            spacing = float(line["spacing_y_mm"]), float(line["spacing_x_mm"])
            is_volume = mask.ndim == 3
            if is_volume:
                largest = int(np.count_nonzero(mask, axis=(1, 2)).argmax())
                hu, mask = hu[largest], mask[largest]
                area = float(np.count_nonzero(mask) * spacing[0] * spacing[1])
            else:
                area = float(line["area_mm2"])
            yield SheetEntry(
                patient_id=line["patient_id"],
                label=int(line["label"]),
                hu=hu,
                mask=mask,
                spacing=spacing,
                area_mm2=area,
                # The slice shown is one of the box.
                slice_index=None if is_volume else int(line["slice_index"]),
                warnings=line["warnings"],
            )


def _slice(store: SliceStore, line: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The slice of a line of cohort.csv; raises `DataError` if it does not match the line."""
    hu, mask = store.slice(int(line["row"]))
    pixels = int(np.count_nonzero(mask))
    mean = float(hu[mask > 0].mean(dtype=np.float64)) if pixels else np.nan
    if pixels != int(line["pixels"]) or not abs(mean - float(line["mean_hu"])) < MEAN_TOLERANCE:
        raise DataError(
            f"Row {line['row']} of {store.path / 'slices.zarr'} is not what cohort.csv says of patient "
            f"{line['patient_id']}: the copy is not complete, or damaged. Copy it again, or prepare the "
            "slices into another folder."
        )
    return hu, mask


@contextmanager
def _damage(store: SliceStore) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(
            f"cohort.csv in {str(store.path)!r} is damaged: {error}. Prepare the slices again."
        ) from None
