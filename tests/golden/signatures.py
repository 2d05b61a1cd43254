"""What every signature of an export returns for fixed images: `python signatures.py EXPORT OUT.json`."""

import json
import sys

import numpy as np
import tensorflow as tf


def main(export, out):
    served = tf.saved_model.load(export)
    rng = np.random.default_rng(0)
    rows, columns = np.indices((32, 32)) - 15.5
    radii = rng.uniform(4, 9, (5, 2, 1, 1))
    masks = ((rows / radii[:, 0]) ** 2 + (columns / radii[:, 1]) ** 2 <= 1)[..., np.newaxis]
    images = rng.uniform(0.2, 0.9, (5, 1, 1, 1)) + 0.1 * rng.standard_normal(masks.shape)
    inputs = {"image": np.clip(images * masks, 0, 1), "mask": masks, "spacing": np.full((5, 2), 1.5)}
    values = {}
    for name, signature in served.signatures.items():
        wanted = signature.structured_input_signature[1]
        if set(wanted) <= set(inputs):
            given = {key: tf.constant(inputs[key], spec.dtype) for key, spec in wanted.items()}
        else:
            given = {key: tf.constant(examples(inputs)) for key in wanted}
        outputs = signature(**given)
        values[name] = {key: summary(outputs[key].numpy()) for key in sorted(outputs)}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)


def examples(inputs):
    """The images as serialised tf.train.Example."""
    serialised = []
    for image, mask in zip(inputs["image"], inputs["mask"]):
        features = {
            key: tf.train.Feature(float_list=tf.train.FloatList(value=array.astype(np.float32).ravel()))
            for key, array in (("image", image), ("mask", mask))
        }
        serialised.append(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return serialised


def summary(array):
    """Numbers of a sample as they are; of a field its sum and the sum of its squares, a sample each."""
    array = np.where(np.isfinite(array), array, -1.0).astype(np.float64)
    if array.ndim > 2:
        return {
            "sum": array.sum(axis=tuple(range(1, array.ndim))).tolist(),
            "squares": (array**2).sum(axis=tuple(range(1, array.ndim))).tolist(),
        }
    return array.tolist()


main(*sys.argv[1:])
