"""What docs/any_classifier.md shows works, and prints what stands there."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "any_classifier.md"
# A block of Python and what it prints.
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
NUMBER = r"[+-]?\d+\.\d+"
# Training depends on the processor.
CLOSE = 0.06


def test_every_block_prints_what_stands_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text(encoding="utf-8")
    examples = EXAMPLE.findall(text)
    assert text.count("```python") == len(examples)
    names = {}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            # The one warning of the document says that a softmax is removed.
            warnings.filterwarnings("ignore", message="The classifier returns probabilities")
            exec(code, names)
        output = printed.getvalue()
        assert re.sub(NUMBER, "#", output) == re.sub(NUMBER, "#", expected)
        numbers, expected_numbers = (list(map(float, re.findall(NUMBER, t))) for t in (output, expected))
        assert numbers == pytest.approx(expected_numbers, abs=CLOSE, rel=CLOSE)
