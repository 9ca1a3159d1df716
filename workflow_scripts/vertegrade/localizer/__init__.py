"""Networks that find the spine and its vertebrae in a CT volume."""
