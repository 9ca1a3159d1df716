"""The network that sets six points on a vertebra."""
