"""Paths to the decision boundary of a model outside TensorFlow, by functions of NumPy arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.errors import DataError
from fgf_keras.features.base import Feature, stack_gradients
from fgf_keras.flow.chords import Observer, PathPoint
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.settings import Flow
from fgf_keras.geometry.alignment import without_undefined
from fgf_keras.geometry.products import inner_products
from fgf_keras.measure.inputs import spacing_per_sample
from fgf_keras.measure.path_quantities import PathQuantities


@dataclass(frozen=True)
class ArrayPath:
    """How `alignment` follows the score of a model outside TensorFlow to its decision boundary.

    Args:
        images: (N, *spatial, C), the inputs of the model at which the gradients were computed: where the
            paths begin, in the precision in which they are followed (float64, else float32).
        score: function of (x (b, *spatial, C), rows (b,)), images and the numbers of the samples they belong
            to, to z (b,) and ∇z (b, *spatial, C). z is the logit, z_1 - z_0 for two logits, and for more
            classes the margin between the two between which the sample's decision lies. Each sample's values
            must depend on that sample alone.
        features: function of (x, rows) to the gradients of the features, (b, m, *spatial, C); or a list of
            `Feature`, whose change along the path is then measured as well.
        flow: how the path is followed, and over what F is the mean.
        spacing: (s,) or (N, s), distance of neighbours along each of the s spatial axes, in mm for images and
            volumes, for a list of `Feature`; 1 by default.
    """

    images: Any
    score: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]
    features: Callable[[np.ndarray, np.ndarray], Any] | Sequence[Feature]
    flow: Flow = field(default_factory=Flow)
    spacing: Any = None


class ArrayFlow:
    """Follows the paths of batches. Fields are (B, places, 1, C) inside, whatever the number of spatial axes.

    Args:
        path: the model.
        shape: (*spatial, C).
        names: of the m features.
        count: N.
        nulls: whether to return what null fields are compared with.

    Raises:
        DataError: images of another shape, or another number of features.
    """

    def __init__(
        self, path: ArrayPath, shape: tuple[int, ...], names: Sequence[str], count: int, *, nulls: bool
    ) -> None:
        if tuple(path.images.shape) != (count, *shape):
            raise DataError(
                f"The images of the path must have the shape of the gradients, {(count, *shape)}. Received: "
                f"shape {tuple(path.images.shape)}."
            )
        self._known = None if callable(path.features) else list(path.features)
        if self._known is not None and [feature.name for feature in self._known] != list(names):
            received = ", ".join(feature.name for feature in self._known)
            raise DataError(
                f"The features of the path must be those of feature_gradients, {', '.join(names)}. Received: "
                f"{received}."
            )
        self._path, self._shape, self._count, self._nulls = path, shape, len(names), nulls
        self._dtype = tf.float64 if np.asarray(path.images[:1]).dtype == np.float64 else tf.float32
        axes = len(shape) - 1
        self._spacing = None if self._known is None else spacing_per_sample(path.spacing, count, axes)
        self._quantities = PathQuantities(len(names), noise=False)
        self._error: Exception | None = None
        # Traced once, like the graphs of `AlignmentMeasure`.
        self._graph = tf.function(self._along, autograph=False).get_concrete_function(
            tf.TensorSpec([None, *shape[:-1], 1], tf.float32, name="mask"),
            tf.TensorSpec([None], tf.int64, name="rows"),
            tf.TensorSpec([None, *shape], self._dtype, name="image"),
        )

    def tensor(self, image: np.ndarray) -> tf.Tensor:
        """Images in the precision in which their paths are followed."""
        return tf.constant(image, self._dtype)

    def __call__(self, mask: tf.Tensor, rows: tf.Tensor, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """F and contributions along the paths, as of `AlignmentMeasure.along_flow`.

        Args:
            mask: (B, *spatial, 1).
            rows: (B,) int64, numbers of the samples.
            image: (B, *spatial, C), from `tensor`.

        Raises:
            DataError: a function of the path returns another shape; any error of such a function.
        """
        self._error = None
        try:
            return self._graph(mask, rows, image)
        except tf.errors.OpError:
            # TensorFlow reports errors in Python functions as its own.
            if self._error is not None:
                raise self._error from None
            raise

    def _along(self, mask: tf.Tensor, rows: tf.Tensor, image: tf.Tensor) -> dict[str, tf.Tensor]:
        def score(flat: tf.Tensor, mask: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            z, gradient = self._called(self._path.score, flat, rows, [(), self._shape])
            return z, tf.reshape(gradient, tf.shape(flat)) * mask

        def observe(point: PathPoint, mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            features = self._feature_gradients(point.image, mask, rows) * mask[:, tf.newaxis]
            direction = tf.cast(point.direction[:, tf.newaxis], tf.float64)
            both = tf.concat([direction, tf.cast(features, tf.float64)], axis=1)
            return self._quantities.observed(point, *without_undefined(inner_products(both, both), 1))

        places = int(np.prod(self._shape[:-1]))
        start = tf.reshape(image, [-1, places, 1, self._shape[-1]])
        mask = tf.reshape(tf.cast(mask, self._dtype), [-1, places, 1, 1])
        quantities = self._quantities
        observer = Observer(observe, sum(quantities.widths.values()), controlled=quantities.controlled)
        flow = gradient_flow(
            score, start, observer, context=(mask, rows), flow=self._path.flow, directions=self._nulls
        )
        result = quantities.reported(flow)
        if self._nulls:
            directions = flow.directions
            result["null_F"] = tf.reshape(directions, [-1, directions.shape[1], *self._shape])
            result["null_F_gram"] = inner_products(directions, directions)
        if self._known is not None:
            result["change"] = self._change(start, flow.boundary, mask, rows)
        return result | {key: getattr(flow, key) for key in ("residual", "length", "far", "status")}

    def _feature_gradients(self, flat: tf.Tensor, mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """∇g at points of paths, (b, m, places, 1, C)."""
        shape = tf.shape(flat)
        if callable(self._path.features):
            (gradients,) = self._called(self._path.features, flat, rows, [(self._count, *self._shape)])
        else:
            gradients = stack_gradients(self._path.features, *self._images(flat, mask, rows))
        return tf.reshape(gradients, tf.concat([shape[:1], [self._count], shape[1:]], axis=0))

    def _change(self, start: tf.Tensor, end: tf.Tensor, mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """g(end) - g(start) of each feature, (B, m); NaN where it ends undefined."""
        before, after = (self._images(flat, mask, rows) for flat in (start, end))
        columns = []
        for feature in self._known or ():
            change = feature.value(*after) - feature.value(*before)
            columns.append(tf.where(feature.is_defined(*after), change, float("nan")))
        return tf.stack(columns, axis=1)

    def _images(self, flat: tf.Tensor, mask: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Images, masks and spacings as features take them."""
        image = tf.reshape(flat, [-1, *self._shape])
        mask = tf.reshape(mask, [-1, *self._shape[:-1], 1])
        return image, mask, tf.gather(tf.constant(self._spacing, flat.dtype), rows)

    def _called(
        self,
        function: Callable[..., Any],
        flat: tf.Tensor,
        rows: tf.Tensor,
        shapes: Sequence[tuple[int, ...]],
    ) -> list[tf.Tensor]:
        """The results (b, *shape) of a function of NumPy arrays."""
        dtype = flat.dtype.as_numpy_dtype

        def call(image: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
            try:
                values = function(image, rows)
                values = [np.asarray(v, dtype) for v in (values if len(shapes) > 1 else [values])]
                expected = [(len(image), *shape) for shape in shapes]
                if [v.shape for v in values] != expected:
                    raise DataError(
                        f"{getattr(function, '__name__', 'A function')} of the path must return arrays of "
                        f"shape {_text(expected)}. Returned: {_text([v.shape for v in values])}."
                    )
            except Exception as error:
                self._error = error
                raise
            return values

        image = tf.reshape(flat, [-1, *self._shape])
        values = tf.numpy_function(call, [image, rows], [flat.dtype] * len(shapes))
        return [tf.ensure_shape(v, [None, *shape]) for v, shape in zip(values, shapes)]


def _text(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(shape) for shape in shapes)
