"""The whole configuration: its groups, and the checks that concern several of them.

A YAML file contains only the keys that differ from the defaults here; `key.sub=value` overrides are applied
last. Unknown keys and values of the wrong type or range are errors that name the path of the key.
"""

from pathlib import Path
from typing import Annotated, Self

import pydantic
from pydantic import BeforeValidator, Field

from fgf_keras.config.base import Group, Name, check_draws, no_duplicates
from fgf_keras.config.clinical import check_columns
from fgf_keras.config.data import DataConfig
from fgf_keras.config.evaluate import EvaluateConfig
from fgf_keras.config.faults import choices
from fgf_keras.config.model import FeatureConfig, ModelConfig, _feature
from fgf_keras.config.protocol import ComparedArm, ProtocolConfig, SweepConfig, resolved_arms
from fgf_keras.config.reward import RewardConfig
from fgf_keras.config.train import ComputeConfig, TrainConfig
from fgf_keras.config.truth import LawArm, TruthConfig


class OutputConfig(Group):
    """Where run folders are created: in `dir`, or in `runs/<name>` if `dir` is not given."""

    name: Name = "run"
    dir: str | None = None


class Config(Group):
    """All settings of `train.py` and `evaluate.py`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    features: Annotated[
        list[Annotated[FeatureConfig, BeforeValidator(_feature)]], Field(min_length=1, validate_default=True)
    ] = [FeatureConfig(name=name) for name in ("brightness", "extent", "log_aspect_ratio")]
    reward: RewardConfig = RewardConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    sweep: SweepConfig | None = None
    truth: TruthConfig | None = None
    compute: ComputeConfig = ComputeConfig()
    run: OutputConfig = OutputConfig()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.truth is not None:
            self._check_truth()
        self._check_data()
        names = [feature.name for feature in self.features]
        if self.evaluate.nulls:
            try:
                check_draws(self.evaluate.null_draws, self.evaluate.alpha, len(names))
            except ValueError as error:
                raise ValueError(f"evaluate.null_draws: {error}") from None
        no_duplicates("features", names)
        check_columns(self.data.clinical, names)
        if "noise" in names and self.evaluate.noise_draws:
            raise ValueError(
                "evaluate.noise_draws: must be 0 when 'noise' is one of the features, because both report "
                f"under the name 'noise'; got {self.evaluate.noise_draws}"
            )
        measured = [f"val_{kind}_{name}" for kind in "SF" for name in [*names, "joint"]]
        monitors = ["val_loss", "val_task_loss", "val_auc", "val_accuracy", *measured]
        if self.train.monitor not in monitors:
            raise ValueError(f"train.monitor: {choices(self.train.monitor, monitors)}")
        if self.train.monitor in measured and not self.train.measure:
            raise ValueError(f"train.measure: {self.train.monitor} is watched, so it must be measured")
        rewards = [("reward", self.reward)] + [(f"arm {arm.name}", arm.reward) for arm in self.arms]
        arms = {arm.name: arm.reward for arm in self.arms}
        for where, reward in rewards:
            if reward.start_epoch >= self.train.epochs and reward.kind != "none":
                raise ValueError(
                    f"{where}: start_epoch: the reward must begin before the last of {self.train.epochs} "
                    f"epochs, got {reward.start_epoch}"
                )
            for key, name in reward.runs.items() if where != "reward" else ():
                if name in arms and arms[name].runs:
                    raise ValueError(
                        f"{where}: {key}: must be an arm that needs no other one, such as baseline, got "
                        f"{name!r}"
                    )
            if self.model.evaluate == "roi" and reward.support == "image":
                raise ValueError(
                    f"{where}: support 'image' takes gradients outside of the tumour, which model.evaluate "
                    "'roi' does not compute; set model.evaluate to auto or dense"
                )
            try:
                reward.check_features(names)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
        return self

    def _check_data(self) -> None:
        if self.data.dimension == 3 and self.model.evaluate == "roi":
            raise ValueError("model.evaluate: roi is for slices; volumes are boxes around the tumour already")
        if self.data.dimension == 3 and self.data.augment.rot90:
            raise ValueError("data.augment.rot90: is for slices; use data.augment.rotation_degrees")
        if self.data.dimension == 3 and self.model.strides:
            raise ValueError("model.strides: is for slices; volume_cnn pools")
        expected = {2: "paper_cnn", 3: "volume_cnn"}[self.data.dimension]
        if self.model.network not in ("auto", expected):
            raise ValueError(
                f"model.network: the network for data.dimension {self.data.dimension} is {expected}, got "
                f"{self.model.network!r}"
            )
        if self.data.splits.group is not None and self.protocol.folds is not None:
            raise ValueError(
                "protocol.folds: data.splits.test names the groups to test, so there are no folds"
            )
        if self.data.phantom.decoy.hu and (self.truth is not None or self.data.dimension == 3):
            raise ValueError("data.phantom.decoy: only slices have one, and not under known laws")

    def _check_truth(self) -> None:
        protocol = self.protocol
        if self.data.source != "phantom":
            raise ValueError(
                f"truth: only phantoms have known laws; set data.source to phantom, got {self.data.source!r}"
            )
        if self.data.clinical:
            raise ValueError("truth: the law of the label is that of the image; leave out data.clinical")
        if self.sweep is not None or protocol.arms or protocol.ablation or protocol.folds is not None:
            raise ValueError(
                "truth: makes its own arms and cohorts; leave out sweep, protocol.arms, protocol.ablation "
                "and protocol.folds (protocol.repeats is how many phantoms each law is drawn on)"
            )

    @property
    def laws(self) -> list[LawArm]:
        """The arms of a run under known laws; empty otherwise."""
        return [] if self.truth is None else self.truth.arms(self.reward)

    @property
    def arms(self) -> list[ComparedArm]:
        """The arms to train and compare, each with its reward; empty for a single run."""
        if self.truth is not None:
            return [*self.laws]
        names = [feature.name for feature in self.features]
        return resolved_arms(self.protocol, self.sweep, self.reward, names, self.run.name)

    @property
    def has_tables(self) -> bool:
        """Whether arms are compared over splits, weights or laws rather than side by side on one split."""
        grid = self.sweep is not None or self.truth is not None
        return grid or self.protocol.split_names != [""]

    @property
    def phantom_seed(self) -> int:
        """The seed that the synthetic cohort is drawn from."""
        return self.seed if self.data.phantom.seed is None else self.data.phantom.seed

    @property
    def run_dir(self) -> Path:
        """The folder in which run folders are created."""
        return Path(self.run.dir) if self.run.dir else Path("runs") / self.run.name
