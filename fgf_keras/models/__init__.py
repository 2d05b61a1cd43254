"""Classifiers and what is measured on them: input gradients, alignment, the rewarded model."""
