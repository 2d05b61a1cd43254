"""F by functions of NumPy arrays: Euler's paths at any rank, and what `explain` measures of a Keras model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import ArrayPath, Brightness, Extent, Flow, LogAspectRatio, Nulls, alignment, explain
from fgf_keras.errors import DataError

SIZE = 12
N = 6
FEATURES = [Brightness(), Extent(), LogAspectRatio()]
SHAPES = {"table": (9,), "sequence": (7, 2), "image": (5, 4, 2), "volume": (3, 4, 5, 1)}
# Of float32 sums over a hundred pixels, relative to 1.
CLOSE = 1e-5


@pytest.fixture(scope="module")
def cohort():
    """Images (N, H, W, 1) in [0, 1] and masks of different sizes."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.1, 1, (N, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros((N, SIZE, SIZE, 1), np.uint8)
    for i in range(N):
        masks[i, 2 : 6 + i % 4, 3 : 10 - i % 3] = 1
    return images, masks


def convolutional(classes):
    keras.utils.set_random_seed(0)
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


def gradients_of_logits(model, images):
    """Logits (N, K) and their gradients (N, K, H, W, C)."""
    x = tf.constant(images)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        logits = model(x)
        each = tf.unstack(logits, axis=1)
    return logits.numpy(), np.stack([tape.gradient(z, x).numpy() for z in each], axis=1)


def margin_of(model, logits):
    """The score of a path as NumPy: logit, difference of two, or margin of the sample's decision."""
    classes = logits.shape[1]
    pairs = np.argsort(-logits, axis=1)[:, :2]

    def score(x, rows):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = model(x)
            if classes == 1:
                z = z[:, 0]
            elif classes == 2:
                z = z[:, 1] - z[:, 0]
            else:
                top, other = (tf.gather(z, pairs[rows, i], batch_dims=1) for i in (0, 1))
                z = top - other
        return z.numpy(), tape.gradient(z, x).numpy()

    return score


@pytest.mark.parametrize(("classes", "limits"), [(1, "free"), (1, "bounded"), (2, "free"), (3, "free")])
def test_gradients_of_a_keras_model_have_the_numbers_of_explain(cohort, classes, limits):
    images, masks = cohort
    model = convolutional(classes)
    nulls = Nulls(kinds=["white", "smooth", "matched", "permutation"], draws=60)
    flow = Flow(range=limits)
    expected = explain(model, images, masks, features=FEATURES, flow=flow, nulls=nulls, noise_draws=0)
    logits, score_gradients = gradients_of_logits(model, images)
    inside = tf.constant(masks, tf.float32)
    found = alignment(
        score_gradients[:, 0] if classes == 1 else score_gradients,
        {feature.name: feature.gradient(tf.constant(images), inside).numpy() for feature in FEATURES},
        masks,
        scores=logits,
        values={feature.name: feature.value(tf.constant(images), inside).numpy() for feature in FEATURES},
        path=ArrayPath(images, margin_of(model, logits), FEATURES, flow),
        nulls=nulls,
        batch_size=4,
    )
    frame, reference = found.to_frame(), expected.to_frame()
    assert list(frame) == [column for column in reference if not column.startswith("outside")]
    assert frame["status"].tolist() == reference["status"].tolist()
    for column in frame.columns.drop("status"):
        # Contributions and changes are sums of float32 along the path, rounded as the processor does.
        tolerance = 2e-4 if column.startswith(("contribution", "change", "unexplained")) else CLOSE
        np.testing.assert_allclose(
            frame[column].astype(float), reference[column].astype(float), tolerance, tolerance, err_msg=column
        )
    chance, by_explain = found.against_chance(), expected.against_chance()
    assert chance["quantity"].tolist() == by_explain["quantity"].tolist()
    assert np.allclose(chance["p"], by_explain["p"], atol=CLOSE)
    assert {key: value for key, value in found.settings.items() if key != "reference_sd"}.items() <= (
        expected.settings | {"units": dict.fromkeys(found.feature_names, "")}
    ).items()
    if classes > 2:
        assert np.allclose(found.to_frame(per_class=True), expected.to_frame(per_class=True), atol=1e-4)


def quadratic(rng, shape):
    """z = ½⟨x, D x⟩ + ⟨w, x⟩ - c and two features, ⟨a, x⟩ and ½‖x‖², as functions of (x, rows)."""
    d, w = rng.uniform(0.3, 1, shape), rng.normal(size=shape)
    axes = tuple(range(1, len(shape) + 1))
    a = rng.normal(size=shape)

    def score(x, rows):
        return (0.5 * d * x**2 + w * x).sum(axis=axes) - 3, d * x + w

    def features(x, rows):
        return np.stack([np.broadcast_to(a, x.shape), x], axis=1)

    return score, features


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_path_of_a_quadratic_score_is_that_of_many_small_steps(rng, shape):
    score, features = quadratic(rng, shape)
    images = rng.normal(size=(N, *shape))
    mask = np.ones((N, *shape[:-1], 1), bool)
    if len(shape) > 1:
        mask[..., :1, :] = False
    rows = np.arange(N)
    z, gradient = score(images, rows)
    path = ArrayPath(images, score, features, Flow(tolerance=1e-4))
    found = alignment(gradient, features(images, rows), mask, scores=z, path=path, batch_size=4)
    frame = found.to_frame()
    assert (frame["status"] == "reached").all()
    for k in range(N):
        # Euler with many steps, each lowering the score by the same amount.
        x, steps, length, arc = images[k : k + 1].copy(), 4000, 0.0, 0.0
        for step in range(steps):
            now, gradient = score(x, rows[:1])
            target = z[k] * (1 - (step + 1) / steps)
            direction = (gradient * mask[k]).ravel()
            a = (features(x, rows[:1])[0, 0] * mask[k]).ravel()
            size = abs(now[0] - target) / np.linalg.norm(direction)
            arc += size * (direction @ a) ** 2 / ((direction @ direction) * (a @ a))
            length += size
            x = x - (now[0] - target) / (direction @ direction) * direction.reshape(x.shape)
        assert frame["flow_length"].iloc[k] == pytest.approx(length, rel=2e-3)
        assert frame["F_feature_0"].iloc[k] == pytest.approx(arc / length, abs=2e-3)
        parts = frame.iloc[k].filter(regex="^contribution_feature").sum() + frame["unexplained"].iloc[k]
        assert parts == pytest.approx(z[k], abs=1e-3 * abs(z[k]))


def test_functions_of_a_path_know_which_samples_they_are_asked_about(rng):
    """Each sample has a score and a feature of its own, in batches that end with a smaller one."""
    (w, a), offsets = rng.normal(size=(2, N, 9)), rng.normal(size=N)
    images = rng.normal(size=(N, 9))

    def score(x, rows):
        return (w[rows] * x).sum(axis=1) + offsets[rows], w[rows]

    path = ArrayPath(images, score, lambda x, rows: a[rows][:, np.newaxis])
    frame = alignment(w, a[:, np.newaxis], path=path, batch_size=4).to_frame()
    z = score(images, np.arange(N))[0]
    assert np.allclose(frame["flow_length"], np.abs(z) / np.linalg.norm(w, axis=1))
    assert np.allclose(frame["F_feature_0"], frame["S_feature_0"])
    assert np.allclose(frame["contribution_feature_0"] + frame["unexplained"], z)


def test_contributions_are_drawn_with_and_without_changes(cohort):
    images, masks = cohort
    model = convolutional(1)
    logits, score_gradients = gradients_of_logits(model, images)
    brightness = FEATURES[0]
    inside = tf.constant(masks, tf.float32)
    arrays = (score_gradients[:, 0], {"brightness": brightness.gradient(tf.constant(images), inside)}, masks)

    def by_function(x, rows):
        return brightness.gradient(tf.constant(x), tf.gather(inside, rows)).numpy()[:, np.newaxis]

    for features, words in (([brightness], ("falls", "rises")), (by_function, ("brightness",))):
        path = ArrayPath(images, margin_of(model, logits), features, Flow(max_steps=16))
        found = alignment(*arrays, scores=logits, path=path)
        label = found.plot_contributions("0").axes[0].get_yticklabels()[1].get_text()
        assert any(word in label for word in words)
        assert ("change_brightness" in found.to_frame()) == (words[0] == "falls")
        unscored = alignment(*arrays, path=path)
        with pytest.raises(DataError, match="Pass scores"):
            unscored.plot_contributions("0")


def failing(x, rows):
    raise ZeroDivisionError("mine")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"images": np.ones((N, 8))}, DataError, r"shape of the gradients, \(6, 9\)"),
        ({"images": np.full((N, 9), np.nan)}, DataError, "images must be finite"),
        ({"score": failing}, ZeroDivisionError, "mine"),
        ({"features": failing}, ZeroDivisionError, "mine"),
        (
            {"score": lambda x, rows: (x[:, :1], x)},
            DataError,
            r"must return arrays of shape \(6,\), \(6, 9\)",
        ),
        ({"features": lambda x, rows: x}, DataError, r"of shape \(\d+, 1, 9\). Returned: \(\d+, 9\)"),
        ({"features": FEATURES}, DataError, "features of the path.*Received: brightness, extent"),
        ({"flow": Flow(range="bounded")}, DataError, r"stays in \[0, 1\]"),
    ],
)
def test_what_goes_wrong_on_a_path_is_said_as_it_is(rng, changes, error, words):
    score, _ = quadratic(rng, (9,))
    images = rng.normal(size=(N, 9))
    _, gradient = score(images, None)
    settings = {"images": images, "score": score, "features": lambda x, rows: x[:, np.newaxis]} | changes
    with pytest.raises(error, match=words):
        alignment(gradient, images[:, np.newaxis], path=ArrayPath(**settings))


def test_features_of_volumes_have_their_spacing_along_the_path(rng):
    """A linear score on anisotropic voxels: F of brightness is S, and extent is measured in mm."""
    shape = (4, 6, 5, 1)
    images = rng.uniform(0.2, 1, (3, *shape))
    weights = rng.normal(size=shape)
    spacing = (3.0, 1.0, 0.5)
    features = [Brightness(), Extent()]

    def score(x, rows):
        del rows
        return np.sum(x * weights, axis=(1, 2, 3, 4)) - 1.0, np.broadcast_to(weights, x.shape)

    masks = np.ones((3, *shape[:-1], 1))
    gradients = np.stack(
        [
            f.gradient(tf.constant(images), tf.constant(masks), tf.constant(spacing, tf.float64))
            for f in features
        ],
        axis=1,
    )
    named = {"brightness": gradients[:, 0], "extent": gradients[:, 1]}
    path = ArrayPath(images, score, features, flow=Flow(), spacing=spacing)
    logits, slopes = score(images, None)
    table = alignment(slopes, named, scores=logits, path=path).to_frame()
    expected = [
        np.sum(g * w) ** 2 / np.sum(g**2) / np.sum(w**2)
        for g, w in zip(gradients[:, 0], np.broadcast_to(weights, images.shape))
    ]
    np.testing.assert_allclose(table["F_brightness"], expected, rtol=1e-4)
    # The gradient of the extent changes on the way with the intensities, in mm.
    flat = ArrayPath(images, score, features, flow=Flow())
    others = alignment(slopes, named, scores=logits, path=flat).to_frame()
    assert np.abs(table["F_extent"] - others["F_extent"]).max() > 1e-3
