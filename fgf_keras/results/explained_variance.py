"""R² of a score on feature values, and its split over the features, for many samples of patients at once."""

import numpy as np
from scipy import stats

from fgf_keras.geometry.shapley import MOST_FEATURES_FOR_SHAPLEY, all_subsets, shapley_weights

# Eigenvalues of a correlation matrix below this fraction of the largest count as zero.
_RANK_TOLERANCE = 1e-10
# Differences of values below this fraction of the largest value are rounding errors.
_ROUNDING = 1e-6


def explained_variance(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """R² of scores on values by least squares with intercept, and its split, (..., 2 m + 1).

    The first column is R² of all m features; m columns follow with the LMG split (the Shapley values of R²:
    the average gain of adding a feature over all orders, which add up to R²; NaN for more than ten features),
    and m with what only that feature explains (R² minus that without it). Collinear features count once.

    Args:
        scores: (..., N, q); R² is that of all q together, Σ explained variance / Σ variance.
        values: (..., N, m).

    Source: Lindeman, Merenda, Gold (1980); Grömping, "Relative importance" (J. Stat. Softw. 17, 2006).
    """
    scores, values = _centred(scores), _standardised(values)
    gram = np.swapaxes(values, -1, -2) @ values
    return _split(gram, np.swapaxes(values, -1, -2) @ scores, (scores**2).sum(axis=(-1, -2)))


def permuted_variance(
    scores: np.ndarray, values: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """`explained_variance` (permutations, 2 m + 1) of scores (N, q) given to the wrong patients."""
    scores, values = _centred(scores), _standardised(values)
    orders = rng.permuted(np.tile(np.arange(len(scores)), (permutations, 1)), axis=1)
    cross = values.T @ scores[orders]
    return _split(values.T @ values, cross, np.full(permutations, (scores**2).sum()))


def own_p_values(
    scores: np.ndarray, values: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """For each feature, whether it explains anything that the others do not: p-values (m,).

    The residuals of the scores after regression on the other features are permuted, and the share of them
    that the rest of the feature explains is compared (Freedman and Lane, 1983). So a weak feature is judged
    by what a strong one leaves, not by all of the variation. 1 where nothing is left of the feature.

    Args:
        scores: (N, q).
        values: (N, m).
        permutations: number of permutations.
        rng: of them.
    """
    scores, values = _centred(scores), _standardised(values)
    orders = rng.permuted(np.tile(np.arange(len(scores)), (permutations, 1)), axis=1)
    p = np.ones(values.shape[1])
    for i in range(values.shape[1]):
        others = np.delete(values, i, axis=1)
        # Projects on the others; all columns are centred, in any order, so there is no intercept.
        onto = others @ np.linalg.pinv(others, rcond=_RANK_TOLERANCE)
        rest = values[:, i] - onto @ values[:, i]
        if rest @ rest <= _RANK_TOLERANCE * len(values):
            continue
        residuals = scores - onto @ scores
        permuted = residuals[orders]
        permuted = permuted - onto @ permuted
        share, chance = (_share_along(rest, each) for each in (residuals, permuted))
        p[i] = (1 + np.sum(chance >= share - 1e-12)) / (1 + permutations)
    return p


def _share_along(field: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of the squares of scores (..., N, q) that lies along a column (N,), over all q."""
    along = (np.swapaxes(scores, -1, -2) @ field) ** 2
    total = (scores**2).sum(axis=(-1, -2))
    explained = along.sum(axis=-1) / (field @ field)
    return np.asarray(np.divide(explained, total, out=np.zeros_like(explained), where=total > 0))


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of values (..., N, m) over the patients; equal values share their average rank."""
    return np.asarray(stats.rankdata(values, axis=-2), np.float64)


def varying(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Whether values vary over an axis, which is kept, by more than rounding errors of float32."""
    spread = np.ptp(values, axis=axis, keepdims=True)
    return np.asarray(spread > _ROUNDING * np.abs(values).max(axis=axis, keepdims=True))


def _centred(scores: np.ndarray) -> np.ndarray:
    """Columns with mean 0; those that do not vary are 0. Each keeps its weight among the others."""
    return np.where(varying(scores, axis=-2), scores - scores.mean(axis=-2, keepdims=True), 0.0)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and equal variance; those without variance are 0."""
    centred = values - values.mean(axis=-2, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-2, keepdims=True))
    varies = varying(values, axis=-2)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=varies)


def _split(gram: np.ndarray, cross: np.ndarray, total: np.ndarray) -> np.ndarray:
    """R², LMG split and unique shares from XᵀX (..., m, m), Xᵀy (..., m, q) and the sum of squares of y."""
    count = gram.shape[-1]
    few = count <= MOST_FEATURES_FOR_SHAPLEY
    without = 1 - np.eye(count, dtype=int)
    subsets = all_subsets(count) if few else np.concatenate([without, np.ones((1, count), int)])
    regular = _is_regular(gram)
    shares = np.stack([_share(gram, cross, subset, regular) for subset in subsets], axis=-1)
    shares = np.divide(
        shares, total[..., np.newaxis], out=np.zeros_like(shares), where=total[..., np.newaxis] > 0
    )
    joint = shares[..., -1:]
    lmg = shares @ shapley_weights(count) if few else np.full((*shares.shape[:-1], count), np.nan)
    positions = [int(np.flatnonzero((subsets == row).all(axis=1))[0]) for row in without]
    columns = np.concatenate([joint, lmg, joint - shares[..., positions]], axis=-1)
    # Neither rounding errors below 0 nor negative zeros.
    return np.where(columns <= 0, 0.0, columns)


def _share(gram: np.ndarray, cross: np.ndarray, subset: np.ndarray, regular: bool) -> np.ndarray:
    """The explained sum of squares of a subset of features, (...)."""
    members = np.flatnonzero(subset)
    if not len(members):
        return np.zeros(cross.shape[:-2])
    some, gram = cross[..., members, :], gram[..., members[:, None], members]
    if regular:
        coefficients = np.linalg.solve(gram, some)
    else:
        coefficients = np.linalg.pinv(gram, rcond=_RANK_TOLERANCE, hermitian=True) @ some
    return (some * coefficients).sum(axis=(-1, -2))


def _is_regular(gram: np.ndarray) -> bool:
    """Whether no features are collinear in any sample; then those of no subset are (interlacing)."""
    eigenvalues = np.linalg.eigvalsh(gram)
    return bool((eigenvalues[..., 0] > _RANK_TOLERANCE * eigenvalues[..., -1]).all())
