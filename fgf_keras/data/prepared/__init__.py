"""Slices prepared from CT volumes, the store they are kept in, and the cohort that is read from it."""
