"""How fast an export answers: throughput and latency under concurrent callers, memory, and a cold start."""

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from fgf_keras.serving.description import Description
from fgf_keras.serving.warmup import FILE

SIGNATURES = ("serving_default", "explain")
BATCHES = (1, 16)
CALLERS = (1, 4, 16)
# Memory is looked at this many times.
LOOKS = 10


def throughput(path: str | Path, *, seconds: float) -> list[dict]:
    """Requests per second and latencies of signatures, batches and numbers of callers in one process.

    Args:
        path: folder of a version.
        seconds: that each combination is asked for, at least.

    Returns:
        One row each: signature, batch, callers, requests, per_second, p50_ms, p99_ms.
    """
    signatures = tf.saved_model.load(str(path)).signatures
    rows = []
    for name, batch in itertools.product(SIGNATURES, BATCHES):
        call = _request(signatures[name], made_up_batch(path, batch))
        call()
        for callers in CALLERS:
            rows.append(
                {"signature": name, "batch": batch, "callers": callers, **_ask(call, callers, seconds)}
            )
    return rows


def memory(path: str | Path, *, requests: int) -> list[dict]:
    """Resident memory, MB, over many requests of `serving_default` and a hundredth as many of `explain`."""
    signatures = tf.saved_model.load(str(path)).signatures
    calls = [_request(signatures[name], made_up_batch(path, 1)) for name in SIGNATURES]
    rows = []
    for look in range(LOOKS + 1):
        rows.append({"requests": look * requests // LOOKS, "resident_mb": round(_resident_mb(), 1)})
        if look < LOOKS:
            for call, count in zip(calls, (requests // LOOKS, requests // (100 * LOOKS))):
                for _ in range(max(1, count)):
                    call()
    return rows


def cold_start(path: str | Path, *, warm: bool) -> dict:
    """Seconds to load, to warm up, and that the first `explain` takes then."""
    begun = time.perf_counter()
    signatures = tf.saved_model.load(str(path)).signatures
    loaded = time.perf_counter()
    if warm:
        replay_warmup(path, signatures)
    ready = time.perf_counter()
    _request(signatures["explain"], made_up_batch(path, 1))()
    return {
        "load_s": round(loaded - begun, 3),
        "warmup_s": round(ready - loaded, 3),
        "first_explain_s": round(time.perf_counter() - ready, 3),
    }


def replay_warmup(path: str | Path, signatures: Any) -> int:
    """Send the requests that a server warms up with; returns how many there are."""
    count = 0
    for record in tf.data.TFRecordDataset(str(Path(path) / FILE)):
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)
        count += 1
    return count


def made_up_batch(path: str | Path, count: int) -> dict:
    """Inputs of `explain`: noise in round tumours of a tenth of the canvas across."""
    height, width, channels = Description.read(path).image_shape
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    radius = max(3, min(height, width) // 20)
    inside = np.hypot(rows - height // 2, columns - width // 2) <= radius
    return {
        "image": rng.uniform(0, 1, (count, height, width, channels)).astype(np.float32),
        "mask": np.tile(inside[np.newaxis, ..., np.newaxis].astype(np.float32), (count, 1, 1, 1)),
        "spacing": np.ones((count, 2), np.float32),
    }


def _request(signature, batch):
    inputs = {name: tf.constant(batch[name]) for name in signature.structured_input_signature[1]}

    def call():
        # As an answer is sent: when all of it is there.
        return {name: value.numpy() for name, value in signature(**inputs).items()}

    return call


def _ask(call, callers, seconds):
    end = time.perf_counter() + seconds

    def caller(_):
        latencies = []
        while not latencies or time.perf_counter() < end:
            begun = time.perf_counter()
            call()
            latencies.append(time.perf_counter() - begun)
        return latencies

    begun = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        latencies = np.concatenate(list(pool.map(caller, range(callers))))
    taken = time.perf_counter() - begun
    p50, p99 = 1000 * np.quantile(latencies, [0.5, 0.99])
    return {
        "requests": len(latencies),
        "per_second": round(len(latencies) / taken, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
    }


def _resident_mb():
    """Of this process; NaN where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
