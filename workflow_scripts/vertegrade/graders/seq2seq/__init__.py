"""The whole spine as a sequence of 3D patches (Chettrit et al. 2020)."""
