"""Errors planted in a table of quantities, to see which of them the checks catch."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from nextaim_kit.report.filling import Row, records
from nextaim_kit.report.model import Report
from nextaim_kit.studies.ct_lungquant.definitions import ct_ss, lesion_type
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report


def _ten_times(row: Row) -> Row:
    return row | {"lesions_ml": 10 * row["lesions_ml"]}


def _digits_swapped(row: Row) -> Row:
    digits = f"{row['involvement']:05.2f}"
    return row | {"involvement": float(digits[1] + digits[0] + digits[2:])}


def _class_off_by_one(row: Row) -> Row:
    return row | {"ct_ss": row["ct_ss"] - 1 if row["ct_ss"] > 1 else 2}


def _other_type(row: Row) -> Row:
    other = {"ground glass": "mixed", "mixed": "consolidation", "consolidation": "ground glass"}
    return row | {"type": other.get(row["type"], "mixed")}


def _one_for_both(row: Row) -> Row:
    return row | {"bilateral": not row["bilateral"]}


def _lungs_swapped(row: Row) -> Row:
    return row | {"right_ml": row["left_ml"], "left_ml": row["right_ml"]}


def _mirrored(row: Row) -> Row:
    pairs = [("right_ml", "left_ml"), ("lesions_right_ml", "lesions_left_ml"),
             ("involvement_right", "involvement_left")]  # fmt: skip
    turned = {a: row[b] for pair in pairs for a, b in (pair, pair[::-1])}
    return row | turned | {"left": 1 - row["left"]}


def _scaled(row: Row, by: float, keys: tuple[str, ...]) -> Row:
    return row | {key: by * row[key] for key in keys}


_LESIONS = ("lesions_ml", "lesions_right_ml", "lesions_left_ml")
_SHARES = ("involvement", "involvement_right", "involvement_left")
_LUNGS = ("lungs_ml", "right_ml", "left_ml")


def _wrong_spacing(row: Row) -> Row:
    return _scaled(row, 2.0, (*_LESIONS, *_LUNGS))


def _half_missed(row: Row) -> Row:
    found = _scaled(row, 0.5, (*_LESIONS, *_SHARES))
    return found | {"ct_ss": ct_ss(found["involvement"])}


def _third_of_a_lung_lost(row: Row) -> Row:
    lost = row | {"left_ml": row["left_ml"] * 2 / 3}
    lost["lesions_left_ml"] = lost["left_ml"] * row["involvement_left"] / 100
    lost["lungs_ml"] = row["right_ml"] + lost["left_ml"]
    lost["lesions_ml"] = row["lesions_right_ml"] + lost["lesions_left_ml"]
    lost["involvement"] = 100 * lost["lesions_ml"] / lost["lungs_ml"]
    lost["left"] = lost["lesions_left_ml"] / lost["lesions_ml"] if lost["lesions_ml"] else 0.0
    lost["bilateral"] = bool(0.1 <= lost["left"] <= 0.9)
    return lost | {"ct_ss": ct_ss(lost["involvement"])}


def _density_misread(row: Row) -> Row:
    return row | {
        "ground_glass": row["consolidation"],
        "consolidation": row["ground_glass"],
        "type": lesion_type(row["ground_glass"]),
    }


KINDS: dict[str, Callable[[Row], Row]] = {
    "lesions ten times too large": _ten_times,
    "digits of the share swapped": _digits_swapped,
    "severity class off by one": _class_off_by_one,
    "type by another rule": _other_type,
    "one lung for both": _one_for_both,
    "lung volumes swapped": _lungs_swapped,
    "wrong voxel spacing (all twice)": _wrong_spacing,
    "third of one lung lost": _third_of_a_lung_lost,
    "image mirrored": _mirrored,
    "half of each lesion missed": _half_missed,
    "densities taken for each other": _density_misread,
}
WRONG_PATIENT = "values of another patient"


def with_error(table: pd.DataFrame, subject: str, kind: str) -> Report:
    """The report of one subject of the table with an error of `KINDS` planted."""
    (row,) = records(table[table["subject"].astype(str) == subject])
    return make_report(KINDS[kind](row))


def plant(table: pd.DataFrame) -> pd.DataFrame:
    """Plant every kind of error in every patient with lesions, and see whether a check speaks.

    Parameters
    ----------
    table : DataFrame
        As of `quantities.load_values`.

    Returns
    -------
    DataFrame
        One row a patient and error: ``subject``, ``kind``, ``caught``, ``by`` (the checks' names).
        An error that changes no value of the report is left out, and so is a patient whose
        values raise a doubt without any.
    """
    rows = records(table[table["lesions_ml"] > 0])
    clean = [row for row in rows if not make_report(row).doubts]
    found = []
    for k, row in enumerate(clean):
        other = clean[(k + 1) % len(clean)]
        swapped = other | {key: row[key] for key in ("subject", "site")}
        wrong = {kind: change(row) for kind, change in KINDS.items()} | {WRONG_PATIENT: swapped}
        for kind, given in wrong.items():
            report = make_report(given)
            if report.fields == make_report(row).fields:
                continue
            names = sorted({doubt.name for doubt in report.doubts})
            found.append({"subject": row["subject"], "kind": kind, "caught": bool(names),
                          "by": ", ".join(names)})  # fmt: skip
    return pd.DataFrame(found, columns=["subject", "kind", "caught", "by"])


def caught(planted: pd.DataFrame, *, n_boot: int, seed: int) -> pd.DataFrame:
    """Share of each kind that was caught, with its 95 % interval over patients.

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high`` in %, ``n``; most often caught first.
    """
    from nextaim_kit.learn.intervals import BOUNDS, summary

    table = summary(planted[["kind", "caught"]], "kind", n_boot=n_boot, seed=seed)
    table[BOUNDS] *= 100
    table = table.rename(columns={"kind": "name"}).drop(columns="metric")
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
