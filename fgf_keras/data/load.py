"""From a configuration to its cohort."""

from fgf_keras.config import Config
from fgf_keras.data.cohort import Cohort
from fgf_keras.data.phantom import phantom_cohort
from fgf_keras.data.png import png_cohort


def load_cohort(config: Config) -> Cohort:
    """The cohort that `config.data` describes; a phantom is drawn from `config.seed`.

    Raises:
        DataError: the source is missing or cannot be used as it is.
    """
    data = config.data
    if data.source == "phantom":
        return phantom_cohort(
            data.phantom, size=data.size, window=data.window, spacing=data.spacing, seed=config.seed
        )
    return png_cohort(data)
