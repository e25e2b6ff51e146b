"""Synthetic breasts: anatomy, masses, and how hospitals picture them."""
