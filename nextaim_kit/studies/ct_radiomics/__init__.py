"""Severity from CT radiomics: twin, extraction, IBSI compliance."""
