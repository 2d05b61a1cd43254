"""What is measured on a classifier, in graphs of any batch size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras.errors import ModelError
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.status import FlowStatus
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.models.input_gradient import decision_gradient, section_gradients

SHAPE = (32, 32, 1)
FEATURES = [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]


@pytest.fixture
def network():
    keras.utils.set_random_seed(1)
    return fgf_keras.paper_cnn(SHAPE, filters=(4, 4), kernel_sizes=(5, 3), pool_size=2, dense=(8,))


@pytest.fixture
def batch(rng):
    mask = np.zeros((5, *SHAPE), np.float32)
    for k in range(5):
        mask[k, 8 : 16 + 2 * k, 10:20] = 1
    image = rng.uniform(0.2, 1, mask.shape).astype(np.float32)
    return tf.constant(image), tf.constant(mask), tf.ones([5, 2])


def test_the_flow_lowers_the_score_to_zero_with_few_gradient_evaluations(network, batch):
    measure = AlignmentMeasure(network, FEATURES, SHAPE, mask_input=True)
    flow = measure.along_flow(*batch)
    assert np.all(flow["status"].numpy() == FlowStatus.REACHED)
    assert np.median(flow["residual"]) <= 1e-4
    assert np.all(flow["evaluations"].numpy() <= 32)
    boundary = measure.fields(*batch)["boundary"]
    start = np.abs(network(batch[0] * batch[1]))
    assert np.all(np.abs(network(boundary)) <= 1e-3 * start)


def test_the_path_stays_inside_the_mask_when_that_is_the_support(network, batch):
    image, mask, _ = batch
    for support, stays in (("mask", True), ("image", False)):
        fields = AlignmentMeasure(network, FEATURES, SHAPE, support=support, mask_input=True).fields(*batch)
        moved = np.abs(fields["boundary"] - image * mask) * (1 - mask.numpy())
        assert bool(moved.max() == 0) is stays


def test_explained_and_features_are_restricted_to_the_support(network, batch):
    fields = AlignmentMeasure(network, FEATURES, SHAPE, mask_input=True).fields(*batch)
    outside = 1 - batch[1].numpy()
    for field in (fields["gradient"], fields["explained"], fields["features"][:, 1]):
        assert np.abs(field * outside).max() == 0


def test_a_converged_flow_alignment_does_not_depend_on_the_steps(network, batch):
    coarse, fine = (
        AlignmentMeasure(network, FEATURES, SHAPE, mask_input=True, flow=Flow(steps=s)).along_flow(*batch)
        for s in (4, 64)
    )
    for weight in ("arc", "score"):
        np.testing.assert_allclose(coarse[f"F_{weight}"], fine[f"F_{weight}"], atol=0.02)
        np.testing.assert_allclose(coarse[f"F_joint_{weight}"], fine[f"F_joint_{weight}"], atol=0.02)


def test_features_are_looked_at_around_the_masks_where_that_is_the_same(network, batch):
    class OnTheWholeCanvas(fgf_keras.Extent):
        shift_invariant = False

    settings = {"support": "image", "mask_input": True, "noise_draws": 2}
    features = [FEATURES[0], OnTheWholeCanvas(), FEATURES[2]]
    expected = AlignmentMeasure(network, features, SHAPE, **settings).along_flow(*batch)
    found = AlignmentMeasure(network, FEATURES, SHAPE, **settings).along_flow(*batch)
    for name in ("F_arc", "F_joint_score", "F_noise_arc"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-7)


def test_noise_draws_are_those_of_the_noise_feature(network, batch):
    drawn = AlignmentMeasure(network, FEATURES[:1], SHAPE, mask_input=True, noise_draws=3)
    named = AlignmentMeasure(
        network, [fgf_keras.LinearNoise(seed=s, name=f"n{s}") for s in range(3)], SHAPE, mask_input=True
    )
    np.testing.assert_allclose(
        drawn.at_sample(*batch)["S_noise"], np.mean(named.at_sample(*batch)["S"], axis=1), rtol=1e-4
    )
    np.testing.assert_allclose(
        drawn.along_flow(*batch)["F_noise_arc"], np.mean(named.along_flow(*batch)["F_arc"], axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_batches_do_not_mix_samples(classes, batch):
    keras.utils.set_random_seed(1)
    network = fgf_keras.paper_cnn(SHAPE, classes=classes, filters=(4,), kernel_sizes=(5,), dense=(8,))
    measure = AlignmentMeasure(network, FEATURES, SHAPE, mask_input=True)
    for measured in (measure.at_sample, measure.along_flow):
        whole = measured(*batch)
        alone = measured(*(t[2:3] for t in batch))
        for key in whole:
            np.testing.assert_allclose(whole[key][2], alone[key][0], rtol=2e-3, atol=1e-5, err_msg=key)


def test_the_margin_is_followed_for_several_classes(batch):
    keras.utils.set_random_seed(2)
    network = fgf_keras.paper_cnn(SHAPE, classes=4, filters=(4,), kernel_sizes=(5,), dense=(8,))
    boundary = AlignmentMeasure(network, FEATURES, SHAPE, mask_input=True).fields(*batch)["boundary"]
    before = np.sort(network(batch[0] * batch[1]).numpy(), axis=1)
    pair = np.argsort(-network(batch[0] * batch[1]).numpy(), axis=1)[:, :2]
    after = np.take_along_axis(network(boundary).numpy(), pair, axis=1)
    assert np.all(np.abs(after[:, 0] - after[:, 1]) <= 1e-3 * (before[:, -1] - before[:, -2]))


def test_half_precision_gradients_do_not_underflow(network, batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = fgf_keras.paper_cnn(SHAPE, filters=(4, 4), kernel_sizes=(5, 3), pool_size=2, dense=(8,))
    finally:
        keras.config.set_dtype_policy("float32")
    weights = network.get_weights()
    # A last layer this small drives unscaled float16 gradients below the smallest float16.
    weights[-2] *= 1e-4
    half.set_weights(weights)
    network.set_weights(weights)
    seen = batch[0] * batch[1]
    exact = section_gradients(network, seen)[1].numpy()
    rough = section_gradients(half, seen)[1].numpy()
    assert np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_the_decision_gradient_is_that_of_finite_differences(network, batch):
    seen = tf.cast(batch[0] * batch[1], tf.float32)
    pair = tf.zeros([5, 2], tf.int32)
    score, gradient = decision_gradient(network, seen, pair)
    direction = tf.random.stateless_normal(seen.shape, [1, 2])
    moved, _ = decision_gradient(network, seen + 1e-2 * direction, pair)
    back, _ = decision_gradient(network, seen - 1e-2 * direction, pair)
    slope = tf.reduce_sum(gradient * direction, [1, 2, 3])
    np.testing.assert_allclose((moved - back) / 2e-2, slope, rtol=0.05, atol=1e-2)
    np.testing.assert_array_equal(score, network(seen)[:, 0])


@pytest.mark.parametrize(
    ("support", "compiled"),
    [
        ("mask", True),
        ("image", False),
        pytest.param("mask", False, marks=pytest.mark.slow),
        pytest.param("image", True, marks=pytest.mark.slow),
    ],
)
def test_everything_is_all_of_the_others(network, batch, support, compiled):
    settings = {"support": support, "mask_input": True}
    measure = AlignmentMeasure(network, FEATURES, SHAPE, **settings)
    expected = measure.at_sample(*batch) | measure.along_flow(*batch) | measure.fields(*batch)
    whole = AlignmentMeasure(network, FEATURES, SHAPE, compiled=compiled, **settings).everything
    found = tf.function(lambda *batch: whole(*batch), jit_compile=compiled, autograph=False)(*batch)
    assert set(found) == set(expected)
    assert np.all(found["residual"] < 1e-5)
    for name, value in expected.items():
        if name != "residual":
            # Estimated errors are differences of numbers of the size of 1.
            scale = 1 if name.startswith("F_error") else np.abs(value.numpy()).max()
            if name == "change":
                # A difference of values of features.
                scale = np.abs(expected["value"].numpy()).max()
            np.testing.assert_allclose(found[name], value, atol=1e-5 * scale, rtol=1e-5, err_msg=name)


def test_an_unknown_support_is_refused(network):
    with pytest.raises(ModelError, match="mask, image"):
        AlignmentMeasure(network, FEATURES, SHAPE, support="tumour")
