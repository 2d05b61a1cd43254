"""The group `truth`: phantoms whose labels follow known laws, at several prevalences."""

from typing import Annotated, Self

import pydantic
from pydantic import Field

from fgf_keras.config.base import Fraction, Group, Name, no_duplicates
from fgf_keras.config.protocol import ComparedArm
from fgf_keras.config.reward import RewardConfig

# The law whose labels are independent of the image.
NOTHING = "nothing"


class LawConfig(Group):
    """The coefficients c_k of the law of a phantom; the label does not depend on features that are 0."""

    brightness: float = 0.0
    extent: float = 0.0
    log_aspect_ratio: float = 0.0
    texture: float = 0.0

    @property
    def used(self) -> list[str]:
        """The features that the label depends on."""
        return [name for name, coefficient in self.model_dump().items() if coefficient]


class LawArm(ComparedArm):
    """One cohort with known ground truth: a law at a prevalence, trained with the group `reward`."""

    law_name: Name
    law: LawConfig
    prevalence: Fraction

    @property
    def phantom(self) -> dict[str, float]:
        """See `ArmConfig.phantom`."""
        return {"prevalence": self.prevalence, **self.law.model_dump()}


class TruthConfig(Group):
    """The laws and prevalences to train on; every repeat of the protocol has a new phantom."""

    laws: Annotated[dict[Name, LawConfig], Field(min_length=1)] = {
        NOTHING: LawConfig(),
        "brightness_only": LawConfig(brightness=4.0),
        "extent_only": LawConfig(extent=4.0),
        "aspect_only": LawConfig(log_aspect_ratio=4.0),
        "texture_only": LawConfig(texture=4.0),
        "brightness_extent": LawConfig(brightness=3.0, extent=3.0),
        "brightness_texture": LawConfig(brightness=3.0, texture=3.0),
        "all_three": LawConfig(brightness=2.5, extent=2.5, log_aspect_ratio=2.5),
    }
    prevalences: Annotated[list[Fraction], Field(min_length=1)] = [0.5, 0.3, 0.13, 0.05]

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        no_duplicates("prevalences", [f"{prevalence:g}" for prevalence in self.prevalences])
        for name, law in self.laws.items():
            if not law.used and name != NOTHING:
                raise ValueError(
                    f"laws.{name}: all coefficients are 0, so that its labels are drawn at random; give "
                    f"one, or name the law {NOTHING!r} if this is intended"
                )
        if NOTHING in self.laws and self.laws[NOTHING].used:
            raise ValueError(
                f"laws.{NOTHING}: means random labels, so all its coefficients must be 0; give the law "
                "another name"
            )
        return self

    def arms(self, reward: RewardConfig) -> list[LawArm]:
        """One arm per law and prevalence."""
        return [
            LawArm(
                name=f"{name}_{prevalence:g}",
                reward=reward,
                law_name=name,
                law=law,
                prevalence=prevalence,
            )
            for name, law in self.laws.items()
            for prevalence in self.prevalences
        ]
