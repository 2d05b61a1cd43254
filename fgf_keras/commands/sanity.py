"""Sanity checks of a finished run: random weights, layer by layer, and training on permuted labels."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fgf_keras.commands.evaluate_run import as_encoded, load_model, own_cohort
from fgf_keras.commands.explainer import explainer
from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import RunError
from fgf_keras.progress import progress_bar
from fgf_keras.results.sanity import (
    PERMUTED,
    TRAINED,
    Network,
    image_layers,
    layers_randomised,
    sanity_report,
)
from fgf_keras.run.folder import RunFolder
from fgf_keras.seeds import derived_seed
from fgf_keras.training.build import build_model
from fgf_keras.training.fit import fit

# Number of random networks that are averaged in each step.
RANDOM_DRAWS = 3
# Keep the seeds of random networks and of permutations apart from all other seeds derived from a run's seed.
_RANDOM_STREAM, _PERMUTED_STREAM = 0x5A00, 0x5B00


def run_sanity(folder: RunFolder, *, permutations: int | None = None, title: str) -> dict[str, Any]:
    """S and F of the trained network, of random ones, and of networks trained on permuted labels.

    The trained weights are replaced by newly initialised ones, one more layer at a time, from the output to
    the input (`RANDOM_DRAWS` times). Then the training of the run is repeated in a temporary folder with the
    labels of its training and validation patients permuted. All networks are measured on the test patients
    and the first support that is evaluated.

    Args:
        folder: a finished run without arms.
        permutations: number of trainings on permuted labels; by default that of the run's configuration.
        title: for the progress bars.

    Returns:
        See `sanity_report`.

    Raises:
        RunError: files of the run are missing, the data has changed since the training, or a training
            diverged.

    Source: Adebayo et al., "Sanity checks for saliency maps" (NeurIPS 2018).
    """
    config = folder.load_config()
    if config.reward.kind != "none" and config.reward.fine_tune is not None:
        raise RunError(
            "A run with reward.fine_tune cannot be repeated on permuted labels: it began with a network that "
            f"has learned the true ones. Check the run it began with: --run {config.reward.fine_tune}."
        )
    settings = config.evaluate.model_copy(
        update={"noise_draws": 0, "correlation_lengths": config.evaluate.correlation_lengths[:1]}
    )
    support = settings.support[0]
    cohort, splits = own_cohort(folder, config)
    cohort = as_encoded(folder, cohort)
    test = cohort.select(splits["test"])
    model = load_model(folder)
    explain = explainer(model, settings, support=support, nulls=["smooth"], seed=config.seed)
    trained_weights = model.classifier.get_weights()
    networks = {TRAINED: [Network.measured(explain, test)]}
    with progress_bar() as bar:
        count = sum(bool(layer.weights) for layer in image_layers(model.classifier))
        task = bar.add_task(f"{title}, random weights", total=RANDOM_DRAWS * count)
        for draw in range(RANDOM_DRAWS):
            model.classifier.set_weights(trained_weights)
            fresh = _fresh(config, cohort, derived_seed(config.seed, _RANDOM_STREAM + draw))
            for name in layers_randomised(model.classifier, fresh):
                networks.setdefault(f"random: {name}", []).append(Network.measured(explain, test))
                bar.advance(task)
    networks[PERMUTED] = []
    permutations = permutations or settings.permutations
    for number in range(permutations):
        step_title = f"{title}, permuted labels {number + 1}/{permutations}"
        model.classifier.set_weights(_trained_on_permuted(config, cohort, splits, number, step_title))
        networks[PERMUTED].append(Network.measured(explain, test))
    names = [feature.name for feature in config.features]
    return sanity_report(networks, names, settings, split="test", support=support, seed=config.seed)


def permuted(labels: np.ndarray, splits: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """The labels, permuted among the training patients and among the validation patients."""
    labels, rng = labels.copy(), np.random.default_rng(seed)
    for name in ("train", "validation"):
        labels[splits[name]] = rng.permutation(labels[splits[name]])
    return labels


def _fresh(config: Config, cohort: Cohort, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    shape = cohort.images.shape[1:]
    # The reward has no part in fresh weights, and some need values of the training patients.
    config = config.model_copy(update={"reward": config.reward.off})
    return build_model(config, shape, cohort.class_count, columns=cohort.column_count).classifier


def _trained_on_permuted(
    config: Config, cohort: Cohort, splits: dict[str, np.ndarray], number: int, title: str
) -> list[np.ndarray]:
    """The weights after repeating the training of the run on permuted labels; its files are deleted."""
    seed = derived_seed(config.seed, _PERMUTED_STREAM + number)
    # A baseline that has learned the true labels says nothing about training on permuted ones.
    guard = config.reward.guard.model_copy(update={"baseline": None})
    reward = config.reward.model_copy(update={"guard": guard})
    seeded = config.model_copy(update={"seed": seed, "reward": reward})
    permuted_cohort = dataclasses.replace(cohort, labels=permuted(cohort.labels, splits, seed))
    with tempfile.TemporaryDirectory() as directory:
        try:
            folder = RunFolder.create(Path(directory) / "run", seeded)
            model = fit(seeded, permuted_cohort, splits, folder, title=title, alone=False)
        except RunError as error:
            raise RunError(f"Training on permuted labels: {error}") from error
    return model.classifier.get_weights()
