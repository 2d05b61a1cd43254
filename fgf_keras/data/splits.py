"""Splits of a cohort into training, validation and test patients."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from fgf_keras.config.data import SplitConfig
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.slices import listing
from fgf_keras.errors import DataError
from fgf_keras.files import whole_file
from fgf_keras.seeds import derived_seed

SPLITS = ("train", "validation", "test")
COLUMNS = ["patient_id", "split", "label"]


def stratified_splits(cohort: Cohort, config: SplitConfig, *, seed: int) -> dict[str, np.ndarray]:
    """Split the patients so that each part has the classes in the proportions of the cohort, or by groups.

    Sizes below 1 are fractions of the whole cohort, others are numbers of patients. The test part depends
    only on `seed` and `config.test`, so changing the validation part never moves a patient into it.

    Returns:
        "train", "validation" and "test": sorted positions in the cohort; each patient is in exactly one part.

    Raises:
        DataError: a part would be empty or lack a class.
    """
    n, labels = len(cohort), cohort.labels
    if isinstance(config.test, list):
        tested = _members(cohort, config, "test")
        return train_and_validation(
            cohort, np.flatnonzero(~tested), np.flatnonzero(tested), config, seed=seed
        )
    test = _size("test", config.test, n)
    validation = _size("validation", config.validation, n)
    counts = np.bincount(labels, minlength=cohort.class_count)
    requested = f"{n - test - validation} train, {validation} validation and {test} test"
    counted = f"{n} patients with {_by_class(counts)}"
    if min(test, validation, n - test - validation) < 1:
        raise DataError(
            f"{counted} cannot be split into {requested}: no part may be empty. Change data.splits.test and "
            "data.splits.validation."
        )
    try:
        rest, test_part = train_test_split(np.arange(n), test_size=test, stratify=labels, random_state=seed)
    except ValueError as error:  # a class with a single patient, or a part smaller than the number of classes
        raise DataError(
            f"{counted} cannot be split into {requested}: {str(error).rstrip('.')}. {_REMEDY}"
        ) from error
    return train_and_validation(cohort, rest, test_part, config, seed=seed)


def train_and_validation(
    cohort: Cohort, rest: np.ndarray, test_part: np.ndarray, config: SplitConfig, *, seed: int
) -> dict[str, np.ndarray]:
    """A split with a given test part; the validation part is drawn from `rest`, all other patients.

    Raises:
        DataError: a part would be empty or lack a class.
    """
    n, labels = len(cohort), cohort.labels
    if isinstance(config.validation, list):
        chosen = _members(cohort, config, "validation")[rest]
        return _checked(cohort, {"train": rest[~chosen], "validation": rest[chosen], "test": test_part})
    validation = _size("validation", config.validation, n)
    counted = f"{n} patients with {_by_class(np.bincount(labels, minlength=cohort.class_count))}"
    requested = f"{len(rest) - validation} train, {validation} validation and {len(test_part)} test"
    if min(validation, len(rest) - validation) < 1:
        raise DataError(
            f"{counted} cannot be split into {requested}: no part may be empty. "
            "Change data.splits.validation."
        )
    try:
        train_part, validation_part = train_test_split(
            rest, test_size=validation, stratify=labels[rest], random_state=seed
        )
    except ValueError as error:  # as in `stratified_splits`
        raise DataError(
            f"{counted} cannot be split into {requested}: {str(error).rstrip('.')}. {_REMEDY}"
        ) from error
    return _checked(cohort, {"train": train_part, "validation": validation_part, "test": test_part})


def _checked(cohort: Cohort, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts in order, after refusing those that lack a class."""
    labels, splits = cohort.labels, {name: np.sort(part) for name, part in parts.items()}
    requested = ", ".join(f"{len(part)} {name}" for name, part in splits.items())
    counted = f"{len(cohort)} patients with {_by_class(np.bincount(labels, minlength=cohort.class_count))}"
    for name, part in splits.items():
        by_class = np.bincount(labels[part], minlength=cohort.class_count)
        if (by_class == 0).any():
            raise DataError(
                f"{counted} split into {requested}: {name} would hold {_by_class(by_class)}, and it needs "
                f"every class. {_REMEDY}"
            )
    return splits


_REMEDY = "Enlarge that part in data.splits, or add patients of the rarer class."


def _members(cohort: Cohort, config: SplitConfig, part: str) -> np.ndarray:
    """Whether each patient is in one of the groups of a part, (N,) bool."""
    found = [re.search(config.group or "", name) for name in cohort.patient_id]
    without = [str(name) for name, match in zip(cohort.patient_id, found) if match is None]
    if without:
        raise DataError(
            f"data.splits.group, {config.group!r}, finds no group in {len(without)} of {len(cohort)} ids: "
            f"{listing(without)}. Change the pattern."
        )
    groups = np.array([match[1] for match in found if match])
    names = getattr(config, part)
    unknown = [name for name in names if name not in groups]
    if unknown:
        sizes = ", ".join(f"{name} ({count})" for name, count in Counter(groups.tolist()).items())
        raise DataError(f"data.splits.{part} names {', '.join(unknown)}, but the groups are {sizes}.")
    return np.isin(groups, names)


def _by_class(counts: Iterable[int]) -> str:
    return ", ".join(f"{count} of class {k}" for k, count in enumerate(counts))


def _size(name: str, value: float | list[str], n: int) -> int:
    assert not isinstance(value, list)  # groups have their own way
    if value < 1:
        return round(value * n)
    if value != int(value):
        raise DataError(
            f"data.splits.{name} must be a fraction below 1 or a whole number of patients. "
            f"Received: {value:g}."
        )
    return int(value)


def save_splits(path: str | Path, cohort: Cohort, splits: dict[str, np.ndarray]) -> None:
    """Write patient_id, split and label as CSV, in the order of the cohort.

    The file is either complete or absent. A missing folder is created.

    Raises:
        DataError: `splits` leaves out a patient or contains one twice.
    """
    path = Path(path)
    split_of: dict[int, str] = {}
    for name in SPLITS:
        split_of.update({int(i): name for i in splits[name]})
    if sum(len(splits[name]) for name in SPLITS) != len(cohort) or set(split_of) != set(range(len(cohort))):
        raise DataError(
            f"splits must hold each of the {len(cohort)} patients once. "
            f"Received: {', '.join(f'{len(splits[name])} {name}' for name in SPLITS)}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i, (name, label) in enumerate(zip(cohort.patient_id, cohort.labels)):
            writer.writerow([name, split_of[i], label])


def load_splits(path: str | Path, cohort: Cohort) -> dict[str, np.ndarray]:
    """Read a file written by `save_splits`, as positions in `cohort` regardless of the order of its patients.

    Raises:
        DataError: the file is missing or malformed, or has other patients or labels than the cohort.
    """
    path = Path(path)
    rows = read_split_rows(path)
    ids = [row["patient_id"] for row in rows]
    position = {str(name): i for i, name in enumerate(cohort.patient_id)}
    repeated = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if repeated:
        raise DataError(f"{path} must hold each patient once. More than once: {listing(repeated)}.")
    unknown = [name for name in ids if name not in position]
    absent = sorted(set(position) - set(ids))
    if unknown or absent:
        parts = [f"{len(unknown)} only in the file: {listing(unknown)}."] if unknown else []
        parts += [f"{len(absent)} only in the cohort: {listing(absent)}."] if absent else []
        raise DataError(
            f"{path} belongs to another cohort than the {len(cohort)} patients given. {' '.join(parts)} "
            "Use the data that the run was trained on, or make the splits again."
        )
    invalid = [f"{row['patient_id']} ({row['split']!r})" for row in rows if row["split"] not in SPLITS]
    if invalid:
        raise DataError(f"{path}, column 'split': must be {', '.join(SPLITS)}. Received: {listing(invalid)}.")
    relabelled = [
        f"{row['patient_id']} ({row['label']} in the file, {cohort.labels[position[row['patient_id']]]} now)"
        for row in rows
        if row["label"] != str(cohort.labels[position[row["patient_id"]]])
    ]
    if relabelled:
        raise DataError(
            f"{path} was made for other labels: {listing(relabelled)}. Check data.label_column, or make the "
            "splits again."
        )
    return {
        name: np.array(sorted(position[row["patient_id"]] for row in rows if row["split"] == name), np.int64)
        for name in SPLITS
    }


def read_split_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file of splits as text, with at least the columns `COLUMNS`.

    Raises:
        DataError: the file is missing or malformed.
    """
    if not path.is_file():
        raise DataError(f"The file of splits {str(path)!r} does not exist.")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            table = csv.DictReader(stream, restval="")
            columns, rows = table.fieldnames or [], list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of splits: {error}.") from error
    if not set(COLUMNS) <= set(columns):
        raise DataError(
            f"{path} must have the columns {', '.join(COLUMNS)}. Received: {', '.join(columns) or 'none'}."
        )
    return rows


def repeated_splits(
    cohort: Cohort, config: SplitConfig, *, repeats: int, folds: int | None, seed: int
) -> list[dict[str, np.ndarray]]:
    """`repeats` stratified splits or, with `folds`, `repeats` × `folds` splits; see `stratified_splits`.

    With folds, each patient is tested once per repeat, `config.test` is ignored, and the validation part is
    drawn from the other folds.

    Raises:
        DataError: a part would be empty or lack a class; a class with fewer patients than folds.
    """
    if folds is None:
        return [stratified_splits(cohort, config, seed=derived_seed(seed, r)) for r in range(repeats)]
    counts = np.bincount(cohort.labels, minlength=cohort.class_count)
    if counts.min() < folds:
        raise DataError(
            f"{len(cohort)} patients with {_by_class(counts)} cannot be divided into {folds} folds that each "
            f"hold every class. Set protocol.folds to {counts.min()} or less, or use protocol.repeats alone."
        )
    splits = []
    for r in range(repeats):
        shuffled = StratifiedKFold(folds, shuffle=True, random_state=derived_seed(seed, r))
        for rest, test in shuffled.split(np.zeros(len(cohort)), cohort.labels):
            splits.append(train_and_validation(cohort, rest, test, config, seed=derived_seed(seed, r)))
    return splits


def require_unseen(cohort: Cohort, splits: dict[str, np.ndarray]) -> None:
    """Refuse splits in which a test patient is also used for training or validation.

    Raises:
        DataError: there are such patients; the message has their ids.
    """
    development = set(cohort.patient_id[np.concatenate([splits["train"], splits["validation"]])].tolist())
    both = sorted(development & set(cohort.patient_id[splits["test"]].tolist()))
    if both:
        raise DataError(
            f"{len(both)} patients are tested and were seen in training or validation: {listing(both)}. "
            "Make the splits again."
        )
