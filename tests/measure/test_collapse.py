"""What a classifier loses without a feature: the analytic answer where there is one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fgf_keras import AlignmentModel, AutodiffFeature, Brightness, Extent, LinearNoise, LogAspectRatio
from fgf_keras.config.data import PhantomConfig
from fgf_keras.data.phantom.phantom import phantom_cohort
from fgf_keras.errors import ConfigError, DataError, FeatureError, ModelError
from fgf_keras.measure.collapse import collapse
from fgf_keras.models.paper_cnn import paper_cnn

SIZE = 12
N = 60
QUICK = {"draws": 0, "bootstrap": 100}


class Linear(AutodiffFeature):
    """⟨u, x·m⟩."""

    def __init__(self, weights, name):
        super().__init__(lambda image, mask: tf.reduce_sum(image * mask * weights, [1, 2, 3]), name=name)


@pytest.fixture(scope="module")
def patients():
    """Images in the middle of [0, 1], so that no move comes to its ends, masks of two sizes, and labels."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0.4, 0.6, (N, SIZE, SIZE, 1)).astype(np.float32)
    masks = np.zeros_like(images)
    masks[:, 2:9, 3:10] = 1
    masks[::2, 2:4] = 0
    return images, masks, rng.integers(0, 2, N)


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=(SIZE, SIZE, 1)).astype(np.float32) for name in ("u", "v", "w")}


def linear_classifier(weights):
    classifier = keras.Sequential(
        [keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    classifier.set_weights([weights.reshape(-1, 1), np.zeros(1, np.float32)])
    return classifier


def products(a, b):
    return (np.float64(a) * b).sum(axis=(1, 2, 3))


def metrics_of(labels, logits, threshold=0.0):
    decisions = logits > threshold
    return {
        "auc": roc_auc_score(labels, logits),
        "balanced_accuracy": balanced_accuracy_score(labels, decisions),
    }


def assert_metrics(entry, labels, before, after, threshold=0.0):
    start, end = (metrics_of(labels, logits, threshold) for logits in (before, after))
    for name in ("auc", "balanced_accuracy"):
        assert entry[name]["before"] == pytest.approx(start[name])
        assert entry[name]["after"] == pytest.approx(end[name])
        assert entry[name]["drop"]["mean"] == pytest.approx(start[name] - end[name])
        low, high = entry[name]["drop"]["ci"]
        assert low <= start[name] - end[name] <= high


def test_a_linear_classifier_loses_what_its_linear_feature_carries(patients, weights):
    images, masks, _ = patients
    u, w = weights["u"], weights["u"] + 0.1 * weights["w"]
    logits = products(images * masks, w)
    threshold = float(np.median(logits))
    labels = (logits + np.random.default_rng(2).normal(0, 0.1, N) > threshold).astype(int)
    model = AlignmentModel(linear_classifier(w), [Linear(u, "along"), LinearNoise()])
    noise = LinearNoise().gradient(tf.constant(images[:1]), None).numpy()[0]
    found = collapse(
        model, images, masks, labels, targets={"along": 0.7, "noise": 0.0}, threshold=threshold, **QUICK
    )
    for name, field in (("along", u), ("noise", noise)):
        inside = field * masks
        gap = products(images, inside) - found["features"][name]["target"]
        size = products(inside, inside)
        after = logits - gap * products(inside, w) / size
        entry = found["features"][name]
        assert_metrics(entry, labels, logits, after, threshold)
        assert entry["distance"] == pytest.approx(np.mean(np.abs(gap) / np.sqrt(size)), rel=1e-4)
        assert (entry["n"], entry["status"]) == (N, {"reached": N})
        assert entry["error"] < 1e-3
    drop = found["features"]["along"]["auc"]["drop"]
    assert drop["mean"] > 0.1
    assert drop["ci"][0] > 0


def test_several_features_go_to_their_targets_together(patients, weights):
    images, masks, labels = patients
    u, v, w = weights["u"], weights["u"] + 0.3 * weights["v"], weights["w"] + weights["u"]
    features = [Linear(u, "one"), Linear(v, "two")]
    model = AlignmentModel(linear_classifier(w), features)
    targets = {"one": 0.1, "two": -0.2}
    found = collapse(model, images, masks, labels, targets=targets, together=True, **QUICK)["together"]
    after = []
    for image, mask in zip(np.float64(images), masks):
        jacobian = np.stack([(u * mask).ravel(), (v * mask).ravel()])
        gap = jacobian @ image.ravel() - list(targets.values())
        after.append(((image * mask).ravel() - np.linalg.pinv(jacobian) @ gap) @ (w * mask).ravel())
    assert_metrics(found, labels, products(images * masks, w), np.array(after))
    assert found["target"] == targets
    assert found["error"] < 1e-3
    assert (
        collapse(model, images, masks, labels, targets={"one": 0.1}, together=True, **QUICK)["together"]
        is None
    )


def test_a_plain_classifier_sees_its_images_unchanged_outside_the_mask(patients, weights):
    images, masks, labels = patients
    classifier = linear_classifier(weights["w"])
    found = collapse(
        classifier, images, masks, labels, features=[Brightness()], targets={"brightness": 0.5}, **QUICK
    )
    shift = 0.5 - products(images, masks) / products(masks, masks)
    before = products(images, weights["w"])
    after = before + shift * products(masks, np.broadcast_to(weights["w"], masks.shape))
    assert_metrics(found["features"]["brightness"], labels, before, after)


def test_the_flow_in_the_latent_space_of_a_linear_decoder(patients, weights):
    images, masks, labels = patients
    rng = np.random.default_rng(3)
    directions = (0.02 * rng.normal(size=(5, SIZE * SIZE))).astype(np.float32)
    inverse = np.linalg.pinv(directions).astype(np.float32)

    def encode(images):
        return tf.reshape(images - 0.5, [-1, SIZE * SIZE]) @ inverse

    def decode(latents):
        return 0.5 + tf.reshape(latents @ directions, [-1, SIZE, SIZE, 1])

    model = AlignmentModel(linear_classifier(weights["w"]), [Linear(weights["u"], "along")])
    found = collapse(
        model, images, masks, labels, targets={"along": 0.2}, encode=encode, decode=decode, **QUICK
    )
    before, after = [], []
    for image, mask in zip(np.float64(images), masks):
        latent = (image * mask - 0.5).ravel() @ inverse
        u, w = (directions @ (weights[key] * mask).ravel() for key in "uw")
        offsets = [0.5 * (weights[key] * mask).sum() for key in "uw"]
        gap = latent @ u + offsets[0] - 0.2
        before.append(latent @ w + offsets[1])
        after.append((latent - gap * u / (u @ u)) @ w + offsets[1])
    entry = found["features"]["along"]
    assert (found["space"], entry["status"]) == ("latent", {"reached": N})
    assert_metrics(entry, labels, np.array(before), np.array(after))


@pytest.fixture(scope="module")
def phantom():
    """A cohort whose label is a matter of brightness, and a network that has learned it."""
    law = PhantomConfig(patients=320, prevalence=0.5, brightness=4.0, extent=0.0)
    cohort = phantom_cohort(law, size=32, window=(-50, 300), spacing=(1.0, 1.0), seed=0)
    keras.utils.set_random_seed(0)
    classifier = paper_cnn((32, 32, 1), filters=(4, 8), kernel_sizes=(3, 3), pool_size=2, dense=(8,))
    features = [Brightness(), LogAspectRatio(), AutodiffFeature(spread)]
    model = AlignmentModel(classifier, features, reward="none")
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(
        {"image": cohort.images[:240], "mask": cohort.masks[:240]},
        cohort.labels[:240],
        epochs=60,
        batch_size=16,
        verbose=0,
    )
    return model, cohort


def spread(image, mask):
    """The standard deviation of intensities inside the mask."""
    count = tf.reduce_sum(mask, [1, 2, 3])
    mean = tf.reduce_sum(image * mask, [1, 2, 3]) / count
    return tf.sqrt(tf.reduce_sum(mask * (image - mean[:, None, None, None]) ** 2, [1, 2, 3]) / count)


@pytest.fixture(scope="module")
def found(phantom):
    model, cohort = phantom
    train, test = (cohort.select(rows) for rows in (np.arange(240), np.arange(240, 320)))
    inputs = (tf.constant(np.float32(values)) for values in (train.images * train.masks, train.masks))
    image, mask = inputs
    targets = {feature.name: float(np.mean(feature.value(image, mask))) for feature in model.features}
    settings = {"targets": targets, "together": True, "spacing": test.spacing, "bootstrap": 200}
    return collapse(model, test.images, test.masks, test.labels, **settings)


def test_a_network_of_brightness_loses_it_and_nothing_else(found):
    entries = found["features"]
    assert all(entry["status"] == {"reached": 80} for entry in entries.values())
    drops = {name: entry["auc"]["drop"] for name, entry in entries.items()}
    assert drops["brightness"]["mean"] > 0.1
    assert drops["brightness"]["ci"][0] > 0
    low, high = drops["log_aspect_ratio"]["ci"]
    assert low <= 0 <= high
    assert entries["brightness"]["auc"]["before"] > 0.75


def test_random_directions_lose_little_and_move_as_far(found):
    entry = found["features"]["brightness"]
    assert entry["random_distance"] == pytest.approx(entry["distance"], rel=1e-5)
    random = entry["auc"]["random"]
    assert random["drop"] < entry["auc"]["drop"]["mean"] / 3
    assert random["q05"] <= random["drop"] <= random["q95"] < entry["auc"]["drop"]["mean"]
    assert random["p"] == pytest.approx(1 / 21)
    assert entry["auc"]["before"] - random["after"] == pytest.approx(random["drop"])


def test_together_is_at_least_as_much_as_the_largest(found):
    entry, alone = found["together"], found["features"]["brightness"]
    assert sum(entry["status"].values()) == found["n"] == 80
    # Brightness and aspect ratio cannot always change without a wider spread of intensities.
    assert 30 < entry["n"] < 80
    assert entry["error"] <= found["tolerance"]
    assert entry["auc"]["drop"]["ci"][0] > 0
    assert entry["distance"] > alone["distance"]


def test_the_same_numbers_in_other_batches(phantom):
    model, cohort = phantom
    test = cohort.select(np.arange(280, 320))
    asked = {"targets": {"brightness": 0.3}, "draws": 3, "bootstrap": 100}
    one, other = (
        collapse(model, test.images, test.masks, test.labels, batch_size=size, **asked) for size in (40, 7)
    )
    for name in ("auc", "balanced_accuracy"):
        values = [each["features"]["brightness"][name] for each in (one, other)]
        assert values[0]["random"] == pytest.approx(values[1]["random"])
        assert values[0]["drop"]["ci"] == pytest.approx(values[1]["drop"]["ci"])


def test_a_target_out_of_reach_is_a_status_and_nobody_counts(patients, weights):
    images, masks, labels = patients
    model = AlignmentModel(linear_classifier(weights["w"]), [Brightness(), Extent()])
    found = collapse(
        model, images, masks, labels, targets={"brightness": 1.2, "extent": 3.9}, **QUICK | {"draws": 2}
    )
    entry = found["features"]["brightness"]
    assert (entry["n"], entry["distance"], entry["error"]) == (0, None, None)
    assert sum(entry["status"].values()) == N
    assert "reached" not in entry["status"]
    for name in ("auc", "balanced_accuracy"):
        assert entry[name]["drop"] == {"mean": None, "ci": [None, None]}
        assert set(entry[name]["random"].values()) == {None}
    # The smaller tumours cannot be as wide as the others: they are left out before and after.
    entry = found["features"]["extent"]
    assert entry["status"]["reached"] == entry["n"] == N / 2
    assert sum(entry["status"].values()) == N
    large = np.arange(N) % 2 == 1
    before = roc_auc_score(labels[large], products(images * masks, weights["w"])[large])
    assert entry["auc"]["before"] == pytest.approx(before)


def test_a_constant_feature_has_nothing_to_lose(patients, weights):
    images, masks, labels = patients
    model = AlignmentModel(linear_classifier(weights["w"]), [Brightness()])
    same = np.full_like(images, 0.5)
    found = collapse(model, same, masks, labels, targets={"brightness": 0.5}, **QUICK | {"draws": 2})
    entry = found["features"]["brightness"]
    assert (entry["status"], entry["distance"]) == ({"reached": N}, 0)
    assert entry["auc"]["drop"] == {"mean": 0, "ci": [0, 0]}
    assert entry["auc"]["random"]["p"] == 1


def test_what_cannot_be_collapsed_is_refused(patients, weights):
    images, masks, labels = patients
    model = AlignmentModel(linear_classifier(weights["w"]), [Brightness()])
    known = {"targets": {"brightness": 0.5}}
    with pytest.raises(FeatureError, match="Received: 'gloss'"):
        collapse(model, images, masks, labels, targets={"gloss": 1.0})
    with pytest.raises(FeatureError, match="Received: none"):
        collapse(model, images, masks, labels, targets={})
    with pytest.raises(FeatureError, match="must be finite"):
        collapse(model, images, masks, labels, targets={"brightness": np.nan})
    with pytest.raises(DataError, match="both classes"):
        collapse(model, images, masks, np.zeros(N, int), **known)
    with pytest.raises(DataError, match=r"in \[0, 1\] inside the masks"):
        collapse(model, 3 * images, masks, labels, **known)
    with pytest.raises(ConfigError, match="encode and decode"):
        collapse(model, images, masks, labels, encode=tf.identity, **known)
    with pytest.raises(ConfigError, match="draws must be"):
        collapse(model, images, masks, labels, draws=-1, **known)
    classes = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match="two classes"):
        collapse(classes, images, masks, labels, features=[Brightness()], **known)
