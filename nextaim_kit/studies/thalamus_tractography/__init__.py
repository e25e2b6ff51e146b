"""Thalamic targeting: which part of the thalamus is connected with which part of the cortex."""
