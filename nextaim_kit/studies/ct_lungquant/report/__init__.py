"""The structured report: values that a reader confirms, as HTML, FHIR and DICOM SR."""
