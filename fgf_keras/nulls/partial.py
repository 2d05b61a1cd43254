"""Partial shares of random fields: the other features are projected out of them, as out of the feature."""

import numpy as np
import tensorflow as tf

from fgf_keras.geometry.alignment import RANK_TOLERANCE

_TOLERANCE = RANK_TOLERANCE[tf.float64]


class WithoutOthers:
    """One patient's section without the gradients of all features but one, for each of the features.

    A field v in place of ∇g_i has the partial share Σ_e ⟨e, v⟩² / ‖v⊥‖², with e an orthonormal basis of the
    section after the other features' gradients have been projected out, and v⊥ the field after that.
    Tolerances are those of `geometry.partial.partial_shares`.

    Args:
        products: (k + m, k + m), inner products of directions u_k that span the section (an orthonormal
            basis, and zeros) and of the m feature gradients, over the whole support.
        count: m.

    Attributes:
        ranks: m times (rank of the other features, rank of the remaining section); the latter is 0 if
            nothing remains, and partial shares are then NaN.
    """

    def __init__(self, products: np.ndarray, count: int) -> None:
        products = np.asarray(products, np.float64)
        if not np.isfinite(products).all():
            products = np.zeros_like(products)
        self._bases = [_bases(products, count, i) for i in range(count)]
        self.ranks = [(len(others), len(section)) for others, section in self._bases]

    def shares(self, cross: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """Partial shares (n, m) of fields v_i in place of ∇g_i; 0 for one in the span of the others.

        Args:
            cross: (n, m, k + m), ⟨v_i, u_k⟩ and ⟨v_i, ∇g_j⟩.
            squares: (n, m), ‖v_i‖².
        """
        columns = []
        for i, (others, section) in enumerate(self._bases):
            explained = np.sum((cross[:, i] @ section.T) ** 2, axis=1)
            rest = squares[:, i] - np.sum((cross[:, i] @ others.T) ** 2, axis=1)
            own = rest > _TOLERANCE * squares[:, i]
            share = np.where(own, explained / np.where(own, rest, 1), 0)
            columns.append(np.clip(share, 0, 1) if len(section) else np.full(len(share), np.nan))
        return np.stack(columns, axis=1)

    def white_shares(self, count: int, dimension: int, seed: np.ndarray) -> np.ndarray:
        """Partial shares (count, m) of white noise in `dimension` pixels: draws from their law.

        Beta(r/2, (d - s - r)/2), with s the rank of the other features and r that of the section without
        them: v⊥ is isotropic in d - s dimensions.
        """
        rng = np.random.default_rng(np.asarray(seed, np.int32).view(np.uint32).tolist())
        draws = np.ones((count, len(self.ranks)))
        for i, (others, section) in enumerate(self.ranks):
            rest = dimension - others - section
            # Drawn in any case, so that the other features' draws do not depend on it.
            beta = rng.beta(max(section, 1) / 2, max(rest, 1) / 2, count)
            if section == 0:
                draws[:, i] = np.nan
            elif rest > 0:
                draws[:, i] = beta
        return draws


def _bases(products: np.ndarray, count: int, feature: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal bases of the other features' span and of the section without it.

    Returns:
        (s, k + m) and (r, k + m), coefficients of the u_k and of the ∇g_j.
    """
    directions = len(products) - count
    places = [directions + j for j in range(count) if j != feature]
    others = _basis(products, places)
    # The u_k minus their components along the others.
    rest = np.eye(directions, len(products)) - products[:directions] @ others.T @ others
    values, vectors = np.linalg.eigh(rest @ products @ rest.T)
    kept = values > _TOLERANCE
    return others, (vectors[:, kept] / np.sqrt(values[kept])).T @ rest


def _basis(products: np.ndarray, places: list[int]) -> np.ndarray:
    """Coefficients of an orthonormal basis of the span of some of the fields."""
    norm = np.sqrt(np.diag(products)[places])
    scale = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
    values, vectors = np.linalg.eigh(scale[:, np.newaxis] * products[np.ix_(places, places)] * scale)
    kept = (values > _TOLERANCE * values[-1]) & (values > 0) if len(values) else np.zeros(0, bool)
    coefficients = np.zeros((kept.sum(), len(products)))
    coefficients[:, places] = (vectors[:, kept] / np.sqrt(values[kept])).T * scale
    return coefficients
