"""Widefield to STORM: super-resolution that says where it made things up."""
