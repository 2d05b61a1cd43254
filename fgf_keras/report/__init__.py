"""Reports from tables of results, as HTML, as Markdown and on a terminal, without TensorFlow."""
