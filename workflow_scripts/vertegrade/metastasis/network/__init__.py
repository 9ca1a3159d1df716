"""The network of two tasks, its baseline and their training."""
