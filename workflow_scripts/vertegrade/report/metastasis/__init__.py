"""The page of bone quality, and its pictures."""
