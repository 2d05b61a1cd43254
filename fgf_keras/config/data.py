"""The group `data`: the source of the slices, and how they are selected and placed."""

import re
from functools import partial
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from fgf_keras.config.base import Fraction, Group, no_duplicates
from fgf_keras.config.clinical import ClinicalColumn, as_column
from fgf_keras.config.named import SOURCES, check_name
from fgf_keras.errors import ConfigError

# Sources whose slices are prepared once and stored.
PREPARED_FROM = ("dicom", "volumes")
# NIfTI and NRRD volumes, each in one file.
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd")

# Fewest rows and columns, and fewest slices, of an image.
FEWEST_PIXELS, FEWEST_SLICES = 16, 4
# The axes of samples, by their number.
_AXES = {2: "(row, column)", 3: "(slice, row, column)"}

# The values of images: the HU window is mapped to this range.
IMAGE_RANGE = (0.0, 1.0)
# How far outside a value may be and still count as inside.
ROUNDING = 1e-6


Edge = Annotated[int, Field(ge=FEWEST_PIXELS, le=4096)]
Edges = Annotated[list[Annotated[int, Field(ge=FEWEST_SLICES, le=4096)]], Field(min_length=3, max_length=3)]
# With a discriminator, only the errors of the form that was meant are reported.
Size = Annotated[
    Annotated[Edge, Tag("int")] | Annotated[Edges, Tag("list[int]")],
    Discriminator(lambda value: "list[int]" if isinstance(value, list) else "int"),
]


class DecoyConfig(Group):
    """A marker in the core of some tumours that goes with the label in one hospital only; none if hu is 0."""

    hu: float = 0.0
    agreement: Fraction = 0.95
    elsewhere: Fraction = 0.3


class PhantomConfig(Group):
    """The synthetic cohort, and the law of its labels."""

    patients: Annotated[int, Field(ge=8)] = 400
    prevalence: Fraction = 0.13
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    brightness: float = 1.5
    extent: float = 1.5
    log_aspect_ratio: float = 0.0
    texture: float = 0.0
    decoy: DecoyConfig = DecoyConfig()


Groups = Annotated[list[str], Field(min_length=1)]
# Numbers are fractions of the cohort below 1, else numbers of patients; names are groups of patients.
Part = Annotated[
    Annotated[Annotated[float, Field(gt=0)], Tag("float")] | Annotated[Groups, Tag("list[str]")],
    Discriminator(lambda value: "list[str]" if isinstance(value, list) else "float"),
]


class SplitConfig(Group):
    """The parts of stratified splits by size, or by groups of patients such as hospitals."""

    test: Part = 0.3
    validation: Part = 0.15
    group: str | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        named = [key for key in ("test", "validation") if isinstance(getattr(self, key), list)]
        if self.group is None:
            if named:
                raise ValueError(
                    f"{named[0]}: names groups of patients, so group must be a pattern that finds the group "
                    "in a patient's id, e.g. 'HN-([A-Z]+)-'"
                )
            return self
        try:
            count = re.compile(self.group).groups
        except re.error as error:
            raise ValueError(f"group: {self.group!r} is not a regular expression: {error}") from None
        if count != 1:
            raise ValueError(
                "group: must have one pair of parentheses around the group's name, e.g. 'HN-([A-Z]+)-', got "
                f"{self.group!r}"
            )
        if not isinstance(self.test, list):
            raise ValueError(f"test: with group, the groups to test, e.g. [CHUM], got {self.test:g}")
        validation = self.validation if isinstance(self.validation, list) else []
        no_duplicates("test, validation", [*self.test, *validation])
        return self


class AugmentConfig(Group):
    """Random transformations of training slices, the same for image and mask."""

    flips: bool = True
    rot90: Annotated[float, Field(ge=0, le=1)] = 0.0
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 10.0


class RegionTableConfig(Group):
    """A table with the names of the regions of each patient (CSV or XLSX, relative to data.root)."""

    file: str
    sheets: list[str] = []
    id_column: str = "Patient"
    name_columns: Annotated[list[str], Field(min_length=1)] = ["Name GTV Primary"]


class RoiConfig(Group):
    """Which region is the tumour."""

    names: list[str] = []
    pattern: str | None = None
    table: RegionTableConfig | None = None
    strategy: Literal["error", "union", "first", "largest"] = "error"
    objects: Annotated[list[Literal["rtstruct", "seg"]], Field(min_length=1)] = ["rtstruct", "seg"]
    series_description: list[str] = []
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    ignore_frame_of_reference: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        no_duplicates("objects", self.objects)
        if sum([bool(self.names), self.pattern is not None, self.table is not None]) > 1:
            raise ValueError("names, pattern, table: give one of the three")
        for key, pattern in [
            ("pattern", self.pattern),
            *[("series_description", p) for p in self.series_description],
        ]:
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise ValueError(f"{key}: {pattern!r} is not a regular expression: {error}") from None
        return self


class EndpointConfig(Group):
    """Labels within a time after diagnosis; by default those of the table, whenever the event happened."""

    days: Annotated[int, Field(ge=1)] | None = None
    event_days: str = ""
    follow_up_days: str = ""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.days is not None and not (self.event_days and self.follow_up_days):
            raise ValueError("days: needs the columns event_days and follow_up_days of the table of labels")
        return self


class VolumeConfig(Group):
    """The files of a patient for source `volumes`, relative to data.root; {id} stands for the patient id."""

    image: str = "{id}/image.nii.gz"
    mask: str = "{id}/mask.nii.gz"
    mask_value: Annotated[int, Field(ge=1)] | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("image", "mask"):
            if "{id}" not in getattr(self, key):
                raise ValueError(
                    f"{key}: must hold {{id}}, e.g. '{{id}}/{key}.nii.gz', got {getattr(self, key)!r}"
                )
            if PurePath(getattr(self, key)).is_absolute():
                raise ValueError(f"{key}: must be relative to data.root, got {getattr(self, key)!r}")
            if not getattr(self, key).endswith(VOLUME_SUFFIXES):
                raise ValueError(
                    f"{key}: must end in {', '.join(VOLUME_SUFFIXES)}, got {getattr(self, key)!r}"
                )
        return self


class DataConfig(Group):
    """The source of the slices or volumes, and how they are selected and placed."""

    source: Annotated[str, AfterValidator(partial(check_name, SOURCES))] = "phantom"
    root: str | None = None
    out: str | None = None
    labels_file: str = "canada.csv"
    sheets: list[str] = []
    image_folder: str = "pre-processed/canada_c"
    separator: str = ";"
    id_column: str = "id"
    label_column: str = "Distant"
    endpoint: EndpointConfig = EndpointConfig()
    clinical: list[Annotated[ClinicalColumn, BeforeValidator(as_column)]] = []
    clinical_file: str | None = None
    dimension: Literal[2, 3] = 2
    size: Size = 192
    window: Annotated[list[float], Field(min_length=2, max_length=2)] = [-50.0, 300.0]
    spacing: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=3)] = [1.0, 1.0]
    spacing_mm: Annotated[float, Field(gt=0)] | None = None
    slice: Literal["largest_area", "middle", "centroid"] = "largest_area"
    centre: Literal["tumour", "image"] = "tumour"
    roi: RoiConfig = RoiConfig()
    volumes: VolumeConfig = VolumeConfig()
    accept: list[Literal["gaps", "tilt", "rescale_type"]] = []
    pseudonymise: str | None = None
    allow_missing: bool = False
    splits: SplitConfig = SplitConfig()
    augment: AugmentConfig = AugmentConfig()
    phantom: PhantomConfig = PhantomConfig()

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) of slices, (slices, rows, columns) of volumes."""
        return tuple(self.size) if isinstance(self.size, list) else (self.size,) * self.dimension

    @property
    def edge(self) -> int:
        """Rows and columns of the canvas of slices; the largest edge of the box of volumes."""
        return max(self.shape)

    @property
    def root_folder(self) -> Path:
        """`root` as a path; raises `ConfigError` if it is not set."""
        return _folder("root", self.root)

    @property
    def out_folder(self) -> Path:
        """`out` as a path; raises `ConfigError` if it is not set."""
        return _folder("out", self.out)

    @property
    def tables(self) -> list[str]:
        """The table files, relative to the root."""
        return [self.labels_file, *([self.roi.table.file] if self.roi.table else [])]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _spacing_of_volumes(cls, values: Any) -> Any:
        """1 mm is the default along every axis."""
        if isinstance(values, dict) and values.get("dimension") == 3:
            return {"spacing": [1.0, 1.0, 1.0]} | values
        return values

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        self._check_dimension()
        if self.window[0] >= self.window[1]:
            raise ValueError(f"window: the lower end must be below the upper end, got {self.window}")
        if self.source in SOURCES and self.source != "phantom" and not self.root:
            raise ValueError(f"root: source {self.source!r} reads a folder, so data.root must name it")
        if self.source in PREPARED_FROM and not self.out:
            raise ValueError(
                f"out: source {self.source!r} is prepared into a folder of its own, so data.out must name it"
            )
        if self.endpoint.days is not None and self.source in ("phantom", "prepared"):
            raise ValueError(f"endpoint: source {self.source!r} reads no table of labels of its own")
        no_duplicates("accept", self.accept)
        rule = self.roi.names or self.roi.pattern is not None or self.roi.table
        if self.source == "dicom" and not rule:
            raise ValueError(
                "roi: source 'dicom' needs roi.names, roi.pattern or roi.table to identify the tumour"
            )
        return self

    def _check_dimension(self) -> None:
        """Refuse keys that do not fit the number of axes."""
        if self.dimension == 2 and isinstance(self.size, list):
            raise ValueError(
                f"size: one number, the edge of the canvas, unless dimension is 3; got {self.size}"
            )
        if min(self.shape[-2:]) < FEWEST_PIXELS:
            raise ValueError(f"size: at least {FEWEST_PIXELS} rows and columns, got {self.size}")
        if len(self.spacing) != self.dimension:
            raise ValueError(
                f"spacing: {self.dimension} numbers {_AXES[self.dimension]} for dimension "
                f"{self.dimension}, got {self.spacing}"
            )
        if self.dimension == 2:
            return
        if self.source == "png":
            raise ValueError("dimension: PNG files are slices; volumes come from phantom, dicom or volumes")
        if self.spacing_mm is not None:
            raise ValueError(
                "spacing_mm: volumes are resampled to spacing (slice, row, column); leave this out"
            )
        if self.centre != "tumour":
            raise ValueError(f"centre: volumes are cropped around the tumour, got {self.centre!r}")


def _folder(key: str, value: str | None) -> Path:
    if not value:
        raise ConfigError(f"data.{key} must name a folder. Received: {value!r}.")
    return Path(value)
