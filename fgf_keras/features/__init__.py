"""Features that a human can name: their values and their gradients, one family per file.

All families are imported here, so that a saved model that holds any of them can be loaded.
"""

from fgf_keras._backend import require_tensorflow_backend

require_tensorflow_backend()

from fgf_keras.config.named import FEATURES, named

for _name in FEATURES:
    named(FEATURES, _name)
