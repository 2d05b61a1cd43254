"""A series with several acquisitions is split where each is whole by itself, and refused otherwise."""

import numpy as np
import pytest
from dicom_fixtures import ORIENTATIONS, Stack, ds_list

from fgf_keras.data.dicom.acquisitions import split_acquisitions
from fgf_keras.data.dicom.index import index_folder
from fgf_keras.data.dicom.inspect import inspect_folder
from fgf_keras.data.dicom.slice_header import read_slice_header
from fgf_keras.data.refusal import DicomError

EVEN = np.arange(5) * 2.5


def write(folder, *passes):
    """One series of slices at given heights, acquisition by acquisition: (AcquisitionNumber, heights)."""
    everything = [(number, height) for number, heights in passes for height in heights]
    stack = Stack(shape=(len(everything), 12, 16), heights=[height for _, height in everything])
    numbers = {i: {"AcquisitionNumber": number} for i, (number, _) in enumerate(everything)}
    return stack.write(folder, numbers)


def add(stack, folder, count=1, **changes):
    """More slices of the same series."""
    for i in range(count):
        dataset = stack.dataset(0, SOPInstanceUID=f"1.2.3.{len(list(folder.iterdir()))}", **changes)
        if count > 1:
            dataset.ImagePositionPatient = ds_list((0, 0, 2.5 * i))
        dataset.save_as(folder / f"more{len(list(folder.iterdir()))}")


def refusal(folder):
    (entry,) = index_folder(folder).series
    with pytest.raises(DicomError) as caught:
        entry.stacks()
    with pytest.raises(DicomError) as whole:
        entry.stack()
    # What is said is what is wrong with the series, not with some part of it.
    assert str(caught.value) == str(whole.value)
    return caught.value.kind


def sizes(folder):
    (entry,) = index_folder(folder).series
    return [series.shape[0] for series in entry.stacks()]


SCOUT = {
    "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    "ImageOrientationPatient": ds_list(ORIENTATIONS["coronal"]),
}


def test_an_ordinary_series_is_one_stack_whatever_its_numbers(tmp_path):
    stack = write(tmp_path, (1, EVEN[:2]), (2, EVEN[2:]))
    (entry,) = index_folder(tmp_path).series
    (series,) = entry.stacks()
    assert [h.sop_uid for h in series.headers] == [h.sop_uid for h in entry.stack().headers] == stack.sops


def test_two_passes_over_one_range_are_two_stacks(tmp_path):
    stack = write(tmp_path, (2, EVEN), (1, EVEN + 1), (3, EVEN))
    (entry,) = index_folder(tmp_path).series
    with pytest.raises(DicomError) as caught:
        entry.stack()
    assert caught.value.kind == "duplicate_slice"
    stacks = entry.stacks()
    found = [[h.sop_uid for h in series.headers] for series in stacks]
    assert found == [stack.sops[5:10], stack.sops[:5], stack.sops[10:]]
    for series in stacks:
        at = stack.sops.index(series.headers[0].sop_uid)
        np.testing.assert_array_equal(series.read_hu(0), stack.stored[at] - 1024)


def test_scout_views_are_set_aside_and_counted(tmp_path):
    stack = write(tmp_path, (1, EVEN))
    add(stack, tmp_path, **SCOUT)
    sagittal = {
        **SCOUT,
        "ImageOrientationPatient": ds_list(ORIENTATIONS["sagittal"]),
        "Rows": 8,
        "Columns": 24,
    }
    add(stack, tmp_path, **sagittal)
    (entry,) = index_folder(tmp_path).series
    with pytest.raises(DicomError):
        entry.stack()
    (series,) = entry.stacks()
    assert [h.sop_uid for h in series.headers] == stack.sops
    assert entry.localizers == 2
    ((_, _, content, _),) = inspect_folder(tmp_path)[0]
    assert content == "5 slices of 12 × 16, 2.5 × 0.9 × 0.7 mm; 2 scout views left out"


@pytest.mark.parametrize(
    "changes",
    [
        {"PixelSpacing": ["1", "1"]},
        {"Rows": 16, "Columns": 12},
        {"ImageOrientationPatient": ds_list(ORIENTATIONS["FFP"])},
    ],
)
def test_reconstructions_of_another_grid_are_stacks_of_their_own(tmp_path, changes):
    stack = write(tmp_path, (None, EVEN))
    add(stack, tmp_path, 4, **changes)
    assert sorted(sizes(tmp_path)) == [4, 5]


@pytest.mark.parametrize(
    ("passes", "kind"),
    [
        ([(None, EVEN), (None, EVEN)], "duplicate_slice"),
        ([(1, EVEN), (1, EVEN)], "duplicate_slice"),
        ([(1, EVEN), (None, EVEN)], "duplicate_slice"),
        # A pass that lost a slice inside.
        ([(1, EVEN), (2, EVEN[[0, 1, 3, 4]])], "duplicate_slice"),
        # Too short to show whether it lost one.
        ([(1, EVEN), (2, EVEN[:2])], "duplicate_slice"),
        # Two scans in steps: whatever belongs to which, no step is an acquisition by itself.
        ([(1, EVEN), (2, EVEN + 12.5), (3, EVEN), (4, EVEN + 12.5)], "duplicate_slice"),
        # Every slice its own acquisition.
        ([(i, [h]) for i, h in enumerate([*EVEN, *EVEN])], "duplicate_slice"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_as_a_whole(tmp_path, passes, kind):
    write(tmp_path, *passes)
    assert refusal(tmp_path) == kind


def test_a_single_slice_that_does_not_fit_is_not_dropped(tmp_path):
    stack = write(tmp_path, (1, EVEN))
    add(stack, tmp_path, AcquisitionNumber=2, PixelSpacing=["1", "1"])
    assert refusal(tmp_path) == "mixed_spacing"


def test_an_oblique_slice_that_does_not_say_that_it_is_a_scout_is_not_dropped(tmp_path):
    stack = write(tmp_path, (1, EVEN))
    add(stack, tmp_path, **{**SCOUT, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]})
    assert refusal(tmp_path) == "mixed_orientation"


def test_many_slices_are_a_stack_even_if_they_call_themselves_scouts(tmp_path):
    stack = write(tmp_path, (1, EVEN))
    add(stack, tmp_path, 4, ImageType=SCOUT["ImageType"])
    assert sorted(sizes(tmp_path)) == [4, 5]


def test_rejected_files_keep_a_series_from_being_split(tmp_path):
    stack = write(tmp_path, (1, EVEN), (2, EVEN))
    stack.files[3].write_bytes(stack.files[3].read_bytes()[:-40])
    assert refusal(tmp_path) == "incomplete_series"


def test_the_order_of_the_slices_does_not_matter(tmp_path, rng):
    stack = write(tmp_path, (1, EVEN), (2, EVEN))
    add(stack, tmp_path, **SCOUT)
    headers = [read_slice_header(path) for path in sorted(tmp_path.iterdir())]
    expected = [{h.sop_uid for h in series.headers} for series in split_acquisitions(headers)]
    assert expected == [set(stack.sops[:5]), set(stack.sops[5:])]
    for _ in range(5):
        shuffled = [headers[i] for i in rng.permutation(len(headers))]
        assert [{h.sop_uid for h in series.headers} for series in split_acquisitions(shuffled)] == expected
