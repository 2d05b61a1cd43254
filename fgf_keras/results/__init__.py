"""What was measured, as tables: metrics of runs and comparisons, and statistics over them; no TensorFlow."""
