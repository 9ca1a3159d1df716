"""The sample sheet from the files in a folder, by headers alone."""
