"""Ways of saving that Keras offers and that an `AlignmentModel` cannot go, with what to use instead."""

from pathlib import Path
from typing import Any, NoReturn

import keras

from fgf_keras.errors import ModelError

_HDF5 = (".h5", ".hdf5")


class KerasSaving(keras.Model):
    """A Keras model that refuses to write files from which it could not be loaded."""

    def save(self, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        """As in Keras.

        Raises:
            ModelError: an HDF5 file, from which Keras cannot load such a model.
        """
        if Path(filepath).suffix in _HDF5:
            raise ModelError(
                f"An AlignmentModel cannot be loaded from an HDF5 file. Received: {str(filepath)!r}. Save it "
                "as '.keras'; or its weights, model.save_weights('name.weights.h5'); or its classifier "
                "alone, model.classifier.save('name.h5')."
            )
        super().save(filepath, *args, **kwargs)

    def export(self, filepath: str | Path, *args: Any, **kwargs: Any) -> NoReturn:
        """Not available.

        Raises:
            ModelError: always, with what to use.
        """
        raise ModelError(
            "Keras's export would leave out alignment and explanation. Use "
            f"fgf_keras.export_saved_model(model, {str(filepath)!r}), or "
            f"model.classifier.export({str(filepath)!r}) for the classifier alone, which takes image·mask."
        )
