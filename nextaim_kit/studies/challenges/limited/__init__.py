"""What is learned from few labels, by which method, and how many more are worth it."""
