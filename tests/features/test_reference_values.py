"""Moments against independent software on real images."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from fgf_keras.features.moments import image_moments


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
    from fgf_keras.features.brightness import Brightness

    folder = real_data / "pyradiomics"
    image = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}_image.nrrd"))).astype(np.float64)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}_label.nrrd"))) == 1
    k = mask.sum(axis=(1, 2)).argmax()
    value = Brightness().value(
        tf.constant(image[k][None, ..., None]), tf.constant(mask[k][None, ..., None].astype(float))
    )
    assert float(value[0]) == pytest.approx(image[k][mask[k]].mean(), rel=1e-12)
