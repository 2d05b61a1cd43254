"""`python -m fgf_keras` is `fgf`."""

from fgf_keras.cli import main

main()
