"""Many splits of one cohort: repeated stratified ones, and stratified folds."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from fgf_keras.config.data import SplitConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.slices import listing
from fgf_keras.data.splits import stratified_splits, train_and_validation
from fgf_keras.errors import DataError
from fgf_keras.seeds import derived_seed


def repeated_splits(
    cohort: Cohort, config: SplitConfig, *, repeats: int, folds: int | None, seed: int
) -> list[dict[str, np.ndarray]]:
    """`repeats` stratified splits, or `repeats` times `folds` of them, as `stratified_splits` returns one.

    In folds, each patient of a repeat is tested once, `config.test` does not count, and the validation part
    is drawn from the other folds.

    Raises:
        DataError: a part would be empty or lack a class; a class with fewer patients than folds.
    """
    if folds is None:
        return [stratified_splits(cohort, config, seed=derived_seed(seed, r)) for r in range(repeats)]
    counts = np.bincount(cohort.labels, minlength=cohort.class_count)
    if counts.min() < folds:
        by_class = ", ".join(f"{count} of class {k}" for k, count in enumerate(counts))
        raise DataError(
            f"{len(cohort)} patients with {by_class} cannot be divided into {folds} folds that each hold "
            f"every class. Set protocol.folds to {counts.min()} or less, or use protocol.repeats alone."
        )
    splits = []
    for r in range(repeats):
        shuffled = StratifiedKFold(folds, shuffle=True, random_state=derived_seed(seed, r))
        for rest, test in shuffled.split(np.zeros(len(cohort)), cohort.labels):
            splits.append(train_and_validation(cohort, rest, test, config, seed=derived_seed(seed, r)))
    return splits


def require_unseen(cohort: Cohort, splits: dict[str, np.ndarray]) -> None:
    """Refuse splits in which somebody who is tested was seen in training or validation.

    Raises:
        DataError: with the patients' ids.
    """
    seen = set(cohort.patient_id[np.concatenate([splits["train"], splits["validation"]])].tolist())
    both = sorted(seen & set(cohort.patient_id[splits["test"]].tolist()))
    if both:
        raise DataError(
            f"{len(both)} patients are tested and were seen in training or validation: {listing(both)}. "
            "Make the splits again."
        )
