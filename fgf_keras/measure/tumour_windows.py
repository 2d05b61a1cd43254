"""Tumours in windows of one size, and moves of their intensities by a given norm inside [0, 1]."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fgf_keras.nulls.fields import smooth_fields


class Windows(NamedTuple):
    """Windows of one size around the masks of N patients, each on the canvas, or in the box, of its patient.

    Attributes:
        places: for each spatial axis (N, edge), the positions of the window's pixels on the canvas.
        centre: (N, s), of the smallest box around the mask, counted from the window's first pixel.
    """

    places: tuple[np.ndarray, ...]
    centre: np.ndarray

    @classmethod
    def around(cls, masks: np.ndarray) -> "Windows":
        """The smallest windows that hold masks (N, H, W, 1) or (N, D, H, W, 1), none of which is empty."""
        places, centres = [], []
        for axis in range(1, masks.ndim - 1):
            others = tuple(other for other in range(1, masks.ndim) if other != axis)
            occupied: np.ndarray = np.asarray(masks.any(axis=others))
            size = occupied.shape[1]
            first = occupied.argmax(axis=1)
            last = size - 1 - occupied[:, ::-1].argmax(axis=1)
            edge = int((last - first).max()) + 1
            start = np.minimum(first, size - edge)
            places.append(start[:, np.newaxis] + np.arange(edge))
            centres.append((first + last) / 2 - start)
        return cls(tuple(places), np.stack(centres, axis=1))

    def of(self, fields: np.ndarray) -> np.ndarray:
        """The windows (N, R, S, C) of fields (N, H, W, C), or those of volumes."""
        return fields[_index(self.places)]

    def put(self, fields: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """A copy of fields (N, H, W, C) with these windows (N, R, S, C), or of volumes."""
        fields = fields.copy()
        fields[_index(self.places)] = windows
        return fields

    def select(self, rows: slice | np.ndarray) -> "Windows":
        """The windows of some patients."""
        return Windows(tuple(place[rows] for place in self.places), self.centre[rows])


def _index(places: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Indices of the samples and of the pixels (N, edge) along each axis, that select a window per sample."""
    count = len(places)
    patients = np.arange(len(places[0])).reshape(-1, *[1] * count)
    along = [
        place.reshape(len(place), *[1] * k, -1, *[1] * (count - 1 - k)) for k, place in enumerate(places)
    ]
    return patients, *along


def smooth_fields_in(
    windows: Windows, mask: np.ndarray, count: int, sigma: float, seed: np.ndarray
) -> Iterator[np.ndarray]:
    """Random smooth fields v, each the same for all tumours in their own frames, (N, R, S, C) for each draw.

    Frames are centred on the boxes around the tumours, so that ⟨v, x⟩ is a linear feature of the tumour.

    Args:
        windows: of N patients.
        mask: (N, R, S, C), or that of volumes, in {0, 1}; the fields are 0 outside.
        count: number of draws.
        sigma: of the Gaussian, px, see `smooth_fields`.
        seed: (2,) int32.
    """
    *edges, channels = mask.shape[1:]
    fields = smooth_fields(count, (*(2 * edge for edge in edges), channels), sigma, seed).numpy()
    # The centre of a tumour falls onto the centre of the field.
    first = np.rint(np.array(edges) - windows.centre).astype(int)
    _, *index = _index([first[:, k, np.newaxis] + np.arange(edge) for k, edge in enumerate(edges)])
    for field in fields:
        yield field[tuple(index)] * mask


def moved_by(image: np.ndarray, field: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Images moved along fields and clipped to [0, 1], so that they have changed by given norms.

    ‖clip(x + αv) - x‖² grows with α: pixel k stops growing at α_k = room_k/|v_k|, so between these values it
    is a parabola, which is solved exactly. A norm that the range does not allow is the largest possible.

    Args:
        image: (N, …, C) in [0, 1] where the field is not 0.
        field: (N, …, C).
        norm: (N,).
    """
    x, v = (values.reshape(len(image), -1).astype(np.float64) for values in (image, field))
    room = np.where(v > 0, 1 - x, np.where(v < 0, x, 0))
    size = np.abs(v)
    stop = np.divide(room, size, out=np.zeros_like(x), where=size > 0)
    order = np.argsort(stop, axis=1)
    stop, room, size = (np.take_along_axis(values, order, axis=1) for values in (stop, room, size))
    # Before the k-th stop: the pixels before it have moved by their room, the others by α|v|.
    stopped = np.cumsum(room**2, axis=1) - room**2
    moving = np.cumsum(size[:, ::-1] ** 2, axis=1)[:, ::-1]
    wanted = norm[:, np.newaxis] ** 2
    k = np.minimum((stopped + stop**2 * moving < wanted).sum(axis=1), x.shape[1] - 1)[:, np.newaxis]
    stopped, moving, stop = (np.take_along_axis(values, k, axis=1) for values in (stopped, moving, stop))
    rest = np.maximum(wanted - stopped, 0)
    scale = np.sqrt(np.divide(rest, moving, out=np.zeros_like(rest), where=moving > 0))
    scale = np.where(moving > 0, np.minimum(scale, stop), stop)
    moved = np.where(v == 0, x, np.clip(x + scale * v, 0, 1))
    return moved.reshape(image.shape).astype(image.dtype)
