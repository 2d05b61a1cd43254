"""Errors of the package. Each says what was found, where, and what to do about it."""


class FgfError(Exception):
    """Base of all errors raised on purpose; the command line prints its message without a traceback."""


class BackendError(FgfError):
    """Keras runs on another backend than TensorFlow."""


class ConfigError(FgfError):
    """A configuration that cannot be meant: unknown key, wrong type, value out of range."""


class DataError(FgfError):
    """Images, masks, labels or tables that cannot be used as they are."""


class ModelError(FgfError):
    """A classifier that cannot be measured: probabilities instead of logits, no gradient, wrong shape."""


class FeatureError(FgfError):
    """A feature that is unknown, named twice, constant on a cohort, or has no gradient."""


class RunError(FgfError):
    """A run folder that is missing, unfinished or of another kind."""
