"""LungQuant's networks: what they learn from, how they are used, how right they are."""
