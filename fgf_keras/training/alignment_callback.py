"""S and F while training."""

import keras
import numpy as np
import tensorflow as tf

from fgf_keras.data.slices import check_slices
from fgf_keras.errors import ModelError
from fgf_keras.features.base import unique_names
from fgf_keras.geometry.flow import ENDED
from fgf_keras.models.alignment_model import AlignmentModel, unpack_inputs
from fgf_keras.models.measure import AlignmentMeasure
from fgf_keras.models.placement import measured_evaluation

# Of a path, where evaluation may take 64: a network that has hardly begun has paths that no number reaches.
MOST_STEPS = 8


class AlignmentCallback(keras.callbacks.Callback):
    """Measures S every epoch and F every few epochs on validation data.

    Writes `val_S_<feature>`, `val_S_joint`, `val_F_<feature>`, `val_F_joint` into `logs`, so that callbacks
    after it in the list (EarlyStopping, ModelCheckpoint, CSVLogger, TensorBoard) can use them; give those
    `mode="max"`. Between two measurements of F the last one stands. With `log_dir` the same numbers are
    TensorBoard scalars `alignment/S_<feature>`, `alignment/F_<feature>`.
    S is averaged over the samples where it is defined, F over those whose path reached the boundary within
    `MOST_STEPS` steps.

    Args:
        validation: (images, masks), (images, masks, spacing), or a dictionary with the keys image, mask and
            perhaps spacing; arrays as for `explain`.
        features: list of `Feature`; those of the `AlignmentModel` by default.
        flow_every: epochs between two measurements of F; the first and the last epoch always have one.
        flow_samples: F is measured on the first of them, at most this many: the same ones every time.
        support: "mask" or "image".
        batch_size: samples in memory at once.
        log_dir: folder for TensorBoard, or None.

    Example:
        >>> model.fit(dataset, callbacks=[AlignmentCallback((images, masks), log_dir="logs")])
    """

    def __init__(
        self,
        validation,
        *,
        features=None,
        flow_every=5,
        flow_samples=16,
        support="mask",
        batch_size=16,
        log_dir=None,
    ):
        super().__init__()
        images, masks, spacing = unpack_inputs(validation)
        self._images, self._masks = np.asarray(images), np.asarray(masks)
        check_slices(np.arange(len(self._images)).astype(str), self._images, self._masks)
        self._spacing = np.broadcast_to(1.0 if spacing is None else spacing, (len(self._images), 2))
        for name, value in (
            ("flow_every", flow_every),
            ("flow_samples", flow_samples),
            ("batch_size", batch_size),
        ):
            if value < 1:
                raise ModelError(f"AlignmentCallback needs {name} >= 1. Received: {name}={value!r}.")
        self._features = features
        self._flow_every = flow_every
        self._flow_samples = flow_samples
        self._support = support
        self._batch_size = batch_size
        self._log_dir = log_dir
        self._writer = None
        self._last_flow = {}

    def on_train_begin(self, logs=None):
        """Trace the measurement once."""
        rewarded = isinstance(self.model, AlignmentModel)
        features = self._features if self._features is not None else getattr(self.model, "features", [])
        self._names = unique_names(list(features))
        self._measure = AlignmentMeasure(
            self.model.classifier if rewarded else self.model,
            features,
            self._images.shape[1:],
            support=self._support,
            mask_input=rewarded,
            evaluation=measured_evaluation(self.model),
            max_steps=MOST_STEPS,
        )
        self._last_flow = {}
        if self._log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(self, epoch, logs=None):
        """Measure, and put the results into `logs`."""
        measured = self._pointwise()
        last = epoch + 1 == self.params.get("epochs")
        if epoch % self._flow_every == 0 or last:
            self._last_flow = self._along_flow()
        measured |= self._last_flow
        if logs is not None:
            logs.update({f"val_{key}": value for key, value in measured.items()})
        if self._writer is not None:
            with self._writer.as_default(step=epoch):
                for key, value in measured.items():
                    tf.summary.scalar(f"alignment/{key}", value)
            self._writer.flush()

    def on_train_end(self, logs=None):
        """Close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()

    def _pointwise(self):
        parts = [self._measure.at_sample(*batch) for batch in self._batches(len(self._images))]
        pointwise = np.concatenate([part["S"] for part in parts])
        joint = np.concatenate([part["S_joint"] for part in parts])
        return self._means("S", pointwise, joint, ~np.isnan(joint))

    def _along_flow(self):
        parts = [self._measure.along_flow(*batch) for batch in self._batches(self._flow_samples)]
        status = np.concatenate([part["status"] for part in parts])
        reached = np.isin(status, ENDED)
        pointwise = np.concatenate([part["F_arc"] for part in parts])
        return self._means("F", pointwise, np.concatenate([part["F_joint_arc"] for part in parts]), reached)

    def _means(self, kind, pointwise, joint, defined):
        columns = {name: pointwise[:, i] for i, name in enumerate(self._names)} | {"joint": joint}
        mean = {name: column[defined].mean() if defined.any() else np.nan for name, column in columns.items()}
        return {f"{kind}_{name}": float(value) for name, value in mean.items()}

    def _batches(self, most):
        count = min(most, len(self._images))
        dtype = self._measure.dtype.as_numpy_dtype
        for start in range(0, count, self._batch_size):
            rows = slice(start, min(start + self._batch_size, count))
            yield [
                tf.convert_to_tensor(array[rows].astype(dtype))
                for array in (self._images, self._masks, self._spacing)
            ]
