"""The sample sheet from what lies in a folder, by headers alone."""
