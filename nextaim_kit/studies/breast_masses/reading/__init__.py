"""Readers rate explanations: pairs, questions, what the answers say."""
