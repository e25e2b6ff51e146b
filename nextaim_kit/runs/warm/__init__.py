"""Kernels that start within a second: a process that has imported much is forked for each."""
