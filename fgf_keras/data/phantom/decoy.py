"""A decoy: a marker in the core of tumours that goes with the label in one hospital, and not in another."""

from typing import NamedTuple

import numpy as np

from fgf_keras.config.data import DecoyConfig

# Radius of the marked core as a fraction of that of a disc of the tumour's area, as in `CoreContrast`.
CORE = 0.5
# The hospital where the marker goes with the label, and the other one.
HOSPITALS = ("a", "b")
# Keeps the draws of markers apart from those of images and labels.
_STREAM = 2


class Decoy(NamedTuple):
    """Hospital and marker of each patient.

    Attributes:
        hospital: (N,) of `HOSPITALS`.
        marked: (N,) bool.
    """

    hospital: np.ndarray
    marked: np.ndarray


def draw_decoy(config: DecoyConfig, labels: np.ndarray, seed: int) -> Decoy:
    """Hospitals and markers.

    The last `config.elsewhere` of the patients are in hospital b. In hospital a, the marker is there if the
    label is 1 and absent if it is 0, except in 1 - `config.agreement` of the patients, where it is the other
    way round; in hospital b it is drawn with probability 1/2.

    Args:
        config: of the decoy.
        labels: (N,) in {0, 1}.
        seed: of the cohort.

    Source: after Decoy-MNIST of Ross, Hughes and Doshi-Velez (IJCAI 2017), where the test part's is random.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))
    count = len(labels)
    elsewhere = np.arange(count) >= count - round(config.elsewhere * count)
    agrees = rng.random(count) < np.where(elsewhere, 0.5, config.agreement)
    return Decoy(np.array(HOSPITALS)[elsewhere.astype(int)], (labels == 1) == agrees)


def with_marker(hu: np.ndarray, mask: np.ndarray, contrast: float, spacing: np.ndarray) -> np.ndarray:
    """A slice whose tumour is brighter in its core by `contrast` HU, at the same mean over the tumour.

    Args:
        hu: (H, W).
        mask: (H, W) bool.
        contrast: in HU.
        spacing: mm between rows and between columns.
    """
    places = np.argwhere(mask) * spacing
    squared = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    core = squared <= CORE**2 * mask.sum() * np.prod(spacing) / np.pi
    changed = hu.copy()
    changed[mask] += contrast * (core - core.mean())
    return changed
