"""Whether what a model says can be relied on: at home, spoiled, elsewhere, and of strangers."""
