"""A cohort: one slice or volume, one tumour mask and one label per patient."""

import copy
import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.data.slices import check_slices, listing
from fgf_keras.errors import DataError


@dataclass(frozen=True, eq=False)
class Cohort:
    """Slices of N patients on one canvas, or volumes of one shape, checked at construction.

    Attributes:
        patient_id: (N,) unicode, unique.
        images: (N, H, W, 1) or (N, D, H, W, 1) float32, the intensity window mapped to [0, 1].
        masks: (N, H, W, 1) or (N, D, H, W, 1) uint8, 1 inside the tumour and 0 outside, none of them empty.
        labels: (N,) int64, 0..K-1.
        spacing: (N, 2) float32, mm between rows and between columns; (N, 3) for volumes, the first between
            slices.
        provenance: where the cohort comes from, as JSON-compatible values: source, parameters, counts,
            dropped ids. `classes`, if given, is K, and then a class may have no patients. A selection adds
            `classes` and `selected`, the positions of its patients in the whole cohort.
        clinical: raw values of clinical columns by name, one row per patient in the same order, see
            `clinical_table`; None if there are none.
        encoding: of these columns, see `with_encoding`; None before it is known.
        clinical_input: whether encoded columns are an input of classifiers, or only there to compare with.

    Raises:
        DataError: arrays of wrong shape or type, duplicate ids, pixels that are not finite or outside [0, 1],
            masks with values other than 0 and 1 or without a single 1, classes with gaps.
    """

    patient_id: np.ndarray
    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    spacing: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)
    clinical: pd.DataFrame | None = None
    encoding: ClinicalEncoding | None = None
    clinical_input: bool = True

    def __post_init__(self) -> None:
        self._check_patients()
        self._check_shapes()
        self._check_images()
        self._check_labels()
        self._check_spacing()
        self._check_clinical()
        try:
            json.dumps(self.provenance, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise DataError(f"provenance must be a dictionary that JSON can hold: {error}.") from None

    def __len__(self) -> int:
        return len(self.patient_id)

    @property
    def class_count(self) -> int:
        """K, the number of classes; a selection keeps that of the whole cohort."""
        return int(self.provenance.get("classes", self.labels.max() + 1))

    @property
    def dimension(self) -> int:
        """2 for slices, 3 for volumes."""
        return self.images.ndim - 2

    def markers(self) -> np.ndarray | None:
        """Whether each patient has the marker of a phantom with a decoy, (N,) of "with" and "without".

        None for cohorts without a decoy.
        """
        if "decoy" not in self.provenance:
            return None
        marked = np.array(self.provenance["decoy"]["marked"], bool)
        return np.where(marked[self.provenance.get("selected", slice(None))], "with", "without")

    def select(self, indices: ArrayLike) -> "Cohort":
        """The patients at `indices` (positions, or a boolean (N,) array), in that order."""
        positions = np.arange(len(self))[np.asarray(indices)]
        whole = self.provenance.get("selected", range(len(self)))
        return Cohort(
            patient_id=self.patient_id[positions],
            images=self.images[positions],
            masks=self.masks[positions],
            labels=self.labels[positions],
            spacing=self.spacing[positions],
            provenance=self.provenance
            | {"classes": self.class_count, "selected": [int(whole[i]) for i in positions]},
            clinical=None if self.clinical is None else self.clinical.iloc[positions],
            encoding=self.encoding,
            clinical_input=self.clinical_input,
        )

    def with_encoding(self, encoding: ClinicalEncoding | None, *, clinical_input: bool = True) -> "Cohort":
        """The same patients with an encoding of their clinical columns; without copying the images."""
        other = copy.copy(self)
        for derived in ("encoded_columns", "inputs"):
            other.__dict__.pop(derived, None)
        object.__setattr__(other, "encoding", encoding)
        object.__setattr__(other, "clinical_input", clinical_input)
        return other

    @functools.cached_property
    def encoded_columns(self) -> np.ndarray | None:
        """The encoded clinical columns, (N, k) float32; None without an encoding."""
        if self.encoding is None:
            return None
        return self.encoding.encode(pd.DataFrame() if self.clinical is None else self.clinical)

    @functools.cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """The inputs of a classifier beside the image: {"clinical": (N, k) float32} if it takes columns."""
        columns = self.encoded_columns if self.clinical_input else None
        return {} if columns is None else {"clinical": columns}

    @property
    def column_count(self) -> int:
        """Number of encoded clinical columns that a classifier takes."""
        return 0 if self.encoding is None or not self.clinical_input else len(self.encoding.names)

    @property
    def model_inputs(self) -> dict[str, np.ndarray]:
        """What a classifier is measured on: the images, as "image", and `inputs`."""
        return {"image": self.images, **self.inputs}

    def fingerprint(self) -> str:
        """SHA-256 over ids, labels, spacing, images, masks and clinical columns, 64 hexadecimal digits."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        # Computed once: a large cohort takes a second.
        digest = hashlib.sha256()
        # The shape and the quotation marks of JSON separate neighbouring fields.
        digest.update(json.dumps([list(self.images.shape), self.patient_id.tolist()]).encode())
        for array in (self.labels, self.spacing, self.images, self.masks):
            digest.update(np.ascontiguousarray(array).data)
        if self.clinical is not None:
            digest.update(self.clinical.to_json(orient="split", double_precision=15).encode())
        return digest.hexdigest()

    def description(self, splits: dict[str, np.ndarray]) -> dict[str, Any]:
        """Source, counts, fingerprint and sizes as JSON-compatible values; nothing about single patients.

        Args:
            splits: positions in the cohort by the name of the part.
        """
        source = {key: value for key, value in self.provenance.items() if key in ("source", "counts")}
        return {
            **source,
            **({"dimension": 3} if self.dimension == 3 else {}),
            **({"clinical": self.encoding.names} if self.encoding and self.clinical_input else {}),
            "fingerprint": self.fingerprint(),
            "patients": len(self),
            "positive": int((self.labels == 1).sum()),
            "splits": {name: len(indices) for name, indices in splits.items()},
            "positive_splits": {name: int((self.labels[rows] == 1).sum()) for name, rows in splits.items()},
        }

    def _set(self, name: str, array: np.ndarray, dtype: type) -> None:
        object.__setattr__(self, name, array.astype(dtype, copy=False))

    def _check_patients(self) -> None:
        ids = np.asarray(self.patient_id)
        if ids.ndim != 1 or not all(isinstance(name, str) for name in ids.tolist()):
            raise DataError(
                "patient_id must be a list of texts, one per patient. "
                f"Received: an array of shape {ids.shape} of type {ids.dtype}."
            )
        if not len(ids):
            raise DataError("A cohort needs at least one patient. Received: none.")
        ids = ids.astype(str)
        names, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"patient_id must name each patient once. More than once: {listing(names[counts > 1])}. "
                "Keep one slice per patient."
            )
        object.__setattr__(self, "patient_id", ids)

    def _check_shapes(self) -> None:
        n = len(self)
        for name in ("images", "masks", "labels", "spacing"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        for name, shape in {"labels": (n,), "spacing": (n, 3 if self.images.ndim == 5 else 2)}.items():
            if getattr(self, name).shape != shape:
                raise DataError(
                    f"{name} must have shape {shape} for {n} patients. "
                    f"Received: shape {getattr(self, name).shape}."
                )

    def _check_images(self) -> None:
        check_slices(self.patient_id, self.images, self.masks)
        if self.images.shape[-1] != 1:
            raise DataError(f"images must have one channel. Received: shape {self.images.shape}.")
        if self.images.dtype.kind != "f":
            raise DataError(
                f"images must be floating point, windowed to [0, 1]. Received: {self.images.dtype}. "
                "Map the intensity window to [0, 1] first."
            )
        pixels = tuple(range(1, self.images.ndim))
        outside = (self.images.min(axis=pixels) < 0) | (self.images.max(axis=pixels) > 1)
        if outside.any():
            raise DataError(
                f"images must lie in [0, 1]. Outside: {listing(self.patient_id[outside])}. "
                "Clip to the intensity window and map it to [0, 1]."
            )
        self._set("images", self.images, np.float32)
        self._set("masks", self.masks, np.uint8)

    def _check_clinical(self) -> None:
        if self.clinical is not None and list(self.clinical.index) != self.patient_id.tolist():
            raise DataError(
                f"clinical must have one row per patient, indexed by patient_id in the order of the cohort. "
                f"Received: {len(self.clinical)} rows for {len(self)} patients."
            )

    def _check_labels(self) -> None:
        if self.labels.dtype.kind not in "iu":
            raise DataError(f"labels must be integers 0, 1, …. Received: type {self.labels.dtype}.")
        self._set("labels", self.labels, np.int64)
        classes = self.provenance.get("classes")
        values = np.unique(self.labels)
        if classes is None:
            classes = len(values)
            if not np.array_equal(values, np.arange(classes)):
                raise DataError(
                    f"labels must be 0..K-1 with no class left out. Received: {listing(values)} "
                    f"(first patient with each: {self._first_of(values)}). Number the classes from 0."
                )
        elif values[0] < 0 or values[-1] >= classes:
            raise DataError(f"labels must be 0..{classes - 1}. Received: {listing(values)}.")

    def _first_of(self, classes: np.ndarray) -> str:
        return listing(self.patient_id[np.flatnonzero(self.labels == k)[0]] for k in classes)

    def _check_spacing(self) -> None:
        wrong = ~(np.isfinite(self.spacing) & (self.spacing > 0)).all(axis=1)
        if wrong.any():
            raise DataError(
                f"spacing must be positive mm (row, column). Not so for: {listing(self.patient_id[wrong])}. "
                "Read the pixel spacing again, or give it in data.spacing."
            )
        self._set("spacing", self.spacing, np.float32)
