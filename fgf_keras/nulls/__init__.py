"""Null features: random directions that show which S and F occur by chance."""
