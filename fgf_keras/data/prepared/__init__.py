"""Slices prepared once from CT volumes, and the cohort that is read from them."""
