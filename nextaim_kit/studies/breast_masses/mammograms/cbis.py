"""CBIS-DDSM as it is downloaded: its tables of cases, its folders, its old words [1]_.

References
----------
.. [1] Lee RS, Gimenez F, Hoogi A, et al. A curated mammography data set for use in computer-aided
   detection and diagnosis research. Scientific Data 2017;4:170177. doi:10.1038/sdata.2017.177
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.images.dicom import is_dicom
from nextaim_kit.data.images.films import PICTURES
from nextaim_kit.errors import DataError
from nextaim_kit.files import files_below
from nextaim_kit.studies.breast_masses.mammograms.folders import Given, as_labels

COLUMNS = [
    "patient_id", "breast_density", "left or right breast", "image view", "abnormality id",
    "abnormality type", "mass shape", "mass margins", "assessment", "pathology", "subtlety",
    "image file path", "cropped image file path", "ROI mask file path",
]  # fmt: skip
# Words of earlier editions of BI-RADS and their place in the fifth, the more suspicious later.
SHAPES = {
    "ROUND": "round", "OVAL": "oval", "LOBULATED": "oval", "LYMPH_NODE": "lymph node",
    "ASYMMETRIC_BREAST_TISSUE": "asymmetry", "FOCAL_ASYMMETRIC_DENSITY": "asymmetry",
    "ARCHITECTURAL_DISTORTION": "distortion", "IRREGULAR": "irregular",
}  # fmt: skip
MARGINS = {
    "CIRCUMSCRIBED": "circumscribed", "OBSCURED": "obscured", "MICROLOBULATED": "microlobulated",
    "ILL_DEFINED": "indistinct", "SPICULATED": "spiculated",
}  # fmt: skip
_FOLDER = re.compile(
    r"(?:Mass|Calc)-(?:Training|Test)_(P_\d+_(?:LEFT|RIGHT)_(?:CC|MLO))(?:_(\d+))?"
)


def is_cbis(path: Path) -> bool:
    """Whether a table, or one in a folder, has the columns of CBIS-DDSM's cases of masses."""
    return bool(_tables(path))


def read_cbis(path: Path) -> Given:
    """Read CBIS-DDSM's cases of masses.

    Parameters
    ----------
    path : Path
        The folder with ``mass_case_description_train_set.csv``, that of the test, or both, and the
        images somewhere below it, or one of the tables beside them. Files are found by their case's
        folder, such as ``Mass-Training_P_00001_LEFT_CC_1``: programs that download them name the
        folders between in several ways.

    Returns
    -------
    Given
        Further columns: ``split`` (Training or Test), of the masses ``assessment``, ``words`` (as
        the table has them). Of words joined by hyphens the most suspicious one is the mass's. Which
        picture is a mask and which a crop is seen in them, since in the tables they are mixed up.

    Raises
    ------
    DataError
        If a table lacks a column or has an outcome that is not known.
    """
    cases = pd.concat([_cases(table) for table in _tables(path)], ignore_index=True)
    files = _files(path if path.is_dir() else path.parent)
    images, left_out = [], []
    for name, of in cases.groupby("name", sort=True):
        rows: list[dict[str, Any]] = of.to_dict("records")  # type: ignore[assignment]
        first = rows[0]
        whole = files.get((first["split"], first["name"], ""), [])
        if len(whole) == 1:
            marks = [
                _mark(row, files.get((row["split"], row["name"], row["number"]), []))
                for row in rows
            ]
            images.append(_image(first, whole[0]) | {"marks": marks})
        else:
            problem = f"one file is expected in its folder, there are {len(whole)}"
            left_out.append({"subject": str(name), "problem": problem})
    return Given(pd.DataFrame(images), left_out)


def most_suspicious(words: object, known: dict[str, str]) -> str:
    """The last of `known` among words that hyphens join; empty where there is none.

    Examples
    --------
    >>> most_suspicious("IRREGULAR-ARCHITECTURAL_DISTORTION", SHAPES)
    'irregular'
    >>> most_suspicious("CIRCUMSCRIBED-ILL_DEFINED", MARGINS), most_suspicious(None, MARGINS)
    ('indistinct', '')
    """
    said = {word.strip() for word in str(words).upper().replace(" ", "_").split("-")}
    return next((known[word] for word in reversed(known) if word in said), "")


def _tables(path: Path) -> list[Path]:
    tables = [path] if path.is_file() else sorted(path.rglob("*case_description*.csv"))
    return [t for t in tables if t.suffix == ".csv" and _has_columns(t)]


def _has_columns(table: Path) -> bool:
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().lower()
    return "roi mask file path" in header and "mass margins" in header


def _cases(table: Path) -> pd.DataFrame:
    """The rows of a table, with what names their images."""
    cases = read_table(table, text=COLUMNS[:1]).rename(columns={"breast density": "breast_density"})
    lacking = [name for name in COLUMNS if name not in cases]
    if lacking:
        raise DataError(
            f"{table.name} has no column {lacking[0]!r}",
            expected="the columns of CBIS-DDSM's case descriptions",
            found=", ".join(map(str, list(cases)[:8])),
        )
    named = cases["image file path"].astype(str).str.extract(_FOLDER)[0]
    built = (
        cases["patient_id"].astype(str)
        + "_"
        + cases["left or right breast"]
        + "_"
        + cases["image view"]
    )
    split = cases["image file path"].astype(str).str.extract(r"-(Training|Test)_")[0]
    return cases.assign(
        name=named.fillna(built),
        split=split.fillna("Test" if "test" in table.name.lower() else "Training"),
        number=cases["abnormality id"].astype(int).astype(str),
        label=as_labels(cases["pathology"], "pathology"),
    )


def _files(folder: Path) -> dict[tuple[str, str, str], list[Path]]:
    """Pictures below each case's folder, by split, case, and number of the abnormality."""
    found: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    for path in files_below(folder):
        match = next(filter(None, (re.fullmatch(_FOLDER, part) for part in path.parts)), None)
        if match and match[0].startswith("Mass") and _is_picture(path):
            split = "Test" if "-Test_" in match[0] else "Training"
            found[split, match[1], match[2] or ""].append(path)
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES or is_dicom(path)


def _image(row: dict[str, Any], path: Path) -> dict[str, Any]:
    density = pd.to_numeric(row["breast_density"], errors="coerce")
    side = {"LEFT": "L", "RIGHT": "R"}.get(str(row["left or right breast"]).upper(), "")
    return {
        "subject": row["name"], "patient": str(row["patient_id"]), "site": "CBIS-DDSM",
        "label": pd.NA, "view": str(row["image view"]).upper(), "side": side,
        "split": row["split"], "density": int(density) if density in (1, 2, 3, 4) else pd.NA,
        "image": str(path), "spacing": float("nan"), "turned": False,
    }  # fmt: skip


def _mark(row: dict[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    words = [str(row[c]) if pd.notna(row[c]) else "" for c in ("mass shape", "mass margins")]
    return {
        "pictures": [str(path) for path in sorted(files)],
        "lesion": "_".join((*row["name"].split("_")[:3], row["number"])),
        "label": None if pd.isna(row["label"]) else int(row["label"]),
        "shape": most_suspicious(words[0], SHAPES), "margin": most_suspicious(words[1], MARGINS),
        "words": " ".join(filter(None, words)), "subtlety": float(row["subtlety"]),
        "assessment": float(row["assessment"]),
    }  # fmt: skip
