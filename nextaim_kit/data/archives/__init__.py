"""Archives of images: DICOMweb and XNAT, pulled without identity, results pushed back."""
