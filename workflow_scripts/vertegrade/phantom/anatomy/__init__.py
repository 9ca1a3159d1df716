"""Drawn patients: bones, organs, findings."""
