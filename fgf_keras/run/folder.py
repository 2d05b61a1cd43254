"""The folder that a run writes, and the marker that shows whether it is complete."""

import os
import time
from pathlib import Path

from fgf_keras.config import Config, dump_whole_yaml, load_whole_config
from fgf_keras.errors import RunError
from fgf_keras.files import UNFINISHED


class RunFolder:
    """Paths of one run. While the run is not complete, the folder contains a file `UNFINISHED`.

    Attributes:
        path: the folder itself.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path, config: Config) -> "RunFolder":
        """Create a run folder marked as unfinished, and write the resolved configuration to it.

        Raises:
            RunError: `path` already exists.
        """
        folder = cls(path)
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            raise RunError(f"{path} exists already. Choose another run.name or run.dir.") from None
        (folder.path / UNFINISHED).write_text(
            "This run has not finished: it is still running, or it was stopped. "
            "Its files are not complete.\n",
            encoding="utf-8",
        )
        folder.config_file.write_text(dump_whole_yaml(config), encoding="utf-8")
        return folder

    @classmethod
    def create_now(cls, parent: str | Path, config: Config) -> "RunFolder":
        """`create` a folder under `parent` that is named after the current time."""
        name = time.strftime("%Y%m%d-%H%M%S")
        number = 1
        while (Path(parent) / name).exists():
            number += 1
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{number}"
        return cls.create(Path(parent) / name, config)

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """A finished run.

        Raises:
            RunError: the folder does not exist, is not a run folder, or the run has not finished.
        """
        folder = cls(Path(path).resolve())
        if not folder.path.is_dir():
            raise RunError(
                f"Run folder {str(path)!r} does not exist. Train one first: python train.py --config …"
            )
        if not folder.config_file.is_file():
            raise RunError(
                f"{path} is not a run folder: it has no config.yaml. Give --run runs/<name>/<time>."
            )
        if (folder.path / UNFINISHED).exists():
            raise RunError(
                f"The run in {path} has not finished: it is still running, or it was stopped. "
                "Wait for it, or train again; a comparison can be resumed with python train.py --resume."
            )
        return folder

    @classmethod
    def open_unfinished(cls, path: str | Path) -> "RunFolder":
        """A comparison that was stopped.

        Raises:
            RunError: it is not a run folder, the run has finished, or it is a single run.
        """
        folder = cls(Path(path).resolve())
        if not folder.config_file.is_file():
            raise RunError(f"{path} is not a run folder: it has no config.yaml. Give runs/<name>/<time>.")
        if not (folder.path / UNFINISHED).exists():
            raise RunError(f"The run in {path} has finished: there is nothing to resume.")
        if not folder.load_config().arms:
            raise RunError(
                f"The run in {path} is a single training, which cannot be resumed. Train again; only a "
                "comparison of arms, of repeats, of folds or of laws can be resumed."
            )
        return folder

    def finish(self, *, latest: bool) -> None:
        """Mark the run as complete; with `latest`, the link `latest` in the parent folder points to it."""
        (self.path / UNFINISHED).unlink()
        if latest:
            link = self.path.parent / f".latest-{os.getpid()}"
            link.unlink(missing_ok=True)
            link.symlink_to(self.path.name)
            link.replace(self.path.parent / "latest")

    def load_config(self) -> Config:
        """The resolved configuration of the run.

        Raises:
            ConfigError: the file is missing or incomplete.
        """
        return load_whole_config(self.config_file)

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds a complete run without arms, or the record of its failure."""
        has_outcome = self.metrics_file.is_file() or self.failure_file.is_file()
        return has_outcome and not (self.path / UNFINISHED).exists()

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, devices, seed, and a description of the data."""
        return self.path / "environment.json"

    @property
    def splits_file(self) -> Path:
        """Which patient is in which part."""
        return self.path / "splits.csv"

    @property
    def clinical_file(self) -> Path:
        """How clinical columns are encoded, by the training patients; only if there are any."""
        return self.path / "clinical.json"

    @property
    def logs(self) -> Path:
        """TensorBoard logs."""
        return self.path / "logs"

    @property
    def best_weights(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "checkpoints" / "best.weights.h5"

    @property
    def history_file(self) -> Path:
        """Losses and metrics of every epoch."""
        return self.path / "history.csv"

    @property
    def training_file(self) -> Path:
        """What the training decided by itself, e.g. when the reward was reduced."""
        return self.path / "training.json"

    @property
    def model_file(self) -> Path:
        """The trained model in Keras's format."""
        return self.path / "model.keras"

    @property
    def saved_model(self) -> Path:
        """The exported model, version 1."""
        return self.path / "saved_model" / "1"

    @property
    def metrics_file(self) -> Path:
        """Metrics of every part of the patients."""
        return self.path / "metrics.json"

    @property
    def failure_file(self) -> Path:
        """In place of metrics: why a trial of a comparison over several splits failed."""
        return self.path / "failure.json"

    @property
    def without_reward(self) -> "RunFolder":
        """The same training without its reward, if `reward.compare` asked for it."""
        return RunFolder(self.path / "without_reward")

    @property
    def evaluation(self) -> Path:
        """The output of `evaluate.py`."""
        return self.path / "evaluation"
