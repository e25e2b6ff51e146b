"""Every notebook on five cohorts that are hard to be right about: done, or refused with a reason.

    python benchmarks/hard_cohorts.py  # 20 minutes; writes benchmarks/results/hard_cohorts.json
    python benchmarks/hard_cohorts.py --only ct_lungquant/quantification  # one again

Nothing is found in anybody; there is one subject; all are of one class; of one site; all are
alike. Each notebook runs at its smoke profile on such a cohort of synthetic patients, given from a
folder as a user's own. "raw" is an error that is none of the kit's: it says nothing to mend.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from PIL import Image

from nextaim_kit import catalog, errors
from nextaim_kit.errors import KitError
from nextaim_kit.files import write_text
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.studies.ct_lungquant import twin as lungquant
from nextaim_kit.studies.ct_lungquant.panel.readers import read_panel
from nextaim_kit.studies.ct_lungquant.quantification import quantify
from nextaim_kit.studies.cxr_severity import twin as films

HARD = ("nothing found", "one subject", "one class", "one site", "all alike")
FAMILY = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
Tables = dict[str, pd.DataFrame]  # by the parameter that takes them


def hard(table: pd.DataFrame, how: str, empty: Callable[[pd.DataFrame], pd.DataFrame]) -> Any:
    """A cohort's table made hard in one way; `empty` makes it one in which nothing is found."""
    changed = {
        "nothing found": lambda: empty(table),
        "one subject": lambda: table[table["subject"] == table["subject"].iloc[0]],
        "one class": lambda: table.assign(**{c: table[c].iloc[0] for c in CLASSES if c in table}),
        "one site": lambda: table.assign(site="A"),
        "all alike": lambda: table.assign(
            **{c: table[c].iloc[0] for c in table if c not in {*KEPT, *CLASSES}}
        ),
    }
    return changed[how]()


CLASSES = ("label", "type", "ct_ss", "inverted", "sides", "zones")
KEPT = ("subject", "site", "reader", "patient")


def blank(path: str) -> str:
    """A mask of the same size in which nothing is marked, in a folder of its own."""
    place = Path(path)
    other = Path(_blanks().name) / place.name
    if place.suffix == ".png":
        Image.fromarray(np.zeros(np.asarray(Image.open(place)).shape, np.uint8)).save(other)
    else:
        sitk.WriteImage(sitk.ReadImage(path) * 0, str(other))
    return str(other)


@cache
def _blanks() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


def without(*columns: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Make a table whose masks in `columns` mark nothing."""
    return lambda table: table.assign(**{c: table[c].map(blank) for c in columns if c in table})


def cases(only: str) -> Iterator[tuple[str, str, Tables]]:
    """Notebook whose name begins with `only`, way of being hard, and tables for its parameters."""
    # Not above: benchmarks/radiomics.py would be taken for the package of that name.
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
    makers = {"challenges": on_scans, "ct_lungquant": on_scans}
    makers |= {"ct_radiomics": on_radiomics, "cxr_severity": on_films}
    wanted = {make: None for study, make in makers.items() if not only or only.startswith(study)}
    for make in wanted:
        for how in HARD:
            for notebook, tables in make(how):
                if notebook.startswith(only):
                    yield notebook, how, tables


def on_scans(how: str) -> Iterator[tuple[str, Tables]]:
    """Notebooks of chest CTs."""
    scans, healthy, values, readings = _scans()
    for notebook in ("ct_lungquant/segmentation", "challenges/memory_budget"):
        yield notebook, {"cohort": hard(scans, how, without("lesions"))}
    yield "ct_lungquant/quantification", {"cohort": hard(scans, how, lambda _: healthy)}
    measured, read = hard(values, how, _no_lesions), hard(readings, how, _no_lesions)
    yield "ct_lungquant/multicenter", {"values": measured, "readings": read}
    yield "ct_lungquant/structured_report", {"values": measured}


@cache
def _scans() -> tuple[pd.DataFrame, ...]:
    size = (64, 48, 32)
    scans = lungquant.make_twin(24, size=size)
    healthy = lungquant.make_twin(60, size=size).query("truth_involvement == 0")
    healthy = pd.concat([healthy] * 6).assign(subject=lambda t: [f"H-{k}" for k in range(len(t))])
    return scans, healthy, quantify(scans)[0], read_panel(scans)


def on_radiomics(how: str) -> Iterator[tuple[str, Tables]]:
    """Notebooks of radiomic features."""
    lesions, features = _lesions()
    yield "ct_radiomics/extraction", {"cohort": hard(lesions, how, without("mask"))}
    numbers = features.select_dtypes("number").columns.difference(["label"])
    table = hard(features, how, lambda t: t.assign(**dict.fromkeys(numbers, np.nan)))
    for stage in ("severity", "site_effect"):
        yield f"ct_radiomics/{stage}", {"features": table}


@cache
def _lesions() -> tuple[pd.DataFrame, pd.DataFrame]:
    from nextaim_kit.studies.ct_radiomics import twin as radiomics
    from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort

    return radiomics.make_twin(n=24), extract_cohort(radiomics.make_twin(n=80))[0]


def on_films(how: str) -> Iterator[tuple[str, Tables]]:
    """Notebooks of chest films."""
    radiographs = _films()
    plain = hard(radiographs, how, lambda t: t.assign(inverted=0))
    yield "cxr_severity/gray_level", {"cohort": plain}
    blind = hard(radiographs, how, without("lungs", "lesions"))
    for stage in ("lung_segmentation", "severity"):
        yield f"cxr_severity/{stage}", {"cohort": blind}


@cache
def _films() -> pd.DataFrame:
    return films.make_twin(48, size=128).rename(columns={"truth_inverted": "inverted"})


def _no_lesions(table: pd.DataFrame) -> pd.DataFrame:
    nothing = {"involvement": 0.0, "lesions_ml": 0.0, "percent": 0.0, "ct_ss": 1}
    unknown = dict.fromkeys(("consolidation", "ground_glass", "left", "upper", "peripheral"))
    words = {"type": "none", "sides": "", "zones": ""}
    return table.assign(**{c: v for c, v in {**nothing, **unknown, **words}.items() if c in table})


def outcome(notebook: str, tables: Tables) -> str:
    """How a run on these tables ends."""
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"inverted_column": "inverted"} if "gray" in notebook else {}
        for name, table in tables.items():
            given[name] = str(Path(folder) / f"{name}.csv")
            known = [c for c in table if not str(c).startswith(("truth_", "provenance_"))]
            table[known].to_csv(given[name], index=False)
        try:
            record, _ = execute(prepare(notebook, "smoke", given))
            return f"{record['outcome']}" + f", {record['failures']} named" * bool(
                record["failures"]
            )
        except KitError as error:
            kind = re.match(r"(\w+): ", error.found)
            if error.what.startswith(f"{notebook} failed") and kind and kind[1] not in FAMILY:
                return f"raw: {error.what}: {error.found.splitlines()[0][:150]}"
            return f"refused: {(error.found if kind else error.what).splitlines()[0][:150]}"


def main() -> None:
    """Run, print, write the result; exit code 1 where an error was raw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="notebooks of this name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    kept = options.out / "hard_cohorts.json"
    before = json.loads(kept.read_text()) if options.only and kept.is_file() else {}
    found: dict[str, dict[str, str]] = {
        n.id: before.get(n.id, {}) for s in catalog.studies() for n in s.notebooks.values()
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXTAIM_RUNS"] = f"{folder}/runs"
        for notebook, how, tables in cases(options.only):
            found[notebook][how] = outcome(notebook, tables)
            print(f"{notebook:32} {how:14} {found[notebook][how]}", flush=True)
    write_text(kept, json.dumps(found, indent=1) + "\n")
    if any(end.startswith("raw") for ends in found.values() for end in ends.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
