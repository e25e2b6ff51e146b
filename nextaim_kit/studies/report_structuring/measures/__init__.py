"""Answers held against the truth: right, supported, omitted, sure, each with its interval."""

from .answers import Answers, Spans, mentioned, right, supported
from .confidence import cells, checked_first, reliability
from .measuring import CHOICES, NUMBERS, REPORT, by_frequency, measure

__all__ = [
    "CHOICES", "NUMBERS", "REPORT", "Answers", "Spans", "by_frequency", "cells", "checked_first",
    "measure", "mentioned", "reliability", "right", "supported",
]  # fmt: skip
