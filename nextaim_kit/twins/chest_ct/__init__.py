"""Synthetic chests on CT: bodies, lungs, lesions, and what a scanner makes of them."""
