"""A model and images in, numbers out: S, F, their nulls, and what moving a feature does to the score."""
