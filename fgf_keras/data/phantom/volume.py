"""A phantom patient as a CT volume with regions, with the variation of real data."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from fgf_keras.data.phantom.phantom import Canvas, PhantomSlice, phantom_slice

# Fewest slices with a slice without tumour on either side and a tumour on more than one slice.
FEWEST_SLICES = 5
# Direction cosines of the column index and the row index by PatientPosition, and the share of each position.
POSITIONS = {
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
}
POSITION_SHARES = (0.8, 0.1, 0.1)
# Spellings of one name.
TUMOUR_NAMES = ("GTV primary", "GTV Primary", "GTV PRIMARY")
NODES_NAME, BODY_NAME = "GTV nodes", "Body"
NODES_SHARE = 0.5
# Radius of the nodes as a fraction of the canvas; pixels between them and the tumour or the border.
NODE_RADIUS, NODE_MARGIN = 0.04, 2
# Pixels above this HU belong to the body.
BODY_HU = -300


@dataclass(frozen=True, eq=False)
class Region:
    """A region of interest.

    Attributes:
        kind: `tumour`, `nodes` or `body`.
        number, name: of the region in the file.
        planes: (rows, columns) bool by slice index, only planes with at least one pixel, in ascending order.
    """

    kind: str
    number: int
    name: str
    planes: dict[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class PhantomVolume:
    """A stack of axial slices with regions. Slices are counted along their normal, from 0.

    Attributes:
        drawn: the slice with the largest tumour area, see `phantom_slice`.
        middle: index of that slice.
        tumour: (rows, columns) bool by slice index.
        spacing: (z, y, x) mm.
        origin: (3,) patient mm of the first pixel of the first slice.
        position: PatientPosition, one of `POSITIONS`.
        shifts: (slices, 2) pixels by which the noise of each slice is shifted.
        order: (slices,) a permutation, the order in which the file names sort.
        numbers: (slices,) InstanceNumber, which is meaningless for some patients.
        signed: whether the stored values are signed.
        regions: in the order of the structure set.
    """

    drawn: PhantomSlice
    middle: int
    tumour: dict[int, np.ndarray]
    spacing: tuple[float, float, float]
    origin: np.ndarray
    position: str
    shifts: np.ndarray
    order: np.ndarray
    numbers: np.ndarray
    signed: bool
    regions: tuple[Region, ...]

    def __len__(self) -> int:
        return len(self.shifts)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.drawn.mask.shape

    @property
    def cosines(self) -> np.ndarray:
        """(2, 3) directions in which the column index and the row index grow."""
        return np.array(POSITIONS[self.position], float)

    def corner(self, index: int) -> np.ndarray:
        """(3,) patient mm of the centre of the first pixel of a slice."""
        return self.origin + index * self.spacing[0] * np.cross(*self.cosines)

    def hu(self, index: int) -> np.ndarray:
        """(rows, columns) int16; slices other than the middle one have the same anatomy with other noise."""
        middle, anatomy, noise = self._rounded
        if index == self.middle:
            return middle
        shifted = anatomy + np.roll(noise, self.shifts[index], axis=(0, 1))
        return np.where(self.tumour[index], middle, shifted) if index in self.tumour else shifted

    def mask(self) -> np.ndarray:
        """(slices, rows, columns) bool, the tumour."""
        mask = np.zeros((len(self), *self.shape), bool)
        for index, plane in self.tumour.items():
            mask[index] = plane
        return mask

    @cached_property
    def _rounded(self) -> tuple[np.ndarray, ...]:
        fields = (self.drawn.hu, self.drawn.anatomy, self.drawn.noise)
        return tuple(np.rint(field).astype(np.int16) for field in fields)


def phantom_volume(
    number: int, canvas: Canvas, *, seed: int, slices: int, slice_mm: float, tallest: int | None = None
) -> PhantomVolume:
    """Draw patient `number`, counted from 0, as `slices` slices, `slice_mm` apart.

    The tumour shrinks towards both ends almost like a ball, by at least a pixel from slice to slice. It fits
    a stack of `tallest` slices; by default `slices`.
    """
    middle_slice = phantom_slice(number, canvas, seed)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2, number)))
    depth = ndimage.distance_transform_edt(np.pad(middle_slice.mask, 1), sampling=canvas.spacing)[1:-1, 1:-1]
    reach = int(np.clip(depth.max() // slice_mm, 1, max(1, ((tallest or slices) - 4) // 2)))
    middle = int(rng.integers(reach + 1, slices - reach - 1))
    tumour = _tumour(depth, middle, reach)
    position = str(rng.choice(list(POSITIONS), p=POSITION_SHARES))
    ascending = np.arange(1, slices + 1)
    return PhantomVolume(
        drawn=middle_slice,
        middle=middle,
        tumour=tumour,
        spacing=(float(slice_mm), float(canvas.spacing[0]), float(canvas.spacing[1])),
        origin=np.round(rng.uniform(-300, 300, 3), 2),
        position=position,
        shifts=rng.integers(0, canvas.y.size, (slices, 2)),
        order=rng.permutation(slices),
        numbers=ascending if rng.random() < 0.5 else rng.permutation(ascending),
        signed=bool(rng.random() < 0.5),
        regions=_regions(rng, middle_slice, tumour, middle, slices, canvas),
    )


def _tumour(depth: np.ndarray, middle: int, reach: int) -> dict[int, np.ndarray]:
    """The mask of each slice by its index; `depth` is the distance in mm to the outside of the tumour."""
    planes = {}
    for index in range(middle - reach, middle + reach + 1):
        # Narrower at the upper end, so that a volume read upside down is different.
        height = abs(index - middle) / (reach + (1 if index < middle else 0.1))
        threshold = depth.max() * (1 - np.sqrt(1 - height**2))
        # Every other slice loses at least one layer of pixels, so that the largest slice is unique.
        plane = depth > (max(threshold, depth[depth > 0].min()) if height else 0)
        if plane.any():
            planes[index] = plane
    return planes


def _regions(
    rng: np.random.Generator,
    drawn: PhantomSlice,
    tumour: dict[int, np.ndarray],
    middle: int,
    slices: int,
    canvas: Canvas,
) -> tuple[Region, ...]:
    """The body, the tumour and in some patients nodes, in random order and with random numbers."""
    first = int(rng.integers(1, 30))
    numbers = rng.permutation(np.arange(first, first + 3)).tolist()
    body = dict.fromkeys(range(slices), _body(drawn.anatomy))
    regions = [
        Region("body", numbers[0], BODY_NAME, body),
        Region("tumour", numbers[1], str(rng.choice(TUMOUR_NAMES)), tumour),
    ]
    if rng.random() < NODES_SHARE:
        nodes = dict.fromkeys(range(middle, middle + 2), _node(rng, drawn.mask, canvas))
        regions.append(Region("nodes", numbers[2], NODES_NAME, nodes))
    return tuple(regions[i] for i in rng.permutation(len(regions)))


def _body(anatomy: np.ndarray) -> np.ndarray:
    """The largest connected component denser than air, with holes filled."""
    components, _ = ndimage.label(anatomy > BODY_HU)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(components == sizes.argmax())


def _node(rng: np.random.Generator, mask: np.ndarray, canvas: Canvas) -> np.ndarray:
    """A disc at a distance from the tumour and, if there is room, from the border."""
    free = np.pad(~mask[1:-1, 1:-1], 1)
    clearance = ndimage.distance_transform_edt(free, sampling=canvas.spacing)
    radius = NODE_RADIUS * canvas.side
    room = np.flatnonzero(clearance > radius + NODE_MARGIN * canvas.spacing.max())
    row, column = divmod(int(rng.choice(room) if len(room) else clearance.argmax()), mask.shape[1])
    distance = np.hypot(canvas.y - canvas.y[row], canvas.x - canvas.x[:, column])
    return distance <= min(radius, clearance.max() / 2)
