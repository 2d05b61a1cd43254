"""Write a model as a SavedModel that needs TensorFlow and nothing of ours."""

import shutil
from pathlib import Path

import keras
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.input_gradient import as_logits
from fgf_keras.models.placement import measured_evaluation, placement


def export_saved_model(model, path):
    """Export an `AlignmentModel` for TensorFlow Serving.

    Signature `serving_default`: image (B, H, W, C) float32 and mask (B, H, W, 1) float32 to
    {"probability", "logit"}: (B,) for two classes (of class 1), (B, K) otherwise. The classifier sees
    image·mask. The folder appears only when it is complete.

    Args:
        model: the trained model.
        path: folder of one version, e.g. "saved_model/1".

    Raises:
        ModelError: not an `AlignmentModel`, not built, or the folder exists already.
    """
    if not isinstance(model, AlignmentModel):
        raise ModelError(
            f"export_saved_model takes an AlignmentModel. Received: {type(model).__name__}. "
            "Wrap the classifier: AlignmentModel(classifier, features, reward='none')."
        )
    if not model.classifier.built:
        raise ModelError(
            "The classifier has no weights yet. Train it, load it, or call it on one batch first."
        )
    path = Path(path)
    if path.exists():
        raise ModelError(f"{path} exists already. Export to a new version number, or remove it first.")
    height, width, channels = model.classifier.input_shape[1:]

    # On the mask, whatever the model is measured on: a prediction needs no gradients outside of it.
    place = placement(model.classifier, evaluation=measured_evaluation(model))

    def logits_of(seen, mask, origin):
        del mask
        return as_logits(place.classifier(origin)(seen, training=False))

    def serve(image, mask):
        logits = place.run(logits_of, image, mask)
        if logits.shape[1] == 1:
            return {"probability": tf.sigmoid(logits[:, 0]), "logit": logits[:, 0]}
        return {"probability": tf.nn.softmax(logits), "logit": logits}

    archive = keras.export.ExportArchive()
    archive.track(model.classifier)
    archive.add_endpoint(
        "serving_default",
        serve,
        input_signature=[
            tf.TensorSpec([None, height, width, channels], tf.float32, name="image"),
            tf.TensorSpec([None, height, width, 1], tf.float32, name="mask"),
        ],
    )
    unfinished = path.with_name(path.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    archive.write_out(unfinished, verbose=False)
    unfinished.rename(path)
