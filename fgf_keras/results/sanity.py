"""What is left of S and F in networks that know nothing, beside the trained one."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.nulls.chance import defined, measured_shares
from fgf_keras.results.bootstrap import bootstrap_mean, known_mean
from fgf_keras.results.interval import rounded

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation

TRAINED, PERMUTED = "trained", "permuted labels"


class Network(NamedTuple):
    """What one network reaches on n patients; the last of m + 1 columns is the joint share.

    Attributes:
        auc: of its score.
        S, F: (n, m + 1), NaN where undefined.
        null: smooth fields' mean over patients, {"S" and "F": (3, m + 1)}: mean, 5 % and 95 %.
    """

    auc: float
    S: np.ndarray
    F: np.ndarray
    null: dict[str, Any]

    @classmethod
    def measured(cls, explain: Callable[..., "Explanation"], cohort: Cohort) -> "Network":
        """A network in the state that it is in.

        Args:
            explain: an `Explainer` with one smooth null.
            cohort: patients of both classes.
        """
        explanation = explain(
            cohort.images, cohort.masks, spacing=cohort.spacing, patient_id=cohort.patient_id
        )
        shares = {
            kind: np.where(
                defined(explanation, kind)[:, np.newaxis], measured_shares(explanation, kind), np.nan
            )
            for kind in "SF"
        }
        chance = explanation.against_chance().groupby("quantity")
        columns = ["null_mean", "null_q05", "null_q95"]
        null = {kind: chance.get_group(kind)[columns].to_numpy().T for kind in "SF"}
        return cls(roc_auc_score(cohort.labels, explanation.values["logit"]), shares["S"], shares["F"], null)


def layers_randomised(classifier: Any, fresh: Any) -> Iterator[tuple[str, Any]]:
    """Give a classifier the weights of a fresh one, a layer more at a time, from the output to the input.

    Yields:
        The name of each layer that has weights, after it got those of the fresh one.
    """
    pairs = [pair for pair in zip(classifier.layers, fresh.layers, strict=True) if pair[0].weights]
    for layer, source in reversed(pairs):
        layer.set_weights(source.get_weights())
        yield layer.name


def sanity_report(
    networks: dict[str, list[Network]],
    names: list[str],
    settings: EvaluateConfig,
    *,
    split: str,
    support: str,
    seed: int,
) -> dict[str, Any]:
    """The content of sanity.json.

    Args:
        networks: by name of the step; one for `TRAINED`, several draws for the others, the last of which is
            `PERMUTED` and the one before it has random weights alone.
        names: of the m features.
        settings: of intervals.
        split, support: what was measured.
        seed: of intervals.

    Returns:
        {"split", "support", "features", "steps": [{"name", "auc", "S" and "F": {feature: {"mean", "ci",
        "sd"}}, "undefined": {"S", "F"}, "null": {"S" and "F": {feature: {"mean", "q05", "q95"}}}}],
        "verdicts"}. A step of several networks is their mean, patient by patient; "sd" is the standard
        deviation of the means over patients from network to network (null for one network), and "undefined"
        counts the patients of all of them.
    """
    columns = [*names, "joint"]
    rng = np.random.default_rng(seed)

    def summary(values: np.ndarray) -> dict[str, Any]:
        defined = values[~np.isnan(values)]
        return bootstrap_mean(defined, bootstrap=settings.bootstrap, confidence=settings.confidence, rng=rng)

    steps = [_step(name, of_step, columns, summary) for name, of_step in networks.items()]
    return {
        "split": split,
        "support": support,
        "features": columns,
        "steps": steps,
        "verdicts": _verdicts(networks, steps, columns, summary),
    }


def _step(
    name: str,
    networks: Sequence[Network],
    columns: list[str],
    summary: Callable[[np.ndarray], dict[str, Any]],
) -> dict[str, Any]:
    step: dict[str, Any] = {"name": name, "auc": float(np.mean([network.auc for network in networks]))}
    for kind in "SF":
        step[kind] = {}
        by_patient = _over_networks(networks, kind)
        means = [known_mean(getattr(network, kind)) for network in networks]
        for i, column in enumerate(columns):
            spread = np.array([mean[i] for mean in means if not np.isnan(mean[i])])
            sd = float(spread.std(ddof=1)) if len(spread) > 1 else None
            step[kind][column] = summary(by_patient[:, i]) | {"sd": sd}
    step["undefined"] = {
        kind: int(sum(np.isnan(getattr(network, kind)[:, -1]).sum() for network in networks)) for kind in "SF"
    }
    step["null"] = {}
    for kind in "SF":
        null = known_mean(np.stack([network.null[kind] for network in networks]))
        step["null"][kind] = {
            column: dict(zip(("mean", "q05", "q95"), map(_or_none, null[:, i])))
            for i, column in enumerate(columns)
        }
    return step


def _verdicts(
    networks: dict[str, list[Network]],
    steps: list[dict[str, Any]],
    columns: list[str],
    summary: Callable[[np.ndarray], dict[str, Any]],
) -> list[str]:
    by_name = {step["name"]: step for step in steps}
    trained, permuted, random = by_name[TRAINED], by_name[PERMUTED], steps[-2]
    n = len(networks[PERMUTED])
    sentences = [
        f"AUC is {rounded(trained['auc'])} trained, {rounded(random['auc'])} with random weights, "
        f"{rounded(permuted['auc'])} trained on permuted labels."
    ]
    put_there: dict[str, list[str]] = {"S": [], "F": []}
    for kind in "SF":
        trained_shares, other = (_over_networks(networks[name], kind) for name in (TRAINED, PERMUTED))
        own_mean = known_mean(trained_shares)
        reached = [known_mean(getattr(network, kind)) >= own_mean for network in networks[PERMUTED]]
        for i, column in enumerate(columns):
            change = summary(trained_shares[:, i] - other[:, i])
            share = f"{kind} of {column.replace('_', ' ')}"
            if change["mean"] is None:
                sentences.append(f"{share} is undefined for the trained network or on permuted labels.")
                continue
            p = (1 + sum(bool(each[i]) for each in reached)) / (1 + n)
            low, high = change["ci"]
            if low > 0:
                if trained[kind][column]["mean"] > trained["null"][kind][column]["q95"]:
                    put_there[kind].append(column.replace("_", " "))
                verdict = "more than on permuted labels"
            else:
                verdict = "less than on permuted labels" if high < 0 else "no more than on permuted labels"
            of_null = "; ".join(
                f"{what} {_beside_null(step, kind, column)}"
                for what, step in (
                    ("Trained", trained),
                    ("random weights", random),
                    ("permuted labels", permuted),
                )
            )
            sentences.append(
                f"{share}: {verdict}, {_signed(change)} (p = {p:.2g} from {n} such network(s)). {of_null}."
            )
    put = "; ".join(f"{kind}: {', '.join(names) if names else 'none'}" for kind, names in put_there.items())
    sentences.append(f"Above the null and more than on permuted labels, so put there by training: {put}.")
    sentences.append(
        "Nulls are what 95 % of smooth random fields stay below. Intervals are over patients, who share a "
        "network; only p allows for how far networks differ among themselves, and with "
        f"{n} on permuted labels it cannot be below {1 / (1 + n):.2g} (--permutations)."
    )
    return sentences


def _signed(change: dict[str, Any]) -> str:
    low, high = change["ci"]
    return f"{change['mean']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _beside_null(step: dict[str, Any], kind: str, column: str) -> str:
    mean, reach = step[kind][column]["mean"], step["null"][kind][column]["q95"]
    if mean is None:
        return "undefined"
    return f"{rounded(mean)} is {'within' if mean <= reach else 'above'} its null ({rounded(reach)})"


def _over_networks(networks: Sequence[Network], kind: str) -> np.ndarray:
    """Mean over networks, patient by patient, (n, m + 1)."""
    return known_mean(np.stack([getattr(network, kind) for network in networks]))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
