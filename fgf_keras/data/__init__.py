"""Where slices come from: cohorts, splits of patients, and the batches that training reads."""
