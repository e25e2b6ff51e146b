"""Masses in mammograms: found by two generations of YOLO, explained by prototypes."""
