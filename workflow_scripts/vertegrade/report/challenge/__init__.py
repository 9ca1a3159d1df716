"""The page of the challenge: figures, pictures, text."""
