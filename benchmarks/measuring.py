"""What the benchmarks share: inputs, memory of a process, tables, and sections of a page that hold them."""

import os
import platform
import re
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import fgf_keras

STATUS = Path("/proc/self/status")


class Inputs(NamedTuple):
    """A batch: image and mask (B, size, size, 1), label (B,), float32."""

    size: int
    image: tf.Tensor
    mask: tf.Tensor
    label: tf.Tensor


def inputs(size, batch, length):
    """Noise, and a tumour of the given length in px somewhere on every canvas."""
    rng = np.random.default_rng(0)
    image = tf.constant(rng.uniform(size=(batch, size, size, 1)), tf.float32)
    mask = tf.constant(np.stack([tumour(size, length, rng) for _ in range(batch)]), tf.float32)
    return Inputs(size, image, mask, tf.constant(np.arange(batch) % 2, tf.float32))


def tumour(size, length, rng):
    """An ellipse two thirds as high as long, somewhere on the canvas: (size, size, 1)."""
    row, column = rng.uniform(length / 2, size - length / 2, size=2)
    y, x = np.mgrid[:size, :size] + 0.5
    return ((2 * (x - column) / length) ** 2 + (3 * (y - row) / length) ** 2 <= 1)[..., np.newaxis]


def network(size):
    """The paper's network."""
    keras.utils.set_random_seed(0)
    return fgf_keras.paper_cnn((size, size, 1))


def features():
    return [fgf_keras.Brightness(), fgf_keras.Extent(), fgf_keras.LogAspectRatio()]


def compiled(model):
    model.compile(
        keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    return model


def memory_mb():
    """Resident memory of this process, MB of 1e6 bytes."""
    return _status_mb("VmRSS")


def peak_memory_mb():
    """The most it has been. Not `ru_maxrss` where that can be helped: it starts from that of the parent."""
    if STATUS.exists():
        return _status_mb("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status_mb(key):
    if not STATUS.exists():
        sys.exit("Memory is read from /proc/self/status, which only Linux has. Use --no-memory.")
    return int(re.search(rf"{key}:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))[1]) * 1024 / 1e6


def surroundings():
    """Machine and versions in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return f"{os.cpu_count()} cores ({_processor()}), {versions}, Python {platform.python_version()}"


def _processor():
    found = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", found.read_text(encoding="utf-8")) if found.exists() else []
    return names[0].strip() if names else platform.machine()


def markdown_table(header, rows):
    """A table whose first column is text and whose others are numbers, aligned for reading as it stands."""
    cells = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        "| " + " | ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 1) + ":" if i else "-" * (w + 2) for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def write_section(path, name, text):
    """Put text between the lines `<!-- name -->` and `<!-- end of name -->` of a page.

    Raises:
        SystemExit: the page has no such lines.
    """
    page = Path(path).read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{path} has no lines {begin.strip()!r} and {end!r} to write between.")
    Path(path).write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
