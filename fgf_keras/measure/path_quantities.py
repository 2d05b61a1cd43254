"""The quantities observed along a path to the decision boundary, and what is reported of their means."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from fgf_keras.config.data import IMAGE_RANGE, ROUNDING
from fgf_keras.features.base import Feature
from fgf_keras.flow.chords import PathPoint
from fgf_keras.flow.result import FlowResult
from fgf_keras.flow.status import ENDED, FlowStatus
from fgf_keras.geometry.alignment import Products, joint_alignment, only_defined, pointwise_alignment
from fgf_keras.geometry.products import inner_products
from fgf_keras.geometry.shares import shapley_shares
from fgf_keras.geometry.slopes import share_split
from fgf_keras.models.view import View

# Shapley shares take 2^m solves at every point of a path.
MOST_FEATURES_FOR_PATH_SHAPLEY = 5


class PathQuantities(NamedTuple):
    """The columns of the observed quantities, by name.

    Attributes:
        features: m, number of features.
        noise: whether the mean share of noise features is observed as well.
    """

    features: int
    noise: bool

    @property
    def widths(self) -> dict[str, int]:
        """Number of columns of each quantity; those of `F` and `F_joint` must be accurate, and come first."""
        m = self.features
        widths = {"F": m, "F_joint": 1, "F_joint_magnitude": 1, "split": m}
        if m <= MOST_FEATURES_FOR_PATH_SHAPLEY:
            widths["shapley"] = m
        return widths | ({"F_noise": 1} if self.noise else {})

    @property
    def controlled(self) -> int:
        """Number of columns that must be accurate for a path to be accepted."""
        return self.features + 1

    def observed(self, point: PathPoint, products: Products, defined: tf.Tensor) -> tf.Tensor:
        """The quantities at points of paths, (B, n).

        Args:
            point: with the products of noise features as its linear values.
            products: of the path's direction.
            defined: (B, m) bool, whether the gradient of each feature is a finite number.
        """
        joint = joint_alignment(products)[:, tf.newaxis]
        single = only_defined(pointwise_alignment(products), defined)
        values = [single, joint, tf.sqrt(joint), share_split(products)]
        if self.features <= MOST_FEATURES_FOR_PATH_SHAPLEY:
            values.append(shapley_shares(products))
        if self.noise:
            squared = tf.cast(point.linear, joint.dtype) ** 2
            size = tf.cast(point.size, joint.dtype)[:, tf.newaxis]
            values.append(tf.reduce_mean(squared, axis=1, keepdims=True) / size)
        return tf.concat(values, axis=1)

    def reported(self, flow: FlowResult) -> dict[str, tf.Tensor]:
        """Means of shares along paths, and the contributions of features to the score.

        For each average ("arc", "score"): F_<average> (B, m), F_joint_<average>, F_joint_magnitude_<average>
        (the mean of √S_joint) and F_noise_<average> (B,), and F_error_<average> (B, m + 1), the estimated
        errors of the first two. contribution (B, m), contribution_shapley (B, m) for up to five features and
        unexplained (B,), in units of the score, which add up to its change along the path.
        """
        result: dict[str, tf.Tensor] = {}
        for average, means, errors in (
            ("arc", flow.arc_mean, flow.arc_error),
            ("score", flow.score_mean, flow.score_error),
        ):
            for name, values in self._by_name(means).items():
                if name.startswith("F"):
                    result[f"{name}_{average}"] = values if name == "F" else values[:, 0]
            result[f"F_error_{average}"] = errors[:, : self.controlled]
        change = (flow.score - flow.end_score)[:, tf.newaxis]
        parts = self._by_name(flow.score_mean)
        # On a chord the score falls evenly, so ∫ c_i dg_i is its fall times the mean of the split share.
        contribution = change * parts["split"]
        result["unexplained"] = change[:, 0] - tf.reduce_sum(contribution, axis=1)
        # A feature that was undefined on the path has no F, and no contribution.
        defined = ~tf.math.is_nan(parts["F"])
        result["contribution"] = only_defined(contribution, defined)
        if "shapley" in parts:
            result["contribution_shapley"] = only_defined(change * parts["shapley"], defined)
        return result

    def _by_name(self, values: tf.Tensor) -> dict[str, tf.Tensor]:
        widths = self.widths
        return dict(zip(widths, tf.split(values, list(widths.values()), axis=1)))


def feature_changes(start: View, end: View, features: Sequence[Feature]) -> tf.Tensor:
    """g(end) - g(start) of each feature, (B, m); NaN where the value at the end is not what its name says."""
    change = end.feature_values(features) - start.feature_values(features)
    return tf.where(end.features_defined(features), change, tf.constant(float("nan"), change.dtype))


def defined_features(gradients: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Whether features are finite numbers with finite gradients, (B, m) bool.

    Args:
        gradients: (B, m, …, C).
        values: (B, m).
    """
    size = tf.linalg.diag_part(inner_products(gradients, gradients))
    return tf.math.is_finite(size) & tf.math.is_finite(values)


def with_undefined(status: tf.Tensor, defined: tf.Tensor) -> tf.Tensor:
    """The statuses of paths (B,): FEATURE_UNDEFINED where one ended, but not all are `defined` (B, m)."""
    ended = tf.reduce_any([tf.equal(status, int(code)) for code in ENDED], axis=0)
    undefined = ended & ~tf.reduce_all(defined, axis=1)
    return tf.where(undefined, int(FlowStatus.FEATURE_UNDEFINED), status)


def outside_range(start: View, end: View) -> dict[str, tf.Tensor]:
    """How far the tumour leaves the range of the images, [0, 1], at the end of a path.

    outside (B,), the share of the mask's pixels whose value lies outside; outside_excess (B,), the largest
    distance of one of them from the range, in units of its width. NaN for a sample that is not in this range
    itself: the range of its images is unknown.
    """
    low, high = IMAGE_RANGE
    on_mask = start.mask * tf.ones_like(end.image)
    distance = tf.maximum(tf.maximum(low - end.image, end.image - high), 0) * on_mask
    pixels = range(1, len(end.image.shape))
    outside = tf.reduce_sum(tf.cast(distance > ROUNDING, distance.dtype), pixels)
    share = tf.math.divide_no_nan(outside, tf.reduce_sum(on_mask, pixels))
    excess = tf.reduce_max(distance, pixels) / (high - low)
    in_range = (start.image >= low - ROUNDING) & (start.image <= high + ROUNDING)
    known = tf.reduce_all(in_range, pixels)
    nan = tf.constant(float("nan"), excess.dtype)
    return {
        "outside": tf.where(known, share, nan),
        "outside_excess": tf.where(known, tf.where(excess > ROUNDING, excess, tf.zeros_like(excess)), nan),
    }
