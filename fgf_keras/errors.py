"""Errors of the package. Each message says what is wrong, where, and what to do about it."""


class FgfError(Exception):
    """Base of all errors raised on purpose; the command line prints the message without a traceback."""


class BackendError(FgfError):
    """Keras runs on a backend other than TensorFlow."""


class ConfigError(FgfError):
    """An invalid configuration: unknown key, wrong type, value out of range."""


class DataError(FgfError):
    """Images, masks, labels or tables that cannot be used as they are."""


class ModelError(FgfError):
    """A classifier that cannot be measured: probabilities instead of logits, no gradient, wrong shape."""


class FeatureError(FgfError):
    """A feature that is unknown, listed twice, constant on a cohort, or without a gradient."""


class RunError(FgfError):
    """A run folder that is missing, unfinished or of the wrong kind."""
