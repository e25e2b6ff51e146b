"""Prototype networks on crops of masses: trained, explained, measured."""
