"""A cohort of brains: who they are, how their regions go together, how they are built."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Brains:
    """Functional and structural MRI of a cohort, in the order of its table.

    Parameters
    ----------
    table : DataFrame
        One row per subject: ``subject``, ``site``, ``label`` (1 autism, 0 typical development,
        or missing), ``age`` (years), ``sex`` (M or F), ``fiq``, ``eyes`` (open, closed or
        empty), ``motion`` (mean framewise displacement, mm), ``tr`` (s), ``volumes`` (length of
        the series), ``institution``.
    connectivity : array of shape (subjects, edges), float32
        Fisher z of the correlation, the upper triangle row by row: (0, 1), (0, 2) and so on. NaN
        at the edges of a region without signal; a row of NaN is a subject without function.
    structure : DataFrame
        FreeSurfer's features under its own names (mm, mm², mm³); NaN is missing.
    regions : DataFrame
        ``region``, ``network``, ``x``, ``y``, ``z`` (mm in MNI space), in the matrix' order.
    synthetic : bool
    """

    table: pd.DataFrame
    connectivity: NDArray[np.float32]
    structure: pd.DataFrame
    regions: pd.DataFrame
    synthetic: bool


def institution_of(site: str) -> str:
    """Whose scanner a site of ABIDE is: ``UCLA_1`` and ``ABIDEII-UCLA_1`` are both UCLA's."""
    return re.sub(r"^ABIDEII-|_\d$", "", site)
