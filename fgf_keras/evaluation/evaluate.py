"""A finished model on a cohort: metrics of every split, a table of patients, pages of pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import RunError
from fgf_keras.evaluation.alignment_table import alignment_table
from fgf_keras.evaluation.classification import choose_threshold, classification_metrics
from fgf_keras.evaluation.explain import explain
from fgf_keras.run_folder import write_json


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        metrics: as metrics.json holds it.
        patients: a row a patient: split, label, logit, probability, decision, alignment on each support.
        explanations: by support.
        shown: ids of the patients on the pages of pictures.
    """

    metrics: dict
    patients: pd.DataFrame
    explanations: dict
    shown: list

    def write(self, directory):
        """Write metrics.json, patients.csv and patients_<support>.png into a folder."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for support, explanation in self.explanations.items():
            if self.shown:
                explanation.plot(self.shown, path=directory / f"patients_{support}.png")
        self.patients.to_csv(directory / "patients.csv")
        # Last: where it is, everything else is too.
        write_json(directory / "metrics.json", self.metrics)


def evaluate(
    model, cohort: Cohort, splits: dict, settings: EvaluateConfig, *, seed, threshold=None, title=None
) -> Evaluation:
    """Classification and alignment of a two-class `AlignmentModel` on every split.

    Args:
        model: trained.
        cohort: patients.
        splits: index arrays by name. Pictures show the last split.
        settings: the section `evaluate` of a configuration. Without `training_part`, metrics say of the split
            "train" only how many patients it has.
        seed: of the bootstrap and of the nulls.
        threshold: {"logit", …} of an earlier evaluation; chosen on the split "validation" by default.
        title: sentence for the progress bars.

    Raises:
        DataError: a split with a single class.
        RunError: a score that is not finite.
    """
    unmeasured = {}
    if "train" in splits and not settings.training_part:
        training = splits["train"]
        unmeasured["train"] = {"n": len(training), "n_positive": int(cohort.labels[training].sum())}
        cohort, splits = _without(training, cohort, splits)
    explanations = {
        support: explain(
            model,
            cohort.images,
            cohort.masks,
            spacing=cohort.spacing,
            patient_id=cohort.patient_id,
            support=support,
            weight=settings.flow.weight,
            steps=settings.flow.steps,
            max_steps=settings.flow.max_steps,
            tolerance=settings.flow.tolerance,
            noise_draws=settings.noise_draws,
            null=settings.nulls,
            n_null=settings.null_draws,
            correlation_length=settings.correlation_lengths,
            alpha=settings.alpha,
            seed=seed,
            batch_size=settings.batch_size,
            progress=title and f"{title}, alignment on support {support}",
        )
        for support in settings.support
    }
    logits = next(iter(explanations.values())).values["logit"].astype(np.float64)
    if not np.isfinite(logits).all():
        raise RunError(
            f"The score of {int(np.sum(~np.isfinite(logits)))} of {len(logits)} patients is not finite: the "
            "training diverged in its last steps. Lower train.learning_rate or reward.weight."
        )
    if threshold is None:
        chosen = splits["validation"]
        logit = choose_threshold(cohort.labels[chosen], logits[chosen])
        threshold = {
            "logit": logit,
            "probability": float(_sigmoid(logit)),
            "chosen_on": "validation",
            "criterion": "largest balanced accuracy",
        }
    resampling = {"bootstrap": settings.bootstrap, "confidence": settings.confidence, "seed": seed}
    metrics = {"threshold": threshold, "confidence": settings.confidence, "splits": unmeasured}
    for name, rows in splits.items():
        metrics["splits"][name] = {
            **classification_metrics(cohort.labels[rows], logits[rows], threshold["logit"], **resampling),
            "alignment": {
                support: alignment_table(explanation, rows, **resampling)
                for support, explanation in explanations.items()
            },
        }
    patients = _patients(cohort, splits, logits, threshold["logit"], explanations)
    shown = _shown(cohort, logits, list(splits.values())[-1], settings.pictures)
    return Evaluation(metrics, patients, explanations, shown)


def _without(left_out, cohort, splits):
    """The other patients, and positions among them."""
    kept = np.setdiff1d(np.arange(len(cohort)), left_out)
    positions = {name: np.searchsorted(kept, rows) for name, rows in splits.items() if name != "train"}
    return cohort.select(kept), positions


def _patients(cohort, splits, logits, threshold, explanations):
    split = np.full(len(cohort), "", dtype=object)
    for name, rows in splits.items():
        split[rows] = name
    table = pd.DataFrame(
        {
            "split": split,
            "label": cohort.labels,
            "logit": logits,
            "probability": _sigmoid(logits),
            "decision": (logits > threshold).astype(int),
        },
        index=pd.Index(cohort.patient_id, name="patient_id"),
    )
    parts = [
        explanation.to_frame().drop(columns=["logit", "class"]).add_prefix(f"{support}.")
        for support, explanation in explanations.items()
    ]
    return pd.concat([table, *parts], axis=1)


def _shown(cohort, logits, rows, count):
    """Patients spread evenly over the scores of a split, from the highest to the lowest."""
    order = rows[np.argsort(-logits[rows], kind="stable")]
    positions = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [str(cohort.patient_id[i]) for i in order[positions]]


def _sigmoid(logit):
    return 0.5 * (1 + np.tanh(np.asarray(logit) / 2))
