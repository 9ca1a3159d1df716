"""What networks that are trained on grades share: samples, images, networks, heads, training, scores."""
