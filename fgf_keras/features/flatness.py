"""How flat the tumour is, as the ratio of its shortest to its longest axis."""

import keras
import tensorflow as tf

from fgf_keras.features.axis_ratios import log_ratio, log_ratio_field, tumour_axes
from fgf_keras.features.base import Feature, refuse_ranks
from fgf_keras.geometry.products import per_sample


@keras.saving.register_keras_serializable(package="fgf_keras")
class Flatness(Feature):
    """Least over major axis of a volume, g = √(λ₃/λ₁), no unit: 1 for a sphere, near 0 for a disc.

    λ₁ ≥ λ₂ ≥ λ₃ are the eigenvalues of the covariance of position under the intensities. With an image of
    ones this is the flatness of pyradiomics and IBSI. ∂λ_k/∂x_j = m_j ((v_k·(r_j - μ))² - λ_k) / s, with v_k
    the k-th principal axis. Where axes vanish or are equal, see `Elongation`: a tumour in a single slice has
    √(a²/12/λ₁) instead of 0, with a the smallest spacing.

    Source: Zwanenburg et al., The Image Biomarker Standardization Initiative, Radiology 2020, feature N17B.
    """

    default_name = "flatness"
    shift_invariant = True
    ranks = (3,)

    def value(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.value`."""
        refuse_ranks([self], len(image.shape) - 2)
        return tf.exp(-log_ratio(image, mask, spacing, 2))

    def is_defined(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.is_defined`; False where negative intensities make a variance or the mass negative."""
        return tumour_axes(image, mask, spacing)

    def gradient(self, image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor | None = None) -> tf.Tensor:
        """See `Feature.gradient`; closed form."""
        value = per_sample(self.value(image, mask, spacing), image)
        return -value * log_ratio_field(image, mask, spacing, 2)
