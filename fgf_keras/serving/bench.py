"""Benchmarks of an export: throughput and latency under concurrent callers, memory, and cold start."""

import itertools
import os
import time
from collections.abc import Callable, Mapping
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
# Number of measurements of memory after the first.
LOOKS = 10


def throughput(path: str | Path, *, seconds: float) -> list[dict[str, Any]]:
    """Requests per second and latencies by signature, batch size and number of callers, in one process.

    Args:
        path: folder of a version.
        seconds: shortest duration of the measurement of each combination.

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


def memory(path: str | Path, *, requests: int) -> list[dict[str, Any]]:
    """Resident memory in MB over many requests of `serving_default` and a hundredth as many of `explain`."""
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


def cold_start(path: str | Path, *, warm: bool) -> dict[str, float]:
    """Seconds to load, to warm up, and for the first `explain` after that.

    Args:
        path: folder of a version.
        warm: whether to send the requests that a server warms up with.
    """
    start = time.perf_counter()
    signatures = tf.saved_model.load(str(path)).signatures
    loaded = time.perf_counter()
    if warm:
        replay_warmup(path, signatures)
    ready = time.perf_counter()
    _request(signatures["explain"], made_up_batch(path, 1))()
    return {
        "load_s": round(loaded - start, 3),
        "warmup_s": round(ready - loaded, 3),
        "first_explain_s": round(time.perf_counter() - ready, 3),
    }


def replay_warmup(path: str | Path, signatures: Mapping[str, Callable[..., Any]]) -> int:
    """Send the requests that a server warms up with, and return their number."""
    count = 0
    for record in tf.data.TFRecordDataset(str(Path(path) / FILE)):
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)
        count += 1
    return count


def made_up_batch(path: str | Path, count: int) -> dict[str, np.ndarray]:
    """Synthetic inputs of `explain`: noise in round tumours whose diameter is a tenth of the canvas."""
    *axes, channels = Description.read(path).image_shape
    rng = np.random.default_rng(0)
    radius = max(3, min(axes) // 20)
    offsets = np.meshgrid(*(np.arange(n) - n // 2 for n in axes), indexing="ij")
    inside = np.square(offsets).sum(axis=0) <= radius**2
    return {
        "image": rng.uniform(0, 1, (count, *axes, channels)).astype(np.float32),
        "mask": np.repeat(inside[np.newaxis, ..., np.newaxis].astype(np.float32), count, axis=0),
        "spacing": np.ones((count, len(axes)), np.float32),
    }


def _request(signature: Any, batch: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
    inputs = {name: tf.constant(batch[name]) for name in signature.structured_input_signature[1]}

    def call() -> dict[str, np.ndarray]:
        # A response is sent when it is complete.
        return {name: value.numpy() for name, value in signature(**inputs).items()}

    return call


def _ask(call: Callable[[], Any], callers: int, seconds: float) -> dict[str, float]:
    end = time.perf_counter() + seconds

    def caller(_: int) -> list[float]:
        latencies: list[float] = []
        while not latencies or time.perf_counter() < end:
            sent = time.perf_counter()
            call()
            latencies.append(time.perf_counter() - sent)
        return latencies

    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        latencies = np.concatenate(list(pool.map(caller, range(callers))))
    duration = time.perf_counter() - start
    p50, p99 = 1000 * np.quantile(latencies, [0.5, 0.99])
    return {
        "requests": len(latencies),
        "per_second": round(len(latencies) / duration, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
    }


def _resident_mb() -> float:
    """Resident memory of this process in MB; NaN where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
