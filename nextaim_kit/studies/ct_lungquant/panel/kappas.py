"""How well a panel agrees on each label, and whether software would pass for one of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nextaim_kit.learn.agreement import icc_interval, kappa_as_reader, kappa_matrix, mean_kappa
from nextaim_kit.studies.ct_lungquant.panel.readers import LIMITS, SCALES, SEEN

SOFTWARE = "software"


def codes(readings: pd.DataFrame, label: str) -> pd.DataFrame:
    """Class numbers of a label from 0 on: a row per subject, a column per reader, NaN if unread.

    The label ``percent`` keeps its values.
    """
    wide = readings.pivot(index="subject", columns="reader", values=label)
    if label != "percent":
        wide = wide.apply(lambda column: column.map({v: k for k, v in enumerate(SCALES[label])}))
    return wide.astype(float).rename_axis(columns=None)


def software_codes(values: pd.DataFrame, label: str) -> pd.Series:
    """Class numbers by subject that software's shares have at the usual limits, NaN without."""
    share = values.set_index("subject")[SEEN[label]].astype(float)
    share = share / 100 if SEEN[label] == "involvement" else share
    found = pd.Series(np.searchsorted(LIMITS[label], share, side="right"), share.index)
    return found.where(share.notna()).astype(float)


def agreement(readings: pd.DataFrame, *, n_boot: int = 0, seed: int = 0) -> pd.DataFrame:
    """How well a panel agrees on each label.

    Parameters
    ----------
    readings : DataFrame
        As `read_panel` gives them.
    n_boot : int
        Resamples of the patients for the interval of the mean kappa; 0: none.
    seed : int

    Returns
    -------
    DataFrame
        By ``label``: ``kappa``, the mean over pairs of readers of Cohen's kappa with quadratic
        weights, with ``kappa_low``, ``kappa_high`` (95 %); ``kappa_worst`` and ``kappa_best``,
        the pairs'; ``icc``, the intraclass correlation of single readers, ICC(2,1), over the
        subjects whom all have read, of which there are ``n``, with ``icc_low``, ``icc_high``;
        and ``missing``, the share of readings. The last row is of ``percent``, without kappas.
    """
    rows: list[tuple] = []
    for label in (*SCALES, "percent"):
        table = codes(readings, label)
        kappas = [np.nan] * 5
        if label != "percent":
            of_pairs = kappa_matrix(table).to_numpy()[np.triu_indices(table.shape[1], 1)]
            extremes: pd.Series = pd.Series(of_pairs).agg(
                ["min", "max"]
            )  # NaN where there is no pair
            kappas = [*mean_kappa(table, n_boot=n_boot, seed=seed), *extremes]
        whole = table.dropna()
        missing = float(table.isna().to_numpy().mean())
        rows.append((label, *kappas, *icc_interval(whole), len(whole), missing))
    columns = ["label", "kappa", "kappa_low", "kappa_high", "kappa_worst", "kappa_best",
               "icc", "icc_low", "icc_high", "n", "missing"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def with_software(readings: pd.DataFrame, values: pd.DataFrame, label: str) -> pd.DataFrame:
    """`codes` of the subjects that both have, with a column ``software`` as one more reader."""
    table = codes(readings, label)
    table = table[table.index.isin(values["subject"])]
    return table.assign(**{SOFTWARE: software_codes(values, label).reindex(table.index)})


def software_as_reader(
    readings: pd.DataFrame, values: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Kappa of the software with each reader, averaged, beside that of the readers' own pairs.

    Returns
    -------
    DataFrame
        ``label``, ``who`` (readers, software, difference: software less readers), ``value``,
        ``low``, ``high`` (95 %, patients resampled).
    """
    rows = []
    for label in SCALES:
        table = with_software(readings, values, label)
        found = kappa_as_reader(table, SOFTWARE, n_boot=n_boot, seed=seed)
        rows += [(label, SOFTWARE if who == "one" else who, *v) for who, v in found.items()]
    return pd.DataFrame(rows, columns=["label", "who", "value", "low", "high"])
