"""Results as DICOM, FHIR and Slicer's markups, for finished runs: the only room that reads who a patient is."""
