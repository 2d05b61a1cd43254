"""The description of a served model, in `assets.extra/fgf_keras.json` beside its graph."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pydantic

from fgf_keras._version import __version__
from fgf_keras.errors import ModelError

# Version of the file, and of the names and meanings of inputs and outputs.
FORMAT = 1
# The folder that TensorFlow Serving reserves for files that the graph does not need.
EXTRA = "assets.extra"
FILE = Path(EXTRA) / "fgf_keras.json"
_PACKAGES = ("tensorflow", "keras")


@dataclass(frozen=True)
class Description:
    """What users of a served model need to know.

    Attributes:
        format: of this description, see `FORMAT`.
        versions: of fgf_keras and of the packages that wrote it.
        image_shape: of one sample, e.g. (H, W, C).
        classes: number of classes.
        features: names and units, in the order of the features.
        threshold: {"logit", "probability"} above which a sample is of class 1; None for three classes or
            more.
        window_hu: the HU range that inputs must be mapped from, linearly to [0, 1] and clipped; None if it is
            unknown, because the model was trained on images that had already been mapped.
        spacing_mm: (row, column) or (slice, row, column) distance of pixels in training; None if patients
            keep their own.
        support, weight, steps, max_steps, tolerance, range: of alignment and flow, as for `explain`.
        jit_compile: whether XLA compiles it.
        reference_sd: standard deviations of the features over the training patients, in these units, which
            give effects their size; None for a feature that does not vary, or without effects.
        config: the resolved configuration of its run, without paths and keys; None if there is none.
        clinical: {"names": of the k columns of the input "clinical" (B, k), "columns", "sd": how they are
            encoded, see `ClinicalEncoding.to_json`}; None if the model takes none, or they are not known.
    """

    format: int
    versions: dict[str, str]
    image_shape: tuple[int, ...]
    classes: int
    features: dict[str, str]
    threshold: dict[str, float] | None
    window_hu: tuple[float, float] | None
    spacing_mm: tuple[float, ...] | None
    support: str
    weight: str
    steps: int
    max_steps: int
    tolerance: float
    jit_compile: bool
    config: dict[str, Any] | None
    # Not in exports of earlier versions.
    reference_sd: dict[str, float | None] | None = None
    range: str = "free"
    clinical: dict[str, Any] | None = None

    @classmethod
    def of(cls, **attributes: Any) -> "Description":
        """The description of a model exported now: all attributes except format and versions."""
        versions = {"fgf_keras": __version__} | {name: version(name) for name in _PACKAGES}
        return cls(format=FORMAT, versions=versions, **attributes)

    def write(self, folder: str | Path) -> None:
        """Write the description into the folder of an export."""
        path = Path(folder) / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> "Description":
        """The description of an export.

        Raises:
            ModelError: it is missing or damaged, or its format is newer than this version supports.
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
