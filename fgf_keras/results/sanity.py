"""Sanity checks: S and F of the trained network compared with those of networks that learned nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from fgf_keras.config import EvaluateConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.nulls.chance import defined, measured_shares
from fgf_keras.results.bootstrap import bootstrap_mean, known_mean
from fgf_keras.results.interval import or_none, rounded

if TYPE_CHECKING:
    from fgf_keras.measure.explanation import Explanation

TRAINED, PERMUTED = "trained", "permuted labels"


class Network(NamedTuple):
    """The measurements of one network on n patients; the last of m + 1 columns is the joint share.

    Attributes:
        auc: of the score.
        S, F: (n, m + 1), NaN where undefined.
        null: of the mean over patients of smooth fields, {"S" and "F": (3, m + 1)}: mean, 5 % and 95 %.
    """

    auc: float
    S: np.ndarray
    F: np.ndarray
    null: dict[str, Any]

    @classmethod
    def measured(cls, explain: Callable[..., "Explanation"], cohort: Cohort) -> "Network":
        """Measure a network with its current weights.

        Args:
            explain: an `Explainer` with one smooth null.
            cohort: patients of both classes.
        """
        explanation = explain(
            cohort.model_inputs, cohort.masks, spacing=cohort.spacing, patient_id=cohort.patient_id
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
    """Give a classifier the weights of a fresh one, one more layer at a time, from the output to the input.

    Of a network with clinical columns these are the layers of the image part.

    Yields:
        The name of each layer with weights, after it has received those of the fresh classifier.
    """
    layers = [image_layers(network) for network in (classifier, fresh)]
    pairs = [pair for pair in zip(*layers, strict=True) if pair[0].weights]
    for layer, source in reversed(pairs):
        layer.set_weights(source.get_weights())
        yield layer.name


def image_layers(classifier: Any) -> list[Any]:
    """The layers of a classifier; of a network with clinical columns, those of its image part."""
    return list(getattr(classifier, "image_part", classifier).layers)


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
        networks: by the name of the step; one network for `TRAINED`, several draws for the others. The last
            step is `PERMUTED`; in the step before it, all weights are random.
        names: of the m features.
        settings: of the intervals.
        split, support: the part and the support that were measured.
        seed: of the intervals.

    Returns:
        {"split", "support", "features", "steps": [{"name", "auc", "S" and "F": {feature: {"mean", "ci",
        "sd"}}, "undefined": {"S", "F"}, "null": {"S" and "F": {feature: {"mean", "q05", "q95"}}}}],
        "verdicts"}. A step with several networks is their mean for each patient; "sd" is the standard
        deviation over networks of the mean over patients (null for one network), and "undefined" counts the
        patients of all networks.
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
            column: dict(zip(("mean", "q05", "q95"), map(or_none, null[:, i])))
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
    learned: dict[str, list[str]] = {"S": [], "F": []}
    for kind in "SF":
        trained_shares, permuted_shares = (
            _over_networks(networks[name], kind) for name in (TRAINED, PERMUTED)
        )
        trained_mean = known_mean(trained_shares)
        exceeds = [known_mean(getattr(network, kind)) >= trained_mean for network in networks[PERMUTED]]
        for i, column in enumerate(columns):
            change = summary(trained_shares[:, i] - permuted_shares[:, i])
            share = f"{kind} of {column.replace('_', ' ')}"
            if change["mean"] is None:
                sentences.append(f"{share} is undefined for the trained network or on permuted labels.")
                continue
            p = (1 + sum(bool(network[i]) for network in exceeds)) / (1 + n)
            low, high = change["ci"]
            if low > 0:
                if trained[kind][column]["mean"] > trained["null"][kind][column]["q95"]:
                    learned[kind].append(column.replace("_", " "))
                verdict = "more than on permuted labels"
            else:
                verdict = "less than on permuted labels" if high < 0 else "no more than on permuted labels"
            null_comparisons = "; ".join(
                f"{what} {_beside_null(step, kind, column)}"
                for what, step in (
                    ("Trained", trained),
                    ("random weights", random),
                    ("permuted labels", permuted),
                )
            )
            sentences.append(
                f"{share}: {verdict}, {_signed(change)} (p = {p:.2g} from {n} such network(s)). "
                f"{null_comparisons}."
            )
    by_kind = "; ".join(f"{kind}: {', '.join(names) if names else 'none'}" for kind, names in learned.items())
    sentences.append(f"Above the null and more than on permuted labels, so put there by training: {by_kind}.")
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
    mean, q95 = step[kind][column]["mean"], step["null"][kind][column]["q95"]
    if mean is None:
        return "undefined"
    return f"{rounded(mean)} is {'within' if mean <= q95 else 'above'} its null ({rounded(q95)})"


def _over_networks(networks: Sequence[Network], kind: str) -> np.ndarray:
    """Mean over networks for each patient, (n, m + 1)."""
    return known_mean(np.stack([getattr(network, kind) for network in networks]))
