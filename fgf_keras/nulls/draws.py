"""Draws of null fields against the gradients of patients, a patient at a time."""

import hashlib
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from fgf_keras.errors import DataError
from fgf_keras.nulls.fields import (
    TRUNCATE,
    matched_fields,
    moved_fields,
    smooth_fields,
    white_coordinates,
)
from fgf_keras.nulls.settings import Nulls
from fgf_keras.nulls.white import fixed_field_alignment

# Draws that are in memory at once are no more than this, and have no more pixels together.
DRAWS_TOGETHER = 50
PIXELS_TOGETHER = 1 << 20


@dataclass(frozen=True)
class NullShares:
    """What null features reach in N patients.

    Attributes:
        S, F: (N, n, m + 1); the last column is the joint share of m null fields.
        resample: (N, n') draws of each patient that a draw of the cohort takes, or None where draw j of the
            cohort is draw j of every patient.
    """

    S: np.ndarray
    F: np.ndarray
    resample: np.ndarray | None = None

    def of_cohort(self, kind, rows):
        """Means over some patients of the S or F of each draw, (n or n', m + 1)."""
        draws = getattr(self, kind)[rows]
        if self.resample is not None:
            draws = np.take_along_axis(draws, self.resample[rows][..., np.newaxis], axis=1)
        return draws.mean(axis=0, dtype=np.float64)


class NullDraws:
    """Collects the null shares of patients.

    Draws depend on the seed, the null and the patient's id, and lie in the smallest rectangle around the
    patient's mask: batches, windows and other patients change nothing. Draws of random fields are made in
    portions; the permutation null holds m gradients a patient and what they are held against, inside the
    mask alone, until `finish`.

    Args:
        nulls: which, and how many draws per patient.
    """

    def __init__(self, nulls: Nulls):
        self._draws, self._seed = nulls.draws, nulls.seed
        self._nulls = nulls.labels
        self._shares = {label: {"S": [], "F": []} for label in self._nulls}
        self._kept = []

    def add(self, patient, part, dimension):
        """Draw for one patient.

        Args:
            patient: id.
            part: the arrays null_… of `AlignmentMeasure.at_sample` and `.along_flow` for this patient.
            dimension: pixels times channels of the support.
        """
        in_box = _InBox(part, dimension)
        for label, (kind, sigma) in self._nulls.items():
            if kind == "permutation":
                self._kept.append((patient, in_box))
                continue
            name = label if sigma is None else f"smooth {sigma!r}"
            draw = {"white": self._white, "smooth": self._smooth, "matched": self._matched}[kind]
            portions = draw(in_box, sigma, lambda portion, name=name: self._words(name, patient, portion))
            for quantity, patients in zip("SF", zip(*portions)):
                self._shares[label][quantity].append(np.concatenate(patients)[: self._draws])

    def take(self, patients, part):
        """Draw for the patients of a batch; the arrays null_… leave `part`.

        Args:
            patients: ids.
            part: arrays of `AlignmentMeasure.at_sample` and `.along_flow` for them, from the same batch.
        """
        fields = {key: part.pop(key) for key in list(part) if key.startswith("null_")}
        for i, patient in enumerate(patients if fields else ()):
            self.add(patient, {key: value[i] for key, value in fields.items()}, part["dimension"][i])

    def finish(self) -> dict:
        """`NullShares` by label: the null's name, with its length where there are several."""
        resample = {}
        if self._kept:
            resample["permutation"] = self._permute()
        return {
            label: NullShares(
                *(np.stack(shares[quantity]).astype(np.float32) for quantity in "SF"), resample.get(label)
            )
            for label, shares in self._shares.items()
        }

    def _white(self, held, _, words):
        patients = []
        for kind in "SF":
            gram = held.grams[kind]
            seed = words("SF".index(kind))
            directions, fields = white_coordinates(self._draws, held.count, gram, held.dimension, seed)
            patients.append(fixed_field_alignment(directions, gram, fields).numpy())
        yield tuple(patients)

    def _smooth(self, held, sigma, words):
        rows, columns, channels = held.shape
        margin = 2 * TRUNCATE * sigma
        size = held.count * (rows + margin) * (columns + margin) * channels
        for count, seed in self._portions(size, words):
            fields = smooth_fields(count * held.count, held.shape, sigma, seed)
            yield held.shares(tf.reshape(fields, [count, held.count, *held.shape]))

    def _matched(self, held, _, words):
        for count, seed in self._portions(4 * held.features.size, words):
            yield held.shares(matched_fields(count, held.features, seed))

    def _portions(self, pixels, words):
        """Numbers of draws and their seeds; all are whole, so that more draws begin with the same ones."""
        count = min(DRAWS_TOGETHER, max(1, int(PIXELS_TOGETHER // pixels)))
        for portion in range(-(-self._draws // count)):
            yield count, words(portion)

    def _permute(self):
        others = len(self._kept) - 1
        if not others:
            raise DataError("The permutation null needs other patients. Received: one sample.")
        chosen = []
        for i, (patient, held) in enumerate(self._kept):
            words = self._words("permutation", patient, 0)
            rng = np.random.default_rng(words.view(np.uint32).tolist())
            donors = rng.permutation([j for j in range(others + 1) if j != i])[: self._draws]
            portions = np.split(donors, range(DRAWS_TOGETHER, len(donors), DRAWS_TOGETHER))
            patients = [held.moved([self._kept[j][1] for j in portion]) for portion in portions]
            for kind, shares in zip("SF", zip(*patients)):
                self._shares["permutation"][kind].append(np.concatenate(shares))
            chosen.append(rng.integers(0, len(donors), self._draws))
        return np.stack(chosen)

    def _words(self, name, patient, portion):
        digest = hashlib.sha256(f"{self._seed}/{name}/{portion}/{patient}".encode()).digest()
        return np.frombuffer(digest[:8], np.int32)


class _InBox:
    """One patient's gradients in the smallest rectangle around the mask."""

    def __init__(self, part, dimension):
        inside = part["null_mask"][..., 0] > 0
        box = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(inside))
        self.mask = inside[box]
        self.features = part["null_features"][:, *box] * self.mask[..., np.newaxis]
        self.count, *shape = self.features.shape
        self.shape = tuple(shape)
        self.dimension = int(dimension)
        self.grams = {kind: part[f"null_{kind}_gram"] for kind in "SF"}
        self.directions = {
            kind: part[f"null_{kind}"][:, *box][:, self.mask].reshape(len(self.grams[kind]), -1)
            for kind in "SF"
        }
        self._places = np.flatnonzero(np.broadcast_to(self.mask[..., np.newaxis], self.shape))

    def shares(self, fields):
        """S and F, each (n, m + 1), of fields (n, m, rows, columns, C) restricted to the mask."""
        flat = tf.reshape(fields, [-1, self.count, int(np.prod(self.shape))])
        return self._against(tf.gather(flat, self._places, axis=2))

    def moved(self, others):
        """S and F, each (n, m + 1), of n other patients' feature gradients in this one's frame."""
        fields = np.stack([moved_fields(other.features, other.mask, self.mask) for other in others])
        return self._against(tf.constant(fields.reshape(len(others), self.count, -1)))

    def _against(self, fields):
        return tuple(
            fixed_field_alignment(self.directions[kind], self.grams[kind], fields).numpy() for kind in "SF"
        )
