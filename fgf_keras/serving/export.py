"""Export of a model as a SavedModel that can be used with TensorFlow alone."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from scipy.special import expit
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.errors import ModelError
from fgf_keras.flow.settings import Flow
from fgf_keras.geometry.custom_gradients import forgotten_custom_gradients
from fgf_keras.models.alignment_model import AlignmentModel
from fgf_keras.serving.description import Description
from fgf_keras.serving.signatures import Signatures
from fgf_keras.serving.warmup import write_warmup


def export_saved_model(
    model: AlignmentModel,
    path: str | Path,
    *,
    threshold: float = 0.0,
    window_hu: tuple[float, float] | None = None,
    spacing_mm: tuple[float, ...] | None = None,
    config: dict[str, Any] | None = None,
    support: str = "mask",
    flow: Flow | None = None,
    jit_compile: bool = False,
    reference_sd: Mapping[str, float | None] | None = None,
    clinical: ClinicalEncoding | None = None,
) -> None:
    """Export an `AlignmentModel` for TensorFlow Serving, with the gradient and the flow inside.

    Signatures, each of any batch size; see docs/serving.md and `Signatures` for the outputs:

    - `serving_default`: image (B, H, W, C), mask (B, H, W, 1) float32 → status, probability, logit, class;
    - `alignment`: image, mask, spacing (B, 2) in mm → these, S, its unique parts, partial shares, white-noise
      p-values, values of features, slopes and effects;
    - `explain`: the same inputs → these, F, contributions, how the path ended, ∇z, its explained part, the
      boundary;
    - `predict_examples`: examples (B,), serialised `tf.train.Example` → as `serving_default`.

    All take the other inputs of the classifier as well: of a `LateFusion` "clinical" (B, k), the encoded
    columns. Volumes are (B, D, H, W, C) with masks (B, D, H, W, 1) and spacing (B, 3). The classifier sees
    image·mask.
    The folder appears only when it is complete. Beside the graph,
    `assets.extra` holds a description and requests to warm up with.

    Args:
        model: the trained model.
        path: folder of one version, e.g. "saved_model/1".
        threshold: logit above which a sample of two classes is of class 1.
        window_hu: (low, high), the HU range that images were mapped from; None if unknown.
        spacing_mm: (row, column) or (slice, row, column) distance of pixels of the images, or None.
        config: the resolved configuration as a dictionary, without confidential entries.
        support, flow: of alignment and of the path, see `explain`.
        jit_compile: let XLA compile each signature for each batch size at its first request; the server must
            have XLA for its device.
        reference_sd: standard deviation of each feature by name over the training patients, in HU for
            brightness if `window_hu` is given; None for no effects.
        clinical: how clinical columns are encoded, which the description then says.

    Raises:
        ModelError: the model is not an `AlignmentModel` or not built, or the folder already exists.
        ConfigError: a feature is missing from `reference_sd`, or its value is negative.
    """
    path = Path(path)
    _check(model, path)
    flow = flow or Flow()
    signatures = Signatures(
        model,
        threshold=threshold,
        support=support,
        flow=flow,
        jit_compile=jit_compile,
        window_hu=window_hu,
        reference_sd=reference_sd,
    )
    archive = keras.export.ExportArchive()
    archive.track(model.classifier)
    endpoints = signatures.endpoints()
    classes = max(2, model.classifier.output_shape[-1])
    unfinished = path.with_name(path.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with forgotten_custom_gradients():
        for name, (function, specs) in endpoints.items():
            archive.add_endpoint(name, function, input_signature=specs)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(unfinished, options=options, verbose=False)
    _forget_gradients(unfinished / "saved_model.pb")
    Description.of(
        image_shape=signatures.image_shape,
        classes=classes,
        features={feature.name: unit.symbol for feature, unit in zip(model.features, signatures.units)},
        reference_sd=signatures.reference_sd,
        threshold={"logit": threshold, "probability": float(expit(threshold))} if classes == 2 else None,
        window_hu=window_hu,
        spacing_mm=spacing_mm,
        config=config,
        clinical=None if clinical is None else {"names": clinical.names, **clinical.to_json()},
        support=support,
        **flow.settings,
        jit_compile=jit_compile,
    ).write(unfinished)
    write_warmup(unfinished, {name: specs for name, (_, specs) in endpoints.items()})
    unfinished.rename(path)


def _check(model: Any, path: Path) -> None:
    if not isinstance(model, AlignmentModel):
        raise ModelError(
            f"export_saved_model takes an AlignmentModel. Received: {type(model).__name__}. "
            "Wrap the classifier: AlignmentModel(classifier, features, reward='none')."
        )
    if not model.classifier.built:
        raise ModelError(
            "The classifier has no weights yet. Train it, load it, or call it on one batch first."
        )
    if path.exists():
        raise ModelError(f"{path} exists already. Export to a new version number, or remove it first.")


def _forget_gradients(file: Path) -> None:
    """Remove the names of custom gradients from a graph; loading would warn about them without need."""
    saved = SavedModel.FromString(file.read_bytes())
    for graph in saved.meta_graphs:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_gradient_op_type", None)
    file.write_bytes(saved.SerializeToString(deterministic=True))
