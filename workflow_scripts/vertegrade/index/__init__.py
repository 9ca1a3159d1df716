"""The sample sheet from the files in a folder, by headers and, of each NIfTI, pieces."""
