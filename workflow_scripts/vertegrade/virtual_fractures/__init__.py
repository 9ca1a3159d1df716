"""Virtual fractures: vertebrae of real scans collapsed in the volume, with their truth."""
