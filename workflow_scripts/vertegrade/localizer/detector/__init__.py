"""The network that finds and names vertebrae."""
