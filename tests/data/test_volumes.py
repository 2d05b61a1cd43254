"""NIfTI and NRRD volumes become slices on axes that do not depend on how a file stores them."""

import csv
import gzip
import os
import pickle
import struct
import sys

import numpy as np
import pydantic
import pytest
import SimpleITK as sitk

from fgf_keras.config.data import DataConfig
from fgf_keras.data.prepared.source import RejectedPatient, SourceSlice
from fgf_keras.data.volumes.volumes import volume_patients
from fgf_keras.errors import DataError

SUFFIXES = ["nii", "nii.gz", "nrrd"]
# (slices, rows, columns): towards the head, the back and the left.
SHAPE = (7, 9, 11)
SPACING = np.array([0.7, 0.9, 3.0])  # x, y, z mm
ORIGIN = np.array([-12.0, 34.0, -500.0])
TUMOUR_SLICE = 4
STRAIGHT = np.eye(3)
TILT = np.deg2rad(25)
OBLIQUE = np.array([[1, 0, 0], [0, np.cos(TILT), -np.sin(TILT)], [0, np.sin(TILT), np.cos(TILT)]])


@pytest.fixture
def hu(rng):
    return rng.integers(-1000, 1000, SHAPE).astype(np.int16)


@pytest.fixture
def mask():
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:6, 3:5, 4:7] = 1
    mask[TUMOUR_SLICE, 2:7, 4:10] = 1
    mask[TUMOUR_SLICE, 3, 5] = 0
    return mask


def store(path, array, axes="LPS", *, base=STRAIGHT, origin=ORIGIN, spacing=SPACING):
    """Write an array whose axes run towards S, P and L, stored along other axes of the same patient.

    `axes` says where the first, second and third axis of the stored volume lead to.
    """
    order = [next(k for k, pair in enumerate(("LR", "PA", "SI")) if letter in pair) for letter in axes]
    signs = np.array([1 if letter in "LPS" else -1 for letter in axes])
    stored = array.transpose(2, 1, 0).transpose(order)
    stored = stored[tuple(slice(None, None, sign) for sign in signs)]
    sizes = np.array(array.shape[::-1])
    start = np.where(signs < 0, sizes[order] - 1, 0) * spacing[order]
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored.transpose(2, 1, 0)))
    image.SetSpacing(spacing[order].tolist())
    image.SetDirection((base[:, order] * signs).ravel().tolist())
    image.SetOrigin((origin + base[:, order] @ start).tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, path, useCompression=path.suffix == ".gz")


def config(root, suffix="nii.gz", mask_suffix=None, **changed):
    names = {"image": f"{{id}}/image.{suffix}", "mask": f"{{id}}/mask.{mask_suffix or suffix}"}
    volumes = names | {"mask_value": changed.pop("mask_value", None)}
    return DataConfig(source="volumes", root=str(root), out="unused", volumes=volumes, **changed)


def read(root, suffix="nii.gz", **changed):
    (patient,), rejected = volume_patients(config(root, suffix, **changed), ["P-1"])
    assert not rejected
    return patient.read()


def refused(root, stage, *words, suffix="nii.gz", **changed):
    found = read(root, suffix, **changed)
    assert isinstance(found, RejectedPatient), found
    check_refusal(found, root, stage, *words)


def check_refusal(found, root, stage, *words):
    assert found.stage == stage, found
    text = f"{found.reason} {found.remedy}"
    for word in words:
        assert word in text
    assert str(root) not in text
    assert "P-1" not in text
    assert found.reason.endswith(".")
    assert found.remedy.endswith(".")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("axes", ["LPS", "RAS", "LPI", "RAI", "SLP", "PIR", "ASL"])
def test_a_slice_does_not_depend_on_how_the_volume_is_stored(tmp_path, hu, mask, axes, suffix):
    store(tmp_path / "P-1" / f"image.{suffix}", hu, axes)
    store(tmp_path / "P-1" / f"mask.{suffix}", mask, axes)
    found = read(tmp_path, suffix)
    np.testing.assert_array_equal(found.hu, hu[TUMOUR_SLICE])
    np.testing.assert_array_equal(found.mask, mask[TUMOUR_SLICE] > 0)
    assert (found.hu.dtype, found.mask.dtype) == (np.float32, bool)
    # NIfTI keeps the geometry in single precision.
    np.testing.assert_allclose(found.spacing, SPACING[::-1], rtol=1e-6)
    assert found.index == TUMOUR_SLICE
    assert found.z_mm == pytest.approx(ORIGIN[2] + TUMOUR_SLICE * SPACING[2], abs=1e-4)
    assert (found.roi_object, found.roi_names, found.roi_numbers) == ("volume", (), ())
    assert (found.source_uid, found.warnings) == ("", {})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("axes", ["LPS", "RAI", "PIR"])
def test_an_oblique_volume_is_not_resampled(tmp_path, hu, mask, axes, suffix):
    store(tmp_path / "P-1" / f"image.{suffix}", hu, axes, base=OBLIQUE)
    store(tmp_path / "P-1" / f"mask.{suffix}", mask, axes, base=OBLIQUE)
    found = read(tmp_path, suffix)
    np.testing.assert_array_equal(found.hu, hu[TUMOUR_SLICE])
    np.testing.assert_array_equal(found.mask, mask[TUMOUR_SLICE] > 0)
    height = -np.sin(TILT) * ORIGIN[1] + np.cos(TILT) * ORIGIN[2]
    assert found.z_mm == pytest.approx(height + TUMOUR_SLICE * SPACING[2], abs=1e-3)


def test_image_and_mask_may_be_of_different_formats_axes_and_rounding(tmp_path, hu, mask):
    store(tmp_path / "P-1" / "image.nrrd", hu, "LPS")
    store(tmp_path / "P-1" / "mask.nii.gz", mask, "RAI", origin=ORIGIN + 0.01)
    found = read(tmp_path, "nrrd", mask_suffix="nii.gz")
    np.testing.assert_array_equal(found.mask, mask[TUMOUR_SLICE] > 0)
    np.testing.assert_array_equal(found.hu, hu[TUMOUR_SLICE])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"spacing": SPACING * (1, 1.01, 1)}, "spacing"),
        ({"origin": ORIGIN + np.array([0, 0, 0.2])}, "origin"),
        ({"base": OBLIQUE}, "direction"),
    ],
)
def test_another_grid_is_refused(tmp_path, hu, mask, changed, word):
    store(tmp_path / "P-1" / "image.nii.gz", hu)
    store(tmp_path / "P-1" / "mask.nii.gz", mask, **changed)
    refused(tmp_path, "series", f"their {word} puts voxels up to")
    others = {"spacing", "origin", "direction"} - {word}
    assert not any(other in read(tmp_path).reason for other in others)


def test_another_size_is_refused(tmp_path, hu, mask):
    store(tmp_path / "P-1" / "image.nii.gz", hu)
    store(tmp_path / "P-1" / "mask.nii.gz", mask[:, :, 1:])
    refused(tmp_path, "series", "size", "11x9x7", "10x9x7")


@pytest.mark.parametrize(("rule", "index"), [("largest_area", 4), ("middle", 4), ("centroid", 4)])
def test_slices_are_picked_by_the_rule(tmp_path, hu, mask, rule, index):
    store(tmp_path / "P-1" / "image.nii.gz", hu, "RAI")
    store(tmp_path / "P-1" / "mask.nii.gz", mask, "RAI")
    assert read(tmp_path, slice=rule).index == index
    lower = np.zeros_like(mask)
    lower[1:4, 2, 2] = 1
    lower[1, 2:5, 2:5] = 1
    store(tmp_path / "P-1" / "mask.nii.gz", lower, "RAI")
    expected = {"largest_area": 1, "middle": 2, "centroid": 1}
    assert read(tmp_path, slice=rule).index == expected[rule]


def test_one_value_of_a_mask_with_several(tmp_path, hu, mask):
    labels = mask * 3
    labels[1, 0, :5] = 7
    store(tmp_path / "P-1" / "image.nii.gz", hu)
    store(tmp_path / "P-1" / "mask.nii.gz", labels.astype(np.float32))
    found = read(tmp_path, mask_value=7)
    assert (found.index, found.mask.sum(), found.roi_numbers) == (1, 5, (7,))
    assert read(tmp_path).index == TUMOUR_SLICE
    refused(tmp_path, "region", "data.volumes.mask_value=2", "Its values: 0, 3, 7.", mask_value=2)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: np.zeros_like(m), "Its values: 0."),
        (lambda m: m.astype(np.float32) / 2, "no whole numbers"),
        (lambda m: -m.astype(np.int16), "negative"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, hu, mask, change, word):
    store(tmp_path / "P-1" / "image.nii.gz", hu)
    store(tmp_path / "P-1" / "mask.nii.gz", change(mask))
    refused(tmp_path, "region", word)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_mask_that_is_not_finite_is_refused(whole, hu, suffix, kind):
    values = hu.astype(kind)
    values[0, 0, :4] = np.nan, np.nan, np.inf, -np.inf
    store(whole / "P-1" / f"mask.{suffix}", values)
    refused(whole, "pixels", "The mask: 4 voxels", suffix=suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_image_that_is_not_finite_matters_at_the_tumour_only(whole, hu, suffix, kind):
    values = hu.astype(kind)
    values[0, 0, :4] = np.nan, np.nan, np.inf, -np.inf
    store(whole / "P-1" / f"image.{suffix}", values)
    assert read(whole, suffix).warnings == {}
    values[TUMOUR_SLICE, 0, :2] = np.nan
    store(whole / "P-1" / f"image.{suffix}", values)
    found = read(whole, suffix)
    assert found.warnings == {"not_finite": 2}
    np.testing.assert_array_equal(found.hu[0], [-1024, -1024, *hu[TUMOUR_SLICE, 0, 2:]])
    values[TUMOUR_SLICE, 1, 4] = np.nan  # beside the tumour
    store(whole / "P-1" / f"image.{suffix}", values)
    refused(whole, "pixels", "The image: 3 pixels", suffix=suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voxels_come_from_the_file_that_is_named(whole, hu, suffix):
    others = {"nii": ["nii.gz", "nrrd", "hdr"], "nii.gz": ["nii", "hdr"], "nrrd": ["nhdr"]}[suffix]
    for other in others:
        path = whole / "P-1" / f"image.{other}"
        store(path, np.zeros_like(hu))
    np.testing.assert_array_equal(read(whole, suffix).hu, hu[TUMOUR_SLICE])


def test_values_beyond_single_precision_matter_on_the_slice_only(whole, hu):
    values = hu.astype(float)
    values[TUMOUR_SLICE - 1] = 1e300
    store(whole / "P-1" / "image.nii.gz", values)
    assert isinstance(read(whole), SourceSlice)
    values[TUMOUR_SLICE, 0, :3] = 1e300
    store(whole / "P-1" / "image.nii.gz", values)
    assert read(whole).warnings == {"not_finite": 3}
    values[TUMOUR_SLICE, 2, 4] = 1e300
    store(whole / "P-1" / "image.nii.gz", values)
    refused(whole, "pixels", "4 pixels")


def test_the_size_of_a_voxel_follows_its_type(whole):
    path = whole / "P-1" / "image.nii"
    patch(path, "<h", 72, 8)  # BITPIX, which SimpleITK does not look at
    assert isinstance(read(whole, "nii"), SourceSlice)
    path.write_bytes(path.read_bytes()[: -np.prod(SHAPE)])
    refused(whole, "file", "The image: The file is cut", suffix="nii")


def test_stored_values_are_rescaled(tmp_path, hu, mask):
    store(tmp_path / "P-1" / "image.nii", hu)
    store(tmp_path / "P-1" / "mask.nii", mask)
    patch(tmp_path / "P-1" / "image.nii", "<2f", 112, 0.5, -1024)
    np.testing.assert_array_equal(read(tmp_path, "nii").hu, hu[TUMOUR_SLICE] / 2 - 1024)


def patch(path, form, offset, *values):
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, offset, *values)
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
@pytest.mark.parametrize("part", ["image", "mask"])
def test_only_single_numbers_on_three_axes_are_volumes(tmp_path, hu, mask, part, suffix):
    for name, array in (("image", hu), ("mask", mask)):
        store(tmp_path / "P-1" / f"{name}.{suffix}", array)
    path = tmp_path / "P-1" / f"{part}.{suffix}"
    volume = sitk.ReadImage(path)
    real = sitk.Cast(volume, sitk.sitkFloat32)
    odd = {
        "4 dimensions": sitk.JoinSeries([volume, volume]),
        "2 dimensions": volume[:, :, 3],
        "vector": sitk.Compose(volume, volume, volume),
        "complex": sitk.RealAndImaginaryToComplex(real, real),
    }
    if suffix == "nrrd":
        del odd["complex"]  # which NRRD has no kind for
    for word, image in odd.items():
        sitk.WriteImage(image, path)
        refused(tmp_path, "series", f"The {part}", word, suffix=suffix)


@pytest.fixture
def whole(tmp_path, hu, mask):
    """Image and mask in all formats, the image after another patient's, whose voxels are in memory still."""
    for suffix in SUFFIXES:
        store(tmp_path / "P-1" / f"image.{suffix}", hu)
        store(tmp_path / "P-1" / f"mask.{suffix}", mask)
        assert isinstance(read(tmp_path, suffix), SourceSlice)
    return tmp_path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", ["image", "mask"])
def test_cut_files_are_refused(whole, part, suffix):
    path = whole / "P-1" / f"{part}.{suffix}"
    data = path.read_bytes()
    for length in [0, 1, 3, 20, 100, *range(150, len(data), 97), len(data) - 9, len(data) - 1]:
        if length < len(data):
            path.write_bytes(data[:length])
            refused(whole, "file", f"The {part}", suffix=suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_files_under_the_name_of_a_volume_are_refused(whole, suffix):
    path = whole / "P-1" / f"image.{suffix}"
    other = "nrrd" if suffix != "nrrd" else "nii"
    for data in (
        b"id;label\n" * 100,
        gzip.compress(b"\0" * 400),
        (path.parent / f"image.{other}").read_bytes(),
    ):
        path.write_bytes(data)
        refused(whole, "file", "The image", suffix=suffix)


def test_a_wrong_checksum_is_noticed(whole):
    for suffix, head in (("nii.gz", b""), ("nrrd", b"NRRD")):
        path = whole / "P-1" / f"image.{suffix}"
        raw = path.with_name("image.nii").read_bytes() if not head else path.read_bytes()
        if head:
            head, _, raw = raw.partition(b"\n\n")
            head = head.replace(b"encoding: raw", b"encoding: gzip") + b"\n\n"
        packed = bytearray(gzip.compress(raw, 0))
        path.write_bytes(head + packed)
        assert isinstance(read(whole, suffix), SourceSlice)
        packed[-20] ^= 1  # a voxel: level 0 stores bytes as they are
        path.write_bytes(head + packed)
        refused(whole, "file", "The image", suffix=suffix)


@pytest.mark.parametrize("suffix", ["nii", "nrrd"])
def test_any_damage_to_a_header_is_refused_or_harmless(whole, suffix, rng):
    path = whole / "P-1" / f"image.{suffix}"
    data = path.read_bytes()
    head = 352 if suffix == "nii" else data.index(b"\n\n")
    for _ in range(150):
        damaged = bytearray(data)
        for where in rng.integers(0, head, rng.integers(1, 5)):
            damaged[where] = rng.integers(256)
        path.write_bytes(damaged)
        found = read(whole, suffix)
        if isinstance(found, RejectedPatient):
            check_refusal(found, whole, found.stage)


def test_a_nifti_header_without_spacing_is_refused(whole):
    for value in (0.0, np.nan):
        patch(whole / "P-1" / "image.nii", "<f", 84, value)
        refused(whole, "file", "The image", "spacing", suffix="nii")


def nrrd_header(path, change):
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    path.write_bytes("\n".join(change(head.decode().split("\n"))).encode() + b"\n\n" + voxels)


def test_an_nrrd_header_without_spacing_or_voxels_is_refused(whole):
    path = whole / "P-1" / "image.nrrd"
    data = path.read_bytes()
    nrrd_header(path, lambda lines: [x for x in lines if not x.startswith("space")])
    refused(whole, "file", "The image", "spacing", suffix="nrrd")
    path.write_bytes(data)
    nrrd_header(path, lambda lines: [*lines, "data file: other.raw"])
    refused(whole, "file", "The image", "another file", suffix="nrrd")


def test_axes_that_are_not_at_right_angles_are_refused(whole):
    for part in ("image", "mask"):
        nrrd_header(
            whole / "P-1" / f"{part}.nrrd",
            lambda lines: [
                "space directions: (0.7,0,0) (0.1,0.9,0) (0,0,3)" if x.startswith("space dir") else x
                for x in lines
            ],
        )
    refused(whole, "series", "right angles", suffix="nrrd")


def test_a_header_that_does_not_tell_how_it_lies_is_a_warning(whole, hu):
    for part in ("image", "mask"):
        patch(whole / "P-1" / f"{part}.nii", "<2h", 252, 0, 0)
    found = read(whole, "nii")
    assert found.warnings == {"orientation_unknown": 2}
    np.testing.assert_array_equal(found.hu, hu[TUMOUR_SLICE])
    for part in ("image", "mask"):
        nrrd_header(
            whole / "P-1" / f"{part}.nrrd",
            lambda lines: [x for x in lines if not x.startswith("space")] + ["spacings: 0.7 0.9 3"],
        )
    assert read(whole, "nrrd").warnings == {"orientation_unknown": 2}


def test_reading_writes_nothing_to_the_screen(whole, capfd):
    for part in ("image", "mask"):
        patch(whole / "P-1" / f"{part}.nii", "<f", 80, 0.75)  # the other half of the header says 0.7
    sitk.ReadImage(whole / "P-1" / "image.nii")
    assert "WARNING" in capfd.readouterr().err
    assert isinstance(read(whole, "nii"), SourceSlice)
    assert capfd.readouterr() == ("", "")
    assert sitk.ProcessObject.GetGlobalWarningDisplay()


def test_missing_files_are_named_by_their_pattern(whole):
    (whole / "P-2").mkdir()
    (whole / "P-2" / "mask.nii.gz").touch()
    (whole / "P-3").mkdir()
    (whole / "P-3" / "image.nii.gz").touch()
    patients, rejected = volume_patients(config(whole), ["P-2", "P-1", "P-3", "P-4"])
    assert [p.patient_id for p in patients] == ["P-1"]
    assert [(r.patient_id, r.stage) for r in rejected] == [("P-2", "file"), ("P-3", "file"), ("P-4", "file")]
    image, mask = "no image at data.volumes.image='{id}/image.nii.gz'", "no mask at data.volumes.mask="
    for found, has_image, has_mask in zip(rejected, (0, 1, 0), (1, 0, 0)):
        assert (image in found.reason, mask in found.reason) == (not has_image, not has_mask)
        assert str(whole) not in found.reason


@pytest.mark.parametrize("name", ["", ".", "..", "../P-1", "a/P-1", "/etc", "a\\b", "P-1\0", "P-1/", "..."])
def test_an_id_cannot_lead_out_of_the_folder(whole, name):
    patients, (found,) = volume_patients(config(whole), [name])
    assert (patients, found.patient_id, found.stage) == ([], name, "file")
    assert "The id" in found.reason


def test_an_id_is_never_a_format(whole):
    for name in ("{id}", "{0}", "\ud800"):
        patients, (found,) = volume_patients(config(whole), [name])
        assert not patients
        assert "no image" in found.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused(whole):
    (whole / "P-1" / "mask.nii.gz").chmod(0)
    _, (found,) = volume_patients(config(whole), ["P-1"])
    check_refusal(found, whole, "file", "Permission denied")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_fingerprint_follows_the_contents(tmp_path, rng, suffix):
    def patient(root):
        return volume_patients(config(root, suffix), ["P-1"])[0][0].fingerprint

    # Large enough that the middle of a compressed file is not read.
    values = rng.integers(-1000, 1000, (30, 90, 110)).astype(np.int16)
    for root in (tmp_path / "one", tmp_path / "other"):
        store(root / "P-1" / f"image.{suffix}", values)
        store(root / "P-1" / f"mask.{suffix}", (values > 900).astype(np.uint8))
    (tmp_path / "other" / "P-1" / f"mask.{suffix}").touch()
    before = patient(tmp_path / "one")
    assert patient(tmp_path / "other") == before
    size = (tmp_path / "one" / "P-1" / f"image.{suffix}").stat().st_size
    assert size > 3 << 16
    values[15, 40, 50] += 1
    store(tmp_path / "one" / "P-1" / f"image.{suffix}", values)
    assert patient(tmp_path / "one") != before


def test_a_patient_can_be_sent_to_another_process(whole):
    (patient,), _ = volume_patients(config(whole), ["P-1"])
    copy = pickle.loads(pickle.dumps(patient))
    assert copy == patient
    np.testing.assert_array_equal(copy.read().hu, patient.read().hu)


def test_a_file_that_vanishes_is_refused(whole):
    (patient,), _ = volume_patients(config(whole), ["P-1"])
    (whole / "P-1" / "mask.nii.gz").unlink()
    check_refusal(patient.read(), whole, "file", "The mask", "No such file")


def test_without_simpleitk_the_extra_is_named(whole, monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(DataError, match=r"pip install fgf-keras\[volumes\]"):
        volume_patients(config(whole), ["P-1"])


@pytest.mark.parametrize(
    ("pattern", "word"), [("/data/{id}.nii", "relative"), ("{id}.mha", "must end in"), ("{id}.img", "nrrd")]
)
def test_patterns_that_cannot_be_meant(pattern, word):
    with pytest.raises(pydantic.ValidationError, match=word):
        DataConfig(source="volumes", root="r", out="o", volumes={"mask": pattern})


@pytest.mark.parametrize("case", ["lung1", "brain2", "breast1"])
def test_area_mean_and_axes_equal_those_of_pyradiomics(real_data, case):
    folder = real_data / "pyradiomics"
    names = {"image": "{id}_image.nrrd", "mask": "{id}_label.nrrd"}
    settings = DataConfig(source="volumes", root=str(folder), out="unused", volumes=names)
    (patient,), _ = volume_patients(settings, [case])
    found = patient.read()
    with (folder / "baseline_shape2D.csv").open(encoding="utf-8") as stream:
        expected = {row["featureName"]: row[f"{case}_shape2D"] for row in csv.DictReader(stream)}
    shape = {key.removeprefix("original_shape2D_"): value for key, value in expected.items()}
    assert found.mask.sum() == int(expected["diagnostics_Mask-corrected_VoxelNum"])
    assert found.mask.sum() * np.prod(found.spacing[1:]) == pytest.approx(float(shape["PixelSurface"]))
    mean = found.hu[found.mask].mean(dtype=float)
    assert mean == pytest.approx(float(expected["diagnostics_Mask-corrected_Mean"]))
    centres = np.argwhere(found.mask) * found.spacing[1:]
    minor, major = 4 * np.sqrt(np.linalg.eigvalsh(np.cov(centres.T, bias=True)))
    assert (minor, major) == pytest.approx((float(shape["MinorAxisLength"]), float(shape["MajorAxisLength"])))
    centre = expected["diagnostics_Mask-corrected_CenterOfMass"].strip("()").split(",")
    assert found.z_mm == pytest.approx(float(centre[2]))


def test_the_digital_phantom_has_the_values_of_ibsi(real_data, tmp_path):
    folder = real_data / "ibsi_digital_phantom"
    mask = sitk.ReadImage(folder / "mask.nii.gz")
    volume = sitk.GetArrayFromImage(mask)
    values = []
    for k in range(len(volume)):
        alone = np.zeros_like(volume)
        alone[k] = volume[k]
        part = sitk.GetImageFromArray(alone)
        part.CopyInformation(mask)
        root = tmp_path / str(k)
        (root / "P-1").mkdir(parents=True)
        (root / "P-1" / "image.nii.gz").symlink_to(folder / "image.nii.gz")
        sitk.WriteImage(part, root / "P-1" / "mask.nii.gz")
        found = read(root)
        assert (found.index, found.spacing) == (k, (2, 2, 2))
        values += found.hu[found.mask].tolist()
    with (folder / "ibsi_1_reference_values_digital_phantom.csv").open(encoding="utf-8-sig") as stream:
        expected = {row["tag"]: row["reference value"] for row in csv.DictReader(stream)}
    # 592 mm³ in voxels of 8 mm³.
    assert len(values) == float(expected["morph_vol_approx"]) / 8 == 74
    assert np.mean(values) == pytest.approx(float(expected["stat_mean"]), abs=0.005)
    assert np.var(values) == pytest.approx(float(expected["stat_var"]), abs=0.005)
    assert np.median(values) == float(expected["stat_median"])
