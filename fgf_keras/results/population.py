"""What the score follows over patients: the share of its variation that the values of features explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fgf_keras.errors import DataError
from fgf_keras.results.bootstrap import percentiles
from fgf_keras.results.columns import JOINT
from fgf_keras.results.explained_variance import (
    average_ranks,
    explained_variance,
    own_p_values,
    permuted_variance,
    varying,
)
from fgf_keras.results.interval import Interval, or_nan, or_none
from fgf_keras.results.surrogate import FEWEST_PATIENTS, cross_fitted, normal_scores, stage_shares

# "ranks" asks for any increasing relation, "linear" for a straight one.
SCALES = ("ranks", "linear")
# Resamples in memory at once.
_TOGETHER = 100
# Fewer patients than this for each feature and the intercept have no interval.
PATIENTS_PER_FEATURE = 5
# What curves add to straight lines, and what pairs of features add to curves.
BENDS, INTERACTIONS, FLEXIBLE = "bends", "interactions", "flexible"


@dataclass(frozen=True, repr=False)
class PopulationShare:
    """R² of the score on the values of features over patients, see `population_share`.

    Attributes:
        content: as in metrics.json.
    """

    content: dict[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """One row per scale and feature, see `population_table`."""
        return population_table(self.content)

    @property
    def reason(self) -> str:
        """Why there is none; empty where there is one."""
        return str(self.content.get("reason", ""))

    @property
    def permutations(self) -> int:
        """Number of random assignments of scores to patients."""
        return int(self.content["permutations"])

    def by_feature(self, scale: str) -> dict[str, tuple[Interval, float]]:
        """Share and p-value of each feature and the joint share on a scale; none if there is a reason."""
        rows = self.rows(scale)
        return {str(name): (Interval.of_means(row), float(row["p"])) for name, row in rows.iterrows()}

    def rows(self, scale: str) -> pd.DataFrame:
        """The rows of `to_frame` of one scale, indexed by feature."""
        table = self.to_frame()
        return table[table["scale"] == scale].set_index("feature")

    def followed(self, alpha: float) -> list[str]:
        """Features with a share beyond chance, of their own too, by ranks; the largest first.

        None if all features together are not beyond chance.

        Args:
            alpha: significance level.
        """
        rows = self.rows(SCALES[0])
        if not rows.loc[JOINT, "p"] <= alpha:
            return []
        rows = rows.drop(index=JOINT)
        followed = rows[(rows["p"] <= alpha) & (rows["p_own"] <= alpha)]
        return [str(name) for name in followed.sort_values("mean", ascending=False).index]

    def __repr__(self) -> str:
        if self.reason:
            return f"PopulationShare({self.reason})"
        table = self.to_frame().set_index(["scale", "feature"])
        rows = table.loc["ranks"].iterrows()
        shares = ", ".join(f"{name} {Interval.of_means(row)}, p {row['p']:.2g}" for name, row in rows)
        return f"PopulationShare({self.content['n']} samples; by ranks: {shares})"


def population_share(
    scores: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    *,
    permutations: int = 1000,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """How much of the variation of a score over patients the values of features explain.

    R² of the least-squares fit of the score to the values, of their ranks and linear; split over the features
    by LMG (Shapley values of R²). No gradients are used. A bootstrap resamples patients; R² of a resample is
    larger by about m/N, so it is the p-value, not the interval, that says whether there is more than chance.

    Args:
        scores: (N,) logits; (N, K) for K > 2 classes, of which R² is that of the centred logits together.
        values: (N, m).
        names: of the m features.
        permutations: number of random assignments of scores to patients, for p-values.
        bootstrap: number of resamples of patients.
        confidence: of the intervals.
        seed: of all three.

    Returns:
        {"n", "left_out": patients with an undefined score or value, "permutations", "constant": features that
        do not vary, "ranks" and "linear": {feature or "joint": {"share", "ci" (None for fewer than five
        patients per feature and intercept), "p": (1 + #{permuted share ≥ share})/(1 + permutations),
        "chance": 95 % quantile of the permuted shares; except for "joint" also "unique", what only that
        feature explains, and "p_own", whether that is more than chance given the other features
        (`own_p_values`, Benjamini-Hochberg over the features)}}, "flexible": {"bends", "interactions",
        "joint": {"share", "ci"}}, cross-fitted R², see `surrogate`; None for fewer than
        `surrogate.FEWEST_PATIENTS` patients}. Constant features have share 0 and p 1; of more than ten
        features there is no split (None).

    Raises:
        DataError: fewer patients than features + 2, or a score that does not vary.
    """
    scores = np.asarray(scores, np.float64).reshape(len(values), -1)
    scores = scores - scores.mean(axis=1, keepdims=True) if scores.shape[1] > 1 else scores
    values = np.asarray(values, np.float64)
    complete = np.isfinite(scores).all(axis=1) & np.isfinite(values).all(axis=1)
    scores, values = scores[complete], values[complete]
    _check(scores, len(names), int((~complete).sum()))
    constant = ~varying(values)[0]
    values = np.where(constant, 0.0, values)
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, len(scores), (bootstrap, len(scores)))
    content: dict[str, Any] = {
        "n": len(scores),
        "left_out": int((~complete).sum()),
        "permutations": permutations,
        "constant": [name for name, is_constant in zip(names, constant) if is_constant],
    }
    for scale in SCALES:
        by_rank = scale == "ranks"
        sample = (average_ranks(scores), average_ranks(values)) if by_rank else (scores, values)
        share = explained_variance(*sample)
        chance = permuted_variance(*sample, permutations, rng)
        own = stats.false_discovery_control(own_p_values(*sample, permutations, rng))
        interval = _interval(scores, values, samples, by_rank, confidence)
        content[scale] = _by_feature(names, share, chance, own, interval)
    content[FLEXIBLE] = _flexible(scores, values, samples, confidence, seed)
    return content


def population_table(content: dict[str, Any]) -> pd.DataFrame:
    """The content as a tidy table: scale, feature, mean (the share), low, high, unique, p, p_own, chance.

    Scale is "ranks", "linear" or "flexible"; the "features" of the last are "bends", "interactions" and
    "joint".

    Args:
        content: from `population_share`; without rows where that was impossible.
    """
    columns = ["scale", "feature", *Interval._fields, "unique", "p", "p_own", "chance"]
    rows = []
    for scale in (*SCALES, FLEXIBLE):
        for feature, entry in (content.get(scale) or {}).items():
            row = {"scale": scale, "feature": feature}
            row |= Interval.of(entry["share"], entry["ci"])._asdict()
            rows.append(row | {key: or_nan(entry.get(key)) for key in ("unique", "p", "p_own", "chance")})
    return pd.DataFrame(rows, columns=columns)


def population_content(
    scores: np.ndarray, values: np.ndarray, names: Sequence[str], **settings: Any
) -> dict[str, Any]:
    """`population_share`, or {"n", "reason"} where it is impossible."""
    try:
        return population_share(scores, values, names, **settings)
    except DataError as error:
        return {"n": len(values), "reason": str(error)}


def _check(scores: np.ndarray, features: int, left_out: int) -> None:
    if len(scores) < features + 2:
        raise DataError(
            f"The population share of {features} features needs at least {features + 2} patients with a "
            f"score and all values. Received: {len(scores)}"
            + (f", and {left_out} with undefined ones" if left_out else "")
            + ". Measure more patients or fewer features."
        )
    if not varying(scores).any():
        raise DataError(f"The score is the same for all {len(scores)} patients: there is nothing to explain.")


def _by_feature(
    names: Sequence[str], share: np.ndarray, chance: np.ndarray, own: np.ndarray, interval: np.ndarray
) -> dict[str, Any]:
    """The entries of the features and of the joint share, from the columns of `explained_variance`."""
    count = len(names)
    p = (1 + (chance >= share - 1e-12).sum(axis=0)) / (1 + len(chance))
    upper = np.quantile(chance, 0.95, axis=0)
    entries: dict[str, Any] = {}
    for column, name in enumerate([JOINT, *names]):
        entry = {"share": share[column], "p": p[column], "chance": upper[column]}
        # More features than can be split have unique shares only.
        if np.isnan(share[column]):
            entry |= {"p": np.nan}
        if name != JOINT:
            entry |= {"unique": share[column + count], "p_own": own[column - 1]}
        entry = {key: or_none(value) for key, value in entry.items()}
        ends = [or_none(end) for end in interval[:, column]]
        entries[name] = entry | {"ci": ends}
    return {name: entries[name] for name in (*names, JOINT)}


def _interval(
    scores: np.ndarray, values: np.ndarray, samples: np.ndarray, by_rank: bool, confidence: float
) -> np.ndarray:
    """(2, 2 m + 1), the ends of the intervals; NaN for so few patients that a resample explains itself."""
    if len(scores) < PATIENTS_PER_FEATURE * (values.shape[1] + 1):
        return np.full((2, 2 * values.shape[1] + 1), np.nan)
    shares = []
    for start in range(0, len(samples), _TOGETHER):
        some = samples[start : start + _TOGETHER]
        sample = scores[some], values[some]
        shares.append(explained_variance(*(map(average_ranks, sample) if by_rank else sample)))
    return np.array(percentiles(np.concatenate(shares), confidence))


def _flexible(
    scores: np.ndarray, values: np.ndarray, samples: np.ndarray, confidence: float, seed: int
) -> dict[str, Any] | None:
    varies = values.any(axis=0)
    if len(scores) < FEWEST_PATIENTS or not varies.any():
        return None
    targets = normal_scores(scores)
    predictions = cross_fitted(targets, normal_scores(values[:, varies]), seed)
    share = stage_shares(targets, predictions)
    resampled = stage_shares(targets[samples], predictions[:, samples])

    def entry(value: np.ndarray | float, values: np.ndarray | float) -> dict[str, Any]:
        return {"share": float(value), "ci": percentiles(np.asarray(values), confidence)}

    return {
        BENDS: entry(share.additive - share.linear, resampled.additive - resampled.linear),
        INTERACTIONS: entry(share.flexible - share.additive, resampled.flexible - resampled.additive),
        JOINT: entry(share.flexible, resampled.flexible),
    }
