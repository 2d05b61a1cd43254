"""The folder of a run, and the place of one trial among many."""
