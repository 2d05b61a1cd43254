"""A network of an image and clinical columns: alignment of the image part, in windows as on the canvas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import fgf_keras
from fgf_keras import AlignmentModel, Score, explain
from fgf_keras.errors import ModelError
from fgf_keras.features.brightness import Brightness
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.models.late_fusion import LateFusion, clinical_dense
from fgf_keras.models.network import Network
from fgf_keras.models.paper_cnn import paper_cnn

SIZE, COUNT, COLUMNS = 40, 6, 3
KEYS = ("image", "mask", "spacing", "clinical")


def fusion(classes=2, dense=(), seed=0, columns=COLUMNS):
    keras.utils.set_random_seed(seed)
    small = {"filters": [3, 4], "kernel_sizes": [5, 3], "pool_size": 2, "dense": [6]}
    image_part = paper_cnn((SIZE, SIZE, 1), classes=classes, **small)
    built = LateFusion(image_part, clinical_dense(columns, classes=classes, dense=dense))
    rng = np.random.default_rng(1)
    built.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in built.get_weights()])
    return built


@pytest.fixture
def samples(rng):
    mask = np.zeros((COUNT, SIZE, SIZE, 1), np.float32)
    for k in range(COUNT):
        mask[k, 3 + k : 14 + k, 20 - 2 * k : 29] = 1
    return {
        "image": rng.uniform(0.1, 1, mask.shape).astype(np.float32) * mask,
        "mask": mask,
        "spacing": np.tile(np.float32([1, 2]), (COUNT, 1)),
        "clinical": rng.normal(size=(COUNT, COLUMNS)).astype(np.float32),
    }


def inputs(samples):
    return {key: samples[key] for key in ("image", "clinical")}


@pytest.mark.parametrize(("classes", "dense"), [(2, ()), (2, (5,)), (3, ())])
def test_logits_are_the_sum_of_its_parts(samples, classes, dense, tmp_path):
    model = fusion(classes, dense)
    logits = model(inputs(samples)).numpy()
    parts = model.image_part(samples["image"]), model.clinical_part(samples["clinical"])
    np.testing.assert_allclose(logits, sum(part.numpy() for part in parts), rtol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again, LateFusion)
    np.testing.assert_array_equal(again(inputs(samples)).numpy(), logits)
    assert not clinical_dense(COLUMNS, classes=classes, dense=dense)(samples["clinical"]).numpy().any()


def test_parts_of_different_numbers_of_logits_are_refused():
    with pytest.raises(ModelError, match="Received: 1 of the image part, 3"):
        LateFusion(fusion().image_part, clinical_dense(2, classes=3))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_measurement_in_windows_is_that_on_the_canvas(samples, classes):
    tables = []
    for evaluation in ("dense", "roi"):
        model = AlignmentModel(
            fusion(classes), ["brightness", "extent"], reward="none", evaluation=evaluation
        )
        assert (model.placement.reason is None) == (evaluation == "roi")
        explanation = explain(
            model, inputs(samples), samples["mask"], spacing=samples["spacing"], noise_draws=0
        )
        tables.append(explanation.to_frame())
    assert (tables[0]["status"] == "reached").sum() >= 2
    assert list(tables[0]) == list(tables[1])
    for name in tables[0].select_dtypes("number"):
        one, two = (table[name].to_numpy(float) for table in tables)
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-4, err_msg=name)
    np.testing.assert_allclose(tables[0]["S_joint"], tables[1]["S_joint"], atol=1e-5)
    np.testing.assert_allclose(tables[0]["logit"], tables[1]["logit"], atol=1e-5)


def test_s_is_that_of_the_image_part_and_f_ends_where_both_parts_add_up_to_zero(samples):
    model = fusion()
    whole = explain(Score(model), inputs(samples), samples["mask"], features="brightness", noise_draws=0)
    alone = explain(model.image_part, samples["image"], samples["mask"], features="brightness", noise_draws=0)
    one, two = whole.to_frame(), alone.to_frame()
    np.testing.assert_allclose(one["S_brightness"], two["S_brightness"], rtol=1e-5)
    clinical = model.clinical_part(samples["clinical"]).numpy()[:, 0]
    np.testing.assert_allclose(one["logit"], two["logit"] + clinical, atol=1e-5)
    network = Network(model, key="image", names=["clinical"])
    others = [tf.TensorSpec([None, COLUMNS])]
    measure = AlignmentMeasure(network, [Brightness()], (SIZE, SIZE, 1), others=others, mask_input=True)
    assert measure.placement.reason is None
    along = measure.along_flow(*measure.tensors(*(samples[key] for key in KEYS)))
    score = model({"image": along["boundary"], "clinical": tf.constant(samples["clinical"])}).numpy()[:, 0]
    ended = one["status"].to_numpy() == "reached"
    assert ended.sum() >= 2
    assert (np.abs(score) < 0.01 * np.abs(one["logit"]))[ended].all()


def trained_weights(samples, evaluation, jit_compile, windows, **settings):
    model = AlignmentModel(
        fusion(), ["brightness", "extent"], reward_weight=3.0, evaluation=evaluation, **settings
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, jit_compile=jit_compile)
    x = dict(samples)
    if windows:
        x["image"], x["mask"] = (x[key][:, 2:24, 5:32] for key in ("image", "mask"))
        x["origin"] = np.tile(np.int32([2, 5]), (COUNT, 1))
    logs = model.train_on_batch(x, np.arange(COUNT) % 2, return_dict=True)
    return model.get_weights(), logs


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_rewarded_step_in_windows_is_that_on_the_canvas(samples, jit_compile):
    expected, logs = trained_weights(samples, "dense", False, False)
    start = AlignmentModel(fusion(), ["brightness", "extent"]).get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(expected, start)) > 1e-3
    for evaluation, windows in (("roi", False), ("roi", True), ("dense", True)):
        weights, own = trained_weights(samples, evaluation, jit_compile, windows)
        for one, two in zip(expected, weights):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
        for key, value in logs.items():
            assert own[key] == pytest.approx(value, rel=1e-4), key


def test_an_export_in_windows_takes_the_columns(samples, tmp_path):
    model = AlignmentModel(fusion(), ["brightness", "extent"], reward="none")
    model(samples)
    fgf_keras.export_saved_model(model, tmp_path / "1")
    served = fgf_keras.load_saved_model(tmp_path)
    assert served.others == ["clinical"]
    expected = explain(model, inputs(samples), samples["mask"], noise_draws=0).to_frame()
    table = served.explain(inputs(samples), samples["mask"]).to_frame()
    np.testing.assert_allclose(table["logit"], expected["logit"], atol=1e-5)
    np.testing.assert_allclose(table["F_joint"], expected["F_joint"], atol=1e-4)
    assert (np.diff(table["logit"]) != 0).all()
