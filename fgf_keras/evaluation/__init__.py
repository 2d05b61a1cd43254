"""Finished models measured: classification, alignment, tables, pictures."""
