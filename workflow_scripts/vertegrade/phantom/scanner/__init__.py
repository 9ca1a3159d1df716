"""Simulated CT of drawn patients, as DICOM."""
