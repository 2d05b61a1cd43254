"""Weight gradients of the rewards, and of their combination with the task, against finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reward_oracle import reward_of, samples, worst_error

import fgf_keras
from fgf_keras.errors import ModelError
from fgf_keras.models.reward_term import STEPS

SHAPE = (9, 8, 1)
DIRECTION = {"brightness": 2.0, "extent": -0.3}


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def network(classes=1):
    layers = [
        keras.layers.Conv2D(3, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(5, activation="elu"),
        keras.layers.Dense(classes),
    ]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def cosines(jacobian, features):
    (z,) = jacobian
    return np.array([z @ g / np.linalg.norm(z) / np.linalg.norm(g) for g in features])


FORMULAS = {
    "signed": lambda z, g: cosines(z, g) @ [1, -1],
    "distil": lambda z, g: cosines(z, [2.0 * g[0] - 0.3 * g[1]])[0],
    "penalised": lambda z, g: cosines(z, g) ** 2 @ [1, -1],
}
SETTINGS = {
    "signed": {"reward": "signed", "reward_direction": DIRECTION},
    "distil": {"reward": "distil", "reward_direction": DIRECTION},
    "penalised": {"reward": "sum", "reward_targets": {"extent": "penalise"}},
}


@pytest.mark.parametrize("method", ["exact", "difference"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_rewards_of_one_point(float64, kind, method):
    def truth(network, image, mask, section):
        return reward_of(network, image, mask, section, FORMULAS[kind])

    error, plan = worst_error(network(), SHAPE, truth=truth, reward_gradient=method, **SETTINGS[kind])
    assert plan.method == method
    assert error < 1e-5


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("method", ["exact", "difference"])
def test_the_reward_along_the_path_has_its_points_fixed(float64, classes, method):
    classifier = network(classes)
    image, mask = samples(SHAPE)
    places = path(classifier, image, mask)
    assert np.abs(places[1] - places[0]).max() > 1e-3

    def truth(network, image, mask, section):
        return np.mean([reward_of(network, place, mask, section) for place in places])

    error, _ = worst_error(classifier, SHAPE, truth=truth, reward="flow", reward_gradient=method)
    assert error < 1e-5


def path(classifier, image, mask):
    """The images of a path at 1, 3/4 and 1/2 of the score by its slope, in the masked pixels."""
    places = [image * mask]
    for left in (4, 3):
        x = tf.constant(places[-1])
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = classifier(x)
            if logits.shape[1] == 1:
                z = logits[:, 0]
            elif logits.shape[1] == 2:
                z = logits[:, 1] - logits[:, 0]
            else:
                ordered = tf.sort(logits, axis=1, direction="DESCENDING")
                z = ordered[:, 0] - ordered[:, 1]
        slope = tape.gradient(z, x).numpy() * mask
        size = np.sum(slope**2, axis=(1, 2, 3))
        move = slope * (z.numpy() / left / size)[:, None, None, None]
        norm = np.sqrt(np.sum(places[-1] ** 2, axis=(1, 2, 3)))
        length = np.sqrt(np.sum(move**2, axis=(1, 2, 3)))
        move *= np.minimum(1, norm / STEPS / length)[:, None, None, None]
        places.append(places[-1] - move)
    return places


def step(classifier, lam=1.0, **settings):
    """The step of SGD with rate 1: (before - after), flat."""
    image, mask = samples(SHAPE)
    features = [fgf_keras.Brightness(), fgf_keras.Extent()]
    model = fgf_keras.AlignmentModel(classifier, features, reward_weight=lam, evaluation="dense", **settings)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=False)
    before = classifier.get_weights()
    model.train_step(({"image": tf.constant(image), "mask": tf.constant(mask)}, np.arange(4) % 2))
    after = classifier.get_weights()
    classifier.set_weights(before)
    return np.concatenate([(b - a).ravel() for a, b in zip(after, before)])


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("ratio", [float("inf"), 100.0, 0.3])
@pytest.mark.parametrize("lam", [0.5, 200.0])
def test_the_combination_limits_and_projects_the_rewards_gradient(float64, ratio, project, lam):
    classifier = network()
    task = step(classifier, reward="none")
    reward = step(classifier, lam) - task
    against = reward @ task
    assert against < 0  # otherwise there would be nothing to project
    if project:
        reward = reward - against / (task @ task) * task
        assert abs(reward @ task) < 1e-9 * (task @ task)
    norms = np.linalg.norm(task), np.linalg.norm(reward)
    reward = reward * min(1, ratio * norms[0] / norms[1])
    combined = step(classifier, lam, max_ratio=ratio, project_conflicts=project)
    np.testing.assert_allclose(combined, task + reward, rtol=1e-8, atol=1e-11)


def test_without_a_limit_the_step_is_the_plain_one_bit_for_bit():
    keras.utils.set_random_seed(0)
    classifier = network()
    plain = step(classifier)
    assert np.array_equal(plain, step(classifier, max_ratio=float("inf"), project_conflicts=False))
    np.testing.assert_allclose(step(classifier, max_ratio=1e9), plain, rtol=1e-4, atol=1e-7)


def test_an_agreeing_reward_is_not_projected(float64):
    classifier = network()
    # A penalty on what conflicted is a reward that agrees.
    targets = {"brightness": "penalise", "extent": "penalise"}
    plain = step(classifier, reward_targets=targets)
    projected = step(classifier, reward_targets=targets, project_conflicts=True)
    np.testing.assert_allclose(projected, plain, rtol=1e-10)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan")])
def test_a_ratio_that_leaves_nothing_is_refused(ratio):
    with pytest.raises(ModelError, match="max_ratio must be > 0"):
        fgf_keras.AlignmentModel(network(), [fgf_keras.Brightness()], max_ratio=ratio)


@pytest.mark.parametrize(
    ("kind", "policy", "jit"),
    [
        ("sum", "mixed_float16", False),
        ("joint", "mixed_bfloat16", True),
        ("signed", "mixed_float16", True),
        ("distil", "float32", True),
        ("flow", "mixed_bfloat16", False),
        ("flow", "float32", True),
    ],
)
def test_every_reward_trains_in_half_precision_and_compiled(kind, policy, jit):
    """Limited and projected, in a window; the reward rises and the weights stay finite."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        classifier = fgf_keras.paper_cnn(
            (16, 16, 1), filters=(4,), kernel_sizes=(3,), pool_size=2, dense=(8,)
        )
        image, mask = samples((16, 16, 1), count=8)
        model = fgf_keras.AlignmentModel(
            classifier,
            [fgf_keras.Brightness(), fgf_keras.Extent()],
            reward=kind,
            reward_weight=1.0,
            reward_direction=DIRECTION if kind in ("signed", "distil") else None,
            max_ratio=3.0,
            project_conflicts=True,
        )
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=jit)
        x = {"image": image.astype(np.float32), "mask": mask.astype(np.float32)}
        history = model.fit(x, np.arange(8) % 2, epochs=25, batch_size=8, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert history["reward"][-1] > history["reward"][0] + 0.05
