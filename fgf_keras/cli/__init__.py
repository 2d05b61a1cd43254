"""The commands as a terminal has them."""
