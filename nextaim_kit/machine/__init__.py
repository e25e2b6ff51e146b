"""What the machine offers and how it is used: limits, seeds, GPU, and a check of all of it."""
