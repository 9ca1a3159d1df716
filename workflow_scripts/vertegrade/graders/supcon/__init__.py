"""Supervised contrastive grading (Wei et al. 2022)."""
