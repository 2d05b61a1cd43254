"""The table of alignment that metrics.json holds, a row a share, as reports tell and draw it."""

from typing import NamedTuple


class AlignmentRow(NamedTuple):
    """S or F of a feature over a cohort.

    Attributes:
        kind: "S" or "F".
        name: of the feature in words, "joint (squared)", "joint (magnitude)" or "noise".
        mean: over patients; None where it is undefined for all.
        interval: of the mean, (None, None) likewise.
        median: over patients, None likewise.
        nulls: (mean, 5 %, 95 %, p) of each null that says something about this row.
    """

    kind: str
    name: str
    mean: float | None
    interval: tuple[float | None, float | None]
    median: float | None
    nulls: dict[str, tuple[float, float, float, float]]

    def highs(self) -> list[float]:
        """The upper ends of the bands."""
        return [band[2] for band in self.nulls.values()]


def alignment_rows(table: dict) -> list[AlignmentRow]:
    """The rows of a support.

    Args:
        table: of a support, by `alignment_table`.
    """
    rows = []
    for kind in "SF":
        for name, summary in table[kind].items():
            if name == "joint":
                parts = {f"joint ({part})": summary[part] for part in ("squared", "magnitude")}
            else:
                parts = {name.replace("_", " "): summary}
            for told, part in parts.items():
                # Nulls are of squared shares.
                bands = {} if told == "joint (magnitude)" else _bands(table, kind, name)
                rows.append(AlignmentRow(kind, told, part["mean"], tuple(part["ci"]), part["median"], bands))
    return rows


def null_names(table: dict) -> list[str]:
    """The nulls that a support was held against."""
    return list(table.get("nulls", {}))


def _bands(table, kind, name):
    keys = ("null_mean", "null_q05", "null_q95", "p")
    found = {}
    for null, held in table.get("nulls", {}).items():
        values = tuple(held[kind].get(name, {}).get(key) for key in keys)
        if None not in values:
            found[null] = values
    return found
