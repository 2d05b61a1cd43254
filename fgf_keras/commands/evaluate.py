"""The work of `evaluate.py`: measure a finished run again, or evaluate its model on an external cohort."""

from pathlib import Path

from fgf_keras._backend import import_tensorflow
from fgf_keras.commands.outcome import finish_comparison, finish_run
from fgf_keras.commands.provenance import provenance_of
from fgf_keras.config import Config
from fgf_keras.errors import RunError
from fgf_keras.files import write_json
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of


def run_evaluation(
    folder: RunFolder,
    external: Config | None = None,
    *,
    name: str | None = None,
    sanity: bool = False,
    permutations: int | None = None,
) -> Path:
    """Evaluate a finished run; returns the folder with the results.

    Args:
        folder: a finished run.
        external: configuration of an external cohort.
        name: of that cohort, part of the name of the folder.
        sanity: also write sanity.json; only for a single run on its own cohort.
        permutations: see `run_sanity`.

    Raises:
        RunError: sanity checks of a comparison, or files of the run are missing or do not fit the data.
    """
    import_tensorflow()
    from fgf_keras.commands.evaluate_run import evaluate_run
    from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
    from fgf_keras.training.fit import configure_compute

    config = folder.load_config()
    if sanity and config.arms:
        raise RunError(
            f"{folder.path} is a comparison, and --sanity takes a single run. Give one of its own, e.g. "
            f"--run {trials_of(config)[0].folder(folder).path}."
        )
    configure_compute(config.compute)
    where, part = (f"evaluation-{name}", "external") if external else ("evaluation", "test")
    if not config.arms:
        if sanity:
            _check_sanity(folder, permutations)
        evaluation = evaluate_run(folder, external=external, title=f"Evaluating {folder.path.name}")
        result = evaluation.write(folder.path / where, provenance=provenance_of(config, folder))
        finish_run(config.run.name, result, folder.path / where)
        return folder.path / where
    if external and config.truth is not None:
        raise RunError(
            f"{folder.path} holds phantoms under known laws, and the law of another cohort is not known. "
            "Leave out --config, or give --run one of its trials."
        )
    for trial in trials_of(config):
        trial_folder = trial.folder(folder)
        if trial_folder.failure_file.is_file():
            continue
        with forgotten_custom_gradients():
            evaluation = evaluate_run(trial_folder, external=external, title=f"Evaluating {trial.name}")
        evaluation.write(trial_folder.path / where, pictures=trial.number == 0)
        data = evaluation.data
    finish_comparison(config, folder, data, part=part, where=where, tables=folder.path / where)
    return folder.path / where


def _check_sanity(folder: RunFolder, permutations: int | None) -> None:
    from fgf_keras.commands.sanity import run_sanity

    report = run_sanity(folder, permutations=permutations, title=f"Sanity of {folder.path.name}")
    write_json(folder.evaluation / "sanity.json", report)
