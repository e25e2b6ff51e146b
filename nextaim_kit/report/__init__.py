"""Structured reports of any study: a template filled with values, confirmed, and exported."""
