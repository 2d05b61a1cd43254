"""Four ways in which alignment misleads, each recognised by metrics and reported with them."""

from typing import NamedTuple

import numpy as np

from fgf_keras.results.arm import ArmResult, TrialResult
from fgf_keras.results.columns import QUANTITIES, patient_column, share_column
from fgf_keras.results.interval import Interval, rounded
from fgf_keras.results.patients import defined_shares

# An AUC is good when its whole interval is above that of guessing; the score is inverted when it is below.
GUESSING = 0.5
# Inside the tumour, a smaller joint share is poor: three quarters of the squared gradient have no name.
POOR_SHARE = 0.25
# A gradient below this part of the median is near zero: its direction is what a few pixels make of it.
NEAR_ZERO = 0.1
# From this share of the patients on, means over patients are no longer those of the cohort.
MANY = 0.1
# How much farther S and F lie apart where the gradient is near zero: as far as patients differ in S.
UNSTABLE = 0.1
# If more networks than this are inverted it is not chance: of those that know nothing, one in forty looks so.
TURNED = 0.1
# A standard deviation of a feature that moves the score by less than this part of its own is near to nothing.
NEAR_NIL = 0.1


class Finding(NamedTuple):
    """What was found of a signature.

    Attributes:
        found: True, False, or None where it cannot be checked.
        why: a sentence with the metrics, or why it cannot be checked.
    """

    found: bool | None
    why: str


def poor_alignment_despite_accuracy(arm: ArmResult) -> Finding:
    """A good AUC, with joint S and F within reach of smooth random fields, or poor inside the tumour."""
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
        within = all(band is not None and shares[kind] <= band for kind, band in bands.items())
        small = support == "mask" and all(share < POOR_SHARE for share in shares.values())
        shares_text = " and ".join(f"{kind} {rounded(share)}" for kind, share in shares.items())
        by_chance = ", ".join(f"{kind} {rounded(b)}" for kind, b in bands.items() if b is not None)
        sentence = f"on support {support} joint {shares_text}"
        sentence += f" (95 % of smooth random fields reach at most {by_chance})" if by_chance else ""
        sentences.append(sentence)
        if within or small:
            poor.append(sentence + ("" if within else f", less than {POOR_SHARE:g}"))
    if not sentences:
        return Finding(None, "S is undefined for every patient")
    return Finding(bool(poor), f"AUC {auc}; {'; '.join(poor or sentences)}")


def accuracy_lost_to_reward(arm: ArmResult, baseline: ArmResult | None) -> Finding:
    """AUC or balanced accuracy clearly below the baseline's while joint S rose; or inverted scores."""
    if not arm.rewarded:
        return Finding(None, "there is no reward that could cost accuracy")
    auc = arm.metric("auc")
    if auc.is_known and auc.high < GUESSING:
        return Finding(True, f"the AUC is {auc}: the score falls where it should rise")
    inverted, usual = _inverted(arm), _inverted(baseline) if baseline else []
    if len(inverted) > max(TURNED * len(arm.trials), len(usual)):
        return Finding(True, _inverted_why(arm, inverted, baseline, usual))
    if baseline is None:
        return Finding(None, "there is no baseline to compare with")
    support = _support(arm)
    changes = {
        "AUC": arm.minus(baseline, "auc"),
        "balanced accuracy": arm.minus(baseline, "balanced_accuracy"),
    }
    share = arm.minus(baseline, share_column(support, "S", "joint"))
    why = ", ".join(f"{name} {_with_interval(change)}" for name, change in changes.items())
    why += f", joint S (support {support}) {_with_interval(share)}, all minus {baseline.name}"
    if not (share.is_known and any(change.is_known for change in changes.values())):
        return Finding(None, f"differences have no interval: {why}")
    lost = any(change.high < 0 for change in changes.values() if change.is_known)
    return Finding(lost and share.low > 0, why)


def unstable_alignment(arm: ArmResult) -> Finding:
    """Many patients without S or F, or with gradients near zero where S and F disagree."""
    support = arm.supports[0]
    tables = [trial.patients for trial in arm.trials.values()]
    if any(patient_column(support, "gradient_norm") not in table for table in tables):
        return Finding(None, "patients.csv has no gradient_norm: evaluate the run again")
    s, f, ratio = (
        np.concatenate(each) for each in zip(*(_stability(trial, support) for trial in arm.trials.values()))
    )
    undefined = np.isnan(s) | np.isnan(f)
    near = ratio < NEAR_ZERO
    apart = np.abs(s - f)
    where = {"near zero": apart[near & ~undefined], "elsewhere": apart[~near & ~undefined]}
    means = {name: values.mean() if len(values) else np.nan for name, values in where.items()}
    why = (
        f"on support {support} S is undefined for {np.isnan(s).sum()} and F for {np.isnan(f).sum()} of "
        f"{len(s)} patients; the gradient of {(near & ~undefined).sum()} more is below {NEAR_ZERO:g} of the "
        "median"
    )
    if where["near zero"].size:
        why += ", |S − F| (joint) is " + ", ".join(f"{rounded(mean)} {name}" for name, mean in means.items())
    elsewhere = 0.0 if np.isnan(means["elsewhere"]) else means["elsewhere"]
    many_near = near.mean() >= MANY and means["near zero"] >= elsewhere + UNSTABLE
    return Finding(bool(undefined.mean() >= MANY or many_near), why)


def reward_without_gain(arm: ArmResult, baseline: ArmResult | None, placebo: ArmResult | None) -> Finding:
    """S of rewarded features rose, but neither the AUC nor what the features do to the score."""
    rewarded = [name for name in arm.rewarded if name in arm.features]
    if not rewarded:
        return Finding(None, "no measured feature is rewarded")
    if baseline is None:
        return Finding(None, "there is no baseline to compare with")
    support, reference = _support(arm), placebo or baseline
    shares = {name: arm.minus(baseline, share_column(support, "S", name)) for name in rewarded}
    auc = arm.minus(baseline, "auc")
    if not auc.is_known or not any(share.is_known for share in shares.values()):
        return Finding(None, f"differences from {baseline.name} have no interval")
    risen = {name: share for name, share in shares.items() if share.is_known and share.low > 0}
    if not risen:
        changes = ", ".join(f"{name} {_with_interval(share)}" for name, share in shares.items())
        return Finding(False, f"S of no rewarded feature rose clearly: {changes}, minus {baseline.name}")
    effects = {name: (arm.effect(name), reference.effect(name)) for name in risen}
    if any(np.isnan(each.mean) for pair in effects.values() for each in pair):
        return Finding(None, f"the behaviour of {', '.join(risen)} was not measured (evaluate.behaviour)")
    changes = "; ".join(
        f"{name}: S {_with_interval(share)}, one sd moves the score by {rounded(effects[name][0].mean)} of "
        f"its sd ({reference.name}: {rounded(effects[name][1].mean)})"
        for name, share in risen.items()
    )
    idle = all(own.mean < NEAR_NIL or not _above(own, other) for own, other in effects.values())
    return Finding(auc.low <= 0 and idle, f"AUC {auc} minus {baseline.name}; {changes}")


def _inverted(arm: ArmResult) -> list[Interval]:
    """AUC of the networks whose score is inverted: its whole interval is below that of guessing."""
    every = [trial.metrics["auc"] for trial in arm.trials.values()]
    return [auc for auc in every if auc.is_known and auc.high < GUESSING]


def _inverted_why(
    arm: ArmResult, inverted: list[Interval], baseline: ArmResult | None, usual: list[Interval]
) -> str:
    why = f"the score of {len(inverted)} of {len(arm.trials)} networks falls where it should rise: AUC "
    why += f"{', '.join(rounded(auc.mean) for auc in inverted)}, intervals below {GUESSING:g}"
    return why + (f"; in {baseline.name} {len(usual)} of {len(baseline.trials)}" if baseline else "")


def _above(own: Interval, other: Interval) -> bool:
    """Whether one interval lies above another; without intervals, whether the mean does."""
    if own.is_known and other.is_known:
        return own.low > other.high
    return own.mean > other.mean


def _with_interval(interval: Interval) -> str:
    if np.isnan(interval.mean):
        return "undefined"
    if not interval.is_known:
        return f"{interval.mean:+.3f} without an interval"
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _support(arm: ArmResult) -> str:
    """The support of the reward where it was measured."""
    return arm.reward.support if arm.reward.support in arm.supports else arm.supports[0]


def _smooth_band(arm: ArmResult, support: str, kind: str) -> float | None:
    """What 95 % of smooth fields' joint shares stay below, mean over splits; None where none were drawn."""
    bands = []
    for trial in arm.trials.values():
        row = trial.metrics.table.loc[share_column(support, kind, "joint")]
        drawn = [
            row[f"{null}.q95"] for null in trial.metrics.paths[support].nulls if null.startswith("smooth")
        ]
        bands += [band for band in drawn if not np.isnan(band)][:1]
    return float(np.mean(bands)) if bands else None


def _stability(trial: TrialResult, support: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint S, joint F and the gradient as a part of the median, a patient each."""
    norm = trial.patients[patient_column(support, "gradient_norm")].to_numpy()
    columns = (share_column(support, kind, "joint") for kind in QUANTITIES)
    s, f = (defined_shares(trial.patients, column).to_numpy() for column in columns)
    median = np.median(norm[norm > 0]) if (norm > 0).any() else 1.0
    return s, f, norm / median
