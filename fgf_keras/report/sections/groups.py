"""How often the network is right in groups of patients."""

from fgf_keras.report.document import Section, Table, Text
from fgf_keras.results.interval import Interval, rounded
from fgf_keras.results.metrics import RunMetrics


def groups_section(metrics: RunMetrics, part: str) -> Section | None:
    """Accuracy by label and group, the worst of them first; None without groups.

    Args:
        metrics: of the run.
        part: name of the reported part.
    """
    content = metrics.content["splits"][part].get("groups")
    if content is None:
        return None
    rows = sorted(content["groups"], key=lambda row: row["accuracy"]["value"])
    worst = rows[0]
    table = Table(
        f"Right decisions by label and {content['of']}, with {metrics.confidence:.0%} intervals",
        ["label", content["of"], "patients", "right"],
        [
            [str(row["label"]), row["group"], str(row["n"]), str(Interval.of(*row["accuracy"].values()))]
            for row in rows
        ],
    )
    of, best = content["of"], rows[-1]
    text = Text(
        f"The network is right in {rounded(worst['accuracy']['value'])} of the patients with label "
        f"{worst['label']} {worst['group']} the {of}, and in {rounded(best['accuracy']['value'])} of those "
        f"with label {best['label']} {best['group']} it. A network that relies on a {of} that went with the "
        "label where it was trained is wrong where it does not."
    )
    return Section("groups", "In which patients it is right", [table, text])
