"""The base class of features: numbers that a human can name, as functions of image and mask."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from fgf_keras.errors import FeatureError

# Parts of names of columns that stand before the name of a feature.
_PARTS = ("alone", "shapley", "share")

# What an input is called, by its number of spatial axes.
_INPUTS = {
    0: "tables (no axes but the columns)",
    1: "sequences (steps)",
    2: "images (rows, columns)",
    3: "volumes (slices, rows, columns)",
}


class Feature:
    """A differentiable number g(image, mask) of a table, a sequence, an image or a volume.

    Subclasses implement `value`; they override `gradient` where a closed form is known. Register them with
    `keras.saving.register_keras_serializable` so that models that hold them can be loaded.

    Args:
        name: used in logs and files; defaults to `default_name`.

    Attributes:
        default_name: the name of features that are created without one; None where a name is required.
        unit: of the value; empty for none.
        of_intensity: the value is a weighted mean of intensities, so that it can be reported in HU.
        shift_invariant: moving image and mask together by whole pixels changes only the position of the
            gradient, so that the gradient may be computed in a window around the mask.
        ranks: the numbers of spatial axes of the inputs that the feature takes: 0 for tables, 1 for
            sequences, 2 for images, 3 for volumes; None for any.
    """

    default_name: ClassVar[str | None] = None
    unit: ClassVar[str] = ""
    of_intensity: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = False
    ranks: ClassVar[tuple[int, ...] | None] = None

    def __init__(self, *, name: str | None = None) -> None:
        name = name or self.default_name
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise FeatureError(
                "A feature's name must be letters, digits, '_', '.' or '-', because it becomes a key of logs "
                f"and tables. Received: name={name!r}."
            )
        self.name = name

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """The feature itself.

        Args:
            image: (B, *spatial, C) with s spatial axes: tables (B, P), sequences (B, T, C), images
                (B, H, W, C), volumes (B, D, H, W, C).
            mask: (B, *spatial, 1) in {0, 1}.
            spacing: (B, s) or (s,), distance of neighbours along each axis in mm, in the order of the axes:
                (row, column) for images, (slice, row, column) for volumes; 1 mm by default.

        Returns:
            (B,).
        """
        raise NotImplementedError

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """Whether the value is what its name says, (B,) bool; True unless overridden.

        On a path to the decision boundary, images may leave the range in which they can be measured, and a
        value is then only a continuation.
        """
        del mask, spacing
        return tf.ones([tf.shape(image)[0]], tf.bool)

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """∇g with respect to the image, in its shape; by automatic differentiation unless overridden.

        Raises:
            FeatureError: the value does not depend on the image differentiably.
        """
        try:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(image)
                value = self.value(image, mask, spacing)
            gradient = tape.gradient(value, image)
        except LookupError as error:
            # What TensorFlow raises for an operation that nobody has given a gradient; a wrong key or index
            # of the feature's own is a LookupError, too.
            if "gradient" not in str(error) or isinstance(error, KeyError | IndexError):
                raise
            raise FeatureError(
                f"Feature {self.name!r} uses an operation without a gradient in TensorFlow ({error}). Write "
                "it with other operations, or decorate that part with @tf.custom_gradient."
            ) from error
        if gradient is None:
            raise FeatureError(
                f"Feature {self.name!r} has no gradient with respect to the image: it does not use the "
                "image, or only through operations without one (rounding, comparison, argmax, NumPy). "
                "Write it with differentiable tf operations."
            )
        return gradient

    def bound(self, columns: Sequence[str]) -> "Feature":
        """The feature for a table with these columns; itself unless it refers to columns by name.

        Args:
            columns: names of the P columns of tables (B, P), in order.

        Raises:
            FeatureError: a column that the feature refers to does not exist.
        """
        del columns
        return self

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Feature":
        """Keras serialisation."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def derived_name(text: str) -> str:
    """A feature's name from any text: other characters than letters, digits, '_', '.' and '-' become '_'.

    Accents are dropped and superscripts become digits: "worst area (mm²)" gives "worst_area_mm2".
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_")


def stack_gradients(
    features: Sequence[Feature], image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None
) -> tf.Tensor:
    """∇g of each feature, (B, m, *spatial, C)."""
    return tf.stack([feature.gradient(image, mask, spacing) for feature in features], axis=1)


def refuse_coupled(
    features: Sequence[Feature], image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None
) -> None:
    """Raise `FeatureError` if a feature's value for one sample depends on the others of its batch.

    The gradient of such a feature is not that of one sample: automatic differentiation sums over the batch.

    Args:
        features: list of `Feature`.
        image, mask, spacing: two or more samples, as for `Feature.value`; one alone reveals nothing.
    """
    for feature in features:
        in_batch = np.asarray(feature.value(image, mask, spacing))
        for k in range(min(len(image), 2)):
            row = slice(k, k + 1)
            its_spacing = spacing[row] if spacing is not None and np.ndim(spacing) == 2 else spacing
            alone = feature.value(image[row], mask[row], its_spacing)
            if not np.allclose(alone, in_batch[row], rtol=1e-3, atol=1e-6, equal_nan=True):
                raise FeatureError(
                    f"Feature {feature.name!r} gives a sample another value in a batch ({in_batch[k]:.6g}) "
                    f"than alone ({np.asarray(alone)[0]:.6g}), so its gradient would not be that of the "
                    f"sample. Reduce over the axes {axes_of_sample(image)} only, never over the batch axis 0."
                )


def refuse_ranks(features: Sequence[Feature], spatial_axes: int) -> None:
    """Raise `FeatureError` if a feature does not take inputs with this number of spatial axes.

    Args:
        features: list of `Feature`.
        spatial_axes: 0 for tables, 1 for sequences, 2 for images, 3 for volumes.
    """
    for feature in features:
        if feature.ranks is not None and spatial_axes not in feature.ranks:
            taken = " or ".join(_INPUTS.get(rank, f"{rank} spatial axes") for rank in feature.ranks)
            received = _INPUTS.get(spatial_axes, f"{spatial_axes} spatial axes")
            raise FeatureError(f"Feature {feature.name!r} takes {taken}. Received: {received}.")


def axes_of_sample(image: tf.Tensor) -> list[int]:
    """All axes of a batch but that of the samples: [1, 2, 3] for images (B, H, W, C)."""
    return list(range(1, len(image.shape)))


def unique_names(features: Sequence[Feature]) -> list[str]:
    """The names of features in order.

    Raises:
        FeatureError: the list is empty, something in it is not a feature, or two features share a name.
    """
    if not features:
        raise FeatureError(
            "At least one feature is needed, e.g. features=[fgf_keras.Brightness()]. Got none."
        )
    for feature in features:
        if not isinstance(feature, Feature):
            raise FeatureError(
                f"Expected instances of fgf_keras.Feature. Received: {feature!r} (of type "
                f"{type(feature).__name__}). Wrap a function of (image, mask) in fgf_keras.AutodiffFeature."
            )
    names = [feature.name for feature in features]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise FeatureError(f"Features need names of their own. Received twice: {', '.join(duplicates)}.")
    for name in names:
        if name in ("joint", "unexplained", "unexplained_share"):
            raise FeatureError(f"The name {name!r} is taken by a column of all features. Rename the feature.")
        # Columns such as slope_alone_<name> must not be those of another feature.
        clash = next((f"{part}_{name}" for part in _PARTS if f"{part}_{name}" in names), None)
        if clash is not None:
            raise FeatureError(f"Features {name!r} and {clash!r} would share columns. Rename one of them.")
    return names
