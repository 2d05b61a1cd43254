"""An `Explainer` for the patients of a cohort, set up as the configuration says."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.features.units import unit_of
from fgf_keras.flow.settings import Flow
from fgf_keras.flow.step import step_of
from fgf_keras.measure.effects import reference_of
from fgf_keras.measure.explainer import Explainer
from fgf_keras.nulls.draws import NullDraws
from fgf_keras.nulls.settings import Nulls
from fgf_keras.training.feature_check import feature_values

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel


def explainer(
    model: "AlignmentModel",
    settings: EvaluateConfig,
    *,
    support: str,
    nulls: list[str],
    seed: int,
    hu_window: Sequence[float] | None = None,
    reference_sd: Mapping[str, float | None] | None = None,
) -> Explainer:
    """An `Explainer` for the patients of a cohort, set up as the configuration says."""
    return Explainer(
        model,
        support=support,
        flow=Flow.of(settings.flow),
        noise_draws=settings.noise_draws,
        nulls=Nulls(kinds=nulls, draws=settings.null_draws, lengths=settings.correlation_lengths, seed=seed),
        alpha=settings.alpha,
        batch_size=settings.batch_size,
        hu_window=hu_window,
        reference_sd=reference_sd,
    )


def require_measurable(settings: EvaluateConfig) -> None:
    """Refuse settings that `explainer` cannot use, before anything is trained.

    Raises:
        ConfigError: a null or a step of the path that cannot be imported or is of the wrong class.
    """
    step_of(settings.flow.step)
    NullDraws(Nulls(kinds=settings.nulls))


def training_reference(
    model: "AlignmentModel", patients: Cohort, hu_window: Sequence[float] | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of each feature over patients, in reported units.

    The standard deviation is NaN if the feature does not vary.
    """
    values = np.stack([feature_values(feature, patients) for feature in model.features], axis=1)
    units = [unit_of(feature, hu_window) for feature in model.features]
    means = values.mean(axis=0, dtype=np.float64)
    mean = {
        name: float(unit.offset + unit.scale * value)
        for name, unit, value in zip(model.feature_names, units, means)
    }
    return mean, reference_of(values, model.feature_names, units)
