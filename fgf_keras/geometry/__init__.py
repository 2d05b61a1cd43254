"""Alignment of gradients on plain tensors: it knows no file, no configuration, no layer."""
