"""Moments and shapes against independent software on real images and volumes."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from fgf_keras.data.volumes.reading import read_volume, values_of
from fgf_keras.features import Brightness, Elongation, Extent, Flatness
from fgf_keras.features.moments import image_moments
from fgf_keras.features.moments_nd import moments_nd, principal_axes


@pytest.mark.parametrize("case", ["brain2", "breast1", "lung1"])
def test_area_and_axes_of_the_largest_slice_are_those_of_pyradiomics(case, real_data):
    """Axis length is 4·√λ of the covariance of pixel centres; here λ comes from the moments with w = m."""
    folder = real_data / "pyradiomics"
    with open(folder / "baseline_shape2D.csv", encoding="utf-8") as file:
        rows = {row["featureName"]: row for row in csv.DictReader(file)}

    def expected(name):
        return float(rows[f"original_shape2D_{name}"][f"{case}_shape2D"])

    label = sitk.ReadImage(str(folder / f"{case}_label.nrrd"))
    masks = (sitk.GetArrayFromImage(label) == 1).astype(np.float64)
    slice_ = masks[masks.sum(axis=(1, 2)).argmax()][None]
    column, row, _ = label.GetSpacing()
    moments = image_moments(tf.constant(slice_), (row, column))
    major = 4 * np.sqrt((moments.trace + moments.anisotropy) / 2)[0]
    minor = 4 * np.sqrt((moments.trace - moments.anisotropy) / 2)[0]
    assert slice_.sum() * row * column == pytest.approx(expected("PixelSurface"), rel=1e-9)
    assert major == pytest.approx(expected("MajorAxisLength"), rel=1e-9)
    assert minor == pytest.approx(expected("MinorAxisLength"), rel=1e-9)
    assert minor / major == pytest.approx(expected("Elongation"), rel=1e-9)


@pytest.mark.parametrize("case", ["brain2", "breast1", "lung1"])
def test_brightness_in_the_mask_is_the_mean_of_a_slice(case, real_data):
    """Σw/Σm of the slice's own pixels; the published mean is over a volume, so numpy is the reference."""
    folder = real_data / "pyradiomics"
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}_image.nrrd"))).astype(np.float64)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}_label.nrrd"))) == 1
    k = mask.sum(axis=(1, 2)).argmax()
    value = Brightness().value(
        tf.constant(image[k][None, ..., None]), tf.constant(mask[k][None, ..., None].astype(float))
    )
    assert float(value[0]) == pytest.approx(image[k][mask[k]].mean(), rel=1e-12)


def volume(path, dtype=np.float64):
    """Voxels (1, D, H, W, 1) and (z, y, x) spacing of a file."""
    image = read_volume(path, np.empty(0, np.int64))
    return values_of(image).astype(dtype)[None, ..., None], image.GetSpacing()[::-1]


def axis_lengths(mask, spacing):
    """4·√λ, largest first: (3,)."""
    return 4 * np.sqrt(
        principal_axes(moments_nd(tf.constant(mask[..., 0]), spacing), tf.float64).variances[0]
    )


@pytest.mark.parametrize(("dtype", "rel"), [(np.float64, 1e-12), (np.float32, 2e-7)])
@pytest.mark.parametrize("case", ["brain2", "breast1"])
def test_shapes_of_volumes_are_those_of_pyradiomics(case, dtype, rel, real_data):
    folder = real_data / "pyradiomics"
    with open(folder / "baseline_shape.csv", encoding="utf-8") as file:
        rows = {row["featureName"]: row for row in csv.DictReader(file)}

    def expected(name):
        return float(rows[f"original_shape_{name}"][case])

    label, spacing = volume(folder / f"{case}_label.nrrd")
    mask = tf.constant((label == 1).astype(dtype))
    image = tf.ones_like(mask)
    assert float(Elongation().value(image, mask, spacing)[0]) == pytest.approx(
        expected("Elongation"), rel=rel
    )
    assert float(Flatness().value(image, mask, spacing)[0]) == pytest.approx(expected("Flatness"), rel=rel)
    lengths = [expected(f"{axis}AxisLength") for axis in ("Major", "Minor", "Least")]
    assert axis_lengths((label == 1).astype(float), spacing) == pytest.approx(lengths, rel=1e-12)
    assert 4 * float(Extent().value(image, mask, spacing)[0]) == pytest.approx(
        np.linalg.norm(lengths), rel=rel
    )


def test_shapes_and_mean_of_the_digital_phantom_are_those_of_ibsi(real_data):
    folder = real_data / "ibsi_digital_phantom"
    with open(folder / "ibsi_1_reference_values_digital_phantom.csv", encoding="utf-8-sig") as file:
        rows = {row["tag"]: row for row in csv.DictReader(file)}

    def expected(tag):
        tolerance = float(rows[tag]["tolerance"]) or 0.005  # 0: correct to the digits that are given
        return pytest.approx(float(rows[tag]["reference value"]), abs=tolerance)

    (image, _), (mask, spacing) = volume(folder / "image.nii.gz"), volume(folder / "mask.nii.gz")
    image, shape, inside = tf.constant(image), tf.ones(mask.shape, tf.float64), tf.constant(mask)
    assert float(Brightness().value(image, inside, spacing)[0]) == expected("stat_mean")
    assert float(Elongation().value(shape, inside, spacing)[0]) == expected("morph_pca_elongation")
    assert float(Flatness().value(shape, inside, spacing)[0]) == expected("morph_pca_flatness")
    # The lengths of IBSI are of the sample covariance, with n - 1 voxels in the denominator.
    lengths = axis_lengths(mask, spacing) * np.sqrt(mask.sum() / (mask.sum() - 1))
    for length, axis in zip(lengths, ("maj", "min", "least")):
        assert length == expected(f"morph_pca_{axis}_axis")
