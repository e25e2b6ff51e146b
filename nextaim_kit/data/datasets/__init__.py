"""Data sets: what a spec stands for, manifests, and how files come to this machine."""
