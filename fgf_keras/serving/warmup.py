"""The requests that TensorFlow Serving runs before a model receives its first real one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog

from fgf_keras.serving.description import EXTRA

FILE = Path(EXTRA) / "tf_serving_warmup_requests"
# Size of the synthetic tumour, px; limited by that of the canvas.
TUMOUR = (24, 32)


def write_warmup(folder: Path, specs: Mapping[str, Sequence[tf.TensorSpec]]) -> None:
    """Write a request with one synthetic sample for each signature.

    Args:
        folder: of an export.
        specs: specs of the inputs, by the name of the signature.
    """
    path = Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    inputs_of_all = {spec.name: spec for inputs in specs.values() for spec in inputs}
    made_up = {name: _made_up(spec) for name, spec in inputs_of_all.items() if name != "examples"}
    stored = {name: array[0] for name, array in made_up.items() if name != "spacing"}
    made_up["examples"] = np.array([example(**stored)], object)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in specs.items():
            request = PredictRequest()
            request.model_spec.signature_name = signature
            for spec in inputs:
                request.inputs[spec.name].CopyFrom(_as_proto(made_up[spec.name]))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())


def example(image: np.ndarray, mask: np.ndarray, **others: np.ndarray) -> bytes:
    """A serialised `tf.train.Example` of one sample, as the signature `predict_examples` takes it.

    Args:
        image: (…, C).
        mask: (…, 1).
        others: other inputs of the classifier.
    """
    features = {name: _as_feature(field) for name, field in {"image": image, "mask": mask, **others}.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _as_feature(field: np.ndarray) -> tf.train.Feature:
    values = np.ravel(field)
    if values.dtype == object:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if np.issubdtype(values.dtype, np.integer) or values.dtype == bool:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(np.int64)))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.astype(np.float32)))


def _made_up(spec: tf.TensorSpec) -> np.ndarray:
    """One sample of an input: an elongated tumour in a corner, darker towards one end; zeros for others."""
    shape = (1, *(edge or 1 for edge in spec.shape[1:]))
    if spec.dtype == tf.string:
        return np.full(shape, b"", object)
    if spec.name == "spacing":
        return np.ones(shape, np.float32)
    field = np.zeros(shape, spec.dtype.as_numpy_dtype)
    if spec.name not in ("image", "mask"):
        return field
    # Of a volume, as many slices as rows.
    tumour = (*TUMOUR[:1] * (len(shape) - 4), *TUMOUR)[: len(shape) - 2]
    corner = tuple(slice(0, most) for most in tumour)
    columns = field[0][corner].shape[-2] if corner else 1
    field[0][corner] = 1 if spec.name == "mask" else np.linspace(0.3, 0.7, columns)[:, np.newaxis]
    return field


def _as_proto(array: np.ndarray) -> TensorProto:
    if array.dtype == object:
        return tf.make_tensor_proto(array)
    if array.dtype != np.float32:
        return tf.make_tensor_proto(array)
    # Trailing values equal to the last one can be omitted, so a canvas takes no more space than its tumour.
    flat = array.ravel()
    significant = flat[: np.max(np.flatnonzero(flat != flat[-1]), initial=-1) + 2]
    shape = tf.TensorShape(array.shape).as_proto()
    return TensorProto(dtype=tf.float32.as_datatype_enum, tensor_shape=shape, float_val=significant)
