"""Free-text reports to structured ones: templates, synthetic reports, methods and measures."""
