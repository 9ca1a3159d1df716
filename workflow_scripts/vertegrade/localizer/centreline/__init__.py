"""The network that finds the spine."""
