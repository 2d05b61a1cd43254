"""`python -m fgf_keras` is `fgf`."""

from fgf_keras.cli.main import main

main()
