"""`explain` on classifiers whose alignment is known in closed form."""

import json

import keras
import numpy as np
import pytest
from scipy import stats

from fgf_keras import AlignmentModel, Brightness, Extent, FlowStatus, LogAspectRatio, explain
from fgf_keras.flow.settings import Flow
from fgf_keras.nulls.settings import Nulls
from fgf_keras.results.alignment import alignment_table

SIZE = 12
N = 7
# Of float32 sums over a hundred pixels, relative to 1.
CLOSE = 1e-5
FEATURES = [Brightness(), Extent(), LogAspectRatio()]
# Every call builds its graphs anew; without re-integration and noise they are built twice as fast.
QUICK = {"noise_draws": 0, "flow": Flow(max_steps=8)}


@pytest.fixture(scope="module")
def cohort():
    """Images (N, H, W, 1) in [0, 1] and masks of different sizes."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.1, 1, (N, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros((N, SIZE, SIZE, 1), np.uint8)
    for i in range(N):
        masks[i, 2 : 6 + i % 4, 3 : 10 - i % 3] = 1
    return images, masks


@pytest.fixture(scope="module")
def plain(cohort):
    """Explanation of a plain convolutional classifier."""
    return explain(convolutional(), *cohort, features=FEATURES, **QUICK)


def linear(kernel, bias=0.0):
    """A classifier with z = ⟨kernel, x⟩ + bias; kernel (H·W, K)."""
    dense = keras.layers.Dense(kernel.shape[1])
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), dense])
    dense.set_weights([kernel, np.broadcast_to(np.float32(bias), kernel.shape[1:])])
    return model


def convolutional(classes=1, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.Conv2D(4, 3, activation="elu"),
            keras.layers.AveragePooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="elu"),
            keras.layers.Dense(classes),
        ]
    )


def half_dead(images):
    """z = relu(⟨kernel, x⟩ + b) - ½, and on which of the images its gradient vanishes."""
    kernel = np.random.default_rng(1).normal(size=(SIZE * SIZE, 1)).astype(np.float32)
    scores = images.reshape(N, -1) @ kernel
    model = linear(kernel, -scores.mean())
    last = [keras.layers.ReLU(), keras.layers.Rescaling(1.0, offset=-0.5)]
    return keras.Sequential([*model.layers, *last]), (scores < scores.mean())[:, 0]


def squared_cosine(a, b):
    a, b = np.float64(a).ravel(), np.float64(b).ravel()
    return (a @ b) ** 2 / ((a @ a) * (b @ b))


def same(one, other, tolerance=CLOSE):
    frames = [explanation.to_frame().drop(columns=["status"]) for explanation in (one, other)]
    return np.allclose(*(frame.astype(float) for frame in frames), rtol=0, atol=tolerance)


def test_the_frame_has_a_row_a_patient_and_the_columns_of_the_design(cohort, plain):
    names = ["brightness", "extent", "log_aspect_ratio"]
    ids = [f"P{i}" for i in range(N)]
    frame = explain(convolutional(), *cohort, features=FEATURES, patient_id=ids).to_frame()
    assert frame.index.name == "patient_id"
    assert list(frame.index) == ids
    assert list(frame.columns) == [
        *("logit", "class", "gradient_norm"),
        *(f"S_{name}" for name in names),
        *("S_joint", "S_joint_magnitude"),
        *(f"F_{name}" for name in names),
        *("F_joint", "F_joint_magnitude", "S_noise", "F_noise"),
        *(f"unique_{name}" for name in names),
        *(f"shapley_{name}" for name in names),
        *(f"partial_{name}" for name in names),
        *(f"{key}_{name}" for key in ("value", "slope", "slope_alone", "effect") for name in names),
        *(f"{key}_{name}" for key in ("change", "contribution", "contribution_shapley") for name in names),
        "unexplained",
        *(f"p_white_{name}" for name in [*names, "joint"]),
        *(f"p_white_partial_{name}" for name in names),
        *(f"flow_error_{name}" for name in [*names, "joint"]),
        *("flow_residual", "flow_length", "flow_far", "outside", "outside_excess", "status"),
    ]
    assert frame.notna().all(axis=None)
    without = plain.to_frame()
    assert set(frame) - set(without) == {"S_noise", "F_noise"}
    assert np.allclose(frame["S_joint_magnitude"] ** 2, frame["S_joint"], atol=CLOSE)
    assert np.allclose(frame.filter(regex="^shapley_").sum(axis=1), frame["S_joint"], atol=CLOSE)
    for name in names:
        without = frame["S_joint"] - frame[f"unique_{name}"]
        assert np.allclose(frame[f"partial_{name}"], frame[f"unique_{name}"] / (1 - without), atol=CLOSE)


@pytest.mark.parametrize("support", ["mask", "image"])
def test_a_linear_classifier_has_the_squared_cosine_as_s_and_as_f(cohort, rng, support):
    images, masks = cohort
    kernel = rng.normal(0.3, 1, (SIZE * SIZE, 1)).astype(np.float32)
    found = explain(linear(kernel, 0.3), images, masks, features=[Brightness()], support=support, **QUICK)
    frame = found.to_frame()
    field = kernel.reshape(SIZE, SIZE, 1)
    region = masks if support == "mask" else np.ones_like(masks)
    expected = [squared_cosine(field * where, mask) for where, mask in zip(region, masks)]
    assert max(expected) > 0.02
    pointwise = ("S_brightness", "S_joint", "unique_brightness", "partial_brightness")
    for column in (*pointwise, "F_brightness", "F_joint"):
        assert np.allclose(frame[column], expected, rtol=0, atol=CLOSE), column
    norm = [np.linalg.norm(field * where) for where in region]
    assert np.allclose(frame["gradient_norm"], norm, rtol=1e-5)
    length = np.abs(frame["logit"]) / norm
    assert np.allclose(frame["flow_length"], length, rtol=1e-4)
    assert (frame["status"] == "reached").all()
    assert (frame["class"] == (frame["logit"] > 0)).all()


@pytest.mark.parametrize("support", ["mask", "image"])
def test_p_values_are_those_of_the_beta_law_of_the_pixels_of_the_support(cohort, support):
    images, masks = cohort
    frame = explain(convolutional(), images, masks, features=FEATURES, support=support, **QUICK).to_frame()
    pixels = masks.sum(axis=(1, 2, 3)) if support == "mask" else np.full(N, SIZE * SIZE)
    one = stats.beta(1 / 2, (pixels - 1) / 2).sf(frame["S_extent"])
    assert np.allclose(frame["p_white_extent"], one, atol=1e-6)
    three = stats.beta(3 / 2, (pixels - 3) / 2).sf(frame["S_joint"])
    assert np.allclose(frame["p_white_joint"], three, atol=1e-6)


def test_the_rewarded_model_is_explained_on_the_masked_image_that_it_sees(cohort, plain):
    images, masks = cohort
    model = AlignmentModel(convolutional(), FEATURES, reward="none")
    of_model = explain(model, images, masks, **QUICK)
    assert same(of_model, explain(model.classifier, images * masks, masks, features=FEATURES, **QUICK))
    assert not same(of_model, plain)


def test_neither_the_size_nor_the_number_of_batches_changes_a_result(cohort):
    measured = {"features": FEATURES[:2], "noise_draws": 2}
    whole = explain(convolutional(), *cohort, **measured, batch_size=N)
    for batch_size in (1, 3):
        assert same(whole, explain(convolutional(), *cohort, **measured, batch_size=batch_size))


def test_non_square_pixels_change_the_shape_features_and_nothing_else(cohort, plain):
    square = plain.to_frame()
    flat = explain(convolutional(), *cohort, features=FEATURES, spacing=(3.0, 1.0), **QUICK).to_frame()
    assert np.allclose(square["S_brightness"], flat["S_brightness"], atol=CLOSE)
    assert not np.allclose(square["S_extent"], flat["S_extent"], atol=1e-3)


def test_a_classifier_with_two_logits_is_the_one_with_their_difference(cohort, rng):
    images, masks = cohort
    kernel = rng.normal(size=(SIZE * SIZE, 2)).astype(np.float32)
    two = explain(linear(kernel), images, masks, features=FEATURES[:2], **QUICK)
    one = explain(linear(kernel[:, 1:] - kernel[:, :1]), images, masks, features=FEATURES[:2], **QUICK)
    assert (two.classes, one.classes) == (2, 2)
    assert same(two, one, tolerance=1e-4)


def test_three_classes_have_a_section_of_two_dimensions(cohort, rng):
    images, masks = cohort
    kernel = rng.normal(0.2, 1, (SIZE * SIZE, 3)).astype(np.float32)
    found = explain(linear(kernel), images, masks, features=[Brightness()], **QUICK)
    frame = found.to_frame()
    centred = np.float64(kernel) - kernel.mean(axis=1, keepdims=True)
    for i, mask in enumerate(masks[..., 0]):
        fields = centred * mask.reshape(-1, 1)
        basis = np.linalg.svd(fields, full_matrices=False)[0][:, :2]
        unit = mask.ravel() / np.linalg.norm(mask)
        share = np.sum((basis.T @ unit) ** 2)
        assert frame["S_brightness"].iloc[i] == pytest.approx(share, abs=CLOSE)
        # One feature spans one of the two dimensions.
        assert frame["S_joint"].iloc[i] == pytest.approx(share / 2, abs=CLOSE)
    pixels = masks.sum(axis=(1, 2, 3))
    law = stats.beta(2 / 2, (pixels - 2) / 2).sf(frame["S_brightness"])
    assert np.allclose(frame["p_white_brightness"], law, atol=1e-6)
    order = found.values["logits"].argsort(axis=1)
    decisive = (kernel[:, order[:, -1]] - kernel[:, order[:, -2]]).T * masks.reshape(N, -1)
    assert np.allclose(frame["gradient_norm"], np.linalg.norm(decisive, axis=1), rtol=1e-5)
    logits = np.sort(found.values["logits"], axis=1)
    assert np.allclose(frame["logit"], logits[:, -1] - logits[:, -2], atol=CLOSE)
    assert np.allclose(frame["class"], found.values["logits"].argmax(axis=1))

    by_class = found.to_frame(per_class=True)
    assert by_class.index.names == ["patient_id", "class"]
    assert len(by_class) == 3 * N
    row = by_class.loc[("2", 1)]
    field = centred[:, 1] * masks[2].ravel()
    assert row["S_brightness"] == pytest.approx(squared_cosine(field, masks[2]), abs=CLOSE)
    assert np.allclose(by_class.groupby("patient_id")["centred_logit"].sum(), 0, atol=1e-4)


def test_a_section_behind_a_narrow_layer_has_the_law_of_its_rank(cohort):
    """Ten classes behind four units span four directions, not nine."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, activation="elu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])
    settings = {**QUICK, "nulls": Nulls(kinds="white", draws=400)}
    found = explain(model, *cohort, features=[Brightness()], **settings)
    frame = found.to_frame()
    pixels = cohort[1].sum(axis=(1, 2, 3))
    law = stats.beta(4 / 2, (pixels - 4) / 2)
    assert np.allclose(frame["p_white_brightness"], law.sf(frame["S_brightness"]), atol=1e-6)
    # Draws of white noise need no law.
    drawn = found.against_chance(per_patient=True).query("quantity == 'S' and feature == 'brightness'")
    np.testing.assert_allclose(drawn["null_mean"], 4 / pixels, rtol=0.1)
    np.testing.assert_allclose(drawn["null_q95"], law.ppf(0.95), rtol=0.15)
    table = alignment_table(found, bootstrap=10)
    assert table["white"]["brightness"]["expected"] == pytest.approx(np.mean(4 / pixels))


def test_every_alignment_lies_between_nothing_and_everything(cohort):
    frame = explain(convolutional(classes=4), *cohort, features=FEATURES, **QUICK).to_frame()
    shares = frame.filter(regex="^(S|F|unique|partial|p)_")
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)


def test_where_the_gradient_vanishes_nothing_is_defined_and_the_sample_is_counted(cohort):
    images, masks = cohort
    model, dead = half_dead(images)
    assert 0 < dead.sum() < N
    found = explain(model, images, masks, features=FEATURES, **QUICK)
    frame = found.to_frame()
    assert ((found.status == FlowStatus.STATIONARY) == dead).all()
    assert (frame["status"] == np.where(dead, "stationary", "reached")).all()
    assert not frame["flow_far"].any()
    undefined = frame.filter(regex="^(S|F|unique|shapley|partial|p)_|flow_(error|residual|length)")
    assert (undefined.isna() == dead[:, None]).all(axis=None)
    assert frame["logit"].notna().all()

    table = alignment_table(found, bootstrap=100)
    assert table["undefined"] == {"S": dead.sum(), "F": dead.sum()}
    assert table["S"]["extent"]["mean"] == pytest.approx(frame["S_extent"][~dead].mean())
    none = alignment_table(found, np.flatnonzero(dead), bootstrap=100)
    assert none["S"]["extent"] == {"mean": None, "ci": [None, None], "median": None}


ENDLESS = {
    # Downhill for ever: the score never comes to zero.
    "not_reached": (lambda z: 4 / (1 + keras.ops.softplus(-z)), Flow(max_steps=128)),
    # F of a bent path is never as accurate as this.
    "not_converged": (lambda z: z + 0.3 * z**2, Flow(max_steps=8, tolerance=1e-30)),
    "overflow": (lambda z: keras.ops.exp(1e3 * (z + 1)), Flow(max_steps=8)),
}


@pytest.mark.parametrize("status", ENDLESS)
def test_a_path_without_an_f_has_none_in_the_frame_nor_in_json(cohort, status):
    function, flow = ENDLESS[status]
    inputs = keras.Input((SIZE, SIZE, 1))
    score = convolutional()(inputs)
    model = keras.Model(inputs, function(score))
    found = explain(model, *cohort, features=FEATURES, noise_draws=0, flow=flow)
    frame = found.to_frame()
    assert (frame["status"] == status).all()
    assert frame.filter(regex="^F_").isna().all(axis=None)
    if status != "overflow":
        assert frame["S_joint"].notna().all()
    samples = json.loads(found.to_json())["samples"]
    assert {sample["F_joint"] for sample in samples} == {None}
    assert alignment_table(found, bootstrap=100)["F"]["joint"]["squared"]["mean"] is None


@pytest.mark.parametrize("bias", [-1.0, 0.0, 0.5])
def test_a_classifier_that_ignores_its_image_is_stationary_everywhere(cohort, bias):
    constant = linear(np.zeros((SIZE * SIZE, 1), np.float32), bias)
    found = explain(constant, *cohort, features=FEATURES[:1], **QUICK)
    assert (found.status == FlowStatus.STATIONARY).all()
    assert alignment_table(found, bootstrap=100)["S"]["joint"]["squared"]["mean"] is None


def test_a_saturated_classifier_is_explained_like_the_one_it_was_scaled_from(cohort, plain):
    images, masks = cohort
    saturated = convolutional()
    logits = saturated(images).numpy()
    weights = saturated.layers[-1].get_weights()
    saturated.layers[-1].set_weights([50 / np.abs(logits).min() * w for w in weights])
    found = explain(saturated, images, masks, features=FEATURES, **QUICK).to_frame()
    assert found["logit"].abs().min() >= 49
    unscaled = plain.to_frame()
    for column in unscaled.filter(regex="^(S|F|unique|shapley|partial)_"):
        assert np.allclose(found[column], unscaled[column], atol=1e-4), column
