"""All methods of a run side by side, on the same vertebrae."""
