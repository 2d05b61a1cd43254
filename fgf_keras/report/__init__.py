"""One document from tables: as HTML, as Markdown and on a terminal; no TensorFlow."""
