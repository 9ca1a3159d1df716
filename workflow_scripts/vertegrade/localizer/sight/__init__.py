"""Whether the image shows what its header and the landmarks say."""
