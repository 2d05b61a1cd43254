"""Evaluation of a trained model on a cohort: metrics of every part, a table of patients, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fgf_keras.commands.bars import CohortBars, bar_columns
from fgf_keras.commands.decision import run_threshold
from fgf_keras.commands.experiments import experiments
from fgf_keras.commands.explainer import explainer, training_reference
from fgf_keras.commands.part_metrics import part_metrics
from fgf_keras.commands.patient_table import patient_table
from fgf_keras.config import EvaluateConfig
from fgf_keras.config.reward import RewardConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import RunError
from fgf_keras.files import now, read_json, write_json
from fgf_keras.measure.clinical import clinical_effects
from fgf_keras.measure.explainer import Explainer
from fgf_keras.measure.explanation import Explanation
from fgf_keras.pictures.files import write_pictures
from fgf_keras.results.arm import TrialResult
from fgf_keras.results.chosen import shown_patients
from fgf_keras.results.findings import run_findings, run_reward_change
from fgf_keras.results.metrics import RunMetrics
from fgf_keras.results.patients import read_patients
from fgf_keras.results.run import RunResult

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel
    from fgf_keras.report.sections.provenance import Provenance


@dataclass(frozen=True)
class Evaluation:
    """The results of `evaluate`.

    Attributes:
        metrics: content of metrics.json.
        patients: one row per patient: split, label, logit, probability, decision, alignment on each support.
        explanations: by support.
        shown: ids of the patients on the pages of pictures.
        data: description of the cohort, see `Cohort.description`.
        findings: content of findings.json, see `findings.run_findings`.
        behaviour: content of behaviour.json, see `behaviour.behaviour`; None if it was not requested.
        controls: content of controls.json, see `controls.controls`; None if they were not requested.
        collapse: content of collapse.json, see `collapse.collapse_content`.
    """

    metrics: dict[str, Any]
    patients: pd.DataFrame
    explanations: dict[str, Explanation]
    shown: list[str]
    data: dict[str, Any]
    findings: list[dict[str, Any]]
    behaviour: dict[str, Any] | None = None
    controls: dict[str, Any] | None = None
    collapse: dict[str, Any] | None = None

    def write(
        self, directory: str | Path, *, provenance: "Provenance | None" = None, pictures: bool = True
    ) -> RunResult:
        """Write patients.csv, patients_<support>.png, and metrics, findings, behaviour, collapse, data.json.

        Args:
            directory: created if it does not exist.
            provenance: if given, report.html, report.md and report_figures/ are written as well, and the
                single pictures that the report shows are written to pictures/.
            pictures: whether to draw patients, which traces a TensorFlow graph of its own.

        Returns:
            The results.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        pictures_shown = {}
        for support, explanation in self.explanations.items():
            if self.shown and pictures:
                # Imported late, like the report below: only pictures and reports need their libraries.
                from fgf_keras.pictures.patient_page import patient_page, shown_patients

                panels = explanation.panels(self.shown)
                patient_page(panels, support, path=directory / f"patients_{support}.png")
                if provenance is not None:
                    pictures_shown[support] = shown_patients(panels)
        write_pictures(pictures_shown, directory)
        self.patients.to_csv(directory / "patients.csv")
        for name in ("behaviour", "collapse", "controls"):
            if (content := getattr(self, name)) is not None:
                write_json(directory / f"{name}.json", content)
        write_json(directory / "findings.json", {"findings": self.findings})
        write_json(directory / "data.json", self.data)
        sanity = directory / "sanity.json"
        result = RunResult(
            RunMetrics.of(self.metrics),
            # Rounded as in the file, so that a report made from the files later is the same.
            read_patients(directory / "patients.csv"),
            self.data,
            findings=self.findings,
            behaviour=self.behaviour,
            controls=self.controls,
            collapse=self.collapse,
            sanity=read_json(sanity) if sanity.is_file() else None,
            shown=pictures_shown,
        )
        if provenance is not None:
            from fgf_keras.report.run import run_report
            from fgf_keras.report.write import write_report

            write_report(run_report(provenance, result), directory)
        # Written last: if this file exists, so do all the others.
        write_json(directory / "metrics.json", self.metrics)
        return result


def evaluate(
    model: "AlignmentModel",
    cohort: Cohort,
    splits: dict[str, np.ndarray],
    settings: EvaluateConfig,
    *,
    reward: RewardConfig,
    seed: int,
    n_train: int,
    threshold: dict[str, Any] | None = None,
    prevalence: float | None = None,
    bars: dict[str, Any] | None = None,
    hu_window: Sequence[float] | None = None,
    reference_sd: Mapping[str, float | None] | None = None,
    reference_mean: Mapping[str, float] | None = None,
    baseline: TrialResult | None = None,
    title: str | None = None,
) -> Evaluation:
    """Measure classification and alignment of a two-class `AlignmentModel` on every part of the patients.

    Args:
        model: the trained model.
        cohort: the patients; those in no part are left out.
        splits: positions in the cohort by the name of the part; "train" is left out if the settings say so.
            The pictures show patients of the last part, and the behaviour is measured on it.
        settings: the group `evaluate` of a configuration.
        reward: how the model was trained.
        n_train: patients the model was trained on, which metrics.json keeps for the intervals of comparisons.
        seed: of the bootstrap and of the nulls.
        threshold: {"logit", …} of an earlier evaluation; by default, chosen as the settings say.
        prevalence: see `decision_threshold`.
        bars: those of an earlier evaluation, see `Bars`; by default, fitted on training and validation
            patients if there are any.
        hu_window: (low, high), the HU range that the images were mapped from; None if it is unknown.
        reference_sd, reference_mean: of the features over the training patients, if those are in no part.
        baseline: the same training without the reward, on the last part; None if there is none.
        title: for the progress bars.

    Raises:
        DataError: a part with a single class.
        RunError: a score that is not finite.
    """
    data = cohort.description(splits) | {"evaluated": now()}
    training = cohort.select(splits["train"]) if "train" in splits else None
    if training is not None and (reference_sd is None or reference_mean is None):
        mean, sd = training_reference(model, training, hu_window)
        reference_mean, reference_sd = reference_mean or mean, reference_sd or sd
    cohort_bars = None
    if settings.bars:
        groups = bar_columns(model.features, cohort, hu_window)
        cohort_bars = CohortBars.of(groups, cohort, splits, seed=seed, earlier=bars)
    if not settings.training_patients:
        splits = {name: rows for name, rows in splits.items() if name != "train"}
    cohort, splits = _measured(cohort, splits)
    measuring: dict[str, Any] = {"nulls": settings.nulls, "seed": seed}
    measuring |= {"hu_window": hu_window, "reference_sd": reference_sd}
    explainers: dict[str, Explainer] = {
        support: explainer(model, settings, support=support, **measuring) for support in settings.support
    }
    explanations = _explanations(explainers, cohort, title)
    logits = _finite_logits(next(iter(explanations.values())))
    clinical = clinical_effects(model, cohort)
    if threshold is None:
        scores = {part: (cohort.labels[rows], logits[rows]) for part, rows in splits.items()}
        threshold = run_threshold(model, settings, scores, training, prevalence=prevalence)
    resampling: dict[str, Any] = {
        "bootstrap": settings.bootstrap,
        "confidence": settings.confidence,
        "seed": seed,
    }
    metrics: dict[str, Any] = {
        "threshold": threshold,
        "confidence": settings.confidence,
        "n_train": n_train,
        "reference": _reference(next(iter(explanations.values())), reference_sd is not None, reference_mean),
        "splits": {},
    }
    for name, rows in splits.items():
        metrics["splits"][name] = part_metrics(
            cohort, rows, logits, threshold["logit"], explanations, clinical, resampling
        )
    if cohort_bars is not None:
        cohort_bars.add_to(metrics, cohort, splits, logits, **resampling)
    patients = patient_table(cohort, splits, logits, threshold["logit"], explanations, clinical)
    last, rows = list(splits.items())[-1]
    shown_ids = list(shown_patients(patients, last, settings))
    changed = experiments(
        model, cohort, rows, explainers, explanations, settings,
        split=last, threshold=threshold["logit"], resampling=resampling,
        reference={"targets": reference_mean, "reference_sd": reference_sd, "hu_window": hu_window},
    )  # fmt: skip
    result = TrialResult.of(RunMetrics.of(metrics), patients, changed.get("behaviour"), last)
    names = [feature.name for feature in model.features]
    findings = run_findings(result, reward, names, settings, seed=seed, baseline=baseline)
    if baseline is not None:
        metrics["reward_change"] = run_reward_change(result, baseline, reward, names, settings, seed=seed)
    return Evaluation(metrics, patients, explanations, shown_ids, data, findings, **changed)


def _explanations(
    explainers: dict[str, Explainer], cohort: Cohort, title: str | None
) -> dict[str, Explanation]:
    return {
        support: explain(
            cohort.model_inputs,
            cohort.masks,
            spacing=cohort.spacing,
            patient_id=cohort.patient_id,
            progress=title and f"{title}, alignment on support {support}",
        )
        for support, explain in explainers.items()
    }


def _finite_logits(explanation: Explanation) -> np.ndarray:
    logits = explanation.values["logit"].astype(np.float64)
    if not np.isfinite(logits).all():
        raise RunError(
            f"The score of {int(np.sum(~np.isfinite(logits)))} of {len(logits)} patients is not finite: the "
            "training diverged in its last steps. Lower train.learning_rate or reward.weight."
        )
    return logits


def _reference(explanation: Explanation, trained: bool, mean: Mapping[str, float] | None) -> dict[str, Any]:
    return {
        "mean": None if mean is None else dict(mean),
        "of": "training patients" if trained else "measured patients",
        "sd": explanation.settings["reference_sd"],
        "units": explanation.settings["units"],
    }


def _measured(cohort: Cohort, splits: dict[str, np.ndarray]) -> tuple[Cohort, dict[str, np.ndarray]]:
    """The patients that are in any part, and the positions of each part among them."""
    rows = np.unique(np.concatenate(list(splits.values())))
    return cohort.select(rows), {name: np.searchsorted(rows, part) for name, part in splits.items()}
