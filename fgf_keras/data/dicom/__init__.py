"""DICOM as found in clinics: CT series, structure sets and segmentations, read exactly or refused."""
