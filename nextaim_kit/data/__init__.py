"""Cohorts, images, manifests: how data come in."""
