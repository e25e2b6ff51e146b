"""Images as they lie on disks: volumes, DICOM series and masks, films."""
