"""Answers held against the truth: right, supported, omitted, sure, each with its interval."""

from .answers import Answers, Spans, mentioned, read_from, right, supported
from .confidence import at_temperature, calibrated, cells, checked_first, reliability
from .measuring import CHOICES, NUMBERS, REPORT, by_frequency, measure

__all__ = [
    "CHOICES", "NUMBERS", "REPORT", "Answers", "Spans", "at_temperature", "by_frequency",
    "calibrated", "cells", "checked_first", "measure", "mentioned", "read_from", "reliability",
    "right", "supported",
]  # fmt: skip
