"""The requests that a server warms up with are requests that it can answer."""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from fgf_keras.serving.bench import replay_warmup
from fgf_keras.serving.warmup import FILE, TUMOUR, write_warmup


def requests(path):
    records = tf.data.TFRecordDataset(str(path / FILE))
    return [PredictionLog.FromString(record.numpy()).predict_log.request for record in records]


def test_there_is_one_for_each_signature_and_each_can_be_answered(exported):
    loaded = tf.saved_model.load(str(exported[1])).signatures
    assert {request.model_spec.signature_name for request in requests(exported[1])} == set(loaded)
    assert replay_warmup(exported[1], loaded) == len(loaded) == 4
    for request in requests(exported[1]):
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        outputs = loaded[request.model_spec.signature_name](**inputs)
        assert outputs["status"].numpy().tolist() == [0]
        assert all(np.isfinite(value.numpy()).all() for value in outputs.values())


def test_a_canvas_takes_no_more_room_than_its_tumour(tmp_path):
    specs = [tf.TensorSpec([None, 512, 512, 1], tf.float32, name=name) for name in ("image", "mask")]
    write_warmup(tmp_path, {"serving_default": specs})
    (request,) = requests(tmp_path)
    image, mask = (tf.make_ndarray(request.inputs[name]) for name in ("image", "mask"))
    assert image.shape == mask.shape == (1, 512, 512, 1)
    assert mask.sum() == np.prod(TUMOUR)
    assert np.ptp(image[mask > 0]) > 0
    # 2 MB as they are.
    assert (tmp_path / FILE).stat().st_size < 120_000
