"""The bars of a cohort: which columns they see, and how they and the network do on each part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.data.cohort import Cohort
from fgf_keras.features.base import Feature
from fgf_keras.features.units import unit_of
from fgf_keras.results.bars import Bars, bar_metrics, combined
from fgf_keras.training.feature_check import defined_values

# The parts that bars are fitted on: all patients that the network may use for anything.
FITTED_ON = ("train", "validation")
# By the dimension of the cohort.
SIZE = {2: ("area", "slice area [mm²]"), 3: ("volume", "tumour volume [mm³]")}


def bar_columns(
    features: Sequence[Feature], cohort: Cohort, hu_window: Sequence[float] | None
) -> dict[str, pd.DataFrame]:
    """What bars see of each patient, by the name of the group of columns, indexed by patient_id.

    The size of the tumour by its mask, the features, and the encoded clinical columns, whether or not the
    network sees them.

    Args:
        features: the named features, in reported units; NaN where one is not defined.
        cohort: the patients, with the encoding of their clinical columns if there are any.
        hu_window: (low, high), the HU range that the images were mapped from; None if it is unknown.
    """
    index = pd.Index(cohort.patient_id, name="patient_id")
    pixels = cohort.masks.reshape(len(cohort), -1).sum(axis=1, dtype=np.int64)
    group, column = SIZE[cohort.dimension]
    size = pixels * cohort.spacing.astype(np.float64).prod(axis=1)
    values = {}
    for feature in features:
        unit = unit_of(feature, hu_window)
        values[feature.name] = unit.offset + unit.scale * defined_values(feature, cohort).astype(np.float64)
    groups = {
        group: pd.DataFrame({column: size}, index=index),
        "features": pd.DataFrame(values, index=index),
    }
    return groups | clinical_columns(cohort)


def clinical_columns(cohort: Cohort) -> dict[str, pd.DataFrame]:
    """The group "clinical", encoded as a network sees it; empty without an encoding."""
    columns = cohort.encoded_columns
    if cohort.encoding is None or columns is None:
        return {}
    encoded = columns.astype(np.float64)
    index = pd.Index(cohort.patient_id, name="patient_id")
    return {"clinical": pd.DataFrame(encoded, columns=cohort.encoding.names, index=index)}


@dataclass(frozen=True)
class CohortBars:
    """Bars with their logits for the patients of a cohort.

    Attributes:
        bars: fitted on this cohort, or on that of the training.
        columns: of all groups, indexed by patient_id.
    """

    bars: Bars
    columns: pd.DataFrame

    @classmethod
    def of(
        cls,
        groups: dict[str, pd.DataFrame],
        cohort: Cohort,
        splits: dict[str, np.ndarray],
        *,
        seed: int,
        earlier: dict[str, Any] | None = None,
    ) -> "CohortBars | None":
        """Bars fitted on the parts `FITTED_ON`, or those of an earlier evaluation.

        Args:
            groups: see `bar_columns`.
            cohort: the patients.
            splits: positions in the cohort by the name of the part.
            seed: of the folds that choose the regularisation.
            earlier: content of metrics.json, under "bars".

        Returns:
            None if there are no patients to fit them on.
        """
        columns = combined(groups)
        if earlier is not None:
            return cls(Bars(earlier), columns)
        if not set(FITTED_ON) <= set(splits):
            return None
        rows = np.concatenate([splits[part] for part in FITTED_ON])
        fitted = {name: table.iloc[rows] for name, table in groups.items()}
        return cls(Bars.fitted(fitted, cohort.labels[rows], seed=seed), columns)

    def add_to(
        self,
        metrics: dict[str, Any],
        cohort: Cohort,
        splits: dict[str, np.ndarray],
        logits: np.ndarray,
        **resampling: Any,
    ) -> None:
        """Add the bars, and their metrics on each part, to the content of metrics.json.

        Args:
            metrics: with the key "threshold", and a dictionary for each part in "splits".
            cohort: the measured patients.
            splits: positions in it by the name of the part.
            logits: (N,) of the network.
            resampling: see `bar_metrics`.
        """
        metrics["bars"] = self.bars.content
        threshold = metrics["threshold"]["logit"]
        for part, rows in splits.items():
            columns = self.columns.loc[cohort.patient_id[rows]]
            undefined = self.bars.undefined(columns)
            metrics["splits"][part]["bars"] = {
                str(name): bar_metrics(
                    cohort.labels[rows], logits[rows], threshold, scores.to_numpy(), **resampling
                )
                | {"undefined": undefined[str(name)]}
                for name, scores in self.bars.logits(columns).items()
            }
