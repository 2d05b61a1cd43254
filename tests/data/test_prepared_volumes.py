"""Volumes from NIfTI and DICOM in prepared stores: boxes around the tumour, with the scan's sizes in mm."""

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from fgf_keras.config import Config
from fgf_keras.config.data import DataConfig, PhantomConfig
from fgf_keras.data.dicom.box import _check_even
from fgf_keras.data.phantom.dicom_folder import write_phantom_dicom
from fgf_keras.data.phantom.phantom import phantom_canvas
from fgf_keras.data.phantom.volume import phantom_volume
from fgf_keras.data.prepared.cohort import prepared_cohort, sheet_entries
from fgf_keras.data.prepared.prepare import prepare
from fgf_keras.data.prepared.store import SliceStore
from fgf_keras.data.refusal import DicomError
from fgf_keras.data.source import source_of
from fgf_keras.data.unlabelled import unlabelled_slices
from fgf_keras.errors import DataError
from fgf_keras.features.extent import Extent

# z, y, x mm and half axes in mm of an ellipsoid of 80 HU in a background of -40 HU.
SPACING = (2.0, 0.7, 0.9)
SHAPE = (30, 70, 60)
AXES = (15.0, 9.0, 12.0)
TABLE = "id;Distant\nA;0\nB;1\n"


def ellipsoid(centre):
    grid = np.stack(np.meshgrid(*(np.arange(n) * mm for n, mm in zip(SHAPE, SPACING)), indexing="ij"))
    return (((grid - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(AXES, (3, 1, 1, 1))) ** 2).sum(
        axis=0
    ) <= 1


def write(path, array):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, path)


def folder_of(path, suffix):
    """Two patients whose tumours are at different places."""
    for name, centre in (("A", (27.0, 25.0, 26.0)), ("B", (30.0, 20.0, 30.0))):
        inside = ellipsoid(centre)
        write(path / name / f"mask.{suffix}", inside.astype(np.uint8))
        write(path / name / f"image.{suffix}", np.where(inside, 80, -40).astype(np.int16))
    (path / "labels.csv").write_text(TABLE, encoding="utf-8")
    return path


def data_of(root, out, suffix="nii.gz", **changed):
    volumes = {"image": f"{{id}}/image.{suffix}", "mask": f"{{id}}/mask.{suffix}"}
    settings = {"dimension": 3, "size": [40, 32, 36], "spacing": [1.0, 1.0, 1.0], "labels_file": "labels.csv"}
    places = {"source": "volumes", "root": str(root), "out": str(out), "volumes": volumes}
    return DataConfig(**(places | settings | changed))


def extents(cohort):
    """Extent in mm of every tumour, by the outline alone."""
    masks = tf.constant(cohort.masks, tf.float32)
    return Extent().value(masks, masks, tf.constant(cohort.spacing)).numpy()


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
def test_extents_are_those_of_the_scan(tmp_path, suffix):
    data = data_of(folder_of(tmp_path / "scans", suffix), tmp_path / "store", suffix)
    cohort = source_of(Config(data=data)).cohort()
    assert cohort.patient_id.tolist() == ["A", "B"]
    assert cohort.images.shape == (2, 40, 32, 36, 1)
    np.testing.assert_allclose(cohort.spacing, 1.0)
    # The root-mean-square radius of an ellipsoid, and of its voxels in the scan.
    exact = np.sqrt(np.square(AXES).sum() / 5)
    np.testing.assert_allclose(extents(cohort), exact, rtol=0.02)
    scan = tf.constant(ellipsoid((27.0, 25.0, 26.0))[np.newaxis, ..., np.newaxis], tf.float32)
    in_scan = Extent().value(scan, scan, tf.constant([SPACING])).numpy()
    np.testing.assert_allclose(extents(cohort)[:1], in_scan, rtol=0.02)
    inside = cohort.masks > 0
    # 80 HU of a window from -50 to 300 HU; the border is blended with the background.
    assert np.median(cohort.images[inside]) == pytest.approx(130 / 350, abs=1e-5)
    assert cohort.images[inside].mean() == pytest.approx(130 / 350, rel=0.08)


def test_the_table_has_measurements_in_mm(tmp_path):
    data = data_of(folder_of(tmp_path / "scans", "nii.gz"), tmp_path / "store", spacing=[1.5, 1.0, 1.0])
    assert "2 prepared now" in prepare(data).summary()
    store = SliceStore.reading(tmp_path / "store")
    (row, _) = store.cohort()
    assert float(row["volume_mm3"]) == pytest.approx(4 / 3 * np.pi * np.prod(AXES), rel=0.03)
    # Four standard deviations of an ellipsoid along an axis are 4/√5 of the half axis.
    for name, axis in (("major", 15.0), ("middle", 12.0), ("minor", 9.0)):
        assert float(row[f"{name}_axis_mm"]) == pytest.approx(4 / np.sqrt(5) * axis, rel=0.02)
    assert [row[f"spacing_{axis}_mm"] for axis in "zyx"] == ["1.5", "1.0", "1.0"]
    edges = np.array([int(row[f"box_{name}"]) for name in ("slices", "rows", "columns")])
    np.testing.assert_allclose(edges, [20, 18, 24], atol=2)
    assert abs(int(row["slice_index"]) - 13.5) <= 1
    # The contact sheet shows the largest slice.
    entry = next(sheet_entries(store))
    assert entry.hu.shape == (32, 36)
    assert entry.area_mm2 == pytest.approx(np.pi * 9 * 12, rel=0.04)


def test_a_second_run_has_nothing_to_do_and_settings_are_compared(tmp_path):
    data = data_of(folder_of(tmp_path / "scans", "nii.gz"), tmp_path / "store")
    first = source_of(Config(data=data)).cohort()
    assert prepare(data).added == 0
    stored = data.model_copy(update={"source": "prepared", "root": str(tmp_path / "store")})
    assert source_of(Config(data=stored.model_dump())).cohort().fingerprint() == first.fingerprint()
    with pytest.raises(DataError, match="spacing"):
        prepare(data.model_copy(update={"spacing": [2.0, 1.0, 1.0]}))
    for changed, word in (
        ({"dimension": 2, "size": 40, "spacing": [1.0, 1.0]}, "data.dimension=3"),
        ({"size": [40, 40, 40]}, r"40x32x36 pixels.*data.size=\[40, 32, 36\]"),
        ({"spacing": [2.0, 1.0, 1.0]}, r"data.spacing=\[1.0, 1.0, 1.0\]"),
    ):
        with pytest.raises(DataError, match=word):
            prepared_cohort(tmp_path / "store", stored.model_copy(update=changed))


def test_a_tumour_larger_than_the_box_is_left_out_with_a_remedy(tmp_path):
    data = data_of(folder_of(tmp_path / "scans", "nii.gz"), tmp_path / "store", size=[24, 32, 36])
    with pytest.raises(DataError, match=r"more than the box of 24x32x36.*data.size=\[3\d, 32, 36\]"):
        prepare(data)
    rejected = (tmp_path / "store" / "rejected.csv").read_text(encoding="utf-8")
    assert rejected.count(",canvas,") == 2


def test_a_volume_without_a_label_is_read_alike(tmp_path):
    root = folder_of(tmp_path / "scans", "nii.gz")
    cohort = source_of(Config(data=data_of(root, tmp_path / "store"))).cohort()
    data = data_of(root, tmp_path / "store")
    files = (root / "A" / f"{part}.nii.gz" for part in ("image", "mask"))
    image, mask = files
    found = unlabelled_slices(image, data, mask=mask, window=data.window)
    np.testing.assert_array_equal(found.images, cohort.images[:1])
    np.testing.assert_array_equal(found.masks, cohort.masks[:1])
    np.testing.assert_array_equal(found.spacing, cohort.spacing[:1])


def test_dicom_gives_the_voxels_of_the_phantom(tmp_path):
    law = PhantomConfig(patients=8, prevalence=0.5)
    settings = {"size": 32, "spacing": [1.0, 1.0], "seed": 2}
    write_phantom_dicom(tmp_path / "dicom", law, **settings, slices=12, slice_mm=2.0)
    data = DataConfig(
        source="dicom",
        dimension=3,
        root=str(tmp_path / "dicom"),
        out=str(tmp_path / "store"),
        labels_file="clinical.xlsx",
        id_column="Patient #",
        size=[12, 28, 28],
        spacing=[2.0, 1.0, 1.0],
        roi={"table": {"file": "regions.xlsx", "name_columns": ["Name GTV Primary"]}},
    )
    cohort = source_of(Config(data=data)).cohort()
    assert cohort.images.shape == (8, 12, 28, 28, 1)
    for i in range(8):
        volume = phantom_volume(i, phantom_canvas(32, [1.0, 1.0]), seed=2, slices=12, slice_mm=2.0)
        mask = volume.mask()
        assert cohort.masks[i].sum() == mask.sum()
        hu = np.stack([volume.hu(index) for index in range(12)])
        expected = np.sort(np.clip((hu[mask] + 50.0) / 350, 0, 1))
        seen = np.sort(cohort.images[i][cohort.masks[i] > 0])
        np.testing.assert_allclose(seen, expected, atol=1e-6)
    np.testing.assert_allclose(cohort.spacing, np.tile([2.0, 1.0, 1.0], (8, 1)))


def test_uneven_slices_are_refused():
    _check_even(np.array([0.0, 2.0, 4.05, 6.0]), 2.0)
    _check_even(np.array([7.0]), 2.0)
    for positions in ([0.0, 2.0, 5.0, 7.0], [0.0, 3.0, 6.0, 9.0]):
        with pytest.raises(DicomError, match="mm apart") as error:
            _check_even(np.array(positions), 2.0)
        assert error.value.kind == "uneven_gaps"
