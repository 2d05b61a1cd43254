"""How the score of a model changes when tumours move along a feature, compared with S and F."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fgf_keras.data.cohort import Cohort
from fgf_keras.measure.explanation import Explanation
from fgf_keras.measure.moves import MOVES, Tumour
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.models.placement import Placement, measured_evaluation
from fgf_keras.models.view import View
from fgf_keras.nulls.chance import defined, measured_shares
from fgf_keras.results.bootstrap import bootstrap_mean, known_mean
from fgf_keras.results.rank_correlation import rank_correlation

# How far tumours are moved, in standard deviations of the feature; the outer two determine the effect.
AMOUNTS = (-1.0, -0.5, 0.5, 1.0)
_OUTER = [0, 3]
# An outer move must achieve at least this fraction of its target. Less is due to rounding to pixels or to
# clipping, and the change of the score divided by it would be meaningless.
LEAST_ACHIEVED = 0.5
# Mean of values with its interval, see `bootstrap_mean`.
_Summary = Callable[[np.ndarray], dict[str, Any]]


def behaviour(
    model: AlignmentModel,
    cohort: Cohort,
    rows: np.ndarray,
    explanations: Mapping[str, Explanation],
    *,
    split: str,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Change of the score of a two-class `AlignmentModel` when tumours are moved along each feature.

    The amounts are multiples of the standard deviation of the feature over these patients. A patient is left
    out of a move that is impossible: the tumour would leave the canvas, vanish or swap its axes, or less than
    half of a move by a whole standard deviation was achieved. A feature without a known move in image space
    has no moves.

    Args:
        model: trained.
        cohort: patients.
        rows: indices of the patients to move.
        explanations: of the whole cohort, by support.
        split: the name of the part of the cohort that `rows` are.
        bootstrap, confidence, seed: of the intervals of means over patients.
        batch_size: tumours in memory at once.

    Returns:
        {"split", "n", "features": {name: {"unit", "left_out", "moves": [{"amount" (standard deviations), "n",
        "feature_change" (mean achieved, in the feature's unit), "other_changes": {other: mean of |change| in
        its standard deviations}, "score_change": {"mean", "ci"}}], "effect": {"mean", "ci"}}}, "agreement":
        {support: {"S" and "F": {"spearman_mean", "ci", "n"}, "order_by_effect", "order_by_S",
        "order_by_F"}}}.

        The effect of a patient is ½(|z(+1 sd) - z| + |z(-1 sd) - z|), each divided by the achieved change in
        standard deviations, or one of the two if only one move is possible; left_out counts the patients for
        whom neither is. The agreement is the rank correlation over the features, patient by patient, between
        the effects and S_i (F_i), averaged over the n patients in whom all are defined.
    """
    rows = np.asarray(rows)
    patients = _Patients(model, cohort, rows, batch_size)
    rng = np.random.default_rng(seed)
    summary = functools.partial(bootstrap_mean, bootstrap=bootstrap, confidence=confidence, rng=rng)
    by_feature: dict[str, Any] = {}
    effects: dict[str, np.ndarray] = {}
    for k, feature in enumerate(model.features):
        entry: dict[str, Any] = {
            "unit": feature.unit,
            "left_out": 0,
            "moves": [],
            "effect": summary(np.zeros(0)),
        }
        by_feature[feature.name] = entry
        if type(feature) not in MOVES:
            continue
        score_change, change = patients.moved_along(k)
        effect = known_mean(np.abs(score_change[:, _OUTER] / change[:, _OUTER, k]), axis=1)
        defined_effect = ~np.isnan(effect)
        entry["left_out"] = int(len(rows) - defined_effect.sum())
        entry["effect"] = summary(effect[defined_effect])
        effects[feature.name] = effect
        for a, amount in enumerate(AMOUNTS):
            moved = ~np.isnan(score_change[:, a])
            if not moved.any():
                continue
            others = dict(zip(patients.names, np.abs(change[moved, a]).mean(axis=0)))
            entry["moves"].append(
                {
                    "amount": amount,
                    "n": int(moved.sum()),
                    "feature_change": float(change[moved, a, k].mean() * patients.deviation[k]),
                    "other_changes": {
                        name: None if np.isnan(size) else float(size)
                        for name, size in others.items()
                        if name != feature.name
                    },
                    "score_change": summary(score_change[moved, a]),
                }
            )
    return {
        "split": split,
        "n": len(rows),
        "features": by_feature,
        "agreement": {
            support: _agreement(explanation, rows, effects, summary)
            for support, explanation in explanations.items()
        },
    }


class _Patients:
    """The tumours of patients, and scores and features of these tumours before and after moves.

    Attributes:
        names: of the m features.
        deviation: (m,) standard deviation of each feature over the patients; 0 for a single patient.
    """

    def __init__(self, model: AlignmentModel, cohort: Cohort, rows: np.ndarray, batch_size: int) -> None:
        self._features = model.features
        self.names = [feature.name for feature in model.features]
        self._canvas = cohort.images.shape[1:-1]
        self._batch_size = batch_size
        # The other inputs of the classifier stay those of the patient.
        self._others = [array[rows] for array in cohort.inputs.values()]
        self._measure = _measuring(model, cohort.dimension, cohort.inputs)
        self._tumours = [
            Tumour.cut(
                cohort.images[i, ..., 0],
                cohort.masks[i, ..., 0],
                (0,) * cohort.dimension,
                cohort.spacing[i],
            )
            for i in rows
        ]
        self._score, self._value = self._measured(self._tumours, np.arange(len(rows)))
        self.deviation = self._value.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(self.names))

    def moved_along(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Changes when tumours move along feature k; NaN where they cannot.

        Returns:
            Changes of the score (n, amounts), and of all features in standard deviations (n, amounts, m).
        """
        move = MOVES[type(self._features[k])]
        tumours: dict[tuple[int, int], Tumour] = {}
        for i, tumour in enumerate(self._tumours if self.deviation[k] > 0 else ()):
            for a, amount in enumerate(AMOUNTS):
                candidate = move(tumour, amount * self.deviation[k])
                if candidate is not None and candidate.is_on(self._canvas):
                    tumours[i, a] = candidate
        score = np.full((len(self._tumours), len(AMOUNTS)), np.nan)
        value = np.full((*score.shape, len(self.names)), np.nan)
        if tumours:
            patients = np.array([i for i, _ in tumours])
            score[*zip(*tumours)], value[*zip(*tumours)] = self._measured(list(tumours.values()), patients)
        score -= self._score[:, np.newaxis]
        change = (value - self._value[:, np.newaxis]) / np.where(self.deviation > 0, self.deviation, np.nan)
        for a in _OUTER:
            missed = change[:, a, k] / AMOUNTS[a] < LEAST_ACHIEVED
            score[missed, a], change[missed, a] = np.nan, np.nan
        return score, change

    def _measured(self, tumours: Sequence[Tumour], patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n,) and values of the features (n, m) of tumours of some patients, by number."""
        scores, values = [np.zeros(0)], [np.zeros((0, len(self.names)))]
        for start in range(0, len(tumours), self._batch_size):
            part = tumours[start : start + self._batch_size]
            others = [other[patients[start : start + self._batch_size]] for other in self._others]
            score, value = self._measure(*_batch(part, self._canvas), *others)
            scores.append(score.numpy().astype(np.float64))
            values.append(value.numpy().astype(np.float64))
        return np.concatenate(scores), np.concatenate(values)


def _batch(tumours: Sequence[Tumour], canvas: Sequence[int]) -> list[np.ndarray]:
    """Arguments of the function of `_measuring`.

    Of slices, images and masks (B, rows, columns, 1), spacing (B, 2) and origins (B, 2) of windows of one
    size; of volumes, images and masks of whole boxes (B, D, H, W, 1) and spacing (B, 3).
    """
    in_windows = len(canvas) == 2
    size = np.max([tumour.mask.shape for tumour in tumours], axis=0) if in_windows else canvas

    def stacked(fields: Iterable[np.ndarray]) -> np.ndarray:
        stack = np.zeros((len(tumours), *size, 1), np.float32)
        for whole, field, tumour in zip(stack, fields, tumours):
            first = np.zeros(2, int) if in_windows else tumour.origin
            whole[..., 0][tuple(slice(a, a + n) for a, n in zip(first, field.shape))] = field
        return stack

    arguments = [
        stacked(tumour.image for tumour in tumours),
        stacked(tumour.mask for tumour in tumours),
        np.array([tumour.spacing for tumour in tumours], np.float32),
    ]
    if in_windows:
        arguments.append(np.array([tumour.origin for tumour in tumours], np.int32))
    return arguments


def _measuring(
    model: AlignmentModel, dimension: int, others: Mapping[str, np.ndarray]
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Function of (image, mask, spacing[, origin], *others) to scores (B,) and values of features (B, m)."""
    placement = Placement(model.classifier, evaluation=measured_evaluation(model))
    placement = placement.with_inputs(None, list(others))

    def measured(view: View) -> tuple[tf.Tensor, tf.Tensor]:
        return view.logits()[:, 0], view.feature_values(model.features)

    def on_windows(
        image: tf.Tensor, mask: tf.Tensor, spacing: tf.Tensor, *rest: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        origin, rest = (rest[0], rest[1:]) if dimension == 2 else (None, rest)
        return placement.run(measured, image, mask, spacing, *rest, origin=origin)

    window = tf.TensorSpec([None, *[None] * dimension, 1], tf.float32)
    signature = [window, window, tf.TensorSpec([None, dimension], tf.float32)]
    if dimension == 2:
        signature.append(tf.TensorSpec([None, 2], tf.int32))
    signature += [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in others.values()]
    return tf.function(on_windows, input_signature=signature, autograph=False)


def _agreement(
    explanation: Explanation, rows: np.ndarray, effects: Mapping[str, np.ndarray], summary: _Summary
) -> dict[str, Any]:
    """How S and F rank the features that have moves, compared with the ranks of their effects."""
    columns = [explanation.feature_names.index(name) for name in effects]
    effect = np.stack([*effects.values()], axis=1) if effects else np.zeros((len(rows), 0))
    agreement: dict[str, Any] = {}
    for kind in "SF":
        share = measured_shares(explanation, kind)[rows][:, columns]
        whole = defined(explanation, kind)[rows] & ~np.isnan(effect).any(axis=1)
        correlation = rank_correlation(effect[whole], share[whole])
        correlation = correlation[~np.isnan(correlation)]
        mean = summary(correlation)
        agreement[kind] = {"spearman_mean": mean["mean"], "ci": mean["ci"], "n": len(correlation)}
        agreement[f"order_by_{kind}"] = _order(effects, share[whole])
    complete = ~np.isnan(effect).any(axis=1)
    return {
        **{kind: agreement[kind] for kind in "SF"},
        "order_by_effect": _order(effects, effect[complete]),
        **{f"order_by_{kind}": agreement[f"order_by_{kind}"] for kind in "SF"},
    }


def _order(names: Iterable[str], values: np.ndarray) -> list[str]:
    """Names by decreasing mean over patients of values (n, m); empty without patients."""
    if not len(values):
        return []
    return [list(names)[i] for i in np.argsort(-values.mean(axis=0), kind="stable")]
