"""Figures in one style, volumes and masks to look at, checks of exercises."""
