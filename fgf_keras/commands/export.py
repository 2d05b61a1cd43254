"""Export the model of a finished run for serving."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgf_keras.commands.evaluate_run import encoding_of, load_model, reference_sd_of
from fgf_keras.config import Config
from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.data.source import source_of
from fgf_keras.errors import DataError, RunError
from fgf_keras.files import read_json
from fgf_keras.flow.settings import Flow
from fgf_keras.run.folder import RunFolder
from fgf_keras.run.trial import trials_of
from fgf_keras.serving.export import export_saved_model

if TYPE_CHECKING:
    from fgf_keras.models.alignment_model import AlignmentModel

# An export does not reveal where the data were stored or how patients were renamed.
_PLACES = ("root", "out", "pseudonymise", "clinical_file")


def export_run(folder: RunFolder, *, version: int | None = None, jit_compile: bool = False) -> Path:
    """Export the model of a finished run as another version next to the existing ones.

    Args:
        folder: of the run.
        version: version number; by default the next one.
        jit_compile: see `export_saved_model`.

    Returns:
        The folder of the version.

    Raises:
        RunError: the run is a comparison, which has no model of its own, or files of the run are missing.
        ModelError: the version already exists.
    """
    config = folder.load_config()
    if config.arms:
        raise RunError(
            f"{folder.path} is a comparison, which has many models. Give one of its runs, e.g. --run "
            f"{trials_of(config)[0].folder(folder).path}."
        )
    metrics = read_json(folder.metrics_file)
    model = load_model(folder)
    versions = folder.saved_model.parent
    if version is None:
        numbers = [int(path.name) for path in versions.glob("[0-9]*") if path.name.isdigit()]
        version = max(numbers, default=0) + 1
    where, clinical = versions / str(version), encoding_of(folder)
    return write_export(model, config, metrics, where, clinical=clinical, jit_compile=jit_compile)


def write_export(
    model: "AlignmentModel",
    config: Config,
    metrics: dict[str, Any],
    path: str | Path,
    *,
    clinical: ClinicalEncoding | None = None,
    jit_compile: bool = False,
) -> Path:
    """Export a trained model together with the settings for images and measurements in its configuration.

    Args:
        model: the trained model.
        config: of its run.
        metrics: content of metrics.json, with the threshold and the reference of effects.
        path: folder of the version.
        clinical: how clinical columns are encoded; None without any.
        jit_compile: see `export_saved_model`.
    """
    source = source_of(config)
    try:
        spacing = source.pixel_spacing()
    except DataError:  # the slices may have been deleted
        spacing = None
    hidden: Any = {"run": True, "data": set(_PLACES), "reward": {"fine_tune": True, "guard": {"baseline"}}}
    settings = config.model_dump(mode="json", exclude=hidden)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    export_saved_model(
        model,
        path,
        threshold=metrics["threshold"]["logit"],
        window_hu=source.hu_window(),
        spacing_mm=None if spacing is None else tuple(spacing),
        config=settings,
        support=config.evaluate.support[0],
        flow=Flow.of(config.evaluate.flow),
        jit_compile=jit_compile,
        reference_sd=reference_sd_of(metrics),
        clinical=clinical if config.model.clinical else None,
    )
    return path
