"""From a configuration to its cohort."""

import os
from pathlib import Path

from fgf_keras.config import Config
from fgf_keras.config.data import PREPARED_FROM, DataConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.png import png_cohort


def load_cohort(config: Config) -> Cohort:
    """The cohort that `config.data` describes; a phantom is drawn from `config.phantom_seed`.

    DICOM and volumes are prepared into `config.data.out` first, unless they lie there already.

    Raises:
        DataError: the source is missing or cannot be used as it is.
    """
    data = config.data
    if data.source == "phantom":
        return phantom_cohort(
            data.phantom, size=data.size, window=data.window, spacing=data.spacing, seed=config.phantom_seed
        )
    if data.source == "png":
        return png_cohort(data)
    # Here, so that other sources do not wait for the libraries of these.
    from fgf_keras.data.prepared.cohort import prepared_cohort

    if data.source in PREPARED_FROM:
        _prepare_once(data)
        return prepared_cohort(Path(data.out), data)
    return prepared_cohort(Path(data.root), data)


def pixel_spacing(data: DataConfig) -> list[float] | None:
    """(y, x) mm of the slices that a configuration gives; None where every patient keeps its own.

    Raises:
        DataError: a folder of prepared slices that cannot be read.
    """
    spacing_mm = data.spacing_mm
    if data.source == "prepared":
        from fgf_keras.data.prepared.store import SliceStore

        spacing_mm = SliceStore.reading(Path(data.root)).settings["spacing_mm"]
    elif data.source not in PREPARED_FROM:
        return data.spacing
    return None if spacing_mm is None else [spacing_mm, spacing_mm]


def _prepare_once(data: DataConfig):
    from fgf_keras.data.prepared.preparation import is_prepared

    if not is_prepared(data):
        from fgf_keras.data.prepared.prepare import prepare

        prepare(data, n_jobs=os.cpu_count() or 1)
