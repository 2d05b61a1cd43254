"""Measurements of a model on images: S, F, their nulls, and how moving a feature changes the score."""
