"""What the machine offers and how it is used: limits, seeds, GPU, memory, and a check of it all."""
