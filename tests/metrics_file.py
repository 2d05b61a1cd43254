"""The content of a metrics.json, made from the few numbers that a test is about."""

from fgf_keras.results.columns import CLASSIFICATION, QUANTITIES


def estimate(mean, half=0.05):
    """A mean with an interval around it; None where it is undefined."""
    if mean is None:
        return {"mean": None, "ci": [None, None], "median": None}
    return {"mean": mean, "ci": [mean - half, mean + half], "median": mean}


def alignment(shares, *, undefined=(0, 0), nulls=None, status=None, partial=None):
    """S and F on a support.

    Args:
        shares: mean by feature, the same for S and F, or {"S": …, "F": …}; "joint" is the squared share.
        undefined: patients left out of S and of F.
        nulls: {null: {quantity: {feature: content}}}.
        status: patients by name of a `FlowStatus`.
        partial: mean partial share by feature; without it as in files of earlier versions.
    """
    by_quantity = shares if set(shares) == set(QUANTITIES) else dict.fromkeys(QUANTITIES, shares)
    table = {"undefined": dict(zip(QUANTITIES, undefined)), "status": status or {}, "white": {}}
    for quantity, means in by_quantity.items():
        table[quantity] = {name: estimate(mean) for name, mean in means.items()}
        if "joint" in means:
            joint = means["joint"]
            root = None if joint is None else joint**0.5
            table[quantity]["joint"] = {"squared": estimate(joint), "magnitude": estimate(root)}
        table["white"] |= {name: {"expected": 0.004, "below_0.05": 0.5} for name in means if name != "noise"}
    if "joint" in table["white"]:
        table["white"]["joint"]["expected"] = 0.008
    if partial is not None:
        table["partial"] = {name: estimate(mean) | {"undefined": 2} for name, mean in partial.items()}
    return table | ({"nulls": nulls} if nulls else {})


def part(supports, *, auc=0.7, accuracy=0.6, n=20, n_positive=8, bars=None):
    """One part of the patients; `auc` may be a number or {"value", "ci"}.

    `bars`: by name, (AUC, difference in AUC, half of its interval); without it as in earlier versions.
    """
    content = {name: {"value": accuracy, "ci": [accuracy - 0.1, accuracy + 0.1]} for name in CLASSIFICATION}
    content["auc"] = auc if isinstance(auc, dict) else {"value": auc, "ci": [auc - 0.1, auc + 0.1]}
    if bars is not None:
        content["bars"] = {name: bar(*figures) for name, figures in bars.items()}
    return {"n": n, "n_positive": n_positive, "alignment": supports} | content


def bar(auc, difference, half, *, undefined=0):
    """A bar, whose differences from the network have an interval of the given half width."""
    own = {"value": auc, "ci": [auc - 0.1, auc + 0.1]}
    more = {"value": difference, "ci": [difference - half, difference + half]}
    pair = {"auc": own, "balanced_accuracy": own}
    return pair | {f"{name}_difference": more for name in pair} | {"undefined": undefined}


def metrics_content(parts, *, n_train=40):
    """The whole file."""
    threshold = {"logit": 0.0, "probability": 0.5, "chosen_on": "validation", "criterion": "any"}
    return {"threshold": threshold, "confidence": 0.95, "n_train": n_train, "splits": parts}
