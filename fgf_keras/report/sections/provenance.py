"""The provenance of a report: command, versions and configuration, after the settings and the limits."""

from dataclasses import dataclass
from typing import Any

from fgf_keras._version import __version__
from fgf_keras.config import Config, dump_yaml
from fgf_keras.report.document import Code, Fold, Section, Table, Text
from fgf_keras.report.sections.limits import limits_section
from fgf_keras.report.sections.settings import settings_section


@dataclass(frozen=True)
class Provenance:
    """How a run was made.

    Attributes:
        config: of the run.
        environment: content of environment.json of the run.
        command: the command that wrote the report.
    """

    config: Config
    environment: dict[str, Any]
    command: str


def closing_sections(provenance: Provenance, fingerprint: str) -> list[Section]:
    """The settings that the numbers depend on, the limits, and how the report was made.

    Args:
        provenance: of the run.
        fingerprint: of the measured data.
    """
    return [
        settings_section(provenance.config),
        limits_section(),
        _provenance_section(provenance, fingerprint),
    ]


def _provenance_section(provenance: Provenance, fingerprint: str) -> Section:
    environment = provenance.environment
    rows = [["fgf_keras", environment["fgf_keras"]], ["Python", environment["python"]]]
    rows += [[name, version] for name, version in environment["packages"].items()]
    rows += [["system", environment["system"]], ["devices", ", ".join(environment["devices"])]]
    rows += [
        ["this report", f"fgf_keras {__version__}"],
        ["seed", str(environment["seed"])],
        ["data (SHA-256)", fingerprint],
    ]
    return Section(
        "provenance",
        "How this was made",
        [
            Text("The command that wrote this report:"),
            Code(provenance.command),
            Table("What the network was trained with", ["", "version"], rows, words=True),
            Fold("The whole configuration", [Code(dump_yaml(provenance.config))]),
        ],
    )
