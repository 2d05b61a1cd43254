"""Results as tables: metrics of runs and comparisons, and statistics over them, without TensorFlow."""
