"""How a run was made, and the command that is running now."""

import shlex
import sys
from pathlib import Path

from fgf_keras.config import Config
from fgf_keras.files import read_json
from fgf_keras.report.sections.provenance import Provenance
from fgf_keras.run.folder import RunFolder


def provenance_of(config: Config, folder: RunFolder) -> Provenance:
    """How a run was made, and the command that is running now."""
    path = folder.path.resolve()
    return Provenance(
        config,
        read_json(folder.environment_file),
        command_line(sys.argv),
        folder=f"{path.parent.name}/{path.name}",
    )


def command_line(argv: list[str]) -> str:
    """The command that the user typed, from `sys.argv`, without the folder of the program."""
    script = Path(argv[0])
    if script.name == "__main__.py":
        program = ["python", "-m", "fgf_keras"]
    else:
        program = ["python", script.name] if script.suffix == ".py" else [script.name]
    return shlex.join([*program, *argv[1:]])
