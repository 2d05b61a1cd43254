"""The exact computation of a network in a window around the tumour."""
