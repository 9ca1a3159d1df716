"""What a user would do instead: a network trained on grades."""
