"""The folder that a run leaves, and how one knows that it is whole."""

import os
import time
from pathlib import Path

from fgf_keras.config import Config, dump_whole_yaml, load_whole_config
from fgf_keras.errors import RunError
from fgf_keras.files import UNFINISHED


class RunFolder:
    """Paths of one run. A file `UNFINISHED` is in it from the first moment to the last.

    Attributes:
        path: the folder itself.
    """

    def __init__(self, path):
        self.path = Path(path)

    @classmethod
    def create(cls, path, config: Config) -> "RunFolder":
        """Make an empty run folder that says it is unfinished, and write the resolved configuration.

        Raises:
            RunError: there is something at `path` already.
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
    def create_now(cls, parent, config: Config) -> "RunFolder":
        """`create` under `parent`, named after the time."""
        name = time.strftime("%Y%m%d-%H%M%S")
        taken = 1
        while (Path(parent) / name).exists():
            taken += 1
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{taken}"
        return cls.create(Path(parent) / name, config)

    @classmethod
    def open(cls, path) -> "RunFolder":
        """A finished run.

        Raises:
            RunError: there is no such folder, it is no run folder, or the run has not finished.
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
                "Wait for it, or train again; a comparison goes on with python train.py --resume."
            )
        return folder

    @classmethod
    def open_unfinished(cls, path) -> "RunFolder":
        """A comparison that was stopped.

        Raises:
            RunError: there is none, or it has finished, or it is a single run.
        """
        folder = cls(Path(path).resolve())
        if not folder.config_file.is_file():
            raise RunError(f"{path} is not a run folder: it has no config.yaml. Give runs/<name>/<time>.")
        if not (folder.path / UNFINISHED).exists():
            raise RunError(f"The run in {path} has finished: there is nothing to resume.")
        if not folder.load_config().arms:
            raise RunError(
                f"The run in {path} is a single training, which cannot go on where it stopped. Train again; "
                "a comparison of arms, of repeats, of folds or of laws can be resumed."
            )
        return folder

    def finish(self, *, latest: bool):
        """Declare the run whole; `latest` in the parent folder then points to it where asked."""
        (self.path / UNFINISHED).unlink()
        if latest:
            link = self.path.parent / f".latest-{os.getpid()}"
            link.unlink(missing_ok=True)
            link.symlink_to(self.path.name)
            link.replace(self.path.parent / "latest")

    def load_config(self) -> Config:
        """The resolved configuration of the run, if its file is whole."""
        return load_whole_config(self.config_file)

    @property
    def is_finished(self) -> bool:
        """Whether there is a whole run without arms, or what it came to nothing by."""
        ended = self.metrics_file.is_file() or self.failure_file.is_file()
        return ended and not (self.path / UNFINISHED).exists()

    @property
    def config_file(self) -> Path:
        """Resolved configuration."""
        return self.path / "config.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, devices, seed, and what is known of the data."""
        return self.path / "environment.json"

    @property
    def splits_file(self) -> Path:
        """Who is in which split."""
        return self.path / "splits.csv"

    @property
    def logs(self) -> Path:
        """TensorBoard."""
        return self.path / "logs"

    @property
    def best_weights(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "checkpoints" / "best.weights.h5"

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
        """Metrics of every split."""
        return self.path / "metrics.json"

    @property
    def failure_file(self) -> Path:
        """Instead of metrics: why a trial of a comparison over many splits has none."""
        return self.path / "failure.json"

    @property
    def evaluation(self) -> Path:
        """What `evaluate.py` adds."""
        return self.path / "evaluation"
