"""Grades by heights alone: Genant's indices of six points as latents."""
