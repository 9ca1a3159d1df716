"""Patients with drawn lesions."""
