"""Diffusion autoencoder: semantic encoder, U-Net with AdaGN, DDIM, training, encoding, counterfactuals."""
