"""How much memory a training takes, and what fits: predicted, measured, planned."""
