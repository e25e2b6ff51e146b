"""Synthetic patients: values of the templates that go together."""
