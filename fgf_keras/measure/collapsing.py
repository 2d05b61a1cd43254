"""The patients whose features are collapsed: their tumours in windows, moved ones, and their logits."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fgf_keras.data.slices import check_slices, listing
from fgf_keras.errors import DataError, ModelError
from fgf_keras.features.base import Feature, refuse_coupled
from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.measure.feature_flow import Decode, FeatureFlow
from fgf_keras.measure.inputs import spacing_per_sample
from fgf_keras.measure.tumour_windows import Windows, moved_by, smooth_fields_in
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.input_gradient import dtype_of
from fgf_keras.models.inputs import IMAGE
from fgf_keras.models.logits import logits_of
from fgf_keras.models.placement import Placement, measured_evaluation
from fgf_keras.models.view import View

# Function of images (B, H, W, C) to latents (B, …), built of tf operations.
Encode = Callable[[tf.Tensor], tf.Tensor]
# Most pixels of images that are moved together; the flow of features needs some forty fields of that size.
PIXELS_TOGETHER = 1 << 19


class Collapsed(NamedTuple):
    """N patients before and after a move.

    Attributes:
        before, after: (N, R, S, C), windows around the tumours, of volumes with one more axis.
        error: (N,), the largest |g - target| at the end, in standard deviations.
        status: (N,) of `FlowStatus`.
    """

    before: np.ndarray
    after: np.ndarray
    error: np.ndarray
    status: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """‖after - before‖, (N,)."""
        return _norm(self.after.astype(np.float64) - self.before)

    @property
    def distance_share(self) -> np.ndarray:
        """‖after - before‖/‖before‖, (N,); 0 for images that are 0."""
        norm = _norm(self.before.astype(np.float64))
        return np.divide(self.distance, norm, out=np.zeros_like(norm), where=norm > 0)

    def select(self, rows: np.ndarray) -> "Collapsed":
        """Some of the patients."""
        return Collapsed(*(values[rows] for values in self))

    def statuses(self, reached: np.ndarray) -> dict[str, int]:
        """Number of patients by status: "reached", or the name of the `FlowStatus` they ended with.

        What counts is the target: a path that ends on it has reached it, however it got there, and one that
        ends elsewhere has not.
        """
        names = []
        for at_target, code in zip(reached, self.status):
            status = FlowStatus.of(int(code))
            missed = status in (*ENDED, FlowStatus.NOT_CONVERGED)
            status = FlowStatus.NOT_REACHED if missed else status
            names.append("reached" if at_target else status.name.lower())
        return dict(sorted(Counter(names).items()))


class Patients:
    """Patients with what a classifier sees of them, and what it says.

    Args:
        model, images, masks, labels, spacing, features, batch_size: see `collapse`.

    Attributes:
        labels: (N,) int.
        values: (N, m) of the features, in the units of `Feature.value`.

    Raises:
        DataError, FeatureError, ModelError: see `collapse`.
    """

    def __init__(
        self,
        model: Any,
        images: Any,
        masks: np.ndarray,
        labels: np.ndarray,
        spacing: np.ndarray | Sequence[float] | None,
        features: Sequence[Feature],
        batch_size: int,
    ) -> None:
        others = dict(images) if isinstance(images, Mapping) else {}
        images = np.asarray(others.pop(IMAGE) if others else images)
        self._others = {name: np.asarray(array) for name, array in others.items()}
        masks, self.labels = np.asarray(masks), np.asarray(labels)
        check_slices(np.arange(len(images)), images, masks)
        _check(images, masks, self.labels)
        masked = isinstance(model, AlignmentModel)
        classifier = model.classifier if masked else logits_of(model)
        self._dtype = dtype_of(classifier)
        dtype = self._dtype.as_numpy_dtype
        self._masks = masks.astype(dtype)
        self._images = (images * self._masks if masked else images).astype(dtype)
        self._spacing = spacing_per_sample(spacing, len(images), images.ndim - 2).astype(dtype)
        self._features, self._batch_size = list(features), batch_size
        self._windows = Windows.around(masks)
        evaluation = measured_evaluation(model)
        placement = Placement(classifier, evaluation=evaluation, mask_input=masked)
        self._placement = placement.with_inputs(None, list(others))
        self._graph = self._logits_graph()
        first = slice(0, 2)
        refuse_coupled(
            self._features, *map(tf.constant, (self._images[first], self._masks[first], self._spacing[first]))
        )
        self.values = np.concatenate([self._values(rows) for rows in self._batches(self._batch_size)])

    def flow(
        self, targets: np.ndarray, scales: np.ndarray, encode: Encode | None, decode: Decode | None
    ) -> Callable[[np.ndarray], Collapsed]:
        """A function of the features that move, (m,) bool, to the patients before and after.

        Args:
            targets, scales: (m,), see `FeatureFlow`.
            encode, decode: see `collapse`.
        """
        # Features that are the same in a window are moved there, which is cheaper.
        cut = encode is None and all(feature.shift_invariant for feature in self._features)
        images, masks = (self._windows.of(field) if cut else field for field in (self._images, self._masks))
        latents = None if encode is None else self._encoded(encode)
        axes = [None] * (images.ndim - 2)
        shape = (*axes, images.shape[-1]) if cut else images.shape[1:]
        latent_shape = None if latents is None else latents.shape[1:]
        place: dict[str, Any] = {"latent_shape": latent_shape, "decode": decode}
        flow = FeatureFlow(self._features, targets, scales, shape, dtype=self._dtype, **place)
        starts = images if latents is None else latents
        together = max(1, PIXELS_TOGETHER // max(images[0].size, starts[0].size))
        if encode is not None:
            # The memory that a generative model needs is unknown.
            together = self._batch_size

        def moved(chosen: np.ndarray) -> Collapsed:
            parts = [
                flow.moved(
                    *map(tf.constant, (starts[rows], images[rows], masks[rows], self._spacing[rows], chosen))
                )
                for rows in self._batches(together)
            ]
            columns = {key: np.concatenate([part[key].numpy() for part in parts]) for key in parts[0]}
            before, after = (
                columns[key] if cut else self._windows.of(columns[key]) for key in ("before", "after")
            )
            return Collapsed(before, after, columns["error"], columns["status"])

        return moved

    def logits(self, windows: np.ndarray, patients: np.ndarray) -> np.ndarray:
        """The logits (n,) of some patients with other images in their windows.

        Args:
            windows: (n, R, S, C), of volumes with one more axis.
            patients: (N,) bool, n of them.
        """
        logits = [np.zeros(0)]
        indices = np.flatnonzero(patients)
        for start in range(0, len(indices), self._batch_size):
            rows = indices[start : start + self._batch_size]
            part = windows[start : start + self._batch_size]
            images = self._windows.select(rows).put(self._images[rows], part)
            others = (other[rows] for other in self._others.values())
            arrays = images, self._masks[rows], self._spacing[rows], *others
            logits.append(self._graph(*map(tf.constant, arrays)).numpy())
        return np.concatenate(logits).astype(np.float64)

    def random_moves(
        self, collapsed: Collapsed, patients: np.ndarray, *, draws: int, length: float, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Logits and distances (n,) after moves along random linear features, for each draw.

        Args:
            collapsed: the n patients before and after the move whose distance is copied.
            patients: (N,) bool, n of them.
            draws, length: number and smoothness of the features, see `collapse`.
            seed: of the draws.
        """
        before, distance = collapsed.before, collapsed.distance
        windows = self._windows.select(patients)
        inside = np.broadcast_to(windows.of(self._masks[patients]), before.shape)
        parts = 1 + before.size // PIXELS_TOGETHER
        words, rng = np.array([seed, 0], np.int32), np.random.default_rng([seed, 1])
        for field in smooth_fields_in(windows, inside, draws, length, words):
            sign = rng.choice([-1, 1], (len(before), *[1] * (before.ndim - 1)))
            moves = zip(*(np.array_split(values, parts) for values in (before, sign * field, distance)))
            after = np.concatenate([moved_by(*move) for move in moves])
            yield self.logits(after, patients), _norm(after.astype(np.float64) - before)

    def _batches(self, size: int) -> list[slice]:
        return [slice(start, start + size) for start in range(0, len(self.labels), size)]

    def _values(self, rows: slice) -> np.ndarray:
        tensors = [tf.constant(array[rows]) for array in (self._images, self._masks, self._spacing)]
        return np.stack([feature.value(*tensors).numpy() for feature in self._features], axis=1)

    def _encoded(self, encode: Encode) -> np.ndarray:
        parts = [encode(tf.constant(self._images[rows])) for rows in self._batches(self._batch_size)]
        return np.concatenate([np.asarray(part) for part in parts]).astype(self._dtype.as_numpy_dtype)

    def _logits_graph(self) -> Callable[..., tf.Tensor]:
        def logits(view: View) -> tf.Tensor:
            outputs = view.logits()
            if outputs.shape[1] > 2:
                raise ModelError(
                    "AUC needs a classifier of two classes, with one logit or two. Received: "
                    f"{outputs.shape[1]} logits."
                )
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

        def on_canvas(*tensors: tf.Tensor) -> tf.Tensor:
            return self._placement.run(logits, *tensors)

        *axes, channels = self._images.shape[1:]
        signature = [tf.TensorSpec([None, *axes, n], self._dtype) for n in (channels, 1)]
        signature.append(tf.TensorSpec([None, len(axes)], self._dtype))
        signature += [tf.TensorSpec([None, *other.shape[1:]], other.dtype) for other in self._others.values()]
        return tf.function(on_canvas, autograph=False).get_concrete_function(*signature)


def _norm(fields: np.ndarray) -> np.ndarray:
    return np.sqrt((fields**2).sum(axis=tuple(range(1, fields.ndim))))


def _check(images: np.ndarray, masks: np.ndarray, labels: np.ndarray) -> None:
    outside = ((images < 0) | (images > 1)) & (masks > 0)
    if outside.any():
        raise DataError(
            "Images must be in [0, 1] inside the masks, because moved images stay in that range. Other "
            f"patients: {listing(np.flatnonzero(outside.reshape(len(images), -1).any(axis=1)))}."
        )
    if labels.shape != (len(images),) or set(np.unique(labels).tolist()) != {0, 1}:
        raise DataError(
            f"labels must be 0 or 1, one for each of {len(images)} images, with both classes present. "
            f"Received: shape {labels.shape}, values {listing(np.unique(labels))}."
        )
