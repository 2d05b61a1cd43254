"""A synthetic cohort whose labels follow a known law, as arrays and as DICOM files."""
