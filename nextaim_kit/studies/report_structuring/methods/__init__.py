"""Methods side by side: fitted, compared, on less and on worse data, and kept in a file."""

from .comparing import compared, pairs_told_apart, told, without_copies
from .fitting import baselines, encoder, memory_plans, name_of, text_to_text
from .noise_surface import across, first_reports, scores, surface
from .saved import load_structurer, not_trained_on, save_structurer, who_trained

__all__ = [
    "across", "baselines", "compared", "encoder", "first_reports", "load_structurer",
    "memory_plans", "name_of", "not_trained_on", "pairs_told_apart", "save_structurer", "scores",
    "surface", "text_to_text", "told", "who_trained", "without_copies",
]  # fmt: skip
