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
    shapes = {spec.name: spec.shape[1:] for inputs in specs.values() for spec in inputs}
    made_up = {name: _made_up(name, shape) for name, shape in shapes.items() if name != "examples"}
    made_up["examples"] = np.array([example(made_up["image"][0], made_up["mask"][0])], object)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in specs.items():
            request = PredictRequest()
            request.model_spec.signature_name = signature
            for spec in inputs:
                request.inputs[spec.name].CopyFrom(_as_proto(made_up[spec.name]))
            log = PredictionLog(predict_log=PredictLog(request=request))
            writer.write(log.SerializeToString())


def example(image: np.ndarray, mask: np.ndarray) -> bytes:
    """A serialised `tf.train.Example` of one sample, as the signature `predict_examples` takes it.

    Args:
        image: (H, W, C) or (D, H, W, C).
        mask: (H, W, 1) or (D, H, W, 1).
    """
    fields = {"image": image, "mask": mask}
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=np.asarray(field, np.float32).ravel()))
        for name, field in fields.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _made_up(name: str, shape: Sequence[int]) -> np.ndarray:
    """One sample of an input: an elongated tumour in a corner, darker towards one end."""
    if name == "spacing":
        return np.ones((1, *shape), np.float32)
    field = np.zeros((1, *shape), np.float32)
    # Of a volume, as many slices as rows.
    tumour = (*TUMOUR[:1] * (len(shape) - 3), *TUMOUR)
    edges = [min(edge, most) for edge, most in zip(tumour, shape)]
    inside = (slice(None), *map(slice, edges))
    field[inside] = 1 if name == "mask" else np.linspace(0.3, 0.7, edges[-1])[:, np.newaxis]
    return field


def _as_proto(array: np.ndarray) -> TensorProto:
    if array.dtype == object:
        return tf.make_tensor_proto(array)
    # Trailing values equal to the last one can be omitted, so a canvas takes no more space than its tumour.
    flat = array.ravel()
    significant = flat[: np.max(np.flatnonzero(flat != flat[-1]), initial=-1) + 2]
    shape = tf.TensorShape(array.shape).as_proto()
    return TensorProto(dtype=tf.float32.as_datatype_enum, tensor_shape=shape, float_val=significant)
