"""Encrypted stores: a folder of whole files, each sealed by age, read without a copy on disk."""
