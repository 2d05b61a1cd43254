"""Features, classifier and compiled model from a configuration."""

from collections.abc import Sequence
from typing import Any

import keras

from fgf_keras.config import Config
from fgf_keras.config.model import FeatureConfig
from fgf_keras.features.base import Feature
from fgf_keras.features.registry import feature_of
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.late_fusion import LateFusion, clinical_dense
from fgf_keras.models.paper_cnn import paper_cnn
from fgf_keras.models.volume_cnn import volume_cnn
from fgf_keras.seeds import derived_seed

# Keeps the random feature of a reward independent of everything else that is drawn from the seed.
_NOISE_STREAM = 0x6E6F
_OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}


def build_features(configs: Sequence[FeatureConfig]) -> list[Feature]:
    """The features of a configuration, in order.

    Raises:
        FeatureError: a `function: module:name` that cannot be imported.
    """
    return [_feature(config) for config in configs]


def build_model(
    config: Config,
    image_shape: Sequence[int],
    classes: int,
    direction: dict[str, float] | None = None,
    *,
    columns: int = 0,
) -> AlignmentModel:
    """The configured network in a compiled `AlignmentModel`.

    Args:
        config: of the run.
        image_shape: of one patient's image.
        classes: K.
        direction: of the rewarded features, from `direction.reward_direction`.
        columns: number of encoded clinical columns, which a `LateFusion` sees beside the image; 0 for none.
    """
    choices = config.model.model_dump(
        exclude={"network", "evaluate", "clinical_dense", "clinical", "clinical_start"}
    )
    network = paper_cnn if config.data.dimension == 2 else volume_cnn
    if config.data.dimension == 3:
        del choices["strides"]
    classifier = network(image_shape, classes=classes, **choices)
    if columns:
        dense, activation = config.model.clinical_dense, config.model.activation
        clinical = clinical_dense(columns, classes=classes, dense=dense, activation=activation)
        classifier = LateFusion(classifier, clinical)
    model = AlignmentModel(
        classifier,
        build_features(config.features),
        reward=config.reward.kind,
        reward_weight=config.reward.weight,
        reward_features=_reward_features(config),
        reward_targets=dict(config.reward.targets) or None,
        reward_direction=direction,
        max_ratio=config.reward.max_ratio or float("inf"),
        project_conflicts=config.reward.project_conflicts,
        support=config.reward.support,
        reward_gradient=config.reward.gradient,
        evaluation=config.model.evaluate,
    )
    settings = {name: getattr(config.train, name) for name in ("weight_decay", "momentum")}
    settings = {name: value for name, value in settings.items() if value}
    model.compile(
        optimizer=_OPTIMIZERS[config.train.optimizer](config.train.learning_rate, **settings),
        loss=_loss(classes),
        metrics=_metrics(classes),
        jit_compile=config.compute.jit_compile,
    )
    # Build the optimizer's variables now: a step that creates variables is traced twice.
    model.optimizer.build(model.trainable_variables)
    return model


def rewarded_features(config: Config) -> list[Feature]:
    """The features that the reward is on: those of `reward.features`, or all that are measured."""
    return _reward_features(config) or build_features(config.features)


def _reward_features(config: Config) -> list[Feature] | None:
    """The features that are rewarded; None if those are all measured features."""
    if config.reward.features is None:
        return None
    by_name = {feature.name: feature for feature in config.features}
    # Its seed is not one of the seeds 0, 1, … of the measured noise.
    noise = FeatureConfig(name="noise", seed=derived_seed(config.seed, _NOISE_STREAM))
    return build_features([by_name.get(name, noise) for name in config.reward.features])


def _loss(classes: int) -> keras.losses.Loss:
    if classes == 2:
        return keras.losses.BinaryCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _metrics(classes: int) -> list[keras.metrics.Metric]:
    if classes == 2:
        return [
            keras.metrics.AUC(from_logits=True, name="auc"),
            keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
        ]
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def _feature(config: FeatureConfig) -> Feature:
    settings: dict[str, Any] = {"seed": config.seed} if config.seed is not None else {}
    return feature_of(config.name, function=config.function, **settings)
