"""S, F and the nulls for networks trained on labels that follow known laws, compared with the truth."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fgf_keras.config import Config
from fgf_keras.config.truth import NOTHING, LawArm
from fgf_keras.results.columns import JOINT, PARTIAL, QUANTITIES, p_column, share_column
from fgf_keras.results.metrics import Key, PartMetrics, RunMetrics
from fgf_keras.results.rejections import rejections
from fgf_keras.results.truth_lenses import LENSES, are_apart, lens_columns

_TRIAL = ["repeat", "law", "prevalence"]


def truth_table(
    config: Config,
    metrics_by_trial: dict[Key, RunMetrics | None],
    patients: dict[Key, pd.DataFrame],
    oracle: dict[Key, float],
    behaviour: dict[Key, dict[str, Any]] | None = None,
) -> pd.DataFrame:
    """One row per trial and feature, including the joint share, for the test part on the first support.

    Columns: repeat, law, prevalence; n, n_positive, auc, auc_low, auc_high, auc_oracle, learned (the interval
    of the AUC lies above 0.5); feature, role; S, F, partial, unique and shapley, means over patients;
    undefined_S, undefined_F and undefined_partial, number of patients left out of them; for each null and
    each of S, F and partial: S_over_<null> (mean minus that of the null), S_<null>_q05 and S_<null>_q95 (of
    the mean of the null), S_<null>_p, S_<null>_rate (share of patients with p ≤ alpha); S_over_nothing,
    F_over_nothing and partial_over_nothing, the mean minus that of the same network trained on random labels,
    if that law is among the laws; population, effect and moved with their intervals, see `lens_columns`.

    The role is "used" or "unused" by the label, or "nothing" for the law without coefficients. The joint
    share is used if one of its features is; it has no partial share. The row of a failed trial
    contains only its name.

    Args:
        config: with the group `truth`.
        metrics_by_trial: metrics by (name of the repeat, name of the arm); None for a failed trial.
        patients: rows of patients.csv of the test part, by the same keys.
        oracle: AUC on the test part of the probability given by the law, by the same keys.
        behaviour: content of behaviour.json, by the same keys, where it was measured.
    """
    rows = []
    for repeat in dict.fromkeys(repeat for repeat, _ in metrics_by_trial):
        for arm in config.laws:
            trial: dict[str, Any] = {"repeat": repeat, "law": arm.law_name, "prevalence": arm.prevalence}
            key = repeat, arm.name
            metrics = metrics_by_trial[key]
            if metrics is None:
                rows.append(trial)
                continue
            part = metrics.parts["test"]
            trial |= _classification(part, oracle[key])
            changes = (behaviour or {}).get(key)
            rows += [trial | row for row in _features(config, arm, part, patients[key], changes)]
    return _over_nothing(pd.DataFrame(rows))


def readings(table: pd.DataFrame) -> list[str]:
    """The columns of a `truth_table` that features can be ranked by."""
    kinds = [kind for kind in (*QUANTITIES, PARTIAL) if kind in table]
    over = [name for name in table.columns if name.startswith(tuple(f"{kind}_over_" for kind in kinds))]
    lenses = [lens for lens in LENSES if lens in table and table[lens].notna().any()]
    return [*kinds, "unique", "shapley", *lenses, *over]


def recovery_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per law and reading: in how many trials the features used by the label are ranked first.

    Laws that use none or all of the features are left out. Columns: law, used, reading, trials (with defined
    values), recovered, learned (trials whose network has learned something), recovered_learned, and for
    readings with intervals apart and apart_learned: in how many of them the intervals of the used features
    lie above those of the others; NaN for other readings.
    """
    rows = []
    features = table[table["feature"].notna() & (table["feature"] != JOINT)]
    for law, law_rows in features.groupby("law", sort=False):
        used = list(dict.fromkeys(law_rows.loc[law_rows["role"] == "used", "feature"]))
        if not 0 < len(used) < law_rows["feature"].nunique():
            continue
        for reading in readings(table):
            row = {"law": law, "used": ", ".join(used), "reading": reading}
            row |= dict.fromkeys(("trials", "recovered", "learned", "recovered_learned"), 0)
            has_interval = f"{reading}_low" in law_rows
            row |= dict.fromkeys(("apart", "apart_learned"), 0 if has_interval else math.nan)
            for _, trial in law_rows.groupby(_TRIAL, sort=False):
                by_feature = trial.set_index("feature")
                is_recovered = ranked_first(by_feature[reading], used)
                if is_recovered is None:
                    continue
                learned = bool(trial["learned"].iloc[0])
                row["trials"] += 1
                row["recovered"] += is_recovered
                row["learned"] += learned
                row["recovered_learned"] += is_recovered and learned
                if has_interval:
                    is_apart = are_apart(by_feature, reading, used)
                    row["apart"] += is_apart
                    row["apart_learned"] += is_apart and learned
            rows.append(row)
    return pd.DataFrame(rows)


def ranked_first(values: pd.Series, used: Any) -> bool | None:
    """Whether the used features have the largest values, without ties; None if a value is undefined."""
    if values.isna().any():
        return None
    return bool(values[used].min() > values.drop(used).max())


def rate_table(table: pd.DataFrame, patients: dict[Key, pd.DataFrame], config: Config) -> pd.DataFrame:
    """How often a feature is significant under each null: one row per role, null, quantity and feature.

    For the role "used" the rate is power, otherwise it is the rate of false positives. Columns: role, null,
    quantity, feature, and those of `rejections`.

    Args:
        table: a `truth_table`.
        patients, config: as for `truth_table`.
    """
    names = {(arm.law_name, arm.prevalence): arm.name for arm in config.laws}
    shares = table[table["feature"].notna()]
    rows = []
    for role in ("nothing", "unused", "used"):
        for null in nulls(table):
            for kind in (*QUANTITIES, PARTIAL):
                for feature in dict.fromkeys(shares["feature"]):
                    trials = shares[(shares["role"] == role) & (shares["feature"] == feature)]
                    p = trials.get(f"{kind}_{null}_p")
                    if p is None or trials.empty or (kind == PARTIAL and feature == JOINT):
                        continue
                    column = p_column(config.evaluate.support[0], null, kind, feature)
                    keys = zip(trials["repeat"], trials["law"], trials["prevalence"])
                    patient_p = [patients[repeat, names[law, share]][column] for repeat, law, share in keys]
                    rates = rejections(
                        patient_p,
                        p,
                        config.evaluate.alpha,
                        confidence=config.evaluate.confidence,
                    )
                    row = {"role": role, "null": null, "quantity": kind, "feature": feature}
                    rows.append(row | rates)
    return pd.DataFrame(rows)


def nulls(table: pd.DataFrame) -> list[str]:
    """Names of the nulls in a `truth_table`."""
    return [name.removeprefix("S_").removesuffix("_rate") for name in table.columns if _is_rate(name)]


def _is_rate(column: str) -> bool:
    return column.startswith("S_") and column.endswith("_rate")


def _classification(part: PartMetrics, oracle: float) -> dict[str, Any]:
    auc = part["auc"]
    return {
        "n": part.n,
        "n_positive": part.n_positive,
        "auc": auc.mean,
        "auc_low": auc.low,
        "auc_high": auc.high,
        "auc_oracle": oracle,
        "learned": auc.low > 0.5,
    }


def _features(
    config: Config,
    arm: LawArm,
    part: PartMetrics,
    patients: pd.DataFrame,
    behaviour: dict[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    support = config.evaluate.support[0]
    names = [feature.name for feature in config.features]
    used = [name for name in names if name in arm.law.used]
    for name in [*names, JOINT]:
        is_used = name in used or (name == JOINT and used)
        row: dict[str, Any] = {"feature": name, "role": "used" if is_used else "unused"}
        if arm.law_name == NOTHING:
            row["role"] = NOTHING
        columns = {kind: share_column(support, kind, name) for kind in (*QUANTITIES, PARTIAL)}
        # There are no partial joint shares, and none at all in runs of earlier versions.
        metrics = {k: part.table.loc[column] for k, column in columns.items() if column in part.table.index}
        for kind, metric in metrics.items():
            row[kind] = metric["mean"]
            row[f"undefined_{kind}"] = int(metric["undefined"])
        for share in ("unique", "shapley"):
            column = patients.get(share_column(support, share, name))
            row[share] = math.nan if column is None else float(column.mean())
        row |= lens_columns(part, support, name, behaviour)
        for null in part.paths[support].nulls:
            for kind, metric in metrics.items():
                column = p_column(support, null, kind, name)
                if column not in patients:
                    # A null of one's own may have no partial shares.
                    continue
                p = patients[column].dropna()
                row[f"{kind}_over_{null}"] = metric[f"{null}.effect"]
                row[f"{kind}_{null}_q05"] = metric[f"{null}.q05"]
                row[f"{kind}_{null}_q95"] = metric[f"{null}.q95"]
                row[f"{kind}_{null}_p"] = metric[f"{null}.p"]
                row[f"{kind}_{null}_rate"] = float(np.mean(p <= config.evaluate.alpha)) if len(p) else np.nan
        yield row


def _over_nothing(table: pd.DataFrame) -> pd.DataFrame:
    """Add the shares minus those for the law without coefficients, on the same phantom and prevalence."""
    keys = ["repeat", "prevalence", "feature"]
    kinds = [kind for kind in (*QUANTITIES, PARTIAL) if kind in table]
    nothing = table.loc[table["law"] == NOTHING, [*keys, *kinds]]
    if nothing.empty:
        return table
    reference = table[keys].merge(nothing, on=keys, how="left")
    for kind in kinds:
        table[f"{kind}_over_{NOTHING}"] = table[kind] - reference[kind].to_numpy()
    return table
