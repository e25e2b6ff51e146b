"""What is refused of an extraction's parameters before its kernel starts."""

from __future__ import annotations

from collections.abc import Sequence

from nextaim_kit.studies.ct_radiomics.settings import Settings


def extraction(
    bin_width: float,
    resample_mm: float,
    wavelet: bool,
    log_sigma: Sequence[float],
    settings: str,
    definition: str,
) -> None:
    """Judge a parameter file and what is given beside it.

    Parameters
    ----------
    bin_width, resample_mm, wavelet, log_sigma, settings, definition
        As the notebook has them; `settings` is the file's path, empty without one.

    Raises
    ------
    RequestError
        As `Settings` does, or if settings are chosen beside IBSI's definition.
    """
    own = Settings(bin_width, resample_mm, wavelet, tuple(log_sigma), file=settings)
    if definition == "ibsi":
        own.require_default()
