"""Everything that a training writes for TensorBoard."""
