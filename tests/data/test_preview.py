"""The contact sheet shows every mask where it is, to the pixel, and says what belongs to it."""

import weakref

import numpy as np
import pytest
from scipy import ndimage

from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.data.prepared.preview import (
    BACKGROUND,
    OUTLINE,
    QUIET,
    TEXT,
    WARNING,
    SheetEntry,
    contact_sheet,
)
from fgf_keras.errors import DataError

WINDOW = (-100.0, 300.0)
# Pictures of 64 pixels are shown three times as large.
TILE, SCALE = 192, 3


def entry(mask=None, **changed):
    if mask is None:
        mask = np.zeros((64, 64), np.uint8)
        mask[24:40, 20:44] = 1
    spacing = changed.pop("spacing", (1.0, 1.0))
    settings = {
        "patient_id": "P-1",
        "label": 0,
        "hu": np.full(mask.shape, 100, np.float32),
        "mask": mask,
        "spacing": spacing,
        "area_mm2": float(mask.sum() * np.prod(spacing)),
        "slice_index": 7,
    }
    return SheetEntry(**settings | changed)


def sheet(*entries, tile=TILE, **changed):
    return np.asarray(contact_sheet(entries, window=WINDOW, tile=tile, **changed))


def of_colour(pixels, colour):
    return (pixels == colour).all(axis=-1)


def box(where):
    """(top, bottom, left, right), the ends included."""
    rows, columns = np.nonzero(where)
    return rows.min(), rows.max(), columns.min(), columns.max()


def blob(rng):
    mask = ndimage.gaussian_filter(rng.standard_normal((64, 64)), 3) > 0.02
    mask[:16], mask[48:], mask[:, :16], mask[:, 48:] = False, False, False, False
    return mask


@pytest.mark.parametrize("seed", range(5))
def test_the_outline_lies_on_the_pixels_next_to_the_mask(seed):
    mask = blob(np.random.default_rng(seed))
    enlarged = np.kron(mask, np.ones((SCALE, SCALE), bool))
    expected = ndimage.binary_dilation(enlarged, np.ones((3, 3))) & ~enlarged
    found = of_colour(sheet(entry(mask)), OUTLINE)
    top, bottom, left, right = box(found)
    first, last, start, end = box(expected)
    np.testing.assert_array_equal(
        found[top : bottom + 1, left : right + 1], expected[first : last + 1, start : end + 1]
    )


def test_the_outline_of_a_tumour_at_the_border_of_the_slice_is_closed():
    found = of_colour(sheet(entry(np.ones((64, 64), np.uint8))), OUTLINE)
    top, bottom, left, right = box(found)
    assert bottom - top == right - left == 64 * SCALE + 1
    assert found[top, left : right + 1].all()
    assert found[bottom, left : right + 1].all()
    assert found[top : bottom + 1, left].all()
    assert found[top : bottom + 1, right].all()
    assert found.sum() == 4 * (64 * SCALE + 1)


@pytest.mark.parametrize(
    ("hu", "level"), [(-1000, 0), (-100, 0), (0, 64), (100, 128), (300, 255), (2000, 255)]
)
def test_the_window_becomes_grey(hu, level):
    pixels = sheet(entry(hu=np.full((64, 64), hu, np.float32)))
    top, bottom, left, right = box(of_colour(pixels, OUTLINE))
    inside = pixels[top + 1 : bottom, left + 1 : right]
    assert inside.shape == (16 * SCALE, 24 * SCALE, 3)
    assert (inside == level).all()


def test_the_slice_lies_under_its_outline():
    mask = np.zeros((64, 64), np.uint8)
    mask[10:22, 30:50] = 1
    # One level inside, another outside: interpolation blurs the edge by less than two pixels of the slice.
    pixels = sheet(entry(mask, hu=np.where(mask, 300, -100).astype(np.float32)))
    top, bottom, left, right = box(of_colour(pixels, OUTLINE))
    margin = 2 * SCALE
    assert (pixels[top + margin : bottom - margin, left + margin : right - margin] == 255).all()
    assert (pixels[bottom + margin : bottom + 2 * margin, left:right] == 0).all()
    assert (pixels[top:bottom, right + margin : right + 2 * margin] == 0).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 180), (180, 0), (180, 180), (90, 90)])
def test_the_picture_stays_within_the_slice_and_holds_the_tumour(corner):
    row, column = corner
    mask = np.zeros((192, 192), np.uint8)
    mask[row : row + 12, column : column + 12] = 1
    top, bottom, left, right = box(of_colour(sheet(entry(mask)), OUTLINE))
    assert bottom - top == right - left == 12 * SCALE + 1


def test_millimetres_are_square_and_large_tumours_fit():
    mask = np.zeros((64, 192), np.uint8)
    mask[20:30, 60:90] = 1  # 30 x 30 mm
    found = box(of_colour(sheet(entry(mask, spacing=(3.0, 1.0))), OUTLINE))
    assert abs((found[1] - found[0]) - (found[3] - found[2])) <= 1
    mask = np.zeros((512, 512), np.uint8)
    mask[100:300, 150:350] = 1
    found = box(of_colour(sheet(entry(mask)), OUTLINE))
    assert (found[1] - found[0], found[3] - found[2]) == pytest.approx((TILE / 2.5, TILE / 2.5), abs=2)


def test_a_mirrored_slice_gives_a_mirrored_outline():
    rng = np.random.default_rng(0)
    # Shown at 192/500 of its size.
    mask = ndimage.gaussian_filter(rng.standard_normal((500, 500)), 20) > 0
    straight, mirrored = (of_colour(sheet(entry(m)), OUTLINE) for m in (mask, mask[::-1, ::-1]))
    top, bottom, left, right = box(straight)
    assert bottom - top > 150
    there = straight[top : bottom + 1, left : right + 1]
    top, bottom, left, right = box(mirrored)
    np.testing.assert_array_equal(mirrored[top : bottom + 1, left : right + 1], there[::-1, ::-1])


@pytest.mark.parametrize(
    ("spacing", "length"), [(1.0, 20 * SCALE), (0.5, 10 * 2 * SCALE), (2.0, 20 * SCALE / 2)]
)
def test_the_bar_is_as_long_as_it_says(spacing, length):
    pixels = sheet(entry(spacing=(spacing, spacing)))
    lines = of_colour(pixels, QUIET)
    below = box(of_colour(pixels, OUTLINE))[1]
    runs = [longest_run(line) for line in lines[below:]]
    mm = {1.0: 20, 0.5: 10, 2.0: 20}[spacing]
    assert max(runs) == round(mm / spacing * SCALE) == length


def longest_run(line):
    labels, count = ndimage.label(line)
    return int(np.bincount(labels)[1:].max()) if count else 0


def caption(**changed):
    """The part below the picture."""
    pixels = sheet(entry(**changed))
    below = box(of_colour(pixels, OUTLINE))[1] + TILE // 2
    return pixels[below:]


@pytest.mark.parametrize(
    "changed",
    [
        {"patient_id": "P-2"},
        {"label": 1},
        {"label": 2},
        {"area_mm2": 1.0},
        {"slice_index": 8},
        {"slice_index": None},
    ],
)
def test_the_caption_says_what_is_told(changed):
    plain, other = caption(), caption(**changed)
    assert (plain != BACKGROUND).any()
    assert (plain != other).any()


def test_a_positive_patient_is_marked_without_colour():
    def differs(pixels):
        return np.asarray(pixels).astype(int).mean(axis=-1)

    negative, positive = sheet(entry()), sheet(entry(label=1))
    brighter = differs(positive) - differs(negative) > 100
    top, bottom, left, right = box(of_colour(positive, OUTLINE))
    # A frame around the picture and a badge below.
    assert brighter[top : bottom + 1, :left].any(axis=1).all()
    assert brighter[top : bottom + 1, right + 1 :].any(axis=1).all()
    assert longest_run(of_colour(positive[bottom:], TEXT)[-50:].any(axis=0)) > 30
    assert not of_colour(negative, TEXT)[top : bottom + 1].any()


def test_warnings_are_marked_and_wrapped():
    assert not of_colour(sheet(entry()), WARNING).any()
    one, long = (sheet(entry(warnings="; ".join(["a long warning: 3"] * n))) for n in (1, 9))
    assert of_colour(one, WARNING).any()
    assert len(long) > len(one)
    # Nothing is written beyond the tile.
    tile_right = np.flatnonzero((long != BACKGROUND).any(axis=-1)[200:].any(axis=0)).max()
    assert tile_right == np.flatnonzero((one != BACKGROUND).any(axis=-1)[100:200].any(axis=0)).max()


def test_a_long_id_keeps_its_ends_and_its_place():
    ids = ["a" + "x" * 80 + "1", "a" + "x" * 80 + "2"]
    one, other = (sheet(entry(patient_id=name)) for name in ids)
    assert one.shape == other.shape == sheet(entry()).shape
    assert (one != other).any()


@pytest.mark.parametrize(("count", "columns"), [(1, None), (5, 2), (7, 7), (11, None), (30, None), (4, 9)])
def test_every_patient_has_a_tile(count, columns):
    pixels = sheet(*[entry(patient_id=str(k)) for k in range(count)], columns=columns)
    labels, found = ndimage.label(of_colour(pixels, OUTLINE), np.ones((3, 3)))
    assert found == count
    tops = [where[0].start for where in ndimage.find_objects(labels)]
    in_a_row = min(columns or 11, count)
    assert tops.count(tops[0]) == in_a_row
    assert len(set(tops)) == -(-count // in_a_row)
    assert pixels.shape[1] <= 2400


def test_a_cohort_makes_the_same_sheet_twice_and_slices_are_let_go():
    cohort = phantom_cohort(PhantomConfig(patients=30), size=96, window=WINDOW, spacing=(1, 1), seed=3)
    alive = []

    def entries():
        low, high = WINDOW
        for k, name in enumerate(cohort.patient_id):
            # The one that was drawn last may still have a name.
            assert sum(ref() is not None for ref in alive) <= 1
            hu = cohort.images[k, ..., 0] * (high - low) + low
            alive.append(weakref.ref(hu))
            yield entry(cohort.masks[k, ..., 0], hu=hu, patient_id=str(name), label=int(cohort.labels[k]))
            del hu

    first, second = (contact_sheet(entries(), window=WINDOW) for _ in range(2))
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(DataError, match="at least one patient"):
        sheet()
    with pytest.raises(DataError, match=r"P-1.*\(64, 64\).* 0 pixels"):
        sheet(entry(np.zeros((64, 64), np.uint8)))
    with pytest.raises(DataError, match=r"P-1.*\(64, 63\)"):
        sheet(entry(hu=np.zeros((64, 63), np.float32)))
