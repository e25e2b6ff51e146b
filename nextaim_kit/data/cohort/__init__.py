"""Cohorts: one row per subject, from tables, folders and data sets, checked."""
