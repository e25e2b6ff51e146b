"""Windows of gray: which values are black and which white."""

from __future__ import annotations

import numpy as np

from nextaim_kit.errors import RequestError

# Center and width in HU.
WINDOWS = {
    "lung": (-600, 1500),
    "mediastinum": (40, 400),
    "soft tissue": (50, 350),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (60, 160),
}

Window = str | tuple[float, float] | None


def limits(pixels: np.ndarray, window: Window) -> tuple[float, float]:
    """Values that are drawn black and white.

    Parameters
    ----------
    pixels : array
        Looked at only where `window` is None.
    window : str or (center, width) or None
        A name of `WINDOWS`, or numbers in the image's unit (HU for CT); None takes the 1st to
        99th percentile.

    Raises
    ------
    RequestError
        If there is no window of this name.
    """
    if window is None:
        values = pixels.reshape(-1)[:: max(1, pixels.size // 10**6)]
        low, high = np.percentile(values, [1, 99])
        return float(low), float(max(high, low + 1e-6))
    if isinstance(window, str):
        if window not in WINDOWS:
            raise RequestError(f"no window {window!r}", expected=f"one of {', '.join(WINDOWS)}")
        window = WINDOWS[window]
    center, width = window
    if not width > 0:
        raise RequestError(f"a window of width {width}", expected="a width above 0")
    return center - width / 2, center + width / 2
