"""What cannot be measured says so, and changes nothing for its neighbours."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from fgf_keras.serving.input_status import InputStatus

# A neighbour's numbers may be computed in windows of another size.
CLOSE = 1e-6


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported[1])).signatures


class Server:
    """Runs signatures as a server in C++ does: it knows their names, and checks neither shapes nor types."""

    def __init__(self, path):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            meta = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(path))
        self.session._extend_graph()
        self.signatures = meta.signature_def

    def run(self, name, inputs):
        signature, graph = self.signatures[name], self.session.graph

        def output(info):
            return graph.get_tensor_by_name(info.name)._as_tf_output()

        feed = {output(signature.inputs[key]): value for key, value in inputs.items()}
        names, wanted = zip(*((key, output(info)) for key, info in signature.outputs.items()))
        session = self.session._session
        return dict(
            zip(names, pywrap_tf_session.TF_SessionRun_wrapper(session, None, feed, list(wanted), [], None))
        )


@pytest.fixture(scope="module")
def server(exported):
    return Server(exported[1])


def answer(signatures, name, patients):
    keys = ("image", "mask") if name == "serving_default" else ("image", "mask", "spacing")
    outputs = signatures[name](**{key: tf.constant(patients[key]) for key in keys})
    return {key: value.numpy() for key, value in outputs.items()}


def nan_pixel(patients, i):
    # Beside the tumour too: what was sent is not what was meant.
    patients["image"][i, 0, 0, 0] = np.nan
    return InputStatus.IMAGE_NOT_FINITE


def infinite_pixel(patients, i):
    patients["image"][i, 7, 7, 0] = np.inf
    return InputStatus.IMAGE_NOT_FINITE


def empty_mask(patients, i):
    patients["mask"][i] = 0
    return InputStatus.MASK_EMPTY


def soft_mask(patients, i):
    patients["mask"][i] *= 0.5
    return InputStatus.MASK_NOT_BINARY


def nan_mask(patients, i):
    patients["mask"][i, 3, 3, 0] = np.nan
    return InputStatus.MASK_NOT_BINARY


def overflowing(patients, i):
    patients["image"][i] = 3e38
    return InputStatus.SCORE_NOT_FINITE


def no_spacing(patients, i):
    patients["spacing"][i] = 0
    return InputStatus.SPACING_NOT_POSITIVE


FAULTS = [nan_pixel, infinite_pixel, empty_mask, soft_mask, nan_mask, overflowing, no_spacing]


# A prediction takes no spacing.
CASES = [("serving_default", fault) for fault in FAULTS if fault is not no_spacing]
CASES += [(name, fault) for name in ("alignment", "explain") for fault in FAULTS]


@pytest.mark.parametrize(("name", "fault"), CASES, ids=lambda part: getattr(part, "__name__", part))
def test_a_bad_sample_says_why_and_its_neighbours_are_as_without_it(signatures, make_patients, name, fault):
    patients = make_patients(3)
    good = answer(signatures, name, {key: value[[0, 2]] for key, value in patients.items()})
    expected = fault(patients, 1)
    found = answer(signatures, name, patients)
    assert found["status"].tolist() == [0, expected, 0]
    for key, value in found.items():
        # The residual is what rounding leaves of a score; some processors round batches of two and three
        # differently.
        atol = 1e-5 if key == "flow_residual" else CLOSE
        assert np.allclose(value[[0, 2]], good[key], atol=atol, rtol=CLOSE), key
        if key in ("gradient", "explained", "boundary"):
            assert not value[1].any(), key
        elif key == "class":
            assert value[1] == -1
        elif key not in ("status", "flow_status"):
            assert np.isnan(value[1]).all(), key


def test_a_batch_of_bad_samples_only_goes_on(signatures, make_patients):
    patients = make_patients(2)
    nan_pixel(patients, 0)
    empty_mask(patients, 1)
    found = answer(signatures, "explain", patients)
    assert found["status"].tolist() == [InputStatus.IMAGE_NOT_FINITE, InputStatus.MASK_EMPTY]
    assert np.isnan(found["F_joint"]).all()


@pytest.mark.parametrize("name", ["serving_default", "alignment", "explain"])
def test_a_request_of_no_samples_is_an_invalid_argument(server, make_patients, name):
    inputs = {key: value[:0] for key, value in make_patients(1).items()}
    if name == "serving_default":
        del inputs["spacing"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold at least one sample"):
        server.run(name, inputs)


def test_a_server_gives_the_numbers_of_python(server, signatures, make_patients):
    patients = make_patients(3)
    found, expected = server.run("explain", patients), answer(signatures, "explain", patients)
    assert set(found) == set(expected)
    assert all(np.allclose(found[key], expected[key], atol=CLOSE, rtol=CLOSE) for key in found)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (
            "serving_default",
            {"image": (3, 17, 16, 1)},
            r"image.* \[3,17,16,1\].*\[\?,16,16,1\]",
        ),
        ("serving_default", {"image": (3, 16, 15, 1)}, r"image.* \[3,16,15,1\]"),
        ("serving_default", {"image": (3, 16, 16, 3)}, r"image.* \[3,16,16,3\]"),
        ("serving_default", {"image": (3, 16, 16)}, r"image.* \[3,16,16\]"),
        ("explain", {"mask": (3, 16, 16, 2)}, r"mask.* \[3,16,16,2\]"),
        ("alignment", {"spacing": (3,)}, r"spacing.* \[3\]"),
        ("serving_default", {"mask": (1, 16, 16, 1)}, "image and mask must be of as many samples"),
        ("explain", {"spacing": (1, 2)}, "image and mask and spacing must be of as many samples"),
    ],
)
def test_a_request_of_another_size_is_an_invalid_argument(server, make_patients, name, change, told):
    inputs = make_patients(3)
    if name == "serving_default":
        del inputs["spacing"]
    inputs |= {key: np.ones(shape, np.float32) for key, shape in change.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        server.run(name, inputs)


def test_a_request_of_another_type_is_an_invalid_argument(server, make_patients):
    patients = make_patients(1)
    inputs = {"image": patients["image"].astype(np.float64), "mask": patients["mask"]}
    with pytest.raises(tf.errors.InvalidArgumentError, match="float but double"):
        server.run("serving_default", inputs)


def test_examples_that_are_none_are_an_invalid_argument(server, make_patients):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse example"):
        server.run("predict_examples", {"examples": np.array([b"no example"], object)})
    short = tf.train.Example()
    short.features.feature["image"].float_list.value.extend([0.5] * 9)
    short.features.feature["mask"].float_list.value.extend([1.0] * 9)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"[Kk]ey: (image|mask)"):
        server.run("predict_examples", {"examples": np.array([short.SerializeToString()], object)})
