"""What a score does with feature values beyond a sum: bends and interactions, by cross-fitted surrogates."""

from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

from fgf_keras.results.explained_variance import average_ranks

# Fewer patients than this do not determine a curve in four fifths of them.
FEWEST_PATIENTS = 30
FOLDS, REPEATS = 5, 4
# Weights of the ridge penalty to choose from within each fold; the last leaves nothing of a stage.
_PENALTIES = np.logspace(-1, 7, 17)


class StageShares(NamedTuple):
    """R² of the predictions after each stage, for patients that the stage was not fitted to.

    Attributes:
        linear: of a weighted sum of the features.
        additive: of a sum of curves, one for each feature.
        flexible: of curves, and products of pairs of features and of their signs.
    """

    linear: np.ndarray | float
    additive: np.ndarray | float
    flexible: np.ndarray | float


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Φ⁻¹((rank - ½)/N) of values (N, m): like ranks, but a sum of normal features stays a sum."""
    return np.asarray(stats.norm.ppf((average_ranks(values) - 0.5) / len(values)), np.float64)


def cross_fitted(scores: np.ndarray, values: np.ndarray, seed: int) -> np.ndarray:
    """Predictions of scores (N, q) from values (N, m) after each of the three stages, (3, N, q).

    Each stage is a ridge regression of what the stages before it left over, with a penalty chosen by
    leave-one-out inside the fold, so that a stage that finds nothing adds nothing. The predictions for a
    patient come from fits without that patient, averaged over `REPEATS` partitions into folds.

    Args:
        scores, values: of the patients; best as `normal_scores`.
        seed: of the partitions.
    """
    stages = _stages(values.shape[1])
    predictions = np.zeros((len(stages), *scores.shape))
    for repeat in range(REPEATS):
        folds = KFold(FOLDS, shuffle=True, random_state=np.random.RandomState([seed, repeat]))
        for rest, held_out in folds.split(values):
            mean = scores[rest].mean(axis=0)
            remaining = scores[rest] - mean
            prediction = np.tile(mean, (len(held_out), 1))
            for stage, model in enumerate(stages):
                model.fit(values[rest], remaining)
                fitted, ahead = model.predict(values[rest]), model.predict(values[held_out])
                remaining = remaining - fitted.reshape(remaining.shape)
                prediction = prediction + ahead.reshape(prediction.shape)
                predictions[stage, held_out] += prediction / REPEATS
    return predictions


def stage_shares(scores: np.ndarray, predictions: np.ndarray) -> StageShares:
    """R² of predictions (3, ..., N, q) for scores (..., N, q); at least 0, and never less than before."""
    total = ((scores - scores.mean(axis=-2, keepdims=True)) ** 2).sum(axis=(-1, -2))
    left = ((scores - predictions) ** 2).sum(axis=(-1, -2))
    share = 1 - np.divide(left, total, out=np.ones_like(left), where=total > 0)
    return StageShares(*np.maximum.accumulate(np.maximum(share, 0), axis=0))


def _stages(count: int) -> list[Pipeline]:
    def ridge(*transforms: object) -> Pipeline:
        return make_pipeline(*transforms, StandardScaler(), RidgeCV(alphas=_PENALTIES))

    curves = SplineTransformer(n_knots=4, degree=3, knots="quantile", extrapolation="linear")
    # A single feature has no pairs: its third stage is another weighted sum, which finds nothing.
    last = ridge(FunctionTransformer(_products_of_pairs)) if count > 1 else ridge()
    return [ridge(), ridge(curves), last]


def _products_of_pairs(values: np.ndarray) -> np.ndarray:
    """The products of each pair of features, and of their signs: above or below the median.

    Products of curves would be more general, but they are too many for a hundred patients: they find
    nothing of x₁x₂ there, of which these find all.
    """
    one, other = np.triu_indices(values.shape[1], 1)
    forms = (values, np.sign(values))
    return np.concatenate([a[:, one] * b[:, other] for a in forms for b in forms], axis=1)
