"""How far paths leave the range of the images, wherever it is reported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, FlowStatus, explain, export_saved_model, load_saved_model
from fgf_keras.errors import DataError
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.path_quantities import outside_range
from fgf_keras.models.view import View
from fgf_keras.results.alignment import alignment_table
from fgf_keras.results.metrics import OutsidePaths

SIZE = 6
N = 4
BOUNDED = {"noise_draws": 0, "flow": Flow(range="bounded")}


def linear(kernel, bias):
    """A classifier with z = ⟨kernel, x⟩ + bias."""
    dense = keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), dense])
    dense.set_weights([np.float32(kernel).reshape(-1, 1), np.float32([bias])])
    return model


@pytest.fixture
def cohort():
    """Grey images, and masks of eight pixels."""
    images = np.full((N, SIZE, SIZE, 1), 0.5, np.float32)
    masks = np.zeros((N, SIZE, SIZE, 1), np.float32)
    masks[:, 1:3, 1:5] = 1
    return images, masks


def brightening(bias):
    """A model whose score is the sum over the tumour, four times as steep in its first pixel, and a bias."""
    kernel = np.ones((SIZE, SIZE))
    kernel[1, 1] = 4
    return AlignmentModel(linear(kernel, bias), [Brightness()], reward="none")


def test_the_share_and_the_excess_are_those_by_hand():
    mask = tf.reshape(tf.constant([[1.0, 1, 1, 1, 0], [1, 1, 0, 0, 0]]), [2, 1, 5, 1])
    start = tf.reshape(tf.constant([[0.5, 0, 1, 1, 0], [0.5, 1.2, 0, 0, 0]]), [2, 1, 5, 1])
    end = tf.reshape(tf.constant([[-0.3, -1e-8, 1.1, 1, 7], [0.5, 0.5, 0, 0, 0]]), [2, 1, 5, 1])
    values = outside_range(View(None, start, mask), View(None, end, mask))
    # Two of four pixels: rounding and pixels outside the mask do not count. The second has no known range.
    np.testing.assert_allclose(values["outside"], [0.5, np.nan])
    np.testing.assert_allclose(values["outside_excess"], [0.3, np.nan])


def test_it_is_in_the_frame_and_in_the_table(cohort):
    # The gradient is (4, 1, …, 1) and z = 5.5 - 9 = -3.5 at the sample: the first pixel rises by 4·3.5/23.
    found = explain(brightening(-9.0), *cohort)
    frame = found.to_frame()
    np.testing.assert_allclose(frame["outside"], 1 / 8)
    np.testing.assert_allclose(frame["outside_excess"], 0.5 + 4 * 3.5 / 23 - 1, rtol=1e-4)
    table = alignment_table(found, bootstrap=10)["outside"]
    assert table["n"] == table["of"] == N
    assert table["threshold"] == 0.1
    assert table["largest_excess"] == pytest.approx(frame["outside_excess"].max())
    assert table["F_joint_inside"] is None
    assert OutsidePaths(**table).n == N


def test_without_a_path_or_a_range_it_is_undefined(cohort):
    images, masks = cohort
    kernel = np.zeros((SIZE, SIZE))
    flat = AlignmentModel(linear(kernel, 1.0), [Brightness()], reward="none")
    assert explain(flat, images, masks).to_frame()["outside"].isna().all()
    images = images.copy()
    images[1] = -2
    found = explain(brightening(-9.0), images, masks)
    np.testing.assert_array_equal(found.to_frame()["outside"].isna(), [False, True, False, False])
    table = alignment_table(found, bootstrap=10)["outside"]
    assert (table["n"], table["of"]) == (3, 3)


def test_a_bounded_path_stays_inside_and_adds_up(cohort):
    found = explain(brightening(-9.0), *cohort, **BOUNDED)
    frame = found.to_frame()
    assert found.settings["range"] == "bounded"
    assert (frame["status"] == "reached").all()
    assert (frame["outside"] == 0).all()
    assert (frame["outside_excess"] == 0).all()
    np.testing.assert_allclose(
        frame["contribution_brightness"] + frame["unexplained"], frame["logit"], rtol=1e-5
    )
    score = explain(
        brightening(-9.0), *cohort, noise_draws=0, flow=Flow(range="bounded", average="score")
    ).to_frame()
    np.testing.assert_allclose(score["contribution_brightness"] / score["logit"], score["F_joint"], rtol=1e-5)
    # By hand: all pixels rise until the first is at 1, then the other seven.
    first = 0.5 / 4 * 23
    share = (first * 11**2 / 8 / 23 + (3.5 - first) * 7 / 8) / 3.5
    np.testing.assert_allclose(score["F_joint"], share, rtol=1e-3)


def test_a_boundary_that_no_image_in_the_range_reaches_is_blocked(cohort):
    found = explain(brightening(-12.0), *cohort, **BOUNDED)
    np.testing.assert_array_equal(found.status, FlowStatus.BLOCKED)
    assert found.to_frame()["F_joint"].isna().all()
    assert alignment_table(found, bootstrap=10)["status"]["blocked"] == N


def test_a_bounded_path_from_outside_the_range_is_refused(cohort):
    images, masks = cohort
    images = images.copy()
    images[2, 1, 1] = 1.5
    with pytest.raises(DataError, match=r"stays in \[0, 1\].*from 0 to 1\.5, outside in C.*range='free'"):
        explain(brightening(-9.0), images, masks, patient_id=["A", "B", "C", "D"], **BOUNDED)
    # Outside the mask, where the model sees nothing, any value will do.
    images[2, 1, 1], images[2, 5, 5] = 0.5, 7
    assert (explain(brightening(-9.0), images, masks, **BOUNDED).status == FlowStatus.REACHED).all()


@pytest.mark.parametrize("range_", ["free", "bounded"])
def test_a_served_model_says_the_same(cohort, tmp_path, range_):
    images, masks = cohort
    model, flow = brightening(-9.0), Flow(range=range_)
    expected = explain(model, images, masks, noise_draws=0, flow=flow).to_frame()
    export_saved_model(model, tmp_path / "1", flow=flow)
    served = load_saved_model(tmp_path)
    assert served.description.range == range_
    found = served.explain(images, masks).to_frame()
    for key in ("outside", "outside_excess", "F_joint"):
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5, err_msg=key)
    images = images.copy()
    images[1, 1, 1] = 1.5
    status = served.explain(images, masks).status.tolist()
    assert status == ([0, 6, 0, 0] if range_ == "bounded" else [0] * N)
