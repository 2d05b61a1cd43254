"""An explanation as a table, as JSON and as a page of pictures, with patients in whom nothing is defined."""

import json

import keras
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fgf_keras import Brightness, Explanation, Extent, LogAspectRatio, explain
from fgf_keras.errors import DataError
from fgf_keras.flow.settings import Flow

SIZE = 12
IDS = ["A-1", "B-2", "C-3", "D-4"]
NAMES = ["brightness", "extent", "log_aspect_ratio"]


@pytest.fixture(scope="module")
def explanation():
    """z = relu(⟨a, x⟩ - c) - 1/2: the gradient vanishes at the two darker patients."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 0.2, (4, SIZE, SIZE, 1)).astype(np.float32)
    images[2:] += 0.7
    masks = np.zeros_like(images)
    masks[:, 2:8, 3:11] = 1
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomUniform(0.5, 1.5, seed=0))
    last = [keras.layers.Rescaling(1.0, offset=-50.0), keras.layers.ReLU(), keras.layers.Rescaling(1.0, -0.5)]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Flatten(), dense, *last])
    features = [Brightness(), Extent(), LogAspectRatio()]
    return explain(model, images, masks, features=features, patient_id=IDS, flow=Flow(max_steps=8))


def test_it_is_as_long_as_its_cohort_and_says_what_it_was_made_with(explanation):
    assert isinstance(explanation, Explanation)
    assert len(explanation) == 4
    assert explanation.settings["support"] == "mask"
    assert explanation.settings["weight"] == "arc"


def test_json_is_valid_and_undefined_numbers_are_null(explanation, tmp_path):
    text = explanation.to_json(tmp_path / "explanation.json")
    assert (tmp_path / "explanation.json").read_text(encoding="utf-8") == text

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(text, parse_constant=refuse)
    assert content["settings"] == explanation.settings
    assert content["features"] == NAMES
    assert [sample["patient_id"] for sample in content["samples"]] == IDS
    assert [sample["S_extent"] is None for sample in content["samples"]] == [True, True, False, False]
    for sample, (_, row) in zip(content["samples"], explanation.to_frame().iterrows()):
        assert set(sample) == {"patient_id", *row.index}
        assert sample["logit"] == pytest.approx(row["logit"])
        assert sample["S_extent"] == (None if np.isnan(row["S_extent"]) else pytest.approx(row["S_extent"]))


def test_json_says_in_a_sentence_what_each_status_means(explanation):
    content = json.loads(explanation.to_json())
    assert [sample["status"] for sample in content["samples"]] == [*["stationary"] * 2, *["reached"] * 2]
    assert "gradient of the score vanishes" in content["statuses"]["stationary"]


def test_a_page_of_patients_is_written_as_png_in_the_order_asked_for(explanation, tmp_path):
    figure = explanation.plot(["D-4", "A-1"], path=tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    # Slice, gradient, its explained part and the rest, three features, boundary, what changed.
    assert len(figure.axes) == 2 * 9
    assert [axis.get_ylabel().split("\n")[0] for axis in figure.axes[::9]] == ["D-4", "A-1"]
    row = explanation.to_frame().loc["D-4"]
    assert f"{row['S_brightness']:.3f}" in figure.axes[4].get_xlabel()
    assert "undefined" in figure.axes[9 + 4].get_xlabel()


def test_what_the_score_follows_needs_more_samples_than_features(explanation):
    with pytest.raises(DataError, match="at least 5 patients"):
        explanation.population()


@pytest.mark.parametrize("classes", [1, 3])
def test_what_the_score_follows_is_that_of_scores_and_values(classes):
    rng = np.random.default_rng(0)
    images = rng.uniform(0.2, 0.8, (24, SIZE, SIZE, 1)).astype(np.float32)
    images *= rng.uniform(0.5, 1.2, (24, 1, 1, 1)).astype(np.float32)
    masks = np.zeros_like(images)
    masks[:, 2:8, 3:11] = 1
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Flatten(), keras.layers.Dense(classes, kernel_initializer="glorot_normal")]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), keras.layers.Rescaling(-1.0, 1.0), *layers])
    features = [Brightness(), Extent()]
    quick = {"flow": Flow(max_steps=8), "noise_draws": 0}
    explanation = explain(model, images, masks, features=features, **quick)
    rows = np.arange(3, 24)
    share = explanation.population(rows, permutations=50, bootstrap=50)
    logits = model.predict(images, verbose=0)[rows]
    values = explanation.to_frame()[["value_brightness", "value_extent"]].to_numpy()[rows]
    centred = logits - logits.mean(axis=1, keepdims=True) if classes > 1 else logits
    fitted = LinearRegression().fit(values, centred).predict(values)
    # Of all centred logits together: Σ explained variance / Σ variance.
    expected = 1 - ((centred - fitted) ** 2).sum() / ((centred - centred.mean(axis=0)) ** 2).sum()
    table = share.to_frame().set_index(["scale", "feature"])
    assert table.loc[("linear", "joint"), "mean"] == pytest.approx(expected, abs=1e-4)
    assert share.content["n"] == 21
    assert "by ranks: brightness" in repr(share)


def test_a_patient_who_is_not_there_cannot_be_drawn(explanation):
    with pytest.raises(DataError, match="nobody"):
        explanation.plot(["A-1", "nobody"])


def test_asking_a_two_class_classifier_for_a_row_a_class_is_an_error(explanation):
    with pytest.raises(ValueError, match="three classes"):
        explanation.to_frame(per_class=True)
