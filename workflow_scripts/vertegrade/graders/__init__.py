"""Grading methods, a folder or file for each."""
