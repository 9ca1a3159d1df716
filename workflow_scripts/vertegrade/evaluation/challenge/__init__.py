"""The challenge: how virtual fractures are graded, against the truth that is known of them."""
