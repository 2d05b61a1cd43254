"""The interface of a source of patients, and the source that a configuration names."""

from abc import ABC, abstractmethod

from fgf_keras.config import Config
from fgf_keras.config.named import SOURCES, named_class
from fgf_keras.data.cohort import Cohort
from fgf_keras.errors import ConfigError


class Source(ABC):
    """A source of patients.

    Args:
        config: the whole configuration; its group `data` says what to read and how.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.data = config, config.data

    @abstractmethod
    def cohort(self) -> Cohort:
        """Read or generate the patients.

        Raises:
            DataError: the data are missing or cannot be used.
        """

    def pixel_spacing(self) -> list[float] | None:
        """(y, x) mm of all slices; None if every patient has its own spacing.

        Raises:
            DataError: the spacing cannot be read.
        """
        return list(self.data.spacing)

    def hu_window(self) -> tuple[float, float] | None:
        """The HU that are mapped to 0 and 1; None if they are unknown."""
        low, high = self.data.window
        return low, high


def source_of(config: Config) -> Source:
    """The source that `data.source` names.

    Raises:
        ConfigError: it cannot be imported, or is not a `Source`.
    """
    try:
        return named_class(SOURCES, config.data.source, Source)(config)
    except ValueError as error:
        raise ConfigError(f"data.source: {error}.") from error
