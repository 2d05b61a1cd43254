"""An arm as it was measured, on one split or on many: its figures, and how they differ from another arm's."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from fgf_keras.config_protocol import NOISE, RewardConfig
from fgf_keras.evaluation.bootstrap import bootstrap_mean, percentiles
from fgf_keras.evaluation.figures import interval, run_figures
from fgf_keras.evaluation.resampled_difference import resampled_mean
from fgf_keras.geometry.flow_status import ENDED, FlowStatus

_ENDED = {FlowStatus(status).name.lower() for status in ENDED}


class Interval(NamedTuple):
    """A figure or a difference; NaN where it is undefined, or has no interval."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there is a figure with an interval."""
        return not np.isnan(self).any()

    def __str__(self):
        return interval(self.mean, self[1:])


UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Measured:
    """A model measured on patients.

    Attributes:
        metrics: content of metrics.json.
        patients: the rows of patients.csv that are in `split`.
        behaviour: content of behaviour.json, or None.
        split: which part counts: "test", or "external".
    """

    metrics: dict
    patients: pd.DataFrame
    behaviour: dict | None
    split: str

    @functools.cached_property
    def figures(self) -> dict[str, float]:
        """See `run_figures`."""
        return run_figures(self.metrics, self.split)

    @property
    def held(self) -> dict:
        """The metrics of the split."""
        return self.metrics["splits"][self.split]

    def shares(self, figure: str) -> pd.Series:
        """S or F by patient, `<support>.<kind>_<feature>`; NaN where it is undefined, as in tables."""
        support, _, name = figure.partition(".")
        values = self.patients[figure]
        return values if name[0] == "S" else values[self.patients[f"{support}.status"].isin(_ENDED)]

    def effect(self, feature: str) -> Interval:
        """What a standard deviation of a feature does to the score, in standard deviations of the score."""
        entry = (self.behaviour or {"features": {}})["features"].get(feature)
        spread = self.patients["logit"].std()
        if entry is None or entry["effect"]["mean"] is None or not spread > 0:
            return UNKNOWN
        return Interval(*(value / spread for value in (entry["effect"]["mean"], *entry["effect"]["ci"])))


@dataclass(frozen=True)
class MeasuredArm:
    """An arm and its trials.

    Attributes:
        name: of the arm; empty for a run that is not compared.
        reward: how it was trained.
        features: names of the measured features.
        trials: by the name of the split of the cohort; failed ones are left out.
        confidence, bootstrap, seed: of intervals.
    """

    name: str
    reward: RewardConfig
    features: list[str]
    trials: dict[str, Measured]
    confidence: float
    bootstrap: int
    seed: int

    @property
    def rewarded(self) -> list[str]:
        """The features with a weight above 0."""
        return self.reward.rewarded(self.features)

    @property
    def is_placebo(self) -> bool:
        """Whether the reward is on a random feature alone."""
        return self.rewarded == [NOISE] and NOISE not in self.features

    @property
    def supports(self) -> list[str]:
        """Supports that alignment was measured on."""
        return list(next(iter(self.trials.values())).held["alignment"]) if self.trials else []

    def figure(self, name: str) -> Interval:
        """A figure of `run_figures`: over patients on a single split, over splits otherwise."""
        if len(self.trials) > 1:
            return self._over_splits({split: trial.figures[name] for split, trial in self.trials.items()})
        if not self.trials:
            return UNKNOWN
        (trial,) = self.trials.values()
        if "." not in name:
            return Interval(trial.held[name]["value"], *trial.held[name]["ci"])
        support, _, share = name.partition(".")
        summary = trial.held["alignment"][support][share[0]][share[2:]]
        summary = summary["squared"] if share[2:] == "joint" else summary
        return UNKNOWN if summary["mean"] is None else Interval(summary["mean"], *summary["ci"])

    def effect(self, feature: str) -> Interval:
        """See `Measured.effect`."""
        found = {split: trial.effect(feature) for split, trial in self.trials.items()}
        if len(found) > 1:
            return self._over_splits({split: each.mean for split, each in found.items()})
        return next(iter(found.values()), UNKNOWN)

    def minus(self, other: "MeasuredArm", name: str) -> Interval:
        """The difference of a figure from another arm's, patient by patient or split by split.

        Args:
            other: measured on the same splits.
            name: "auc", "balanced_accuracy", or `<support>.<kind>_<feature>`.
        """
        common = [split for split in self.trials if split in other.trials]
        if len(self.trials) > 1 or len(other.trials) > 1:
            return self._over_splits(
                {s: self.trials[s].figures[name] - other.trials[s].figures[name] for s in common}
            )
        if not common:
            return UNKNOWN
        pair = (self.trials[common[0]], other.trials[common[0]])
        if "." in name:
            return self._of_patients(*(trial.shares(name) for trial in pair))
        return self._of_decisions(name, *(trial.patients for trial in pair))

    def _over_splits(self, by_split):
        trials = [self.trials[split] for split in by_split]
        if not trials:
            return UNKNOWN
        sizes = {
            "n_train": np.mean([trial.metrics["n_train"] for trial in trials]),
            "n_test": np.mean([trial.held["n"] for trial in trials]),
        }
        found = resampled_mean(list(by_split.values()), confidence=self.confidence, **sizes)
        return Interval(found.mean, found.low, found.high)

    def _of_patients(self, own, other):
        difference = (own - other).dropna().to_numpy()
        if not len(difference):
            return UNKNOWN
        rng = np.random.default_rng(self.seed)
        found = bootstrap_mean(difference, bootstrap=self.bootstrap, confidence=self.confidence, rng=rng)
        return Interval(found["mean"], *found["ci"])

    def _of_decisions(self, name, own, other):
        """Patients are drawn within each class, the same for both arms."""
        other = other.loc[own.index]
        positive, negative = (own["label"] == 1).to_numpy(), (own["label"] == 0).to_numpy()
        if name == "auc":
            # Both figures are means over pairs of a positive and a negative patient.
            own, other = (
                (np.sign(t["logit"].to_numpy()[positive, None] - t["logit"].to_numpy()[negative]) + 1) / 2
                for t in (own, other)
            )
        else:
            own, other = (
                (t["decision"].to_numpy()[positive, None] + 1 - t["decision"].to_numpy()[negative]) / 2
                for t in (own, other)
            )
        pairs = own - other
        rng = np.random.default_rng(self.seed)
        drawn = [rng.multinomial(n, np.full(n, 1 / n), self.bootstrap) / n for n in pairs.shape]
        means = ((drawn[0] @ pairs) * drawn[1]).sum(axis=1)
        return Interval(float(pairs.mean()), *percentiles(means, self.confidence))
