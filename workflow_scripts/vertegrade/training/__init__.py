"""Training of networks: loop, checkpoints, interruption, several processes."""
