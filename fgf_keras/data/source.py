"""Where patients come from: what a source must give, and the one that a configuration names."""

from abc import ABC, abstractmethod

from fgf_keras.config import Config
from fgf_keras.config.named import SOURCES, named_class
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import ConfigError


class Source(ABC):
    """Where patients come from.

    Args:
        config: a whole configuration; its group `data` says what to read and how.
    """

    def __init__(self, config: Config):
        self.config, self.data = config, config.data

    @abstractmethod
    def cohort(self) -> Cohort:
        """Read or draw the patients.

        Raises:
            DataError: what is there is missing or cannot be used as it is.
        """

    def pixel_spacing(self) -> list[float] | None:
        """(y, x) mm of all slices; None where every patient keeps its own.

        Raises:
            DataError: it cannot be read.
        """
        return list(self.data.spacing)

    def hu_window(self) -> tuple[float, float] | None:
        """HU that become 0 and 1; None where nothing tells."""
        low, high = self.data.window
        return low, high


def source_of(config: Config) -> Source:
    """The source that `data.source` names.

    Raises:
        ConfigError: it cannot be imported, or is no `Source`.
    """
    try:
        return named_class(SOURCES, config.data.source, Source)(config)
    except ValueError as error:
        raise ConfigError(f"data.source: {error}.") from error
