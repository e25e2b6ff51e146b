"""The workflow that runs a sweep's rows, and a profile for each engine."""
