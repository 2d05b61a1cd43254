"""The Keras model that trains a classifier with a reward for alignment with named features."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from fgf_keras.features.base import unique_names
from fgf_keras.features.registry import features_of
from fgf_keras.geometry.products import SUPPORTS
from fgf_keras.models.checks import require_loss_of_logits, require_one_of, warn_of_vanishing_curvature
from fgf_keras.models.combined_gradient import Combination
from fgf_keras.models.gradient_plan import REWARD_GRADIENTS, GradientPlan
from fgf_keras.models.input_gradient import Classifier, section_gradients
from fgf_keras.models.inputs import Inputs, at_least_float32, input_shape, unpack_inputs
from fgf_keras.models.logits import refuse_probability_layer
from fgf_keras.models.network import Key
from fgf_keras.models.placement import Placement
from fgf_keras.models.reward_term import RewardTerm
from fgf_keras.models.rewards import Alignment, reward_of
from fgf_keras.models.saving import KerasSaving
from fgf_keras.models.score import Score
from fgf_keras.models.second_derivatives import weight_gradient
from fgf_keras.models.trackers import MeanOfDefined
from fgf_keras.models.tried import tried_plan
from fgf_keras.models.view import View

_Logged = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # S_i (B, m), S_joint (B,), whether they are defined (B,)


@keras.saving.register_keras_serializable(package="fgf_keras")
class AlignmentModel(KerasSaving):
    """Trains a classifier with a loss from which a reward is subtracted, e.g. `task - Σ_i λ_i S_i` ("sum").

    S is averaged over the batch. Inputs are (image, mask), (image, mask, spacing) or a dictionary with those
    keys, in which the mask may be missing (everywhere) and further keys are other inputs of the classifier;
    the classifier sees image·mask. If a dictionary has "origin", (B, 2) integers, image and mask are
    windows that hold the tumours, and origin is the position of their first pixel on the canvas; the numbers
    are the same. `train_step` nests two `GradientTape`s: the inner one for the input gradient, the outer one
    for the weights. Logs contain `task_loss`, `reward`, `S_<feature>` and `S_joint` besides the compiled
    metrics; samples whose ∇z vanishes are left out of the means of S.

    Args:
        classifier: any Keras model to logits (B, 1) or (B, K) from images (B, H, W, C), volumes, sequences or
            tables, or from a dictionary of inputs.
        features: one or a list of names, `Feature`s and functions, see `features_of`.
        reward: "sum" (the paper), "joint", "signed", "distil", "flow", "none" (S is still measured), each a
            class of `models.rewards`, or see `rewards.reward_of`.
        reward_weight: λ, a number for all features, or a dictionary from feature name to λ_i (0 for others).
        reward_features: features to reward (with the λ_i) instead of `features`, which are only measured.
        reward_targets: what each rewarded feature is to be: "reward" (the default), "ignore", or "penalise":
            λ_i S_i is added to the loss, so that the classifier unlearns it.
        reward_direction: for "signed" and "distil", how the label changes per unit of each rewarded feature.
        max_ratio: largest norm of the reward's weight gradient, as a multiple of that of the task's.
        project_conflicts: whether to leave out the component of the reward's weight gradient that opposes the
            task's. This and `max_ratio` take one more backward pass in each step.
        support: "mask" or "image", see `AlignmentMeasure`.
        reward_gradient: how the reward is differentiated with respect to the weights. "exact": by second
            derivatives. "difference": by a central difference of first derivatives, for classifiers with
            operations that have no second derivative. "auto": tries the classifier before it is first
            trained, logs the result, and is exact wherever that is right; see `gradient_plan`.
        evaluation: "auto": a paper CNN is computed in a window around the tumour, which gives the same
            numbers at a fraction of the cost, other classifiers on the whole canvas; "dense": always the
            canvas; "roi": the window or an error. `placement.reason` says why the canvas is used.
        input: key of the input that is differentiated, in a dictionary of inputs; "image" by default.
        epsilon: added to ‖∇z‖² in S, as a fraction of its mean over the batch.
        name: of the model.

    Raises:
        FeatureError, ModelError: invalid names, kinds or weights.

    Example:
        >>> model = AlignmentModel(paper_cnn((192, 192, 1)), [Brightness(), Extent()], reward_weight=0.1)
        >>> model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        >>> model.fit({"image": images, "mask": masks}, labels)

    Source: Jin, Garneau, Fletcher (ISBI 2022, arXiv 2307.13061).
    """

    def __init__(
        self,
        classifier: Classifier,
        features: Any,
        *,
        reward: str = "sum",
        reward_weight: float | dict[str, float] = 0.1,
        reward_features: Any = None,
        reward_targets: dict[str, str] | None = None,
        reward_direction: dict[str, float] | None = None,
        max_ratio: float = float("inf"),
        project_conflicts: bool = False,
        support: str = "mask",
        reward_gradient: str = "auto",
        evaluation: str = "auto",
        input: str | None = None,
        epsilon: float = 1e-12,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        require_one_of("support", support, SUPPORTS)
        require_one_of("reward_gradient", reward_gradient, REWARD_GRADIENTS)
        refuse_probability_layer(classifier)
        self.features = features_of(features)
        self.feature_names = unique_names(self.features)
        self.classifier = classifier
        self.score = Score(classifier, input=input)
        self.reward, self.reward_weight = reward, reward_weight
        self.reward_features = None if reward_features is None else features_of(reward_features)
        self.support = support
        self.reward_gradient, self.evaluation = reward_gradient, evaluation
        self.epsilon = epsilon
        self._plan: GradientPlan | None = None
        self.placement = Placement(classifier, evaluation=evaluation, support=support)
        self.reward_targets, self.reward_direction = reward_targets, reward_direction
        self.max_ratio, self.project_conflicts = max_ratio, project_conflicts
        rewarded = self.reward_features or self.features
        self._reward = reward_of(
            reward, reward_weight, unique_names(rewarded), targets=reward_targets, direction=reward_direction
        )
        self._term = RewardTerm(self._reward, rewarded, support, epsilon)
        self._combination = Combination(max_ratio, project_conflicts)
        # A factor on λ, 1 unless a warm-up changes it; a variable, so that changing it does not retrace.
        self.reward_scale = self.add_weight(
            shape=(), initializer="ones", trainable=False, dtype="float32", name="reward_scale"
        )
        self._trackers = {key: keras.metrics.Mean(name=key) for key in ("task_loss", "reward")}
        shares = [f"S_{name}" for name in (*self.feature_names, "joint")]
        self._trackers |= {key: MeanOfDefined(name=key) for key in shares}
        if self._reward.is_active:
            warn_of_vanishing_curvature(classifier)
        self.built = classifier.built  # it has no layers of its own

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """Logits (B, 1) or (B, K) of image·mask."""
        batch = unpack_inputs(inputs, self.score.input)

        def logits(view: View) -> tf.Tensor:
            return view.classifier(view.image, training=training)

        return self._viewed(logits, batch._replace(mask=tf.cast(batch.mask, batch.image.dtype)))

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras; the classifier is tried here, before anything is traced, see `gradient_plan`."""
        shape = input_shape(self.classifier, self.score.input)
        if force or self.train_function is None:
            self._plan = None
            if shape is not None:
                self._gradient_plan(shape)
        return super().make_train_function(force=force)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step on (inputs, labels[, sample weights]); weights apply to the task loss, not to S."""
        (x, y, sample_weight), batch = self._prepared(data)
        variables = self.trainable_variables
        shape = input_shape(self.classifier, self.score.input) or batch.image.shape[1:]
        plan = self._gradient_plan(shape, batch.specs())

        separate = self._reward.is_active and self._combination.is_active
        exact = plan.method == "exact"

        def step(view: View) -> Any:
            features = self._term.gradients_of(view, self.features)
            with tf.GradientTape(persistent=separate) as weight_tape:
                # The section comes first, with the weights and statistics at the beginning of the step.
                unrecorded = None if self._reward.is_active and exact else weight_tape
                logits, section = section_gradients(
                    plan.passed(view.classifier), view.image, stop_recording=unrecorded
                )
                alignment = self._term.alignment(view, section, features)
                places = self._term.places(
                    view, logits, section, self._rewarded(features), plan, tape=unrecorded
                )
                reward = self._term.value(places, self.reward_scale)
                if plan.section != "shared":
                    logits = view.logits(training=True)
                task_loss = objective = self.compute_loss(x, y, logits, sample_weight, training=True)
                if self._reward.is_active:
                    rising = reward if exact else self._term.rising(places, self.reward_scale)
                    # Keras divides its losses by the number of replicas, whose gradients are then summed.
                    replicas = tf.distribute.get_strategy().num_replicas_in_sync
                    rising = tf.cast(rising, task_loss.dtype) / replicas
                    objective = (task_loss, -rising) if separate else task_loss - rising
                scaled = tf.nest.map_structure(self.optimizer.scale_loss, objective)
            gradients = [weight_gradient(weight_tape, part, variables) for part in tf.nest.flatten(scaled)]
            return logits, task_loss, tf.cast(reward, task_loss.dtype), _logged(alignment), gradients

        logits, task_loss, reward, alignment, gradients = self._viewed(step, batch, grouped=True)
        total = self._combination(*gradients) if separate else gradients[0]
        self.optimizer.apply_gradients(zip(total, variables))
        return self._record((x, y, sample_weight), logits, task_loss, reward, alignment)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """As `train_step`, but without the reward's gradient and without an update."""
        (x, y, sample_weight), batch = self._prepared(data)

        def measured(view: View) -> tuple[tf.Tensor, _Logged, tf.Tensor]:
            features = self._term.gradients_of(view, self.features)
            logits, section = section_gradients(view.classifier, view.image, training=False)
            alignment = self._term.alignment(view, section, features)
            places = self._term.places(view, logits, section, self._rewarded(features))
            return logits, _logged(alignment), self._term.value(places, self.reward_scale)

        logits, alignment, reward = self._viewed(measured, batch, grouped=True)
        task_loss = self.compute_loss(x, y, logits, sample_weight, training=False)
        reward = tf.cast(reward, task_loss.dtype)
        return self._record((x, y, sample_weight), logits, task_loss, reward, alignment)

    def get_config(self) -> dict[str, Any]:
        """Keras serialisation."""
        config = {
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            "features": [keras.saving.serialize_keras_object(f) for f in self.features],
            "reward": self.reward,
            "reward_weight": self.reward_weight,
            "support": self.support,
            "epsilon": self.epsilon,
            "name": self.name,
        }
        # Defaults are left out, so that earlier versions can load the models that they can compute.
        defaults = {
            "reward_gradient": "auto",
            "evaluation": "auto",
            "reward_targets": None,
            "reward_direction": None,
            "max_ratio": float("inf"),
            "project_conflicts": False,
        }
        config |= {
            key: getattr(self, key) for key, default in defaults.items() if getattr(self, key) != default
        }
        if self.reward_features is not None:
            config["reward_features"] = [keras.saving.serialize_keras_object(f) for f in self.reward_features]
        if self.score.input is not None:
            config["input"] = self.score.input
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "AlignmentModel":
        """Keras serialisation."""
        config = dict(config)
        config["classifier"] = keras.saving.deserialize_keras_object(config["classifier"])
        for key in ("features", "reward_features"):
            if key in config:
                config[key] = [keras.saving.deserialize_keras_object(f) for f in config[key]]
        return cls(**config)

    def _gradient_plan(
        self, image_shape: Sequence[int | None], others: Mapping[Key, tf.TensorSpec] | None = None
    ) -> GradientPlan:
        if self._plan is None:
            features = self.features + (self.reward_features or [])
            method = self.reward_gradient if self._reward.is_active else None
            key = self.score.input
            arguments = self.classifier, features, tuple(image_shape), method, key, others
            # In a thread of its own, because the plan may be needed while a graph is being traced, and in
            # `init_scope` no tape records.
            with ThreadPoolExecutor(1) as thread:
                self._plan = thread.submit(tried_plan, *arguments).result()
        return self._plan

    def _prepared(self, data: Any) -> tuple[Any, Inputs]:
        """(x, y, sample_weight), and the inputs for `_viewed`."""
        require_loss_of_logits(self.loss)
        unpacked = keras.utils.unpack_x_y_sample_weight(data)
        return unpacked, at_least_float32(unpack_inputs(unpacked[0], self.score.input))

    def _viewed(self, function: Callable[[View], Any], batch: Inputs, *, grouped: bool = False) -> Any:
        """The result of a function of the `View` of a batch; see `Placement.run`."""
        placement, others = self.placement.with_inputs(self.score.input, list(batch.others)), batch.others
        where = {"origin": batch.origin, "compiled": self.jit_compile, "grouped": grouped}
        return placement.run(function, *batch[:3], *others.values(), **where)

    def _rewarded(self, features: tf.Tensor) -> tf.Tensor | None:
        """∇g of the features that are rewarded, if those are the measured ones."""
        return features if self.reward_features is None else None

    def _record(
        self, data: Any, logits: tf.Tensor, task_loss: tf.Tensor, reward: tf.Tensor, alignment: _Logged
    ) -> dict[str, tf.Tensor]:
        x, y, sample_weight = data
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        count = tf.shape(logits)[0]
        task_loss *= replicas
        loss = task_loss - reward if self._reward.is_active else task_loss
        next(m for m in self.metrics if m.name == "loss").update_state(loss, sample_weight=count)
        self._trackers["task_loss"].update_state(task_loss, sample_weight=count)
        self._trackers["reward"].update_state(reward, sample_weight=count)
        pointwise, joint, defined = alignment
        for i, name in enumerate(self.feature_names):
            self._trackers[f"S_{name}"].update_state(pointwise[:, i], sample_weight=defined)
        self._trackers["S_joint"].update_state(joint, sample_weight=defined)
        return self.compute_metrics(x, y, logits, sample_weight=sample_weight)


def _logged(alignment: Alignment) -> _Logged:
    defined = tf.linalg.trace(alignment.products.section) > 0
    return alignment.pointwise, alignment.joint, defined
