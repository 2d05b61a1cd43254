"""NIfTI and NRRD volumes with masks."""
