"""The provenance of a report: command, versions and configuration, after the settings and the limits."""

from dataclasses import dataclass
from typing import Any

from fgf_keras._version import __version__
from fgf_keras.config import Config, dump_yaml
from fgf_keras.report.document import Bullets, Code, Fold, Section, Table, Text
from fgf_keras.report.sections.limits import limits_section
from fgf_keras.report.sections.settings import settings_section

CITATIONS = [
    "The method: Y. Jin, J. Garneau, P. T. Fletcher. Feature Gradient Flow for Interpreting Deep Neural "
    "Networks in Head and Neck Cancer Prediction. IEEE International Symposium on Biomedical Imaging (ISBI), "
    "2022. arXiv:2307.13061, https://arxiv.org/abs/2307.13061",
    f"The software: fgf_keras, version {__version__}.",
]
DOCS = (
    "How each section is computed and read: docs/report.md and docs/method.md of the package; what the nulls "
    "and the lenses find on phantoms with known laws: docs/truth.md."
)


@dataclass(frozen=True)
class Provenance:
    """How a run was made.

    Attributes:
        config: of the run.
        environment: content of environment.json of the run.
        command: the command that wrote the report.
        folder: of the run, without the path that leads to it.
    """

    config: Config
    environment: dict[str, Any]
    command: str
    folder: str = ""


def closing_sections(provenance: Provenance, data: dict[str, Any]) -> list[Section]:
    """The settings that the numbers depend on, the limits, and how the report was made.

    Args:
        provenance: of the run.
        data: description of the measured cohort, see `Cohort.description`.
    """
    return [
        settings_section(provenance.config),
        limits_section(provenance.config.data.dimension),
        _provenance_section(provenance, data),
    ]


def _provenance_section(provenance: Provenance, data: dict[str, Any]) -> Section:
    environment = provenance.environment
    rows = [
        ["fgf_keras", environment["fgf_keras"]],
        # Files of earlier versions have neither.
        ["commit", environment.get("commit") or "unknown"],
        ["trained", environment.get("date") or "unknown"],
        ["Python", environment["python"]],
        *([name, version] for name, version in environment["packages"].items()),
        ["system", environment["system"]],
        ["devices", ", ".join(environment["devices"])],
        ["seed", str(environment["seed"])],
        ["data (SHA-256)", data["fingerprint"]],
        ["evaluated", data.get("evaluated") or "unknown"],
        *([["run folder", provenance.folder]] if provenance.folder else []),
        ["this report", f"fgf_keras {__version__}"],
    ]
    return Section(
        "provenance",
        "How this was made",
        [
            Text("The command that wrote this report:"),
            Code(provenance.command),
            Table("What the network was trained with", ["", ""], rows, words=True),
            Fold("The whole configuration", [Code(dump_yaml(provenance.config))]),
            Text("To cite:"),
            Bullets(CITATIONS),
            Text(DOCS),
        ],
    )
