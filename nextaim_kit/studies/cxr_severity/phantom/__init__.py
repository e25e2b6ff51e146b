"""Synthetic chests as films."""
