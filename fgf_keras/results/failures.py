"""Five ways in which alignment can mislead, each detected from metrics and reported with them."""

from typing import NamedTuple

import numpy as np

from fgf_keras.results.arm import ArmResult, TrialResult
from fgf_keras.results.bar_standing import arm_standing
from fgf_keras.results.columns import QUANTITIES, bar_title, patient_column, share_column
from fgf_keras.results.interval import Interval, rounded, with_signs
from fgf_keras.results.patients import defined_shares

# The AUC of guessing: a score is good if the whole interval of its AUC is above, inverted if it is below.
GUESSING = 0.5
# Inside the tumour, a joint share below this is poor: three quarters of the squared gradient are unexplained.
POOR_SHARE = 0.25
# A gradient below this fraction of the median is near zero: a few pixels determine its direction.
NEAR_ZERO = 0.1
# If this share of the patients is affected, means over the others no longer describe the cohort.
MANY = 0.1
# By how much more S and F differ if the gradient is near zero: about as much as S varies among patients.
UNSTABLE = 0.1
# More inverted networks than this share are not chance: of untrained networks, one in forty looks inverted.
INVERTED_SHARE = 0.1
# A standard deviation of a feature that moves the score by less than this fraction of its own has no effect.
NEAR_NIL = 0.1


class Finding(NamedTuple):
    """The result of the check for one signature.

    Attributes:
        found: True, False, or None if it cannot be checked.
        why: a sentence with the metrics, or the reason why it cannot be checked.
    """

    found: bool | None
    why: str


def poor_alignment_despite_accuracy(arm: ArmResult) -> Finding:
    """A good AUC, but joint S and F that smooth random fields reach as well, or poor ones in the tumour."""
    auc = arm.metric("auc")
    if not auc.is_known:
        return Finding(None, "the AUC has no interval")
    if auc.low <= GUESSING:
        return Finding(False, f"the AUC, {auc}, is not clearly above {GUESSING}")
    sentences, poor = [], []
    for support in arm.supports:
        shares = {kind: arm.metric(share_column(support, kind, "joint")).mean for kind in QUANTITIES}
        shares = {kind: share for kind, share in shares.items() if not np.isnan(share)}
        if "S" not in shares:
            continue
        bands = {kind: _smooth_band(arm, support, kind) for kind in shares}
        is_chance = all(band is not None and shares[kind] <= band for kind, band in bands.items())
        is_small = support == "mask" and all(share < POOR_SHARE for share in shares.values())
        shares_text = " and ".join(f"{kind} {rounded(share)}" for kind, share in shares.items())
        by_chance = ", ".join(f"{kind} {rounded(b)}" for kind, b in bands.items() if b is not None)
        sentence = f"on support {support} joint {shares_text}"
        sentence += f" (95 % of smooth random fields reach at most {by_chance})" if by_chance else ""
        sentences.append(sentence)
        if is_chance or is_small:
            poor.append(sentence + ("" if is_chance else f", less than {POOR_SHARE:g}"))
    if not sentences:
        return Finding(None, "S is undefined for every patient")
    return Finding(bool(poor), f"AUC {auc}; {'; '.join(poor or sentences)}")


def accuracy_lost_to_reward(arm: ArmResult, baseline: ArmResult | None) -> Finding:
    """AUC or balanced accuracy clearly below the baseline while joint S rose, or inverted scores."""
    if not arm.has_reward:
        return Finding(None, "there is no reward that could cost accuracy")
    auc = arm.metric("auc")
    if auc.is_known and auc.high < GUESSING:
        return Finding(True, f"the AUC is {auc}: the score falls where it should rise")
    inverted, reference = _inverted(arm), _inverted(baseline) if baseline else []
    if len(inverted) > max(INVERTED_SHARE * len(arm.trials), len(reference)):
        return Finding(True, _inverted_why(arm, inverted, baseline, reference))
    if baseline is None:
        return Finding(None, "there is no baseline to compare with")
    support = arm.reward_support
    changes = {
        "AUC": arm.minus(baseline, "auc"),
        "balanced accuracy": arm.minus(baseline, "balanced_accuracy"),
    }
    share = arm.minus(baseline, share_column(support, "S", "joint"))
    why = ", ".join(f"{name} {with_signs(change)}" for name, change in changes.items())
    why += f", joint S (support {support}) {with_signs(share)}, all minus {baseline.name}"
    if not (share.is_known and any(change.is_known for change in changes.values())):
        return Finding(None, f"differences have no interval: {why}")
    is_lower = any(change.high < 0 for change in changes.values() if change.is_known)
    # What a penalty lowers is not joint S of what is rewarded.
    return Finding(is_lower and (share.low > 0 or not arm.rewarded), why)


def below_its_bar(arm: ArmResult) -> Finding:
    """The AUC is not above that of the best regression on numbers that need no network."""
    standing = arm_standing(arm)
    if standing is None:
        return Finding(None, "not every network was compared with bars (evaluate.bars)")
    why = f"AUC {standing.auc}, bar “{bar_title(standing.bar)}” {standing.bar_auc}, difference "
    why += with_signs(standing.difference)
    undecided = "" if standing.difference.excludes_zero else ", which does not exclude 0"
    return Finding(standing.outcome in ("below", "falls short"), why + undecided)


def unstable_alignment(arm: ArmResult) -> Finding:
    """Many patients without S or F, or with gradients near zero and disagreeing S and F."""
    support = arm.supports[0]
    tables = [trial.patients for trial in arm.trials.values()]
    if any(patient_column(support, "gradient_norm") not in table for table in tables):
        return Finding(None, "patients.csv has no gradient_norm: evaluate the run again")
    s, f, ratio = (
        np.concatenate(each) for each in zip(*(_stability(trial, support) for trial in arm.trials.values()))
    )
    undefined = np.isnan(s) | np.isnan(f)
    near_zero = ratio < NEAR_ZERO
    distance = np.abs(s - f)
    groups = {"near zero": distance[near_zero & ~undefined], "elsewhere": distance[~near_zero & ~undefined]}
    means = {name: values.mean() if len(values) else np.nan for name, values in groups.items()}
    why = (
        f"on support {support} S is undefined for {np.isnan(s).sum()} and F for {np.isnan(f).sum()} of "
        f"{len(s)} patients; the gradient of {(near_zero & ~undefined).sum()} more is below {NEAR_ZERO:g} of "
        "the median"
    )
    if groups["near zero"].size:
        why += ", |S − F| (joint) is " + ", ".join(f"{rounded(mean)} {name}" for name, mean in means.items())
    elsewhere = 0.0 if np.isnan(means["elsewhere"]) else means["elsewhere"]
    is_unstable = near_zero.mean() >= MANY and means["near zero"] >= elsewhere + UNSTABLE
    return Finding(bool(undefined.mean() >= MANY or is_unstable), why)


def reward_without_gain(arm: ArmResult, baseline: ArmResult | None, placebo: ArmResult | None) -> Finding:
    """S of rewarded features rose, but neither the AUC nor the effect of the features on the score did."""
    rewarded = [name for name in arm.rewarded if name in arm.features]
    if not rewarded:
        return Finding(None, "no measured feature is rewarded")
    if baseline is None:
        return Finding(None, "there is no baseline to compare with")
    support, reference = arm.reward_support, placebo or baseline
    shares = {name: arm.minus(baseline, share_column(support, "S", name)) for name in rewarded}
    auc = arm.minus(baseline, "auc")
    if not auc.is_known or not any(share.is_known for share in shares.values()):
        return Finding(None, f"differences from {baseline.name} have no interval")
    increases = {name: share for name, share in shares.items() if share.is_known and share.low > 0}
    if not increases:
        changes = ", ".join(f"{name} {with_signs(share)}" for name, share in shares.items())
        return Finding(False, f"S of no rewarded feature rose clearly: {changes}, minus {baseline.name}")
    effects = {name: (arm.effect(name), reference.effect(name)) for name in increases}
    if any(np.isnan(each.mean) for pair in effects.values() for each in pair):
        return Finding(None, f"the behaviour of {', '.join(increases)} was not measured (evaluate.behaviour)")
    changes = "; ".join(
        f"{name}: S {with_signs(share)}, one sd moves the score by {rounded(effects[name][0].mean)} of "
        f"its sd ({reference.name}: {rounded(effects[name][1].mean)})"
        for name, share in increases.items()
    )
    no_effect = all(
        one.mean < NEAR_NIL or not _above(one, other, arm.effect_minus(reference, name))
        for name, (one, other) in effects.items()
    )
    return Finding(auc.low <= 0 and no_effect, f"AUC {with_signs(auc)} minus {baseline.name}; {changes}")


def _inverted(arm: ArmResult) -> list[Interval]:
    """AUC of the networks with an inverted score: the whole interval is below the AUC of guessing."""
    aucs = [trial.metrics["auc"] for trial in arm.trials.values()]
    return [auc for auc in aucs if auc.is_known and auc.high < GUESSING]


def _inverted_why(
    arm: ArmResult, inverted: list[Interval], baseline: ArmResult | None, reference: list[Interval]
) -> str:
    why = f"the score of {len(inverted)} of {len(arm.trials)} networks falls where it should rise: AUC "
    why += f"{', '.join(rounded(auc.mean) for auc in inverted)}, intervals below {GUESSING:g}"
    return why + (f"; in {baseline.name} {len(reference)} of {len(baseline.trials)}" if baseline else "")


def _above(one: Interval, other: Interval, difference: Interval) -> bool:
    """Whether one is above the other: by their paired difference, their intervals, or else their means."""
    if difference.is_known:
        return difference.low > 0
    if one.is_known and other.is_known:
        return one.low > other.high
    return one.mean > other.mean


def _smooth_band(arm: ArmResult, support: str, kind: str) -> float | None:
    """95 % quantile of the joint share of smooth random fields, mean over splits; None if there are none."""
    bands = []
    for trial in arm.trials.values():
        row = trial.metrics.table.loc[share_column(support, kind, "joint")]
        quantiles = [
            row[f"{null}.q95"] for null in trial.metrics.paths[support].nulls if null.startswith("smooth")
        ]
        bands += [band for band in quantiles if not np.isnan(band)][:1]
    return float(np.mean(bands)) if bands else None


def _stability(trial: TrialResult, support: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint S, joint F, and the norm of the gradient relative to the median, one value per patient each."""
    norm = trial.patients[patient_column(support, "gradient_norm")].to_numpy()
    columns = (share_column(support, kind, "joint") for kind in QUANTITIES)
    s, f = (defined_shares(trial.patients, column).to_numpy() for column in columns)
    median = np.median(norm[norm > 0]) if (norm > 0).any() else 1.0
    return s, f, norm / median
