"""A comparison of arms over splits: the results of its trials, and its tables, each computed once."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from fgf_keras.config import Config
from fgf_keras.config.protocol import ablated_arm
from fgf_keras.results.ablation import ablation_table
from fgf_keras.results.arm import ArmResult, TrialResult
from fgf_keras.results.columns import share_column
from fgf_keras.results.findings import arm_results, comparison_findings
from fgf_keras.results.metrics import Key, PartMetrics, RunMetrics
from fgf_keras.results.protocol import protocol_table, trial_table
from fgf_keras.results.trade_off import largest_weights, trade_off_table
from fgf_keras.results.truth import rate_table, recovery_table, truth_table


@dataclass(frozen=True)
class Study:
    """The results of a comparison. A trial is identified by a key (name of the split, name of the arm).

    Attributes:
        config: of the comparison.
        part: which part of the patients is reported: "test" or "external".
        metrics: by key; None for a failed trial.
        patients: content of patients.csv by key, for trials that did not fail.
        behaviour: content of behaviour.json by key, for trials that have it.
        failures: error message of each failed trial, by its name.
        oracle: for a run under known laws, the AUC of the probability given by the law, by key.
    """

    config: Config
    part: str
    metrics: dict[Key, RunMetrics | None]
    patients: dict[Key, pd.DataFrame]
    behaviour: dict[Key, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    oracle: dict[Key, float] = field(default_factory=dict)

    @property
    def features(self) -> list[str]:
        """Names of the measured features."""
        return [feature.name for feature in self.config.features]

    @property
    def arms(self) -> list[str]:
        """Names of the arms."""
        return [arm.name for arm in self.config.arms]

    @property
    def headlines(self) -> dict[str, str]:
        """The main metrics of an arm, with their titles."""
        support = self.config.evaluate.support[0]
        return {
            "auc": "AUC",
            "balanced_accuracy": "balanced accuracy",
            share_column(support, "S", "joint"): f"joint S ({support})",
            share_column(support, "F", "joint"): f"joint F ({support})",
        }

    def part_of(self, key: Key) -> PartMetrics | None:
        """The metrics of a trial on the reported part; None if it failed."""
        metrics = self.metrics[key]
        return None if metrics is None else metrics.parts[self.part]

    @property
    def runs(self) -> dict[str, PartMetrics]:
        """The metrics of each arm on the reported part, for a comparison on a single split."""
        parts = ((arm, self.part_of((split, arm))) for split, arm in self.metrics)
        return {arm: part for arm, part in parts if part is not None}

    def part_patients(self, arm: str) -> list[pd.DataFrame]:
        """The patients of the reported part, one table per trial of an arm."""
        tables = (table for (_, name), table in self.patients.items() if name == arm)
        return [table[table["split"] == self.part] for table in tables]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """See `protocol.trial_table`."""
        return trial_table(self.metrics, self.part)

    @cached_property
    def protocol(self) -> pd.DataFrame:
        """See `protocol.protocol_table`; empty for a single split without a sweep or laws."""
        if not self.config.has_tables:
            return pd.DataFrame()
        return protocol_table(self.trials, confidence=self.config.evaluate.confidence)

    @cached_property
    def trade_off(self) -> pd.DataFrame | None:
        """See `trade_off.trade_off_table`, on the validation part; None without a sweep, or if external."""
        if self.config.sweep is None or self.part != "test":
            return None
        return trade_off_table(self.config, trial_table(self.metrics, "validation"))

    @cached_property
    def chosen(self) -> dict[str, str | None]:
        """For a sweep, the arm chosen for each kind of reward, see `trade_off.largest_weights`."""
        if self.trade_off is None or self.config.sweep is None:
            return {}
        return largest_weights(self.trade_off, self.config.sweep.tolerance)

    @property
    def ablated(self) -> str:
        """The arm that features are left out of."""
        return ablated_arm(self.config.arms, self.features).name

    @cached_property
    def ablation(self) -> pd.DataFrame | None:
        """See `ablation.ablation_table`; None without an ablation."""
        if not self.config.protocol.ablation:
            return None
        arm = ablated_arm(self.config.arms, self.features)
        return ablation_table(
            self.trials,
            self.part_patients(arm.name),
            arm=arm.name,
            features=arm.reward.features or self.features,
            supports=self.config.evaluate.support,
            confidence=self.config.evaluate.confidence,
        )

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        """See `truth.truth_table`; None without known laws."""
        if self.config.truth is None:
            return None
        return truth_table(self.config, self.metrics, self._test_patients, self.oracle, self.behaviour)

    @cached_property
    def recovery(self) -> pd.DataFrame:
        """See `truth.recovery_table`."""
        return recovery_table(self.truth)

    @cached_property
    def rates(self) -> pd.DataFrame:
        """See `truth.rate_table`."""
        return rate_table(self.truth, self._test_patients, self.config)

    @property
    def _test_patients(self) -> dict[Key, pd.DataFrame]:
        return {key: table[table["split"] == "test"] for key, table in self.patients.items()}

    @cached_property
    def findings(self) -> list[dict[str, Any]] | None:
        """See `findings.comparison_findings`; None for phantoms under known laws."""
        if self.config.truth is not None:
            return None
        return comparison_findings(self.config, self._trial_results)

    @property
    def arm_results(self) -> list[ArmResult]:
        """The arms with the results of their trials."""
        return arm_results(self.config, self._trial_results)

    @property
    def _trial_results(self) -> dict[Key, TrialResult | None]:
        trials: dict[Key, TrialResult | None] = {}
        for key, metrics in self.metrics.items():
            behaviour = self.behaviour.get(key)
            trials[key] = None
            if metrics is not None:
                trials[key] = TrialResult.of(metrics, self.patients[key], behaviour, self.part)
        return trials
