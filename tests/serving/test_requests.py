"""Every request of docs/serving.md, sent to a service that decodes it as TensorFlow Serving does."""

import base64
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from fgf_keras import load_saved_model

DOC = Path(__file__).parents[2] / "docs" / "serving.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)


class Answers:
    """Signatures of an export behind REST and gRPC on loopback."""

    def __init__(self, path):
        self.signatures = tf.saved_model.load(str(path)).signatures
        answers = self

        class Rest(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = body.get("signature_name", "serving_default")
                outputs = answers.run(name, decoded(body, answers.specs(name)))
                if "instances" in body:
                    count = len(next(iter(outputs.values())))
                    rows = [{key: value[i].tolist() for key, value in outputs.items()} for i in range(count)]
                    content = {"predictions": rows}
                else:
                    content = {"outputs": {key: value.tolist() for key, value in outputs.items()}}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_):
                pass

        class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
            def Predict(self, request, context):
                inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
                response = predict_pb2.PredictResponse()
                for name, value in answers.run(request.model_spec.signature_name, inputs).items():
                    response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
                return response

        self.rest = HTTPServer(("127.0.0.1", 0), Rest)
        threading.Thread(target=self.rest.serve_forever, daemon=True).start()
        self.grpc = grpc.server(futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(), self.grpc)
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()

    def specs(self, name):
        return self.signatures[name].structured_input_signature[1]

    def run(self, name, inputs):
        specs = self.specs(name)
        assert set(inputs) == set(specs), "a server takes all inputs of a signature and no others"
        given = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in self.signatures[name](**given).items()}

    def stop(self):
        self.rest.shutdown()
        self.rest.server_close()
        self.grpc.stop(None).wait()


def decoded(body, specs):
    """Arrays by the name of the input, from the row or the column format of the REST API.

    https://www.tensorflow.org/tfx/serving/api_rest: in rows, the value alone stands for a single input, and
    {"b64": text} for bytes.
    """

    def plain(value):
        return base64.b64decode(value["b64"]) if isinstance(value, dict) and set(value) == {"b64"} else value

    if "inputs" in body:
        assert "instances" not in body
        return {key: np.array(value) for key, value in body["inputs"].items()}
    rows = [
        row if isinstance(row, dict) and set(row) != {"b64"} else dict.fromkeys(specs, row)
        for row in body["instances"]
    ]
    arrays = {key: [plain(row[key]) for row in rows] for key in rows[0]}
    # As objects: NumPy's own strings end at their last byte that is not 0.
    return {
        key: np.array(values, object if isinstance(values[0], bytes) else None)
        for key, values in arrays.items()
    }


@pytest.fixture(scope="module")
def answers(exported):
    service = Answers(exported[1])
    yield service
    service.stop()


def run(block, answers, exported, patients, known):
    """Run a block of the page where images, masks and spacing are known; what it has made is returned."""
    here = block.replace("localhost:8501", f"127.0.0.1:{answers.rest.server_port}")
    here = here.replace("localhost:8500", f"127.0.0.1:{answers.grpc_port}")
    here = here.replace('"saved_model"', repr(str(exported[1])))
    known |= {"images": patients["image"], "masks": patients["mask"], "spacing": patients["spacing"]}
    exec(compile(here, "docs/serving.md", "exec"), known)
    return known


def test_every_request_of_the_page_is_answered_as_it_says(answers, exported, make_patients):
    patients = make_patients(3)
    model = load_saved_model(exported[1])
    images, masks = patients["image"], patients["mask"]
    predicted = model.predict(images, masks)
    python, rest, examples, remote = BLOCKS
    known = {}

    run(python, answers, exported, patients, known)
    assert known["explanation"].to_frame().shape[0] == 3

    run(rest, answers, exported, patients, known)
    assert np.allclose(known["answer"]["probability"], predicted.probability, atol=1e-6)
    by_row = answers.run("alignment", decoded(known["rows"], answers.specs("alignment")))
    aligned = model.alignment(images, masks, spacing=(1.0, 1.0))
    assert np.allclose(by_row["S_joint"], aligned.shares["S_joint"], atol=1e-6)

    run(examples, answers, exported, patients, known)
    assert np.allclose([row["logit"] for row in known["answer"]], predicted.logit, atol=1e-6)

    run(remote, answers, exported, patients, known)
    explained = model.explain(images, masks, spacing=patients["spacing"])
    assert np.allclose(known["outputs"]["F_joint"], explained.shares["F_joint"], atol=1e-6)
    assert np.allclose(known["outputs"]["boundary"], explained.boundary, atol=1e-6)


def test_saved_model_cli_runs_every_signature_that_takes_arrays(exported, make_patients, elsewhere, tmp_path):
    patients = make_patients(3)
    np.savez(tmp_path / "patients.npz", **patients)
    found = {}
    for name in ("serving_default", "alignment", "explain"):
        keys = ("image", "mask") if name == "serving_default" else ("image", "mask", "spacing")
        inputs = ";".join(f"{key}={tmp_path / 'patients.npz'}[{key}]" for key in keys)
        out = tmp_path / name
        done = elsewhere(
            "from tensorflow.python.tools.saved_model_cli import main\nmain()",
            *["run", "--dir", exported[1], "--tag_set", "serve", "--signature_def", name],
            *["--inputs", inputs, "--outdir", out],
        )
        assert done.returncode == 0, done.stderr
        found[name] = {path.stem: np.load(path) for path in out.glob("*.npy")}
    model = load_saved_model(exported[1])
    explained = model.explain(patients["image"], patients["mask"], spacing=patients["spacing"])
    for shares in (found["alignment"], found["explain"]):
        assert np.allclose(shares["S_joint"], explained.shares["S_joint"], atol=1e-6)
    assert np.allclose(found["explain"]["gradient"], explained.gradient, atol=1e-6)
    assert np.allclose(found["serving_default"]["logit"], explained.logit, atol=1e-6)
