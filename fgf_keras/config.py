"""The configuration: what every key means, its type, its range and its default.

A YAML file names only what differs from the defaults here; `key.sub=value` overrides come last. Anything that
is not a known key of the right type and range stops at once with the key's path.
"""

import json
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import omegaconf
import pydantic
import yaml
from omegaconf import OmegaConf
from pydantic import BeforeValidator, Field

from fgf_keras.config_base import Fraction, Name, Positive, Section, check_draws, no_duplicates
from fgf_keras.config_data import DataConfig
from fgf_keras.config_faults import choices, describe_fault
from fgf_keras.config_protocol import (
    ArmConfig,
    ProtocolConfig,
    RewardConfig,
    Support,
    SweepConfig,
    resolved_arms,
)
from fgf_keras.config_truth import TruthConfig
from fgf_keras.errors import ConfigError

# Around the configuration of a run.
_WHOLE_BEGIN = "# What this run was trained with; the last line says that all of it is here.\n"
_WHOLE_END = "# The end: without this line the file was cut.\n"
# Of nulls beside a training: fewer have no quantile of 5 %.
LEAST_DRAWS = 20
BUILT_IN_FEATURES = ("brightness", "extent", "log_aspect_ratio", "noise")


class ModelConfig(Section):
    """The paper's network and the choices in it."""

    filters: Annotated[list[Positive], Field(min_length=1)] = [32, 64, 128]
    kernel_sizes: Annotated[list[Positive], Field(min_length=1)] = [5, 3, 3]
    activation: Literal["elu", "relu", "gelu", "silu", "softplus", "tanh"] = "elu"
    pooling: Literal["average", "max"] = "average"
    pool_size: Positive = 4
    dense: list[Positive] = [256, 128]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    evaluate: Literal["auto", "dense", "roi"] = "auto"

    @pydantic.model_validator(mode="after")
    def _check(self):
        if len(self.filters) != len(self.kernel_sizes):
            raise ValueError(
                f"kernel_sizes: one size for each of the {len(self.filters)} convolutions in filters, "
                f"got {len(self.kernel_sizes)}"
            )
        return self


class FeatureConfig(Section):
    """A feature by its name; `function: module:name` makes one of a TensorFlow function of (image, mask)."""

    name: Name
    function: str | None = None
    seed: int | None = None

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.function is None and self.name not in BUILT_IN_FEATURES:
            raise ValueError(choices(self.name, BUILT_IN_FEATURES) + ", or give function: 'module:name'")
        if self.function is not None and ":" not in self.function:
            raise ValueError(f"function: must be 'module:name', got {self.function!r}")
        if self.seed is not None and self.name != "noise":
            raise ValueError("seed: only the feature 'noise' takes one")
        return self


def _feature(value):
    return {"name": value} if isinstance(value, str) else value


class TrainConfig(Section):
    """Optimisation."""

    epochs: Positive = 60
    batch_size: Positive = 16
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    imbalance: Literal["class_weights", "balanced_batches", "none"] = "class_weights"
    monitor: str = "val_auc"
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    measure: bool = True
    flow_every: Positive = 15
    flow_patients: Positive = 8
    null_draws: Annotated[int, Field(ge=0)] = 50
    pictures_every: Annotated[int, Field(ge=0)] = 30
    pictures_patients: Positive = 4

    @pydantic.model_validator(mode="after")
    def _check(self):
        if 0 < self.null_draws < LEAST_DRAWS:
            raise ValueError(
                f"null_draws: must be 0, or at least {LEAST_DRAWS} to have 5 and 95 %, got {self.null_draws}"
            )
        if self.monitor.startswith("val_F_") and 0 < self.early_stopping_patience < self.flow_every:
            raise ValueError(
                f"early_stopping_patience: must be at least flow_every ({self.flow_every}) for "
                f"{self.monitor}, which does not change in between; got {self.early_stopping_patience}"
            )
        return self


class FlowConfig(Section):
    """The path to the decision boundary."""

    steps: Positive = 4
    max_steps: Positive = 128
    tolerance: Annotated[float, Field(gt=0)] = 5e-3
    weight: Literal["arc", "score"] = "arc"

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.max_steps < 2 * self.steps:
            raise ValueError(
                f"max_steps: must be at least twice steps ({self.steps}), because the error of F is the "
                f"difference of two passages; got {self.max_steps}"
            )
        return self


class EvaluateConfig(Section):
    """What is measured on the finished model."""

    support: Annotated[list[Support], Field(min_length=1)] = ["mask", "image"]
    training_patients: bool = True
    nulls: list[Literal["white", "smooth", "matched", "permutation"]] = ["white", "smooth"]
    null_draws: Positive = 100
    correlation_lengths: Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)
    ] = [3.0]
    alpha: Fraction = 0.05
    noise_draws: Annotated[int, Field(ge=0)] = 4
    flow: FlowConfig = FlowConfig()
    behaviour: bool = True
    permutations: Positive = 1
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    confidence: Fraction = 0.95
    batch_size: Positive = 16
    pictures: Annotated[int, Field(ge=0)] = 8

    @pydantic.model_validator(mode="after")
    def _check(self):
        no_duplicates("nulls", self.nulls)
        no_duplicates("correlation_lengths", [f"{length:g}" for length in self.correlation_lengths])
        return self


class ComputeConfig(Section):
    """Precision, compilation, threads, processes."""

    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    threads: Positive | None = None
    jobs: Positive = 1
    deterministic: bool = True


class OutputConfig(Section):
    """Where the run folder goes: `dir`, or `runs/<name>` where `dir` is not given."""

    name: Name = "run"
    dir: str | None = None


class Config(Section):
    """Everything `train.py` and `evaluate.py` read."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    features: Annotated[
        list[Annotated[FeatureConfig, BeforeValidator(_feature)]], Field(min_length=1, validate_default=True)
    ] = ["brightness", "extent", "log_aspect_ratio"]
    reward: RewardConfig = RewardConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    protocol: ProtocolConfig = ProtocolConfig()
    sweep: SweepConfig | None = None
    truth: TruthConfig | None = None
    compute: ComputeConfig = ComputeConfig()
    run: OutputConfig = OutputConfig()

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.truth is not None:
            self._check_truth()
        names = [feature.name for feature in self.features]
        if self.evaluate.nulls:
            try:
                check_draws(self.evaluate.null_draws, self.evaluate.alpha, len(names))
            except ValueError as error:
                raise ValueError(f"evaluate.null_draws: {error}") from None
        no_duplicates("features", names)
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
        for where, reward in rewards:
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

    def _check_truth(self):
        protocol = self.protocol
        if self.data.source != "phantom":
            raise ValueError(
                f"truth: is known of phantoms alone; set data.source to phantom, got {self.data.source!r}"
            )
        if self.sweep is not None or protocol.arms or protocol.ablation or protocol.folds is not None:
            raise ValueError(
                "truth: makes its own arms and cohorts; leave out sweep, protocol.arms, protocol.ablation "
                "and protocol.folds (protocol.repeats is how many phantoms each law is drawn on)"
            )

    @property
    def arms(self) -> list[ArmConfig]:
        """What is trained and compared, each arm with its reward; none where there is a single run."""
        if self.truth is not None:
            return self.truth.arms(self.reward)
        names = [feature.name for feature in self.features]
        return resolved_arms(self.protocol, self.sweep, self.reward, names, self.run.name)

    @property
    def has_tables(self) -> bool:
        """Whether arms are compared over splits, weights or laws, rather than side by side on one split."""
        grid = self.sweep is not None or self.truth is not None
        return grid or self.protocol.split_names != [""]

    @property
    def phantom_seed(self) -> int:
        """The seed that the synthetic cohort is drawn from."""
        return self.seed if self.data.phantom.seed is None else self.data.phantom.seed

    @property
    def run_dir(self) -> Path:
        """The folder that run folders go into."""
        return Path(self.run.dir) if self.run.dir else Path("runs") / self.run.name


def load_config(file, overrides=()) -> Config:
    """Read a YAML file, apply `key.sub=value` overrides, and check everything.

    Raises:
        ConfigError: the file is missing or not YAML, or a key is unknown, of the wrong type or out of range;
            the message lists every fault with the key's path, what was given and what is allowed.
    """
    path = Path(file)
    if not path.is_file():
        known = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = f" Found there: {', '.join(known)}." if known else ""
        raise ConfigError(f"Config file {str(file)!r} does not exist.{hint} Give --config a YAML file.")
    try:
        tree = OmegaConf.load(path)
    except Exception as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(tree, omegaconf.DictConfig):
        raise ConfigError(f"{file} must hold sections (key: value). Received: {type(tree).__name__}.")
    return parse_config(overridden(tree, overrides, source=str(file)), source=str(file))


def overridden(tree, overrides, *, source: str) -> dict:
    """A tree of sections with `key.sub=value` in it, as a plain dictionary.

    Raises:
        ConfigError: an override that is none.
    """
    try:
        tree = OmegaConf.create(tree)
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals or not key:
                raise ConfigError(f"Override {override!r} must read key.sub=value, e.g. train.epochs=3.")
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            if _is_text(key) and not quoted and value not in ("", "null"):
                # As it stands: YAML would cut a path at " #" and take 2024 for a number.
                OmegaConf.update(tree, key, value)
            else:
                tree = OmegaConf.merge(tree, _parsed_override(override))
        return OmegaConf.to_container(tree, resolve=True)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{source} with overrides {list(overrides)} cannot be read: {error}") from error


def _is_text(key):
    """Whether the value of a key is text and nothing else."""
    section = Config
    for part in key.split("."):
        if not (isinstance(section, type) and issubclass(section, pydantic.BaseModel)):
            return False
        field = section.model_fields.get(part)
        if field is None:
            return False
        union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
        kinds = {*typing.get_args(field.annotation)} - {type(None)} if union else {field.annotation}
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, pydantic.BaseModel)), None)
    return kinds == {str}


def _parsed_override(override):
    try:
        return OmegaConf.from_dotlist([override])
    except yaml.YAMLError:
        # Text that YAML would want quoted, like the separator in data.separator=,
        key, _, value = override.partition("=")
        return OmegaConf.from_dotlist([f"{key}={json.dumps(value)}"])


def parse_config(tree: dict[str, Any], *, source: str = "config") -> Config:
    """Check a plain dictionary. Raises `ConfigError` as `load_config` does."""
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        faults = [describe_fault(e, Config) for e in error.errors()]
        raise ConfigError(
            f"{source}: {len(faults)} fault(s)\n" + "\n".join(f"  {f}" for f in faults)
        ) from None


def load_whole_config(file) -> Config:
    """A file that `dump_whole_yaml` wrote.

    Raises:
        ConfigError: as `load_config`, or a part of the file is missing.
    """
    try:
        content = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    # Those of earlier versions have no mark. The file may have been edited, but not cut.
    marked = content.startswith(_WHOLE_BEGIN) or _WHOLE_BEGIN.startswith(content)
    if marked and not content.endswith(_WHOLE_END):
        raise ConfigError(
            f"{file} was cut: its last line is missing, and the run may have been trained with other "
            "settings than those that are left. Restore the file, or train again."
        )
    return load_config(file)


def dump_whole_yaml(config: Config) -> str:
    """As `dump_yaml`, with a first and a last line that tell whether all of it is there."""
    return f"{_WHOLE_BEGIN}{dump_yaml(config)}{_WHOLE_END}"


def dump_yaml(config: Config) -> str:
    """The resolved configuration as YAML; `load_config` reads it back to an equal one."""
    return OmegaConf.to_yaml(OmegaConf.create(config.model_dump(mode="json")))
