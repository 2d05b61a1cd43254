"""The run folder, and the trials of a comparison."""
