"""Several scans of one patient compared: which vertebra is which, what its heights lost, and what to call it."""
