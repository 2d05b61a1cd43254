"""The phantom as a cohort of volumes around the tumour, whose labels follow the same law as those of slices.

The volume of a patient is that of `phantom_volume`: on its largest slice, the tumour is that of the phantom's
slice, and it shrinks towards both ends almost like a ball. So brightness and extent of the volume follow the
latents that the label depends on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.box import cropped
from fgf_keras.data.canvas import windowed
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom.law import phantom_labels
from fgf_keras.data.phantom.phantom import drawn_cohort, phantom_canvas
from fgf_keras.data.phantom.volume import phantom_volume

# The edge of the slices that tumours are drawn on, over that of the box: the largest tumour fills the box.
CANVAS_RATIO = 1.5


class Scan(NamedTuple):
    """The grid of the scans that boxes are cropped from.

    Attributes:
        size: number of rows and columns.
        spacing: mm between rows and between columns.
        slices: number of slices.
        slice_mm: mm between slices.
        tallest: slices of a scan that a tumour must leave room in.
    """

    size: int
    spacing: tuple[float, float]
    slices: int
    slice_mm: float
    tallest: int

    @classmethod
    def around(cls, shape: Sequence[int], spacing: Sequence[float]) -> "Scan":
        """The scan for a box of shape (slices, rows, columns) and spacing (z, y, x) mm."""
        side = min(n * mm for n, mm in zip(shape[1:], spacing[1:]))
        size = int(CANVAS_RATIO * side / min(spacing[1:]))
        return cls(size, (spacing[1], spacing[2]), 2 * shape[0], spacing[0], shape[0])


def phantom_volumes(
    config: PhantomConfig,
    *,
    shape: Sequence[int],
    window: Sequence[float],
    spacing: Sequence[float],
    seed: int,
) -> Cohort:
    """Draw `config.patients` synthetic patients as volumes, each cropped to a box around the tumour.

    Args:
        config: number of patients, prevalence and the coefficients of the law.
        shape: (slices, rows, columns) of the box. Tumours grow with its rows and columns.
        window: the HU that are mapped to 0 and 1.
        spacing: (z, y, x) mm.
        seed: of all random numbers.

    Returns:
        A cohort with the provenance of `phantom_cohort`. The latent `extent` is that of the largest slice.

    Raises:
        DataError: no draw of the labels contains both classes: the cohort is too small for its prevalence.
    """
    scan, n = Scan.around(shape, spacing), config.patients
    canvas = phantom_canvas(scan.size, scan.spacing)
    labels = phantom_labels(config, seed)
    images, masks = np.empty((n, *shape, 1), np.float32), np.empty((n, *shape, 1), np.uint8)
    for i in range(n):
        volume = phantom_volume(
            i, canvas, seed=seed, slices=scan.slices, slice_mm=scan.slice_mm, tallest=scan.tallest
        )
        hu, mask = cropped(volume.mask(), volume.hu, spacing, shape=shape, spacing_mm=spacing)
        images[i, ..., 0], masks[i, ..., 0] = windowed(hu, window), mask
    return drawn_cohort(
        config, labels, images, masks, size=list(map(int, shape)), window=window, spacing=spacing, seed=seed
    )
