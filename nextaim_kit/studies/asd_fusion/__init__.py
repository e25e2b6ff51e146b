"""Autism on brain MRI: function and structure together, harmonization, sites never seen."""
