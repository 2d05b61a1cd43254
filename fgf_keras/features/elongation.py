"""How elongated the tumour is, as the ratio of its second longest to its longest axis."""

import keras
import tensorflow as tf

from fgf_keras.features.base import Feature, refuse_ranks
from fgf_keras.features.log_aspect_ratio import LogAspectRatio
from fgf_keras.geometry.products import per_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class Elongation(Feature):
    """Minor over major axis, g = √(λ₂/λ₁), no unit: 1 for a round tumour, near 0 for a line.

    λ₁ ≥ λ₂ (≥ λ₃ for volumes) are the eigenvalues of the covariance of position under the intensities. With
    an image of ones this is the elongation of pyradiomics and IBSI. g = exp(-`LogAspectRatio`), so that both
    have the same alignment, and the same behaviour where tumours have no axes: an axis is at least as long as
    that of a single pixel (a line has √(a²/12/λ₁) instead of 0, with a the smallest spacing; a single pixel
    has 1), and the gradient is 0 where λ₁ = λ₂.

    Source: Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology 2020, feature Q3CK.
    """

    default_name = "elongation"
    shift_invariant = True
    ranks = (2, 3)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`."""
        refuse_ranks([self], len(image.shape) - 2)
        return tf.exp(-LogAspectRatio().value(image, mask, spacing))

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False where negative intensities make a variance or the mass negative."""
        return LogAspectRatio().is_defined(image, mask, spacing)

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form, -g·∇(log aspect ratio)."""
        value = per_sample(self.value(image, mask, spacing), image)
        return -value * LogAspectRatio().gradient(image, mask, spacing)
