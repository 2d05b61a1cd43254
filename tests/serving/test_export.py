"""The exported model gives the trained model's answers where only TensorFlow is installed."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from fgf_keras import AlignmentModel, Brightness, LogAspectRatio, export_saved_model, paper_cnn
from fgf_keras.errors import ModelError

SIZE = 16
# Of float32 logits of order one.
CLOSE = 1e-5

# -I keeps the working directory and PYTHONPATH out of the path; None makes an installed package unimportable.
SERVER = """
import json, sys
sys.modules["fgf_keras"] = None
try:
    import fgf_keras
    raise SystemExit("fgf_keras can be imported")
except ImportError:
    pass
import numpy as np, tensorflow as tf
answers, signatures = {}, {}
arrays = np.load(sys.argv[1])
for path in sys.argv[2:]:
    signature = tf.saved_model.load(path).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    signatures[path] = {key: spec.shape.as_list() for key, spec in inputs.items()}
    for n in (1, 7):
        out = signature(image=tf.constant(arrays["image"][:n]), mask=tf.constant(arrays["mask"][:n]))
        answers[f"{path} {n}"] = {key: value.numpy().tolist() for key, value in out.items()}
assert not [name for name in sys.modules if name.startswith("fgf_keras.")]
print(json.dumps([answers, signatures]))
"""


def model(classes=2, **choices):
    keras.utils.set_random_seed(2)
    small = {"filters": (4, 4), "kernel_sizes": (3, 3), "pool_size": 2, "dense": (8,)} | choices
    classifier = paper_cnn((SIZE, SIZE, 1), classes=classes, **small)
    return AlignmentModel(classifier, [Brightness(), LogAspectRatio()], reward="none")


@pytest.fixture(scope="module")
def patients():
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (7, SIZE, SIZE, 1)).astype(np.float32)
    mask = np.zeros_like(image)
    mask[:, 3:11, 5:12] = 1
    return {"image": image, "mask": mask}


@pytest.fixture(scope="module")
def served(tmp_path_factory, patients):
    """What another process gets from the exports, and what they were exported from."""
    place = tmp_path_factory.mktemp("served")
    np.savez(place / "patients.npz", **patients)
    models = {"two": model(), "three": model(classes=3), "dropout": model(dropout=0.5)}
    paths = {name: place / name / "1" for name in models}
    for name, path in paths.items():
        export_saved_model(models[name], path)
    arguments = [place / "patients.npz", *paths.values()]
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVER, *map(str, arguments)], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers, signatures = json.loads(done.stdout.splitlines()[-1])
    name_of = {str(path): name for name, path in paths.items()}
    return (
        models,
        {(name_of[key.split()[0]], int(key.split()[1])): value for key, value in answers.items()},
        {name_of[path]: signature for path, signature in signatures.items()},
    )


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("name", ["two", "dropout"])
def test_probability_and_logit_are_those_of_the_trained_model(served, patients, name, count):
    models, answers, _ = served
    answer = answers[name, count]
    assert set(answer) == {"probability", "logit"}
    expected = models[name]((patients["image"][:count], patients["mask"][:count])).numpy()[:, 0]
    assert np.ptp(expected) > 100 * CLOSE or count == 1
    assert np.shape(answer["logit"]) == (count,)
    assert np.allclose(answer["logit"], expected, atol=CLOSE)
    assert np.allclose(answer["probability"], 1 / (1 + np.exp(-expected)), atol=CLOSE)


@pytest.mark.parametrize("count", [1, 7])
def test_three_classes_have_a_column_each(served, patients, count):
    models, answers, _ = served
    expected = models["three"]((patients["image"][:count], patients["mask"][:count])).numpy()
    answer = answers["three", count]
    assert np.shape(answer["logit"]) == (count, 3)
    assert np.allclose(answer["logit"], expected, atol=CLOSE)
    assert np.allclose(answer["probability"], keras.ops.softmax(expected), atol=CLOSE)


def test_the_served_model_takes_an_image_and_a_mask_of_any_number_of_patients(served):
    _, _, signatures = served
    assert signatures["two"] == {"image": [None, SIZE, SIZE, 1], "mask": [None, SIZE, SIZE, 1]}


def test_what_lies_outside_the_mask_changes_nothing(tmp_path, patients):
    export_saved_model(model(), tmp_path / "1")
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    image, mask = patients["image"], patients["mask"]

    def logit(image):
        return signature(image=tf.constant(image), mask=tf.constant(mask))["logit"].numpy()

    assert np.array_equal(logit(image), logit(np.where(mask > 0, image, 0.9)))
    assert not np.array_equal(logit(image), logit(np.where(mask > 0, 0.9, image)))


def test_the_weights_are_those_of_the_day_of_export(tmp_path, patients):
    trained = model()
    before = trained((patients["image"], patients["mask"])).numpy()[:, 0]
    export_saved_model(trained, tmp_path / "1")
    trained.classifier.set_weights([2 * weight for weight in trained.classifier.get_weights()])
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    after = signature(**{name: tf.constant(array) for name, array in patients.items()})["logit"]
    assert np.allclose(after, before, atol=CLOSE)


def test_a_folder_that_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "note.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"exists already.*new version"):
        export_saved_model(model(), tmp_path / "1")
    assert [file.name for file in (tmp_path / "1").iterdir()] == ["note.txt"]


def test_a_plain_classifier_is_refused_with_the_way_to_wrap_it(tmp_path):
    with pytest.raises(ModelError, match=r"Received: Functional.*AlignmentModel\("):
        export_saved_model(model().classifier, tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_is_refused(tmp_path):
    unbuilt = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ModelError, match="no weights yet"):
        export_saved_model(AlignmentModel(unbuilt, [Brightness()], reward="none"), tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_no_version_and_is_in_nobodys_way(tmp_path, monkeypatch):
    # Keras makes an archive of its backend's own class.
    archives = type(keras.export.ExportArchive())
    write_out = archives.write_out

    def disk_full(archive, path, **settings):
        write_out(archive, path, **settings)
        raise OSError("no space left")

    monkeypatch.setattr(archives, "write_out", disk_full)
    with pytest.raises(OSError, match="no space left"):
        export_saved_model(model(), tmp_path / "1")
    # TensorFlow Serving takes folders with a number as versions.
    assert not [path.name for path in tmp_path.iterdir() if path.name.isdigit()]
    monkeypatch.undo()
    export_saved_model(model(), tmp_path / "1")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
