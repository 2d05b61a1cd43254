"""The signatures of a served model: prediction, alignment and explanation, all inside one graph."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from fgf_keras.features.units import unit_of
from fgf_keras.flow.settings import Flow
from fgf_keras.measure.alignment_measure import AlignmentMeasure
from fgf_keras.measure.effects import checked_sd
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.inputs import IMAGE, declared_inputs
from fgf_keras.models.network import Network
from fgf_keras.models.placement import Placement, measured_evaluation
from fgf_keras.nulls.white import white_p_value_in_graph
from fgf_keras.serving.input_status import InputStatus
from fgf_keras.serving.inputs import checked_inputs, input_shapes, require_shapes, stored_type

_Outputs = dict[str, tf.Tensor]


class Signatures:
    """The signatures of an `AlignmentModel`, as functions of tensors to dictionaries of tensors.

    Outputs have a leading axis of B and are float32; `status` is int32 of `InputStatus`. Where it is not 0,
    numbers are NaN, `class` is -1 and fields are 0; other samples are not affected.

    Args:
        model: trained.
        threshold: logit above which a sample of two classes is of class 1.
        support, flow: as for `explain`.
        jit_compile: whether to compile by XLA, at the first request of each batch size.
        window_hu: as `hu_window` for `explain`.
        reference_sd: as for `explain`; None for no effects.

    Attributes:
        units: of the features, `Unit` each.
        reference_sd: by feature; None for those that do not vary.

    Raises:
        ConfigError: a feature is missing from `reference_sd`, or its value is negative.
    """

    def __init__(
        self,
        model: AlignmentModel,
        *,
        threshold: float,
        support: str,
        flow: Flow,
        jit_compile: bool,
        window_hu: Sequence[float] | None = None,
        reference_sd: Mapping[str, float | None] | None = None,
    ) -> None:
        declared = declared_inputs(model.classifier)
        key, classifier = str(model.score.input or IMAGE), model.classifier
        image = declared.pop(key, None)
        self.image_shape = tuple(classifier.input_shape[1:] if image is None else image.shape[1:])
        self.others = list(declared.values())
        if image is not None:
            classifier = Network(classifier, key=key, names=list(declared))
        self._names, self._weight, self._threshold = model.feature_names, flow.average, threshold
        self._classifier, self._bounded = model.classifier, flow.range == "bounded"
        self._compiled = jit_compile
        self.units = [unit_of(feature, window_hu) for feature in model.features]
        self.reference_sd = None if reference_sd is None else checked_sd(self._names, reference_sd)
        evaluation = measured_evaluation(model)
        # On the mask, whatever the support is: a prediction needs no gradients outside of it.
        self._placement = Placement(classifier, evaluation=evaluation)
        self._measure = AlignmentMeasure(
            classifier,
            model.features,
            self.image_shape,
            others=self.others,
            support=support,
            mask_input=True,
            evaluation=evaluation,
            flow=flow,
            compiled=jit_compile,
        )

    def endpoints(self) -> dict[str, tuple[Callable[..., _Outputs], list[tf.TensorSpec]]]:
        """The function and the specs of its inputs, by the name of the signature."""
        image, mask, spacing = (
            tf.TensorSpec([None, *shape], tf.float32, name=name)
            for name, shape in input_shapes(self.image_shape).items()
        )
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            "serving_default": (self.predict, [image, mask, *self.others]),
            "alignment": (self.alignment, [image, mask, spacing, *self.others]),
            "explain": (self.explain, [image, mask, spacing, *self.others]),
            "predict_examples": (self.predict_examples, [examples]),
        }

    def predict(self, image: tf.Tensor, mask: tf.Tensor, *others: tf.Tensor) -> dict[str, tf.Tensor]:
        """status, probability, logit and class, (B,) each; for K classes probability and logit are (B, K)."""
        return self._run(self._predicted, others, image=image, mask=mask)

    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `predict`, for serialised `tf.train.Example` (B,): float lists image and mask, row by row.

        Other inputs of the classifier are lists of floats, integers or bytes.
        """
        shapes = input_shapes(self.image_shape)
        fields = {name: tf.io.FixedLenFeature(shapes[name], tf.float32) for name in ("image", "mask")}
        for spec in self.others:
            fields[spec.name] = tf.io.FixedLenFeature(spec.shape[1:], stored_type(spec.dtype))
        parsed = tf.io.parse_example(examples, fields)
        others = (
            parsed[spec.name] if spec.dtype == tf.string else tf.cast(parsed[spec.name], spec.dtype)
            for spec in self.others
        )
        return self.predict(parsed["image"], parsed["mask"], *others)

    def alignment(
        self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor, *others: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """As `predict`, with S_<feature>, S_joint, S_joint_magnitude, unique_<feature> and p_white_<feature>.

        Also partial_<feature> and p_white_partial_<feature>, NaN where the other features leave nothing
        unexplained; value_<feature>, slope_<feature>, slope_alone_<feature> and, if the standard deviations
        of a reference cohort are known, effect_<feature>; for two classes also p_white_joint.
        """
        return self._run(self._aligned, others, image=image, mask=mask, spacing=spacing)

    def explain(
        self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor, *others: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """As `alignment`, with F_<feature>, F_joint, F_joint_magnitude, flow_residual and flow_status (B,).

        Where F is defined, also outside and outside_excess (NaN if the image is not in [0, 1]),
        contribution_<feature>, contribution_shapley_<feature> (for up to five features), change_<feature> and
        unexplained; see `Explanation.to_frame`.
        Also fields (B, H, W, C): gradient (of the decision's score), explained (its component along the
        features), boundary (the image at the end of the path).
        """
        fields = {"image": image, "mask": mask, "spacing": spacing}
        return self._run(self._explained, others, in_range=self._bounded, **fields)

    def _run(
        self,
        function: Callable[..., _Outputs],
        others: Sequence[tf.Tensor],
        *,
        in_range: bool = False,
        **fields: tf.Tensor,
    ) -> _Outputs:
        count, names = len(fields), [spec.name for spec in self.others]
        tensors = require_shapes(self.image_shape, self.others, **fields, **dict(zip(names, others)))

        def checked(*inputs: tf.Tensor) -> _Outputs:
            spacing = inputs[2] if count == 3 else None
            valid, status = checked_inputs(*inputs[:2], spacing, *inputs[count:], in_range=in_range)
            wide = [tf.cast(tensor, self._measure.dtype) for tensor in valid[:count]]
            return self._refusing(function(*wide, *valid[3:]), status)

        return tf.function(checked, autograph=False, jit_compile=self._compiled)(*tensors)

    def _predicted(self, image: tf.Tensor, mask: tf.Tensor, *others: tf.Tensor) -> _Outputs:
        logits = self._placement.run(
            lambda view: view.classifier(view.image, training=False),
            *(image, mask, None),
            *others,
            compiled=self._compiled,
        )
        return self._decided(logits)

    def _aligned(self, *tensors: tf.Tensor) -> _Outputs:
        return self._pointwise(self._measure.at_sample(*tensors))

    def _explained(self, *tensors: tf.Tensor) -> _Outputs:
        values = self._measure.everything(*tensors)
        along = {f"F_{name}": values[f"F_{self._weight}"][:, i] for i, name in enumerate(self._names)}
        along |= {key: values[f"{key}_{self._weight}"] for key in ("F_joint", "F_joint_magnitude")}
        errors = values[f"F_error_{self._weight}"]
        along |= {f"flow_error_{name}": errors[:, i] for i, name in enumerate([*self._names, "joint"])}
        along |= {"flow_residual": values["residual"], "flow_status": values["status"]}
        along |= self._contributions(values)
        return {
            **self._pointwise(values),
            **along,
            **{name: values[name] for name in ("gradient", "explained", "boundary")},
        }

    def _pointwise(self, values: _Outputs) -> _Outputs:
        logits, dimension = values["logits"], values["dimension"]
        columns = {f"S_{name}": values["S"][:, i] for i, name in enumerate(self._names)}
        columns |= {"S_joint": values["S_joint"], "S_joint_magnitude": tf.sqrt(values["S_joint"])}
        columns |= self._by_feature({key: values[key] for key in ("unique", "partial")})
        columns |= self._effects(values)
        section = values["section_rank"][:, tf.newaxis]
        by_feature = white_p_value_in_graph(values["S"], dimension[:, tf.newaxis], section)
        rest = dimension[:, tf.newaxis] - values["rank_others"]
        partial = white_p_value_in_graph(values["partial"], rest, values["rank_without_others"])
        columns |= self._by_feature({"p_white": by_feature, "p_white_partial": partial})
        if logits.shape[1] <= 2:
            rank = tf.maximum(values["rank"], 1)
            columns["p_white_joint"] = white_p_value_in_graph(values["S_joint"], dimension, rank)
        return {**self._decided(logits), **columns}

    def _effects(self, values: _Outputs) -> _Outputs:
        scale, offset = (
            tf.constant([getattr(unit, key) for unit in self.units], values["value"].dtype)
            for key in ("scale", "offset")
        )
        effects = {"value": offset + scale * values["value"]}
        effects |= {key: values[key] / scale for key in ("slope", "slope_alone")}
        if self.reference_sd is not None:
            sd = np.array(list(self.reference_sd.values()), np.float64)
            effects["effect"] = effects["slope"] * tf.constant(sd, scale.dtype)
        return self._by_feature(effects)

    def _contributions(self, values: _Outputs) -> _Outputs:
        missing = tf.math.is_nan(values["F_joint_score"])
        nan = tf.constant(float("nan"), self._measure.dtype)
        scale = tf.constant([unit.scale for unit in self.units], self._measure.dtype)
        along = {"change": scale * values["change"], "contribution": values["contribution"]}
        if "contribution_shapley" in values:
            along["contribution_shapley"] = values["contribution_shapley"]
        along = {key: tf.where(missing[:, tf.newaxis], nan, array) for key, array in along.items()}
        single = ("unexplained", "outside", "outside_excess")
        return self._by_feature(along) | {key: tf.where(missing, nan, values[key]) for key in single}

    def _by_feature(self, arrays: _Outputs) -> _Outputs:
        return {
            f"{key}_{name}": array[:, i]
            for key, array in arrays.items()
            for i, name in enumerate(self._names)
        }

    def _decided(self, logits: tf.Tensor) -> _Outputs:
        if logits.shape[1] == 1:
            logit = logits[:, 0]
            decision = tf.cast(logit > tf.cast(self._threshold, logit.dtype), tf.int32)
            return {"probability": tf.sigmoid(logit), "logit": logit, "class": decision}
        decision = tf.argmax(logits, 1, tf.int32)
        return {"probability": tf.nn.softmax(logits), "logit": logits, "class": decision}

    def _refusing(self, outputs: _Outputs, status: tf.Tensor) -> _Outputs:
        """Outputs of fixed types, blanked for samples that are refused."""
        finite = tf.math.is_finite(tf.reshape(outputs["logit"], [tf.shape(status)[0], -1]))
        overflown = (status == InputStatus.OK) & ~tf.reduce_all(finite, 1)
        status = tf.where(overflown, int(InputStatus.SCORE_NOT_FINITE), status)

        def refused(name: str, output: tf.Tensor) -> tf.Tensor:
            blank = -1 if name == "class" else 0 if output.shape.rank > 2 else float("nan")
            good = tf.reshape(status == InputStatus.OK, [-1] + [1] * (output.shape.rank - 1))
            return tf.where(good, output, tf.constant(blank, output.dtype))

        numbers = {
            name: tf.cast(output, tf.float32) if output.dtype.is_floating else output
            for name, output in outputs.items()
        }
        return {
            "status": status,
            **{name: n if name == "flow_status" else refused(name, n) for name, n in numbers.items()},
        }
