"""Learning from not so big data: splits, selection, harmonization, metrics, explanation."""
