"""Waterfalls: the score of a patient as a sum over the features, from the image to the decision boundary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from fgf_keras.errors import DataError
from fgf_keras.pictures.colours import BLUE, GREY, INK, ORANGE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Inches.
_WIDTH, _ROW, _MARGIN = 4.7, 0.3, 0.75
# Parts of the width of a plot left for the numbers beside the bars.
_ROOM = 0.16


@dataclass(frozen=True)
class Contribution:
    """What a feature contributes to the score of a patient.

    Attributes:
        name: of the feature, in words.
        amount: part of the score that is lost along the feature on the way to the boundary.
        change: of the feature on that way, in its unit; NaN where it ends undefined, None if it was not
            measured.
        unit: symbol; "" for none.
    """

    name: str
    amount: float
    change: float | None
    unit: str

    @property
    def move(self) -> str:
        """The change in words: "falls by 31 HU"; where the feature ends undefined, that; empty if unknown."""
        if self.change is None:
            return ""
        if np.isnan(self.change):
            return "undefined at the end"
        size = f"{abs(self.change):.2g}" if abs(self.change) < 10 else f"{abs(self.change):.0f}"
        return f"{'falls' if self.change < 0 else 'rises'} by {size} {self.unit}".rstrip()


@dataclass(frozen=True)
class Contributions:
    """The score of a patient as a sum.

    Attributes:
        patient_id: id of the patient.
        score: of the patient.
        parts: of the features.
        unexplained: the part that no feature explains.
        far: whether the path is so long that its end is unlike any image of the training.
    """

    patient_id: str
    score: float
    parts: list[Contribution]
    unexplained: float
    far: bool = False

    @classmethod
    def of(
        cls,
        patient_id: str,
        row: "Mapping[str, Any] | pd.Series",
        names: Sequence[str],
        units: Mapping[str, str],
    ) -> "Contributions":
        """From a row of `Explanation.to_frame`.

        Args:
            patient_id: id of the patient.
            row: values by column.
            names: of the features.
            units: symbols by feature.

        Raises:
            DataError: F of the patient is undefined.
        """
        if np.isnan(row["unexplained"]):
            raise DataError(
                f"Patient {patient_id} has no contributions, because F is undefined: the path to the "
                f"decision boundary has the status {row['status']!r}. Choose a patient who has an F_joint."
            )
        parts = [
            Contribution(
                name.replace("_", " "),
                float(row[f"contribution_{name}"]),
                float(row[f"change_{name}"]) if f"change_{name}" in row else None,
                units[name],
            )
            for name in names
        ]
        far = bool(row["flow_far"])
        return cls(patient_id, float(row["logit"]), parts, float(row["unexplained"]), far)

    @property
    def sentence(self) -> str:
        """The sum in words, with what each feature does on the way to the boundary."""
        parts = [
            f"{part.name} {self.number(part.amount)}" + (f" ({part.move})" if part.move else "")
            for part in self.parts
        ]
        rest = self.number(self.unexplained)
        return f"{self.number(self.score)} = {' + '.join(parts)} + unexplained {rest}"

    def number(self, value: float) -> str:
        """A part of the score with its sign, and with enough decimals for a score of this size."""
        size = np.floor(np.log10(abs(self.score))) if self.score else 0
        decimals = int(np.clip(1 - size, 2, 6))
        return f"{value:+.{decimals}f}"


def waterfalls(patients: Sequence[Contributions], columns: int = 2) -> Figure:
    """Draw the scores of patients as sums, from the score down to the decision boundary at 0.

    Args:
        patients: one panel each.
        columns: panels side by side.
    """
    columns = min(columns, len(patients))
    rows = -(-len(patients) // columns)
    height = _MARGIN + _ROW * (len(patients[0].parts) + 2)
    figure = Figure(figsize=(_WIDTH * columns, height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, patient in zip(panels, patients):
        _draw(axes, patient)
    for axes in panels[len(patients) :]:
        axes.set_axis_off()
    return figure


def _draw(axes: "Axes", patient: Contributions) -> None:
    amounts = [part.amount for part in patient.parts] + [patient.unexplained]
    labels = [", ".join(filter(None, (part.name, part.move))) for part in patient.parts] + ["unexplained"]
    ends = patient.score - np.cumsum([0.0, *amounts])
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = _ROOM * ((high - low) or 1.0)
    axes.barh(0, patient.score, color=INK, height=0.62)
    _write(axes, 0, patient.number(patient.score), max(0.0, patient.score), room)
    for i, amount in enumerate(amounts, start=1):
        # As in the pictures of gradients, a warm colour raises the score and blue lowers it.
        colour = GREY if i == len(amounts) else ORANGE if amount >= 0 else BLUE
        axes.barh(i, -amount, left=ends[i - 1], color=colour, height=0.62)
        axes.plot([ends[i - 1]] * 2, [i - 1, i], color=GREY, linewidth=0.7)
        _write(axes, i, patient.number(amount), max(ends[i - 1], ends[i]), room)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(labels) + 1), ["score", *labels], parse_math=False)
    axes.set_ylim(len(labels) + 0.5, -0.5)
    axes.set_xlim(low - 0.3 * room, high + 1.3 * room)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("score (0: decision boundary)")
    title = f"{patient.patient_id} (very long path)" if patient.far else patient.patient_id
    axes.set_title(title, parse_math=False)


def _write(axes: "Axes", row: int, text: str, right: float, room: float) -> None:
    # Not across the line of the boundary.
    right = 0.0 if -room < right < 0 else right
    axes.text(right + 0.12 * room, row, text, va="center", fontsize=8)
