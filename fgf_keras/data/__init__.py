"""Sources of slices, cohorts, splits of patients, and the batches for training."""
