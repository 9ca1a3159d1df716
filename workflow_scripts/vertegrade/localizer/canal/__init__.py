"""The network that finds the spinal canal."""
