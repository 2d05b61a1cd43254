"""Alignment of gradients, computed on plain tensors: no files, no configuration, no layers."""
