"""What a served model tells about itself, in `assets.extra/fgf_keras.json` beside its graph."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pydantic

from fgf_keras._version import __version__
from fgf_keras.errors import ModelError

# Of the file and of the names and meaning of inputs and outputs.
FORMAT = 1
# Where TensorFlow Serving lets others put files that the graph does not need.
EXTRA = "assets.extra"
FILE = Path(EXTRA) / "fgf_keras.json"
_PACKAGES = ("tensorflow", "keras")


@dataclass(frozen=True)
class Description:
    """What one has to know to use a served model.

    Attributes:
        format: of this description.
        versions: of fgf_keras and the packages that wrote it.
        image_shape: (H, W, C).
        classes: number of classes.
        features: names and units, in the order of the features.
        threshold: {"logit", "probability"} above which a sample is of class 1; None for three classes and
            more.
        window_hu: the HU that inputs must have been mapped from, linearly to [0, 1] and clipped; None where
            it is not known, because the model was trained on images that had been mapped before.
        spacing_mm: (row, column) distance of pixels it was trained on; None where patients keep their own.
        support, weight, steps, max_steps, tolerance: of alignment and flow, as for `explain`.
        jit_compile: whether XLA compiles it.
        config: the resolved configuration of its run, without places and keys; None where there is none.
    """

    format: int
    versions: dict[str, str]
    image_shape: tuple[int, int, int]
    classes: int
    features: dict[str, str]
    threshold: dict[str, float] | None
    window_hu: tuple[float, float] | None
    spacing_mm: tuple[float, float] | None
    support: str
    weight: str
    steps: int
    max_steps: int
    tolerance: float
    jit_compile: bool
    config: dict | None

    @classmethod
    def of(cls, **known: Any) -> "Description":
        """The description of a model exported now."""
        versions = {"fgf_keras": __version__} | {name: version(name) for name in _PACKAGES}
        return cls(format=FORMAT, versions=versions, **known)

    def write(self, folder: str | Path) -> None:
        """Write it into the folder of an export."""
        path = Path(folder) / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> "Description":
        """The description of an export.

        Raises:
            ModelError: it is missing or broken, or of a later format than this version knows.
        """
        path = Path(folder) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            file_format = content["format"]
            if isinstance(file_format, int) and file_format > FORMAT:
                raise ModelError(
                    f"{path} has format {file_format}, and this version of fgf_keras knows formats up to "
                    f"{FORMAT}. Update fgf_keras, or export the model again."
                )
            return pydantic.TypeAdapter(cls).validate_python(content)
        except FileNotFoundError:
            raise ModelError(
                f"{folder} has no {FILE}: it was not exported by fgf_keras, or by a version before there was "
                "one. Export the run again: fgf export --run DIR."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is damaged: {error}. Export the model again.") from None
