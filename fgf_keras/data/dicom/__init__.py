"""DICOM as it comes: CT series, structure sets and segmentations, read exactly or refused by name."""
