"""One training of a comparison: its place among the others, and its settings."""

from dataclasses import dataclass

from fgf_keras.config import Config
from fgf_keras.config.protocol import ArmConfig, ProtocolConfig
from fgf_keras.run.folder import RunFolder
from fgf_keras.seeds import derived_seed


@dataclass(frozen=True)
class Trial:
    """An arm on a split.

    Attributes:
        number: of the split.
        split: its name, empty where there is a single one.
        arm: the arm.
    """

    number: int
    split: str
    arm: ArmConfig

    @property
    def name(self) -> str:
        """Its folder below that of the comparison."""
        return f"{self.split}/{self.arm.name}" if self.split else self.arm.name

    def folder(self, parent: RunFolder) -> RunFolder:
        """Its run folder."""
        return RunFolder(parent.path / self.name)

    def config(self, config: Config) -> Config:
        """The configuration of a run that is this trial alone; every arm has the same seed on a split.

        Ground truth has another phantom in every repeat; all else has one cohort.
        """
        seed = config.phantom_seed
        if config.truth is not None and self.split:
            seed = derived_seed(seed, self.number)
        phantom = config.data.phantom.model_copy(update={"seed": seed, **self.arm.phantom})
        changed = {
            "data": config.data.model_copy(update={"phantom": phantom}),
            "seed": derived_seed(config.seed, self.number) if self.split else config.seed,
            "reward": self.arm.reward,
            "protocol": ProtocolConfig(),
            "sweep": None,
            "truth": None,
        }
        return config.model_copy(update=changed)


def trials_of(config: Config) -> list[Trial]:
    """All trials of a comparison, the arms of a split one after the other."""
    names = config.protocol.split_names
    return [Trial(number, split, arm) for number, split in enumerate(names) for arm in config.arms]
