"""A page for each patient, and one of all patients."""
