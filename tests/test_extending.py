"""What docs/extending.md shows works: its blocks become modules, which a whole run is configured with."""

import re
from pathlib import Path

import yaml
from commands import TINY, command

from fgf_keras.commands.outcome import report_again
from fgf_keras.report.run import SECTIONS
from fgf_keras.run.folder import RunFolder

DOCUMENT = Path(__file__).parent.parent / "docs" / "extending.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_a_run_uses_the_feature_the_reward_and_the_section_of_the_document(tmp_path, monkeypatch):
    feature, reward, settings, section = blocks("python")
    (tmp_path / "my_features.py").write_text(feature, encoding="utf-8")
    (tmp_path / "my_rewards.py").write_text(reward, encoding="utf-8")
    config = yaml.safe_load(TINY)
    for block in blocks("yaml"):
        config |= yaml.safe_load(block)
    config["evaluate"] |= {"support": ["mask"], "nulls": [], "behaviour": False, "pictures": 0}
    config["train"] |= {"epochs": 1, "measure": False}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    # The modules lie where the command is started.
    done = command("train.py", "--config", "own.yaml", "run.dir=own", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.code == 0, done.err
    assert "S contrast" in done.out
    (run,) = (tmp_path / "own").glob("2*")
    kept = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert kept["reward"]["kind"] == "my_rewards:Least"
    names = {}
    exec(settings, names)
    assert (names["flow"].average, names["nulls"].lengths) == ("score", (2.0, 4.0))
    monkeypatch.setattr("fgf_keras.report.run.SECTIONS", list(SECTIONS))
    exec(section, names)
    (written,) = report_again(RunFolder.open(run))
    assert "## The highest score" in written.with_suffix(".md").read_text(encoding="utf-8")
