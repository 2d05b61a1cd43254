"""The metrics of one arm over its trials, with intervals, and differences between two arms."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.config.reward import NOISE, RewardConfig
from fgf_keras.results.bootstrap import bootstrap_mean, percentiles
from fgf_keras.results.columns import share_of
from fgf_keras.results.interval import UNDEFINED, Interval
from fgf_keras.results.metrics import PartMetrics, RunMetrics
from fgf_keras.results.patients import defined_shares
from fgf_keras.results.resampled import DIFFERENCES, SHARES, possible_values, resampled_mean


@dataclass(frozen=True)
class TrialResult:
    """The results of one model on one part of the patients.

    Attributes:
        metrics: of that part.
        patients: the rows of patients.csv of that part, indexed by patient_id.
        behaviour: content of behaviour.json, or None.
        n_train: number of patients that the model was trained on.
    """

    metrics: PartMetrics
    patients: pd.DataFrame
    behaviour: dict[str, Any] | None
    n_train: int

    @classmethod
    def of(
        cls, metrics: RunMetrics, patients: pd.DataFrame, behaviour: dict[str, Any] | None, part: str
    ) -> "TrialResult":
        """From the files of a run.

        Args:
            metrics: of the run.
            patients: all rows of patients.csv, indexed by patient_id.
            behaviour: content of behaviour.json, or None.
            part: which part of the patients.
        """
        return cls(metrics.parts[part], patients[patients["split"] == part], behaviour, metrics.n_train)

    def effect(self, feature: str) -> Interval:
        """Change of the score per standard deviation of a feature, in standard deviations of the score."""
        entry = (self.behaviour or {"features": {}})["features"].get(feature)
        spread = self.patients["logit"].std()
        if entry is None or entry["effect"]["mean"] is None or not spread > 0:
            return UNDEFINED
        return Interval(*(value / spread for value in (entry["effect"]["mean"], *entry["effect"]["ci"])))


@dataclass(frozen=True)
class ArmResult:
    """An arm and the results of its trials.

    Attributes:
        name: of the arm; empty for a single run.
        reward: how the arm was trained.
        features: names of the measured features.
        trials: by the name of the split; failed trials are left out.
        confidence, bootstrap, seed: of the intervals.
    """

    name: str
    reward: RewardConfig
    features: list[str]
    trials: dict[str, TrialResult]
    confidence: float
    bootstrap: int
    seed: int

    @property
    def rewarded(self) -> list[str]:
        """The features with a weight above 0."""
        return self.reward.rewarded(self.features)

    @property
    def has_reward(self) -> bool:
        """Whether any feature is rewarded or penalised."""
        return self.reward.is_active(self.features)

    @property
    def is_placebo(self) -> bool:
        """Whether only a random feature is rewarded."""
        penalised = self.reward.penalised(self.features)
        return self.rewarded == [NOISE] and NOISE not in self.features and not penalised

    @property
    def supports(self) -> list[str]:
        """The supports on which alignment was measured."""
        return next(iter(self.trials.values())).metrics.supports if self.trials else []

    @property
    def reward_support(self) -> str:
        """The support of the reward if it was measured, else the first measured support."""
        return self.reward.support if self.reward.support in self.supports else self.supports[0]

    def metric(self, name: str) -> Interval:
        """A metric by the name of its column, over patients for a single split and over splits otherwise."""
        if len(self.trials) > 1:
            means = {split: trial.metrics[name].mean for split, trial in self.trials.items()}
            return self._over_splits(means, within=possible_values(name))
        return next((trial.metrics[name] for trial in self.trials.values()), UNDEFINED)

    def effect(self, feature: str) -> Interval:
        """See `TrialResult.effect`."""
        effects = {split: trial.effect(feature) for split, trial in self.trials.items()}
        if len(effects) > 1:
            return self._over_splits(
                {split: effect.mean for split, effect in effects.items()}, within=(0.0, np.inf)
            )
        return next(iter(effects.values()), UNDEFINED)

    def minus(self, other: "ArmResult", name: str) -> Interval:
        """The difference from another arm in a metric, paired by patient or by split.

        Args:
            other: an arm measured on the same splits.
            name: "auc", "balanced_accuracy", or the column of a share.
        """
        common = [split for split in self.trials if split in other.trials]
        if len(self.trials) > 1 or len(other.trials) > 1:
            return self._over_splits(
                {
                    split: self.trials[split].metrics[name].mean - other.trials[split].metrics[name].mean
                    for split in common
                },
                within=DIFFERENCES,
            )
        if not common:
            return UNDEFINED
        pair = [arm.trials[common[0]].patients for arm in (self, other)]
        if share_of(name):
            return self._of_patients(*(defined_shares(patients, name) for patients in pair))
        return self._of_decisions(name, *pair)

    def effect_minus(self, other: "ArmResult", feature: str) -> Interval:
        """The difference from another arm in `effect`, paired by split; a single split has no interval."""
        common = [split for split in self.trials if split in other.trials]
        return self._over_splits(
            {
                split: self.trials[split].effect(feature).mean - other.trials[split].effect(feature).mean
                for split in common
            },
            within=(-np.inf, np.inf),
        )

    def _over_splits(self, by_split: dict[str, float], within: tuple[float, float] = SHARES) -> Interval:
        trials = [self.trials[split] for split in by_split]
        if not trials:
            return UNDEFINED
        sizes = {
            "n_train": float(np.mean([trial.n_train for trial in trials])),
            "n_test": float(np.mean([trial.metrics.n for trial in trials])),
        }
        mean = resampled_mean(list(by_split.values()), confidence=self.confidence, within=within, **sizes)
        return Interval(mean.mean, mean.low, mean.high)

    def _of_patients(self, shares: pd.Series, other: pd.Series) -> Interval:
        difference = (shares - other).dropna().to_numpy()
        if not len(difference):
            return UNDEFINED
        rng = np.random.default_rng(self.seed)
        summary = bootstrap_mean(difference, bootstrap=self.bootstrap, confidence=self.confidence, rng=rng)
        return Interval(summary["mean"], *summary["ci"])

    def _of_decisions(self, name: str, patients: pd.DataFrame, other: pd.DataFrame) -> Interval:
        """Patients are resampled within each class, with the same resamples for both arms."""
        tables = patients, other.loc[patients.index]
        positive, negative = (patients["label"] == 1).to_numpy(), (patients["label"] == 0).to_numpy()
        # Both metrics are means over pairs of a positive and a negative patient.
        if name == "auc":
            minuend, subtrahend = (
                (np.sign(t["logit"].to_numpy()[positive, None] - t["logit"].to_numpy()[negative]) + 1) / 2
                for t in tables
            )
        else:
            minuend, subtrahend = (
                (t["decision"].to_numpy()[positive, None] + 1 - t["decision"].to_numpy()[negative]) / 2
                for t in tables
            )
        pairs = minuend - subtrahend
        rng = np.random.default_rng(self.seed)
        weights = [rng.multinomial(n, np.full(n, 1 / n), self.bootstrap) / n for n in pairs.shape]
        means = ((weights[0] @ pairs) * weights[1]).sum(axis=1)
        return Interval(float(pairs.mean()), *percentiles(means, self.confidence))
