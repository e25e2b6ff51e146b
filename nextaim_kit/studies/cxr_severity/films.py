"""The films that a notebook starts from: the twin's, a folder's, or a table's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from nextaim_kit.data.cohort import load_cohort
from nextaim_kit.data.films import film_table
from nextaim_kit.data.source import SYNTHETIC


def load_films(spec: str, *, twin: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, bool]:
    """Load a cohort of films.

    Parameters
    ----------
    spec : str
        As for `load_cohort`, with the column ``image``; or a folder of films without a table,
        each of which is then a subject of its own.
    twin : callable
        Makes the synthetic twin.

    Returns
    -------
    table : DataFrame
        ``subject`` (unique), ``site``, ``label`` where known, ``image``, and what else there is.
    synthetic : bool
    """
    folder = Path(spec).expanduser()
    if folder.is_dir() and not (folder / "cohort.csv").is_file():
        return film_table(folder).assign(site="unknown"), False
    return load_cohort(spec, twin=twin, columns=("image",)), spec == SYNTHETIC
