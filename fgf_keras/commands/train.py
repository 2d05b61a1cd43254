"""The work of `train.py`: load the data, split it, train one or many models, and write the results."""

from pathlib import Path
from typing import TYPE_CHECKING

from fgf_keras._backend import import_tensorflow
from fgf_keras.commands.many import alone_in, run_trials
from fgf_keras.commands.outcome import finish_comparison, finish_run
from fgf_keras.commands.provenance import provenance_of
from fgf_keras.commands.without_reward import is_compared
from fgf_keras.config import Config
from fgf_keras.config.data import PREPARED_FROM
from fgf_keras.errors import RunError
from fgf_keras.files import read_json, write_json
from fgf_keras.progress import console
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of

if TYPE_CHECKING:
    from fgf_keras.commands.trial_data import TrialData


def run_training(config: Config) -> RunFolder:
    """Train, evaluate and report. Data and splits are checked before a folder is created."""
    import_tensorflow()
    config = _with_places(config)
    data = _prepared(config)
    folder = RunFolder.create_now(config.run_dir, config)
    with alone_in(folder):
        return _trained(config, folder, data)


def resume_training(path: str | Path) -> RunFolder:
    """Resume a comparison or a sweep that was stopped: finished trials are kept, the others start again.

    Raises:
        RunError: there is nothing to resume, another process is working in the folder, or the data has
            changed since the run was started.
    """
    folder = RunFolder.open_unfinished(path)
    with alone_in(folder):
        config = folder.load_config()
        import_tensorflow()
        data = _prepared(config)
        cohort, _ = next(iter(data.values()))
        environment = folder.environment_file
        if environment.is_file() and read_json(environment)["data"]["fingerprint"] != cohort.fingerprint():
            raise RunError(
                f"The data under {config.data.root or config.data.source} is not what {path} was started "
                "with: its fingerprint has changed. Restore it, or train again."
            )
        return _trained(config, folder, data)


def _prepared(config: Config) -> dict[str, "TrialData"]:
    """Cohort and splits of each trial by its name; raises early if anything cannot be used."""
    from fgf_keras.commands.explainer import require_measurable
    from fgf_keras.commands.trial_data import trial_data
    from fgf_keras.data.prepared.preparation import describe_left_out
    from fgf_keras.training.build import build_features, build_model, rewarded_features
    from fgf_keras.training.direction import reward_direction
    from fgf_keras.training.feature_check import check_features
    from fgf_keras.training.fit import configure_compute

    configure_compute(config.compute)
    data = trial_data(config)
    cohort, first = next(iter(data.values()))
    if config.data.source in PREPARED_FROM:
        left_out_patients = describe_left_out(cohort.provenance["counts"]["left_out"])
        left_out = f"; left out: {left_out_patients}, see rejected.csv there" if left_out_patients else ""
        console.print(f"Prepared slices: {config.data.out}{left_out}", soft_wrap=True, highlight=False)
    check_features(build_features(config.features), cohort)
    require_measurable(config.evaluate)
    # A network that cannot be built stops here, not after the first arm. All laws share one network.
    arms = trials_of(config)[: 1 if config.truth is not None else len(config.arms)]
    for each in [trial.config(config) for trial in arms] or [config]:
        features, rows = rewarded_features(each), first["train"]
        direction = reward_direction(each.reward, features, cohort, rows, seed=each.seed)
        build_model(each, cohort.images.shape[1:], cohort.class_count, direction, columns=cohort.column_count)
    _check_runs(config, data)
    splits = len(config.protocol.split_names)
    repetition = f"; {splits} such splits" if splits > 1 else ""
    if config.truth is not None:
        repetition = f"; the first of {len(data)} trials, each with its own labels"
    console.print(
        f"{len(cohort)} patients, {int(cohort.labels.sum())} positive: "
        + ", ".join(f"{name} {len(rows)} ({int(cohort.labels[rows].sum())})" for name, rows in first.items())
        + repetition
    )
    return data


def _with_places(config: Config) -> Config:
    """The configuration with the folders of the runs that rewards need as they are now.

    A link such as `latest` may lead elsewhere when a comparison is resumed.
    """
    arms = {arm.name for arm in config.arms}
    rewards = [config.reward, *(arm.reward for arm in config.arms)]
    runs = {run for reward in rewards for run in reward.runs.values()} - arms
    folders = {run: str(Path(run).resolve()) for run in runs if Path(run).is_dir()}
    placed = [
        arm.model_copy(update={"reward": arm.reward and arm.reward.with_runs(folders)})
        for arm in config.protocol.arms
    ]
    protocol = config.protocol.model_copy(update={"arms": placed})
    return config.model_copy(update={"reward": config.reward.with_runs(folders), "protocol": protocol})


def _check_runs(config: Config, data: dict[str, "TrialData"]) -> None:
    """Refuse runs that a training cannot begin or be compared with, before anything is trained."""
    from fgf_keras.training.start import baseline_auc, check_start

    arms = {arm.name for arm in config.arms}
    trials = {trial.name: trial.config(config) for trial in trials_of(config)} or {"": config}
    for name, (cohort, splits) in data.items():
        reward = trials[name].reward
        for key, run in reward.runs.items():
            if run in arms:
                continue
            if arms and not Path(run).exists():
                raise RunError(
                    f"reward.{key}: {run!r} is neither an arm of this comparison "
                    f"({', '.join(sorted(arms))}) nor the folder of a finished run."
                )
            if key == "fine_tune":
                check_start(run, trials[name], cohort, splits)
            else:
                baseline_auc(run, cohort, splits)


def _trained(config: Config, folder: RunFolder, data: dict[str, "TrialData"]) -> RunFolder:
    from fgf_keras.commands.train_trial import train_and_evaluate, train_without_reward
    from fgf_keras.data.splits import save_splits
    from fgf_keras.training.environment import environment

    cohort, first = next(iter(data.values()))
    surroundings = environment(config, cohort, first)
    write_json(folder.environment_file, surroundings)
    page = "hparams" if config.arms else "custom_scalars"
    watch = f"Watch: tensorboard --logdir {folder.path}, then http://localhost:6006/#{page}"
    console.print(watch, soft_wrap=True, highlight=False)
    if not config.arms:
        name, provenance = config.run.name, provenance_of(config, folder)
        if is_compared(config):
            train_without_reward(config, cohort, first, folder, title=name)
        result = train_and_evaluate(config, cohort, first, folder, title=name, provenance=provenance)
        finish_run(name, result, folder.path)
        folder.finish(latest=True)
        return folder
    measured = [feature.name for feature in config.features]
    if config.reward.compare and all(arm.reward.is_active(measured) for arm in config.arms):
        console.print("reward.compare is for single runs; here, an arm baseline trains without the reward.")
    # Under known laws, each trial has its own splits.
    shared = {trial.split: data[trial.name] for trial in trials_of(config)} if config.truth is None else {}
    for name, (_, rows) in shared.items():
        save_splits(RunFolder(folder.path / name).splits_file, cohort, rows)
    run_trials(config, folder, data)
    where = folder.evaluation.name
    finish_comparison(config, folder, surroundings["data"], part="test", where=where, tables=folder.path)
    folder.finish(latest=True)
    return folder
