"""`python -m fgf_keras` does the same as `fgf`."""

from fgf_keras.cli.main import main

main()
