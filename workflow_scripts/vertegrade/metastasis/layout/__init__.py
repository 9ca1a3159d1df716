"""Scans and labels as the public data set Spine-Mets-CT-SEG has them."""
