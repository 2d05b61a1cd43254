"""S at samples and F along their paths, for a classifier, features and a support."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.errors import ModelError
from fgf_keras.features.base import Feature
from fgf_keras.flow.chords import Observer, PathPoint, traced_once
from fgf_keras.flow.gradient_flow import gradient_flow
from fgf_keras.flow.settings import Flow
from fgf_keras.geometry.alignment import Products, orthonormal, projection, without_undefined
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.geometry.products import SUPPORTS, inner_products, on_support
from fgf_keras.geometry.sections import decision_pair
from fgf_keras.measure.path_quantities import (
    PathQuantities,
    defined_features,
    feature_changes,
    outside_range,
    with_undefined,
)
from fgf_keras.measure.sample_quantities import quantities_at_sample
from fgf_keras.models.input_gradient import (
    Classifier,
    chosen_section_gradients,
    decision_gradient,
    dtype_of,
    rounding_of,
)
from fgf_keras.models.placement import Placement
from fgf_keras.models.view import View
from fgf_keras.nulls.white import white_noise_alignment, white_noise_products

# Function of (image, mask, spacing) to tensors with a leading batch axis, by name.
Graph = Callable[..., dict[str, tf.Tensor]]


class AlignmentMeasure:
    """The measurements on a batch, as graphs that are traced once for any batch size.

    Args:
        classifier: callable (image, training) to logits; if it takes other inputs, see `Score.bound`.
        features: list of `Feature`.
        image_shape: of one sample: (P,), (T, C), (H, W, C) or (D, H, W, C).
        others: `tf.TensorSpec` of the classifier's other inputs, with a leading axis of None.
        support: "mask" restricts all gradients to the mask; "image" takes the classifier's gradient over the
            whole canvas, features keep their own support.
        mask_input: whether the classifier sees image·mask.
        evaluation: "auto", "dense" or "roi", see `Placement`.
        noise_draws: number of linear noise features to measure as well; S_noise and F_noise are their means.
        flow: how the path is followed, and to which mean the tolerance applies; `Flow()` by default.
        classes: whose logits span the section, see `explain`.
        nulls: whether to return the directions that null fields are compared with, see `_null_fields`.
        compiled: for use in graphs that XLA compiles, in which all sizes are static; not with `nulls`.
    """

    def __init__(
        self,
        classifier: Classifier,
        features: Sequence[Feature],
        image_shape: Sequence[int],
        *,
        others: Sequence[tf.TensorSpec] = (),
        support: str = "mask",
        mask_input: bool = False,
        evaluation: str = "auto",
        noise_draws: int = 0,
        flow: Flow | None = None,
        classes: int | str = "all",
        nulls: bool = False,
        compiled: bool = False,
    ) -> None:
        if support not in SUPPORTS:
            raise ModelError(f"support must be one of {', '.join(SUPPORTS)}. Received: support={support!r}.")
        self.features = list(features)
        self.support = support
        self.placement = Placement(classifier, evaluation=evaluation, support=support, mask_input=mask_input)
        self.noise_draws, self.nulls = noise_draws, nulls
        self._compiled = compiled
        self._flow = flow or Flow()
        self._classes = classes
        self.dtype = dtype_of(classifier)
        self._rounding = rounding_of(classifier)
        self.image_shape = tuple(image_shape)
        self._others = tuple(others)

    @functools.cached_property
    def at_sample(self) -> Graph:
        """Function of (image, mask, spacing, *others): alignment at the samples, see `_at_sample`."""
        return self._traced(self._at_sample)

    @functools.cached_property
    def along_flow(self) -> Graph:
        """Function of the same tensors: alignment along the path, see `_along_flow`."""
        return self._traced(self._along_flow)

    @functools.cached_property
    def drawn(self) -> Graph:
        """Function of the same tensors: fields at the samples, see `_drawn`."""
        return self._traced(self._drawn)

    @functools.cached_property
    def everything(self) -> Graph:
        """Function of the same tensors: all of the other three, on one path."""
        return self._traced(self._everything)

    def fields(self, *tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """The fields of a picture: those of `drawn`, and the image at the boundary, as `boundary`."""
        along = self.along_flow(*tensors)
        return self.drawn(*tensors) | {"boundary": along["boundary"]}

    def tensors(self, *arrays: np.ndarray) -> list[tf.Tensor]:
        """Arrays as tensors of the type that the classifier computes in; other inputs keep their types."""
        types = [*[self.dtype] * 3, *(spec.dtype for spec in self._others)]
        return [
            tf.convert_to_tensor(np.asarray(a), d)
            if d == tf.string
            else tf.convert_to_tensor(np.asarray(a).astype(d.as_numpy_dtype))
            for a, d in zip(arrays, types)
        ]

    def _traced(self, function: Callable[[View], dict[str, tf.Tensor]]) -> Graph:
        # Traced once, for any batch size. TensorFlow must not warn of retracing because of a second measure.
        axes = self.image_shape[:-1]
        signature = [
            tf.TensorSpec([None, *self.image_shape], self.dtype, name="image"),
            tf.TensorSpec([None, *axes, 1], self.dtype, name="mask"),
            tf.TensorSpec([None, len(axes)], self.dtype, name="spacing"),
            *self._others,
        ]

        def on_batch(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.placement.run(function, *tensors, compiled=self._compiled)

        # All differentiation happens inside these graphs.
        with forgotten_custom_gradients():
            return tf.function(on_batch, autograph=False).get_concrete_function(*signature)

    def _at_sample(self, view: View) -> dict[str, tf.Tensor]:
        """Logits and alignment at the samples themselves: a dictionary of tensors with a leading batch axis.

        What `quantities_at_sample` says; if only some classes span the section, classes (B, k), the most
        probable ones, which S_class and so on are of; S_noise (B,), dimension (B,) of the support, value
        (B, m) of the features.
        """
        logits, section, chosen = chosen_section_gradients(view.classifier, view.image, self._classes)
        section = on_support(section, self._region(view))
        value = view.feature_values(self.features)
        products, defined = self._products(section, view, tf.math.is_finite(value))
        if chosen is None:
            result = quantities_at_sample(products, logits, defined)
        else:
            result = quantities_at_sample(products, tf.gather(logits, chosen, batch_dims=1), defined)
            result |= {"logits": logits, "class": chosen[:, 0], "classes": chosen}
        result |= {"dimension": self._dimension(view), "value": value}
        if self.noise_draws:
            result["S_noise"] = self._noise_alignment(section, view)
        basis = orthonormal(section) if self.nulls else None
        if basis is not None:
            result |= self._null_fields("S", basis)
            features = self._feature_gradients(view)
            # Null fields like an undefined gradient are like none.
            features = tf.where(tf.math.is_finite(features), features, tf.zeros_like(features))
            result |= {"null_features": features, "null_mask": view.mask}
        result = {key: tf.cast(v, self.dtype) if v.dtype.is_floating else v for key, v in result.items()}
        if basis is not None:
            # In float64, which the rank of features that are nearly collinear needs.
            result["null_products"] = self._products(basis, view, defined)[0].whole()
        return result

    def _along_flow(self, view: View) -> dict[str, tf.Tensor]:
        """F and contributions along the path to the decision boundary.

        What `PathQuantities.reported` says; change (B, m) of the features, NaN where they end undefined;
        what `outside_range` says; residual, length, far, status, evaluations (B,); boundary (B, …, C), the
        end of the path.
        """
        quantities = PathQuantities(len(self.features), bool(self.noise_draws))
        # Such features are zero outside the mask and do not depend on its position.
        focused = all(feature.shift_invariant for feature in self.features) and not self._compiled
        focused &= len(self.image_shape) == 3

        # The flow passes on a context for a subset of the samples: that of a view, the pair of classes, and
        # which features are defined at the samples.
        def view_of(image: tf.Tensor | None, context: Sequence[tf.Tensor]) -> View:
            return view.at(image, context[:-2])

        @traced_once
        def score(image: tf.Tensor, *context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._score(view_of(image, context), context[-2])

        @traced_once
        def observe(point: PathPoint, *context: tf.Tensor) -> tf.Tensor:
            seen = view_of(point.image, context)
            return quantities.observed(point, *self._path_products(point, seen, context[-1]))

        def focus(fields: tf.Tensor, *context: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            inside, narrower = view_of(None, context).around_mask(fields)
            return inside, (*narrower, *context[-2:])

        @traced_once
        def noise(directions: tf.Tensor, *context: tf.Tensor) -> tf.Tensor:
            return white_noise_products(directions, **self._noise(view_of(None, context)))

        observer = Observer(
            observe,
            sum(quantities.widths.values()),
            controlled=quantities.controlled,
            focus=focus if focused else None,
            linear=noise if self.noise_draws else None,
        )
        known = defined_features(self._feature_gradients(view), view.feature_values(self.features))
        context = *view.context, decision_pair(view.logits()), known
        flow = gradient_flow(
            score,
            view.image,
            observer,
            context=context,
            flow=self._flow,
            directions=self.nulls,
            rounding=self._rounding,
            compiled=self._compiled,
        )
        result = self._null_fields("F", flow.directions) if self.nulls else {}
        result |= quantities.reported(flow)
        end = view.at(flow.boundary, view.context)
        result["change"] = feature_changes(view, end, self.features)
        result |= outside_range(view, end)
        for key in ("residual", "length", "far", "evaluations"):
            result[key] = getattr(flow, key)
        result["status"] = with_undefined(flow.status, known)
        return result | {"boundary": view.on_canvas(flow.boundary)}

    def _everything(self, view: View) -> dict[str, tf.Tensor]:
        return {**self._at_sample(view), **self._along_flow(view), **self._drawn(view)}

    def _drawn(self, view: View) -> dict[str, tf.Tensor]:
        """Fields (B, …, C) at the samples.

        seen (the input of the classifier, where the path starts), gradient of the decision's score,
        explained (its component along the features), features (B, m, …, C).
        """
        _, gradient = self._score(view, decision_pair(view.logits()))
        features = self._feature_gradients(view)
        fields = {
            "seen": view.image,
            "gradient": gradient,
            "explained": projection(gradient[:, tf.newaxis], features)[:, 0],
            "features": features,
        }
        return {name: view.on_canvas(field) for name, field in fields.items()}

    def _null_fields(self, kind: str, directions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Directions u_k (B, k, …, C) of the S or F of fixed fields, and ⟨u_k, u_l⟩ (B, k, k).

        The rows and columns are those of the view, which differ from batch to batch.
        """
        return {f"null_{kind}": directions, f"null_{kind}_gram": inner_products(directions, directions)}

    def _score(self, view: View, pair: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        score, gradient = decision_gradient(view.classifier, view.image, pair)
        # A network may compute in float64 what it is given in float32.
        return tf.cast(score, gradient.dtype), on_support(gradient, self._region(view))

    def _path_products(self, point: PathPoint, view: View, known: tf.Tensor) -> tuple[Products, tf.Tensor]:
        products, defined = self._products(point.direction[:, tf.newaxis], view, known)
        # Inside the windows of the features lies only a part of the direction, so its norm comes from
        # outside.
        section = point.size[:, tf.newaxis, tf.newaxis]
        return products._replace(section=tf.cast(section, products.section.dtype)), defined

    def _products(self, section: tf.Tensor, view: View, known: tf.Tensor) -> tuple[Products, tf.Tensor]:
        """Products on the support, and (B, m) bool, which of the features that are `known` have gradients."""
        # In float64: near Σw = 0 on a path, the gradients of all moments become nearly parallel, and float32
        # cannot distinguish their span from a smaller one.
        features = self._feature_gradients(view)
        both = tf.cast(tf.concat([section, features], axis=1), tf.float64)
        return without_undefined(inner_products(both, both), section.shape[1], known)

    def _region(self, view: View) -> tf.Tensor | None:
        return view.mask if self.support == "mask" else None

    def _feature_gradients(self, view: View) -> tf.Tensor:
        return on_support(view.feature_gradients(self.features), self._region(view))

    def _noise_alignment(self, section: tf.Tensor, view: View) -> tf.Tensor:
        return tf.reduce_mean(white_noise_alignment(section, **self._noise(view)), axis=1)

    def _noise(self, view: View) -> dict[str, Any]:
        return {"mask": self._region(view), "draws": self.noise_draws, "window": view.window}

    def _dimension(self, view: View) -> tf.Tensor:
        channels, mask = self.image_shape[-1], view.mask
        if self.support == "image":
            return tf.fill(tf.shape(mask)[:1], tf.reduce_prod(tf.shape(mask)[1:]) * channels)
        return tf.cast(tf.reduce_sum(mask, axis=range(1, len(mask.shape))), tf.int32) * channels
