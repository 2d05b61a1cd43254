"""The result of `explain` and `alignment`: one row per sample."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fgf_keras.errors import DataError
from fgf_keras.flow.status import FlowStatus
from fgf_keras.measure.frame import class_frame, sample_frame
from fgf_keras.nulls.chance import cohort_table, patient_table
from fgf_keras.nulls.null import NullShares
from fgf_keras.results.population import PopulationShare, population_share

if TYPE_CHECKING:  # matplotlib is loaded only where a picture is drawn
    from matplotlib.figure import Figure

    from fgf_keras.pictures.patient_page import PagePatient

_NO_PATHS = "No paths to the boundary were followed: give explain a Flow, or alignment a path."


@dataclass(frozen=True, repr=False)
class Explanation:
    """Alignment of N samples with m features.

    Attributes:
        patient_id: (N,) names of the samples.
        feature_names: m names.
        settings: support, weight, flow settings, number of noise draws.
        values: arrays with a leading axis of N, named as in `AlignmentMeasure.at_sample` and `.along_flow`;
            those that were not measured are missing, and so are their columns.
        classes: number of classes, 2 for a single logit.
        nulls: `NullShares` by the name of the null; names of smooth ones include the length if there are
            several.
    """

    patient_id: np.ndarray
    feature_names: list[str]
    settings: dict[str, Any]
    values: dict[str, np.ndarray]
    classes: int
    _pictures: Callable[[np.ndarray], dict[str, np.ndarray]] | None = field(default=None, repr=False)
    nulls: dict[str, NullShares] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.patient_id)

    def __repr__(self) -> str:
        return (
            f"Explanation({len(self)} samples, features {', '.join(self.feature_names)}, support "
            f"{self.settings['support']}, median S_joint {np.nanmedian(self.values['S_joint']):.3f})"
        )

    @property
    def status(self) -> np.ndarray:
        """(N,) of `FlowStatus`; STATIONARY where S or F is undefined.

        Raises:
            DataError: no paths were followed.
        """
        return self._required("status", _NO_PATHS)

    @property
    def quantities(self) -> tuple[str, ...]:
        """ "S", and "F" if paths to the decision boundary were followed."""
        return ("S", "F") if "status" in self.values else ("S",)

    def to_frame(self, *, per_class: bool = False) -> pd.DataFrame:
        """One row per sample, indexed by patient_id.

        Columns: logit (K > 2: the margin of the decision), class, gradient_norm (‖∇z‖ of that score),
        S_<feature>, S_joint, S_joint_magnitude (√S), F_<feature>, F_joint, F_joint_magnitude (mean of √S
        along the path), S_noise, F_noise, unique_<feature>, shapley_<feature>, partial_<feature> (the share
        of what the other features leave unexplained, `geometry.partial.partial_shares`; NaN where they leave
        nothing), p_white_<feature> and p_white_partial_<feature> (by the exact laws), p_<null>_<feature>,
        p_<null>_F_<feature> and p_<null>_partial_<feature> for S, F and partial shares by draws (those of S
        and F also for the joint shares), flow_error_<feature> and flow_error_joint (the estimated error of
        F), flow_residual (|z| at the end of the path divided by |z| at the sample), flow_length, flow_far
        (whether the length exceeds twice the norm of the image), outside (share of the mask's pixels whose
        value at the end of the path is outside [0, 1]) and outside_excess (the largest distance from that
        range, in units of its width), NaN like F and where the sample itself lies outside, status. F is NaN
        unless the status is "reached" or "on_boundary". Columns of what was not measured are
        missing: all those of paths, for example, where none were followed.

        Signed, with the units of the features in `settings`: value_<feature>; slope_<feature>, the change of
        the score per unit of the feature with the other features held (`geometry.slopes.slopes`);
        slope_alone_<feature>, without holding them; effect_<feature>, the slope times the standard deviation
        over the reference cohort. Along the path to the boundary, NaN like F: change_<feature>, its value at
        the end minus that at the sample (NaN also where `Feature.is_defined` is False at the end);
        contribution_<feature>, the part of the score that is lost along the feature, -∫ slope dg;
        contribution_shapley_<feature>, the same with overlapping features treated alike; unexplained. The
        contributions and `unexplained` add up to the score (to `flow_residual`).

        Args:
            per_class: for K > 2, one row per sample and class instead, with the centred logit of that class
                and S, slopes and effects of its own gradient; of many classes, those that span the section.
        """
        return class_frame(self) if per_class else sample_frame(self)

    def against_chance(self, rows: np.ndarray | None = None, *, per_patient: bool = False) -> pd.DataFrame:
        """The means over patients compared with those of null features, for each null.

        Columns: quantity (S, F or partial), feature (or joint, for S and F), null, mean, null_mean, null_q05,
        null_q95 (of the mean over patients under the null), effect (mean - null_mean),
        p = (1 + #{null ≥ mean})/(1 + draws), p_standard_error √(p(1-p)/(1 + draws)), p_adjusted
        (Benjamini-Hochberg over the features; the joint share is a test by itself), draws, n and undefined
        (numbers of patients included in the means and left out).

        Args:
            rows: indices of the patients; all by default.
            per_patient: one row per patient instead, with patient_id and value in place of mean, n and
                undefined.

        Raises:
            ValueError: `explain` was called without nulls.
        """
        if not self.nulls:
            raise ValueError("There are no nulls to compare with: call explain(…, nulls='matched').")
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        return (patient_table if per_patient else cohort_table)(self, rows)

    def population(self, rows: np.ndarray | None = None, **settings: Any) -> PopulationShare:
        """What the score follows over the samples: R² of the logit on the values of the features.

        For K > 2 classes, R² of all centred logits together. No gradients are used: a feature to which the
        score reacts little can still decide it, because it varies much between patients.

        Args:
            rows: indices of the samples; all by default.
            settings: permutations, bootstrap, confidence and seed of `results.population.population_share`.

        Raises:
            DataError: fewer samples than features + 2; scores or values of the features are not known.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        scores, values = self.scores_and_values(rows)
        return PopulationShare(population_share(scores, values, self.feature_names, **settings))

    def scores_and_values(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n,), or (n, K) for K > 2 classes, and values of the features (n, m) of some samples."""
        advice = "Pass {} to alignment: the population share compares scores with values of the features."
        scores = self._required("logit" if self.classes == 2 else "logits", advice.format("scores"))
        return scores[rows], self._required("value", advice.format("values"))[rows]

    def to_json(self, path: str | Path | None = None) -> str:
        """Settings, the sentence of each status, and one record per sample; undefined numbers are null.

        Args:
            path: file to write the text to as well.
        """
        frame = self.to_frame().reset_index()
        records = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
        text = json.dumps(
            {
                "settings": self.settings,
                "features": list(self.feature_names),
                "statuses": {status.name.lower(): status.sentence for status in FlowStatus},
                "samples": records,
            },
            indent=1,
        )
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def panels(self, patients: Sequence[str] | None = None) -> list["PagePatient"]:
        """The panels of the page of samples, see `plot`; the first eight samples by default.

        Raises:
            DataError: an id that is not in the explanation; no images are known.
        """
        from fgf_keras.pictures.patient_page import page_patients

        if self._pictures is None:
            raise DataError(
                "There are no images to show: alignment knows only gradients. Call explain, or plot the "
                "gradients themselves."
            )
        return page_patients(self, self._pictures, patients)

    def plot(self, patients: Sequence[str] | None = None, *, path: str | Path | None = None) -> "Figure":
        """A page of samples: slice, gradients and their components, the image at the boundary, the change.

        Args:
            patients: ids to show, in this order; the first eight by default.
            path: file to write the page to as well.

        Returns:
            A matplotlib figure.

        Raises:
            DataError: see `panels`.
        """
        from fgf_keras.pictures.patient_page import patient_page

        return patient_page(self.panels(patients), self.settings["support"], path=path)

    def plot_contributions(self, patients: Any, *, path: str | Path | None = None) -> "Figure":
        """Waterfalls: the score of each patient as a sum over the features, down to the decision boundary.

        Args:
            patients: id, or list of ids, to show.
            path: file to write the plot to as well.

        Returns:
            A matplotlib figure.

        Raises:
            DataError: an id that is not in the explanation, or for which F is undefined; no paths were
                followed, or the scores are not known.
        """
        from fgf_keras.pictures.waterfall import Contributions, waterfalls

        self._required("status", _NO_PATHS)
        self._required("logit", "Pass scores to alignment.")
        frame, units = self.to_frame().iloc[self.rows_of(patients)], self.settings["units"]
        figure = waterfalls(
            [Contributions.of(str(name), row, self.feature_names, units) for name, row in frame.iterrows()]
        )
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def rows_of(self, patients: Any) -> np.ndarray:
        """The positions of patients by id or list of ids, in that order.

        Raises:
            DataError: an id that is not in the explanation, or none.
        """
        rows = {patient: row for row, patient in enumerate(self.patient_id)}
        ids = [str(patient) for patient in np.atleast_1d(patients)]
        missing = [patient for patient in ids if patient not in rows]
        if missing or not ids:
            named = ", ".join(missing[:10]) or "(none named)"
            raise DataError(f"No such patients in this explanation: {named}.")
        return np.array([rows[patient] for patient in ids])

    def _required(self, key: str, advice: str) -> np.ndarray:
        if key not in self.values:
            raise DataError(f"This explanation has no {key}. {advice}")
        return self.values[key]
