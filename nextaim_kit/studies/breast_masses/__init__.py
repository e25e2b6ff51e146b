"""Breast masses: found by two generations of YOLO, explained by prototypes."""
