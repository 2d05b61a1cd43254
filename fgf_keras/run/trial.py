"""One trial of a comparison: the training of one arm on one split, its folder and its configuration."""

from collections.abc import Iterable
from dataclasses import dataclass

from fgf_keras.config import Config
from fgf_keras.config.protocol import ComparedArm, ProtocolConfig
from fgf_keras.run.folder import RunFolder
from fgf_keras.seeds import derived_seed


@dataclass(frozen=True)
class Trial:
    """One arm on one split.

    Attributes:
        number: of the split, counted from 0.
        split: name of the split, empty if there is only one.
        arm: the arm.
    """

    number: int
    split: str
    arm: ComparedArm

    @property
    def name(self) -> str:
        """Path of its folder, relative to that of the comparison."""
        return f"{self.split}/{self.arm.name}" if self.split else self.arm.name

    def folder(self, parent: RunFolder) -> RunFolder:
        """Its run folder."""
        return RunFolder(parent.path / self.name)

    def config(self, config: Config) -> Config:
        """The configuration of a run that consists of this trial only; on a split, all arms share a seed.

        A run under known laws has a different phantom in every repeat; all others have one cohort.
        """
        seed = config.phantom_seed
        if config.truth is not None and self.split:
            seed = derived_seed(seed, self.number)
        phantom = config.data.phantom.model_copy(update={"seed": seed, **self.arm.phantom})
        changes = {
            "data": config.data.model_copy(update={"phantom": phantom}),
            "seed": derived_seed(config.seed, self.number) if self.split else config.seed,
            "reward": self.arm.reward,
            "protocol": ProtocolConfig(),
            "sweep": None,
            "truth": None,
        }
        return config.model_copy(update=changes)


def needed_trials(trial: Trial, trials: Iterable[Trial]) -> list[Trial]:
    """The trials of the same split that one begins with, or is compared with during training."""
    names = set(trial.arm.reward.runs.values())
    return [other for other in trials if other.split == trial.split and other.arm.name in names]


def trials_of(config: Config) -> list[Trial]:
    """All trials of a comparison, ordered by split, then by arm."""
    names = config.protocol.split_names
    return [Trial(number, split, arm) for number, split in enumerate(names) for arm in config.arms]
