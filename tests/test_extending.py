"""What docs/extending.md shows works: its blocks become modules, which a whole run is configured with."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml
from commands import TINY, command

from fgf_keras.commands.outcome import report_again
from fgf_keras.commands.train import run_training
from fgf_keras.config import load_config
from fgf_keras.errors import FgfError
from fgf_keras.features.registry import features_of
from fgf_keras.files import read_json
from fgf_keras.report.run import SECTIONS
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.run.folder import RunFolder

DOCUMENT = Path(__file__).parent.parent / "docs" / "extending.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


# The modules that the configurations of the document name, in the order of its blocks.
MODULES = ["my_features", "my_signals", "my_sources", "my_rewards", "my_nulls", "my_steps"]


def test_a_run_uses_everything_of_the_document(tmp_path, monkeypatch):
    *modules, settings, section = blocks("python")
    for name, text in zip(MODULES, modules, strict=True):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    config = yaml.safe_load(TINY)
    config |= {"evaluate": {"support": ["mask"], "null_draws": 40, "behaviour": False, "pictures": 0}}
    for block in blocks("yaml"):
        for key, value in yaml.safe_load(block).items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    config["train"] |= {"epochs": 1, "measure": False}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    # The modules lie where the command is started.
    done = command("train.py", "--config", "own.yaml", "run.dir=own", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.code == 0, done.err
    assert "60 patients" in done.out
    assert "S contrast" in done.out
    (run,) = (tmp_path / "own").glob("2*")
    kept = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert kept["reward"]["kind"] == "my_rewards:Least"
    assert kept["evaluate"]["flow"]["step"] == "my_steps:Heun"
    metrics = RunMetrics.of(read_json(run / "metrics.json")).parts["test"]
    assert [*metrics.paths["mask"].nulls] == ["smooth", "Stripes"]
    patients = pd.read_csv(run / "evaluation" / "patients.csv")
    assert patients["mask.F_brightness"].notna().any()
    names = {}
    exec(settings, names)
    assert (names["flow"].average, names["nulls"].lengths) == ("score", (2.0, 4.0))
    monkeypatch.setattr("fgf_keras.report.run.SECTIONS", list(SECTIONS))
    exec(section, names)
    (written,) = report_again(RunFolder.open(run))
    assert "## The highest score" in written.with_suffix(".md").read_text(encoding="utf-8")


def test_the_power_in_a_band_is_that_of_a_sine_and_has_its_gradient():
    names = {}
    exec(blocks("python")[MODULES.index("my_signals")], names)
    (feature,) = features_of(names["alpha_power"])
    # One second in an even and an odd number of steps: 10 Hz are in the band, 20 Hz are not.
    for steps in (100, 99):
        time = np.arange(steps)[:, None] / steps
        sines = 3 * np.sin(2 * np.pi * 10 * time) + np.sin(2 * np.pi * 20 * time) + 5
        signal, mask = tf.constant(np.stack([sines, 2 * sines])), tf.ones((2, steps, 1), tf.float64)
        value, gradient = (f(signal, mask, [1 / steps]) for f in (feature.value, feature.gradient))
        np.testing.assert_allclose(value, [3**2 / 2, 6**2 / 2], rtol=1e-12)
        expected = 2 / steps * 3 * np.sin(2 * np.pi * 10 * time)
        np.testing.assert_allclose(gradient[0], expected, atol=1e-12)
        run = tf.function(feature.gradient).get_concrete_function(
            tf.TensorSpec([None, None, 1], tf.float64),
            tf.TensorSpec([None, None, 1], tf.float64),
            [1 / steps],
        )
        np.testing.assert_allclose(run(signal, mask), gradient, atol=1e-12)
    assert feature.get_config()["function"] == "my_signals>alpha_power"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.source=nowhere:Source", "data.source: 'nowhere:Source' cannot be imported"),
        ("data.source=fgf_keras.data.cohort:Cohort", "is not a subclass of fgf_keras.data.source.Source"),
        ("evaluate.flow.step=fgf_keras.flow.step:Missing", "step: .*cannot be imported.*Missing"),
        ("evaluate.flow.step=euler", "evaluate.flow.step: .*'euler' is not known; allowed: midpoint"),
        (
            "evaluate.nulls=[fgf_keras.errors:FgfError]",
            "nulls: .*is not a subclass of fgf_keras.nulls.null.Null",
        ),
        ("reward.kind=nowhere:Reward", "reward: 'nowhere:Reward' cannot be imported"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_folder_is_made(tmp_path, override, words):
    (tmp_path / "own.yaml").write_text(TINY, encoding="utf-8")
    with pytest.raises(FgfError, match=words):
        run_training(load_config(tmp_path / "own.yaml", [override, f"run.dir={tmp_path / 'runs'}"]))
    assert not (tmp_path / "runs").exists()
