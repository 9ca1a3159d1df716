"""The page of the comparison of methods."""
