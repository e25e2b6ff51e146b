"""Figures in one style, volumes and masks to look at, feedback to exercises."""
