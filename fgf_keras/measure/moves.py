"""Tumours moved along one feature in image space, with the other features kept constant as far as possible.

Intensities are clipped to [0, 1]: a classifier never sees others, and how it would react to them says nothing
about what it uses.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy import ndimage

from fgf_keras.data.canvas import bounds
from fgf_keras.features.base import Feature
from fgf_keras.features.brightness import Brightness
from fgf_keras.features.extent import Extent
from fgf_keras.features.log_aspect_ratio import LogAspectRatio
from fgf_keras.features.moments import image_moments

# Most attempts at a shape, and the error, as a fraction of the change, with which an attempt is accepted
# early.
ATTEMPTS = 4
TOLERANCE = 0.05
# Standard deviation in px of the Gaussian that smooths a mask before it is interpolated. A mask of 0 and 1
# moves by whole pixels only: its border lies halfway between two pixels until one of them is nearer to
# another.
SOFT = 1.0
RIM = 3


class Tumour(NamedTuple):
    """A tumour in the smallest rectangle that holds it; in the smallest box, in volumes.

    Attributes:
        image: (rows, columns) or (slices, rows, columns), float64 in [0, 1], 0 outside the tumour.
        mask: of the same shape, bool.
        origin: (s,) int, position of the first pixel on the canvas along each axis.
        spacing: (s,) mm between pixels along each axis.
    """

    image: np.ndarray
    mask: np.ndarray
    origin: np.ndarray
    spacing: np.ndarray

    @classmethod
    def cut(
        cls, image: np.ndarray, mask: np.ndarray, origin: np.ndarray | tuple[int, ...], spacing: np.ndarray
    ) -> "Tumour":
        """The tumour in an image and a mask (H, W) or (D, H, W), not empty; `origin` is their first pixel."""
        first, edges = bounds(mask)
        box = tuple(slice(start, start + edge) for start, edge in zip(first, edges))
        inside = np.asarray(mask[box], bool)
        return cls(
            np.where(inside, image[box], 0.0),
            inside,
            np.add(origin, first),
            np.asarray(spacing, np.float64),
        )

    def is_on(self, canvas: Sequence[int]) -> bool:
        """Whether the tumour lies entirely on a canvas (H, W) or in a box (D, H, W)."""
        return bool((self.origin >= 0).all() and (self.origin + self.mask.shape <= canvas).all())


def brightened(tumour: Tumour, change: float) -> Tumour:
    """The tumour with `change`, in units of the image, added to its intensities."""
    return tumour._replace(image=np.where(tumour.mask, np.clip(tumour.image + change, 0, 1), 0.0))


def scaled(tumour: Tumour, change: float) -> Tumour | None:
    """The tumour scaled about its centre so that its extent changes by `change` mm, at equal mean intensity.

    None for a tumour without a width, and where nothing would be left.
    """
    return _reshaped(tumour, np.array([change, 0.0]))


def stretched(tumour: Tumour, change: float) -> Tumour | None:
    """The tumour stretched along its major axis and shrunk across it; their log ratio changes by `change`.

    In volumes, across is along the middle axis.

    Its extent and its mean intensity stay the same. (At equal area instead, an elongated tumour would have a
    larger extent.) None for a tumour without a width, and where the axes would swap.
    """
    return _reshaped(tumour, np.array([0.0, change]))


# The move along each feature that has one, by the class of the feature, because users may rename features.
MOVES: dict[type[Feature], Callable[[Tumour, float], Tumour | None]] = {
    Brightness: brightened,
    Extent: scaled,
    LogAspectRatio: stretched,
}


# A graph, because there are thousands of small tumours.
_moments = tf.function(
    image_moments,
    input_signature=[tf.TensorSpec([1, None, None], tf.float64), tf.TensorSpec([2], tf.float64)],
    autograph=False,
)


def _shape(tumour: Tumour) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre in mm from the first pixel, variances in mm² (ascending), and their axes as columns."""
    if tumour.mask.ndim == 3:
        place, mass = np.argwhere(tumour.mask) * tumour.spacing, tumour.image[tumour.mask]
        if not mass.sum() > 0:
            return np.zeros(3), np.zeros(3), np.eye(3)
        return place.T @ mass / mass.sum(), *np.linalg.eigh(np.cov(place.T, aweights=mass, ddof=0))
    _, dy, dx, yy, xx, yx = (each.numpy() for each in _moments(tumour.image[np.newaxis], tumour.spacing))
    covariance = np.array([[yy[0], yx[0]], [yx[0], xx[0]]])
    return -np.array([dy[0, 0, 0], dx[0, 0, 0]]), *np.linalg.eigh(covariance)


def _extent_and_log_ratio(variances: np.ndarray) -> np.ndarray:
    return np.array([np.sqrt(variances.sum()), np.log(variances[-1] / variances[-2]) / 2])


def _deviations(variances: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Standard deviations along the axes with an extent (mm) and a log aspect ratio.

    In volumes, the minor axis keeps its ratio to the geometric mean of the other two.
    """
    if len(variances) == 2:
        deviations = np.array([1.0, np.exp(target[1])])
    else:
        minor, middle, major = np.sqrt(variances)
        mean, half = np.sqrt(middle * major), np.exp(target[1] / 2)
        deviations = np.array([minor, mean / half, mean * half])
    return np.asarray(deviations * (target[0] / np.linalg.norm(deviations)))


def _reshaped(tumour: Tumour, change: np.ndarray) -> Tumour | None:
    """The tumour with extent (mm) and log aspect ratio changed by `change`, about its centre.

    Pixels round the result, most of all that of a small tumour, so each further attempt corrects the target
    by the error of the previous one.
    """
    centre, variances, axes = _shape(tumour)
    if not variances[0] > 0:
        return None
    before = _extent_and_log_ratio(variances)
    goal = before + change
    if goal[0] <= 0 or goal[1] < 0 or np.diff(_deviations(variances, goal)).min() < 0:
        return None
    # A relative change of the extent is a change of a logarithm, like that of the ratio.
    unit = np.array([before[0], 1.0])
    source = _Source.of(tumour)
    target, best, least = goal, None, np.inf
    for _ in range(ATTEMPTS):
        matrix = axes @ np.diag(_deviations(variances, target) / np.sqrt(variances)) @ axes.T
        moved = source.transformed(tumour, centre, matrix)
        features = None if moved is None else _shape(moved)[1]
        if features is None or not features[0] > 0:
            break
        missing = goal - _extent_and_log_ratio(features)
        error = np.abs(missing / unit).max()
        if error < least:
            best, least = moved, error
        if error <= TOLERANCE * np.abs(change / unit).max():
            break
        target = target + missing
    return best


class _Source(NamedTuple):
    """The image and mask to interpolate.

    Attributes:
        image: of the tumour; pixels outside the tumour have the value of the nearest pixel inside, so that
            at the border, too, the image is interpolated between pixels of the tumour.
        soft: the smoothed mask, with `RIM` more pixels at each end of each axis.
    """

    image: np.ndarray
    soft: np.ndarray

    @classmethod
    def of(cls, tumour: Tumour) -> "_Source":
        """From a tumour."""
        nearest = ndimage.distance_transform_edt(
            ~tumour.mask, sampling=tumour.spacing, return_distances=False, return_indices=True
        )
        soft = ndimage.gaussian_filter(np.pad(tumour.mask, RIM).astype(np.float64), SOFT, mode="constant")
        return cls(tumour.image[tuple(nearest)], soft)

    def transformed(self, tumour: Tumour, centre: np.ndarray, matrix: np.ndarray) -> Tumour | None:
        """The tumour after r → centre + matrix (r - centre), in mm, at equal mean intensity; None if empty.

        Image and mask are interpolated linearly; a pixel is inside where the mask is at least one half.
        """
        mm = tumour.spacing
        centre = centre / mm
        matrix = matrix * mm / mm[:, np.newaxis]
        inverse = np.linalg.inv(matrix)
        size = np.array(tumour.mask.shape)
        corners = np.array([*itertools.product(*((-0.5, edge - 0.5) for edge in size))])
        reach = (corners - centre) @ matrix.T + centre
        first = np.floor(reach.min(axis=0)).astype(int)
        shape = tuple(np.ceil(reach.max(axis=0)).astype(int) - first + 1)
        offset = centre + inverse @ (first - centre)

        def interpolated(values: np.ndarray, offset: np.ndarray, mode: str) -> np.ndarray:
            return ndimage.affine_transform(values, inverse, offset, shape, order=1, mode=mode)

        inside = interpolated(self.soft, offset + RIM, "constant") >= 0.5
        if not inside.any():
            return None
        image = interpolated(self.image, offset, "nearest")
        image += tumour.image[tumour.mask].mean() - image[inside].mean()
        return Tumour.cut(np.clip(image, 0, 1), inside, tumour.origin + first, mm)
