"""Breast masses: found by two detectors, explained by prototypes."""
