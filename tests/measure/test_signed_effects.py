"""Slopes, effects and contributions, for scores whose answers are known by hand or by numpy."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fgf_keras import AutodiffFeature, Brightness, Extent, Flow, LogAspectRatio, explain
from fgf_keras.errors import ConfigError, DataError
from fgf_keras.measure.path_quantities import PathQuantities

SIZE = 12
N = 6
NAMES = ["brightness", "extent", "log_aspect_ratio"]
WINDOW = (-50.0, 300.0)
ALL = [Brightness(), Extent(), LogAspectRatio()]


@pytest.fixture(autouse=True, scope="module")
def in_float64():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="module")
def cohort():
    """Tumours of different sizes, shapes and intensities."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.2, 0.9, (N, SIZE, SIZE, 1)) * rng.uniform(0.5, 1, (N, 1, 1, 1))
    masks = np.zeros_like(images)
    for i in range(N):
        masks[i, 2 : 6 + i % 3, 3 : 7 + i] = 1
    return images * masks, masks


def network(classes=1, seed=3, sign=1.0):
    """A smooth network."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(classes),
    ]
    ending = [] if sign == 1 else [keras.layers.Rescaling(sign)]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1), dtype="float64"), *layers, *ending])


def linear(weights, offset):
    """z = ⟨weights, x⟩ - offset."""
    dense = keras.layers.Dense(1)
    layers = [keras.layers.Flatten(), dense]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1), dtype="float64"), *layers])
    dense.set_weights([weights.reshape(-1, 1), np.array([-offset])])
    return model


def quadratic(offset):
    """z = ½‖x‖² - offset."""
    inputs = keras.Input((SIZE, SIZE, 1), dtype="float64")
    squares = keras.layers.Flatten()(keras.ops.square(inputs))
    total = keras.ops.sum(squares, axis=1, keepdims=True)
    return keras.Model(inputs, keras.layers.Rescaling(0.5, -offset)(total))


def measured(model, cohort, features=ALL, **settings):
    settings = {"flow": Flow(max_steps=64, tolerance=1e-4), "noise_draws": 0} | settings
    return explain(model, *cohort, features=features, **settings)


@pytest.fixture(scope="module")
def explanation(cohort):
    """Of a network with the three features."""
    return measured(network(), cohort)


def columns(frame, key, names=NAMES):
    return frame[[f"{key}_{name}" for name in names]].to_numpy()


def moments(x, mask):
    """Brightness, extent and log aspect ratio, in numpy."""
    weights = x * mask
    total = weights.sum()
    rows, cols = np.mgrid[:SIZE, :SIZE].astype(float)
    r = np.stack([rows, cols], axis=-1)
    centred = r - (weights[..., None] * r).sum((0, 1)) / total
    covariance = np.einsum("hw,hwi,hwj->ij", weights, centred, centred) / total
    small, large = np.linalg.eigvalsh(covariance)
    return np.array([total / mask.sum(), np.sqrt(small + large), 0.5 * np.log(large / small)])


def gradients(x, mask, step=1e-6):
    """∇ of `moments` inside the mask by central differences, (3, pixels)."""
    result = []
    for row, col in np.argwhere(mask > 0):
        bump = np.zeros_like(x)
        bump[row, col] = step
        result.append((moments(x + bump, mask) - moments(x - bump, mask)) / (2 * step))
    return np.array(result).T


def test_a_linear_score_has_the_slopes_and_changes_that_follow_by_hand(cohort):
    _, masks = cohort
    weights = np.random.default_rng(1).normal(size=(SIZE, SIZE)) + 0.3
    frame = measured(linear(weights, 1.0), cohort, [Brightness()]).to_frame()
    for i, (z, (_, row)) in enumerate(zip(frame["logit"], frame.iterrows())):
        inside = weights[masks[i, ..., 0] > 0]
        # ∇g = 1/n inside, so the slope is the sum of the weights.
        assert row["slope_brightness"] == pytest.approx(inside.sum(), rel=1e-9)
        assert row["slope_alone_brightness"] == pytest.approx(inside.sum(), rel=1e-9)
        # The path is straight, and as long as the distance from the boundary.
        assert row["change_brightness"] == pytest.approx(-z * inside.mean() / (inside**2).sum(), rel=1e-9)
        share = inside.sum() ** 2 / (len(inside) * (inside**2).sum())
        for key in ("contribution", "contribution_shapley"):
            assert row[f"{key}_brightness"] == pytest.approx(share * z, rel=1e-9)
        assert row["unexplained"] == pytest.approx((1 - share) * z, rel=1e-9)


def test_a_quadratic_score_has_the_contributions_of_its_radial_path(cohort):
    images, masks = cohort
    frame = measured(quadratic(0.8), cohort).to_frame()
    assert (frame["status"] == "reached").all()
    for i, (_, row) in enumerate(frame.iterrows()):
        x, mask = images[i, ..., 0], masks[i, ..., 0]
        slopes, *_ = np.linalg.lstsq(gradients(x, mask).T, x[mask > 0], rcond=None)
        assert row[[f"slope_{name}" for name in NAMES]].tolist() == pytest.approx(slopes, rel=1e-5)
        # On x·s brightness is s times as large and its slope too; shape does not change.
        end = np.sqrt(1.6 / (x**2).sum())
        brightness = moments(x, mask)[0]
        expected = slopes[0] * brightness * (1 - end**2) / 2
        assert row["contribution_brightness"] == pytest.approx(expected, rel=1e-4)
        assert row["change_brightness"] == pytest.approx((end - 1) * brightness, rel=1e-5)
        for name in NAMES[1:]:
            assert row[f"contribution_{name}"] == pytest.approx(0, abs=1e-4 * abs(row["logit"]))
            assert row[f"change_{name}"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_contributions_and_the_unexplained_part_add_up_to_the_score(cohort, classes):
    explanation = measured(network(classes), cohort, flow=Flow(average="score"))
    frame = explanation.to_frame()
    assert (frame["status"] == "reached").all()
    lost = frame["logit"] * (1 - frame["flow_residual"])
    for key in ("contribution", "contribution_shapley"):
        explained = columns(frame, key).sum(axis=1)
        assert_allclose(explained / frame["logit"], frame["F_joint"], atol=1e-5)
        assert_allclose(explained + frame["unexplained"], lost, atol=1e-5)
    assert (columns(frame, "contribution_shapley") * np.sign(frame[["logit"]].to_numpy()) > -1e-9).all()


def test_collinear_features_have_finite_slopes_and_contributions_that_add_up(cohort, explanation):
    twin = AutodiffFeature(doubled, name="twin")
    alone = explanation.to_frame()
    both = measured(network(), cohort, [*ALL, twin]).to_frame()
    names = [*NAMES, "twin"]
    assert np.isfinite(columns(both, "slope", names)).all()
    # Half of the slope each, per unit; the twin has half the unit.
    assert_allclose(both["slope_brightness"], alone["slope_brightness"] / 2, rtol=1e-5)
    assert_allclose(both["slope_twin"], alone["slope_brightness"] / 4, rtol=1e-5)
    for key in ("contribution", "contribution_shapley"):
        total = columns(both, key, names).sum(axis=1)
        assert_allclose(total, columns(alone, key).sum(axis=1), rtol=1e-4)
    assert_allclose(both["contribution_shapley_twin"], both["contribution_shapley_brightness"])


@keras.saving.register_keras_serializable(package="tests")
def doubled(image, mask):
    import tensorflow as tf

    return 2 * tf.reduce_sum(image * mask, [1, 2, 3]) / tf.reduce_sum(mask, [1, 2, 3])


def test_in_hu_the_slope_is_per_hu_and_the_effect_is_the_same(cohort, explanation):
    plain, hu = explanation, measured(network(), cohort, hu_window=WINDOW)
    assert (plain.settings["units"], hu.settings["units"]) == (
        {"brightness": "", "extent": "mm", "log_aspect_ratio": ""},
        {"brightness": "HU", "extent": "mm", "log_aspect_ratio": ""},
    )
    plain, hu = plain.to_frame(), hu.to_frame()
    width = WINDOW[1] - WINDOW[0]
    assert_allclose(hu["value_brightness"], WINDOW[0] + width * plain["value_brightness"])
    assert_allclose(hu["change_brightness"], width * plain["change_brightness"])
    for key in ("slope", "slope_alone"):
        assert_allclose(hu[f"{key}_brightness"], plain[f"{key}_brightness"] / width)
        assert hu[f"{key}_extent"].tolist() == plain[f"{key}_extent"].tolist()
    for key in ("effect", "contribution"):
        assert_allclose(columns(hu, key), columns(plain, key), rtol=1e-9)


def test_the_opposite_score_has_opposite_effects_and_contributions(cohort, explanation):
    frame, opposite = explanation.to_frame(), measured(network(sign=-1), cohort).to_frame()
    for key in ("slope", "slope_alone", "effect", "contribution"):
        assert_allclose(columns(opposite, key), -columns(frame, key), rtol=1e-6)
    assert_allclose(columns(opposite, "change"), columns(frame, "change"), rtol=1e-6)


def test_effects_are_slopes_times_the_spread_of_the_reference(cohort, explanation):
    frame = explanation.to_frame()
    spread = columns(frame, "value").std(axis=0, ddof=1)
    assert list(explanation.settings["reference_sd"].values()) == pytest.approx(spread)
    assert_allclose(columns(frame, "effect"), columns(frame, "slope") * spread)
    known = dict(zip(NAMES, (2.0, 3.0, 0.0)))
    frame = measured(network(), cohort, reference_sd=known).to_frame()
    assert_allclose(frame["effect_extent"], 3 * frame["slope_extent"])
    # One standard deviation of a feature that does not vary is no change at all.
    assert frame["effect_log_aspect_ratio"].isna().all()
    # What one explanation says of its reference can be given to another.
    again = measured(network(), cohort, reference_sd=known | {"log_aspect_ratio": None})
    assert again.settings["reference_sd"] == known | {"log_aspect_ratio": None}


@pytest.mark.parametrize("rows", [[0], [0, 0]])
def test_without_a_spread_there_is_no_effect(cohort, rows):
    explanation = measured(network(), [array[rows] for array in cohort])
    assert explanation.settings["reference_sd"] == dict.fromkeys(NAMES)
    assert np.isnan(columns(explanation.to_frame(), "effect")).all()
    assert np.isfinite(columns(explanation.to_frame(), "slope")).all()


def test_each_class_has_slopes_of_its_own_which_add_up_to_nothing(cohort):
    explanation = measured(network(3), cohort)
    by_class = explanation.to_frame(per_class=True)
    for key in ("slope", "slope_alone", "effect"):
        of_classes = columns(by_class, key).reshape(N, 3, 3)
        # Centred logits add up to zero.
        assert_allclose(of_classes.sum(axis=1), np.zeros((N, 3)), atol=1e-9)
        top, runner = np.argsort(-explanation.values["logits"], axis=1)[:, :2].T
        margin = of_classes[np.arange(N), top] - of_classes[np.arange(N), runner]
        assert_allclose(columns(explanation.to_frame(), key), margin, atol=1e-9)


def test_waterfalls_are_drawn_of_those_who_are_named(explanation, tmp_path):
    figure = explanation.plot_contributions(0, path=tmp_path / "one.png")
    assert [axes.get_title() for axes in figure.axes] == ["0"]
    assert (tmp_path / "one.png").stat().st_size > 1000
    figure = explanation.plot_contributions(["2", "1", "4"])
    assert [axes.get_title() for axes in figure.axes] == ["2", "1", "4", ""]
    for nobody in ("nobody", []):
        with pytest.raises(DataError, match="No such patients"):
            explanation.plot_contributions(nobody)


def test_over_the_canvas_the_slopes_are_the_same_and_the_paths_are_not(cohort, explanation):
    canvas = measured(network(), cohort, support="image").to_frame()
    frame = explanation.to_frame()
    # The gradients of these features lie in the mask.
    for key in ("slope", "slope_alone", "effect"):
        assert_allclose(columns(canvas, key), columns(frame, key), rtol=1e-6)
    assert not np.allclose(columns(canvas, "contribution"), columns(frame, "contribution"), rtol=0.1)
    total = columns(canvas, "contribution").sum(axis=1) + canvas["unexplained"]
    assert_allclose(total, canvas["logit"], rtol=1e-4)


def test_on_the_boundary_the_contributions_are_those_of_the_shares(cohort):
    weights = np.random.default_rng(1).normal(size=(SIZE, SIZE)) + 0.3
    offset = (weights * cohort[0][0, ..., 0]).sum()
    frame = measured(linear(weights, offset), cohort, [Brightness()]).to_frame()
    row = frame.iloc[0]
    assert row["status"] == "on_boundary"
    assert [row["contribution_brightness"], row["unexplained"]] == pytest.approx([0, 0], abs=1e-5)
    assert row["change_brightness"] == 0


def test_a_change_to_what_is_no_tumour_is_undefined(cohort):
    """On the way down to the boundary of this score intensities become negative: no extent at the end."""
    tilt = np.linspace(0.5, 1.5, SIZE * SIZE).reshape(SIZE, SIZE)
    frame = measured(linear(tilt, -300.0), cohort, flow=Flow(tolerance=0.2)).to_frame()
    assert (frame["status"] == "reached").all()
    assert frame[["change_extent", "change_log_aspect_ratio"]].isna().all(axis=None)
    assert np.isfinite(columns(frame, "contribution")).all()
    assert (frame["change_brightness"] < -1).all()


def test_beyond_five_features_there_are_no_shapley_contributions():
    five, six = PathQuantities(5, noise=True), PathQuantities(6, noise=True)
    assert set(five.widths) - set(six.widths) == {"shapley"}
    assert sum(six.widths.values()) == 6 + 1 + 1 + 6 + 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hu_window": (300, -50)}, "hu_window"),
        ({"hu_window": (0, 1, 2)}, "hu_window"),
        ({"reference_sd": {"brightness": 1.0}}, "Missing: extent, log_aspect_ratio"),
        ({"reference_sd": dict.fromkeys(NAMES, -1.0)}, "negative"),
        ({"reference_sd": dict.fromkeys(NAMES, float("inf"))}, "finite"),
    ],
)
def test_settings_that_mean_nothing_are_refused(cohort, settings, words):
    with pytest.raises(ConfigError, match=words):
        measured(network(), cohort, **settings)
