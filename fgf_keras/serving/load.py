"""Use of an exported model in Python, without the classes that it was built from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from fgf_keras.data.clinical import ClinicalEncoding
from fgf_keras.errors import DataError, ModelError
from fgf_keras.flow.status import FlowStatus
from fgf_keras.models.loaded import Export, saved_model_folder
from fgf_keras.serving.description import FILE, Description
from fgf_keras.serving.input_status import InputStatus

# Columns of a feature begin with these.
_KINDS = (
    *("S", "F", "unique", "partial", "p_white", "p_white_partial", "flow_error"),
    *("value", "slope", "slope_alone", "effect"),
    *("change", "contribution", "contribution_shapley"),
)
# Inputs of every export.
_NO_OTHERS = ("image", "mask", "spacing")
SIGNATURES = ("serving_default", "alignment", "explain", "predict_examples")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predictions of a served model for N samples.

    Attributes:
        status: (N,) of `InputStatus`; where it is not OK, numbers are NaN and classes are -1.
        probability, logit: (N,) for two classes, of class 1; (N, K) otherwise.
        predicted_class: (N,); for two classes 1 above the threshold of the export.
    """

    status: np.ndarray
    probability: np.ndarray
    logit: np.ndarray
    predicted_class: np.ndarray

    def __len__(self) -> int:
        return len(self.status)

    def to_frame(self) -> pd.DataFrame:
        """One row per sample, without fields; named as the signature's outputs, with statuses in words."""
        columns = {"status": [InputStatus.of(s).name.lower() for s in self.status]}
        for name, values in (("probability", self.probability), ("logit", self.logit)):
            by_class = {f"{name}_{k}": column for k, column in enumerate(values.T)} if values.ndim > 1 else {}
            columns |= by_class or {name: values}
        return pd.DataFrame(columns | {"class": self.predicted_class})


@dataclass(frozen=True, eq=False)
class Alignment(Prediction):
    """S of N samples.

    Attributes:
        shares: one row per sample: S_<feature>, S_joint, S_joint_magnitude, unique_<feature>,
            partial_<feature>, p_white_<feature>, p_white_partial_<feature>, for two classes p_white_joint;
            value_<feature>, slope_<feature>, slope_alone_<feature>, effect_<feature>, see
            `Explanation.to_frame`. Exports of earlier versions have fewer columns.
    """

    shares: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """As `Prediction.to_frame`, with the shares."""
        return pd.concat([super().to_frame(), self.shares], axis=1)


@dataclass(frozen=True, eq=False)
class ServedExplanation(Alignment):
    """S and F of N samples and the fields they describe.

    The shares also hold F_<feature>, F_joint, contribution_<feature> and so on.

    Attributes:
        flow_status: (N,) of `FlowStatus`.
        gradient: (N, H, W, C), ∇z of the score of the decision.
        explained: (N, H, W, C), its component along the features.
        boundary: (N, H, W, C), the image where the path meets the decision boundary.
    """

    flow_status: np.ndarray
    gradient: np.ndarray
    explained: np.ndarray
    boundary: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """As `Alignment.to_frame`, with the status of the path."""
        ended = [FlowStatus.of(s).name.lower() for s in self.flow_status]
        return super().to_frame().assign(flow_status=ended)


class ServedModel(Export):
    """An export of fgf_keras, with its signatures as methods.

    `fgf_keras.explain` takes it like a model: it measures the exported network anew, with any features and
    settings.

    Attributes:
        path: the folder of the version.
        description: `Description`: features, window, threshold, settings, versions.
        others: names of the inputs of the classifier other than the image.
    """

    def __init__(self, path: Path, description: Description, saved: Any) -> None:
        super().__init__(saved, list(description.features))
        self.path, self.description, self._signatures = path, description, saved.signatures
        self._types = {
            name: spec.dtype
            for name, spec in self._signatures["explain"].structured_input_signature[1].items()
        }
        self.others = [name for name in self._types if name not in _NO_OTHERS]

    def predict(self, images: Any, masks: np.ndarray) -> Prediction:
        """Probabilities, logits and classes.

        Args:
            images: (N, H, W, C), mapped as in training, see `description.window_hu`; for a classifier with
                other inputs a dictionary of "image" and `others`.
            masks: (N, H, W, 1) in {0, 1}.

        Raises:
            DataError: shapes that the model does not accept.
        """
        outputs = self._call("serving_default", images, masks)
        return Prediction(**_decided(outputs))

    def alignment(
        self, images: Any, masks: np.ndarray, *, spacing: np.ndarray | Sequence[float] | None = None
    ) -> Alignment:
        """As `predict`, with S.

        Args:
            images, masks: as for `predict`.
            spacing: (2,) or (N, 2), (row, column) mm; by default that of training, or 1 mm if patients keep
                their own.
        """
        outputs = self._call("alignment", images, masks, spacing)
        return Alignment(**_decided(outputs), shares=_shares(outputs, self.description.features))

    def explain(
        self, images: Any, masks: np.ndarray, *, spacing: np.ndarray | Sequence[float] | None = None
    ) -> ServedExplanation:
        """As `alignment`, with F, ∇z, its explained part and the image at the boundary."""
        outputs = self._call("explain", images, masks, spacing)
        fields = {name: outputs.pop(name) for name in ("gradient", "explained", "boundary", "flow_status")}
        return ServedExplanation(
            **_decided(outputs), shares=_shares(outputs, self.description.features), **fields
        )

    def encoded(self, table: pd.DataFrame) -> np.ndarray:
        """The input "clinical" (N, k) of patients, encoded as in training.

        Args:
            table: raw values, one row per patient and one column for each name; NaN or None where missing.

        Raises:
            DataError: the model takes no clinical columns, or the table lacks one.
        """
        content = self.description.clinical
        if content is None:
            raise DataError("The export does not say how clinical columns are encoded, or takes none.")
        return ClinicalEncoding.of_json(content).encode(table)

    def _call(
        self,
        signature: str,
        images: Any,
        masks: np.ndarray,
        spacing: np.ndarray | Sequence[float] | None = None,
    ) -> dict[str, np.ndarray]:
        inputs = dict(images) if isinstance(images, Mapping) else {"image": images}
        if set(inputs) != {"image", *self.others}:
            raise DataError(
                f"The model takes the inputs {', '.join(['image', *self.others])}. Received: "
                f"{', '.join(map(str, inputs))}."
            )
        inputs["mask"] = masks
        inputs = {name: np.asarray(a, self._types[name].as_numpy_dtype) for name, a in inputs.items()}
        images, (*axes, channels) = inputs["image"], self.description.image_shape
        kind = "volumes" if len(axes) == 3 else "images"
        for name, last in (("image", channels), ("mask", 1)):
            array = inputs[name]
            if array.shape[1:] != (*axes, last) or len(array) != len(images):
                raise DataError(
                    f"{name}s must have shape ({', '.join(map(str, ['N', *axes, last]))}), one for each of "
                    f"{len(images)} {kind}. Received: shape {array.shape}."
                )
        if signature != "serving_default":
            inputs["spacing"] = self._spacing(spacing, len(images))
        outputs = self._signatures[signature](**{key: tf.constant(array) for key, array in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    def _spacing(self, spacing: np.ndarray | Sequence[float] | None, count: int) -> np.ndarray:
        axes = len(self.description.image_shape) - 1
        spacing = self.description.spacing_mm or (1.0,) * axes if spacing is None else spacing
        spacing = np.asarray(spacing, np.float32)
        if spacing.shape not in ((axes,), (count, axes)):
            raise DataError(
                f"spacing must have shape ({axes},) or ({count}, {axes}). Received: shape {spacing.shape}."
            )
        return np.broadcast_to(spacing, (count, axes))


def load_saved_model(path: str | Path) -> ServedModel:
    """Load a model that `export_saved_model` or `fgf export` wrote.

    Args:
        path: folder of one version, or of several versions, of which the highest is loaded, as by a server.

    Raises:
        ModelError: there is no model, it is incomplete, or it is of another kind.
    """
    folder = _version(Path(path))
    missing = [
        name for name in ("saved_model.pb", "variables/variables.index") if not (folder / name).is_file()
    ]
    if missing:
        raise ModelError(
            f"{folder} is not a whole SavedModel: {' and '.join(missing)} missing. Give the folder of a "
            "version, e.g. saved_model/1; if it is one, copy or export it again."
        )
    description = Description.read(folder)
    try:
        saved = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises whatever it meets in a damaged file
        first = str(error).partition("\n")[0]
        raise ModelError(f"{folder} cannot be loaded: {first} Copy or export it again.") from error
    lacking = [name for name in SIGNATURES if name not in saved.signatures]
    if lacking:
        raise ModelError(f"{folder} has no signature {', '.join(lacking)}. Export the model again.")
    shape = saved.signatures["serving_default"].structured_input_signature[1]["image"].shape[1:]
    if tuple(shape) != description.image_shape:
        raise ModelError(
            f"{folder / FILE} is damaged: it says that images are {description.image_shape}, and the graph "
            f"takes {tuple(shape)}. Export the model again."
        )
    return ServedModel(folder, description, saved)


def _version(path: Path) -> Path:
    if path.is_file():
        raise ModelError(
            f"{str(path)!r} is a file, and an export is a folder, such as saved_model/1 of a run. A run's "
            "model.keras is exported by fgf export --run DIR; any other Keras model is measured in Python, "
            "with fgf_keras.explain."
        )
    if not path.is_dir():
        raise ModelError(f"{str(path)!r} does not exist. Export a run first: fgf export --run DIR.")
    return saved_model_folder(path)


def _decided(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {"status": "status", "probability": "probability", "logit": "logit", "class": "predicted_class"}
    return {attribute: outputs.pop(name) for name, attribute in names.items()}


def _shares(outputs: Mapping[str, np.ndarray], features: Iterable[str]) -> pd.DataFrame:
    """The columns of alignment in a fixed order, which the outputs of a graph do not have."""
    names = [*features, "joint", "joint_magnitude"]
    order = [f"{kind}_{name}" for kind in _KINDS for name in names]
    columns = [*order, "unexplained", "flow_residual", "outside", "outside_excess"]
    return pd.DataFrame({key: outputs[key] for key in columns if key in outputs})
