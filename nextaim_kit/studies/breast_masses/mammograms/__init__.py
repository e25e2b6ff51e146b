"""Mammograms with their masses: read from files, looked at, prepared."""
