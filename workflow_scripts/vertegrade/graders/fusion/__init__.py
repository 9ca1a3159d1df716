"""Method `fusion`: the DAE's latent and the indices of the six points, graded together."""
