"""Mammograms with their masses: what every notebook of the study starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.cbis import is_cbis, read_cbis
from nextaim_kit.studies.breast_masses.mammograms.folders import no_masses, read_folder
from nextaim_kit.studies.breast_masses.mammograms.image_file import digest_of, look

_IMAGES = {
    "subject": "str", "patient": "str", "site": "str", "label": "Int64", "masses": "int64",
    "view": "str", "side": "str", "density": "Int64", "image": "str", "spacing": "float64",
    "rows": "int64", "columns": "int64", "digest": "str", "turned": "bool",
}  # fmt: skip
_LESIONS = {
    "subject": "str", "patient": "str", "site": "str", "lesion": "str", "x0": "float64",
    "y0": "float64", "x1": "float64", "y1": "float64", "label": "Int64", "shape": "str",
    "margin": "str", "density": "str", "subtlety": "float64", "diameter_mm": "float64",
    "mask": "str",
}  # fmt: skip
_LOOK = ["image", "view", "side", "turned", "spacing", "marks"]
_VERSION = 2  # of what `look` calls


def _none(*columns: str) -> Callable[[], pd.DataFrame]:
    return lambda: pd.DataFrame(columns=columns, dtype=str)


@dataclass(frozen=True)
class Mammograms:
    """A cohort of mammograms.

    Attributes
    ----------
    images : DataFrame
        One row for each image: ``subject`` (unique), ``patient``, ``site``, ``label`` (Int64; 1: a
        malignant mass is in it, 0: none), ``masses`` (how many), ``view`` (CC, MLO or empty),
        ``side`` (L, R or empty), ``density`` (BI-RADS class, Int64), ``image`` (path), ``spacing``
        (mm, NaN where unknown), ``rows``, ``columns``, ``digest`` (of the pixels), ``turned`` (it
        lies upside down in its file).
    lesions : DataFrame
        One row for each mass in each image: ``subject``, ``patient``, ``site``, ``lesion`` (in the
        twin and in CBIS-DDSM one name in both views), ``x0, y0, x1, y1`` (pixels of the image as
        `read_pixels` gives it, half open), ``label`` (Int64; 1 malignant, 0 benign), ``shape``,
        ``margin`` and ``density`` (words of BI-RADS, empty where unknown), ``subtlety`` (1 to 5),
        ``diameter_mm`` (NaN where unknown), ``mask`` (path or empty).
    left_out : DataFrame
        ``subject``, ``site``, ``problem``.
    doubts : DataFrame
        ``subject``, ``problem``: used, but strange.
    synthetic : bool
    """

    images: pd.DataFrame
    lesions: pd.DataFrame
    left_out: pd.DataFrame = field(default_factory=_none("subject", "site", "problem"))
    doubts: pd.DataFrame = field(default_factory=_none("subject", "problem"))
    synthetic: bool = False

    def only(self, subjects: Iterable[str], problem: str = "") -> Mammograms:
        """These images with their masses; where `problem` says why, the others are left out."""
        wanted = set(subjects)
        kept, masses = self.images["subject"].isin(wanted), self.lesions["subject"].isin(wanted)
        named = self.images.loc[~kept, ["subject", "site"]].assign(problem=problem)
        left = pd.concat([self.left_out, named], ignore_index=True) if problem else self.left_out
        return replace(
            self,
            images=self.images[kept].reset_index(drop=True),
            lesions=self.lesions[masses].reset_index(drop=True),
            left_out=left,
            doubts=self.doubts[self.doubts["subject"].isin(wanted)].reset_index(drop=True),
        )

    def strangers(self, others: Mammograms) -> Mammograms:
        """Another cohort without the patients and the pictures that are in this one too.

        Raises
        ------
        DataError
            If none is left.
        """
        same = others.images["patient"].isin(set(self.images["patient"]))
        kept = others.only(
            others.images["subject"][~same], "its patient is in the first cohort too"
        )
        same = kept.images["digest"].isin(set(self.images["digest"]))
        kept = kept.only(kept.images["subject"][~same], "the same picture is in the first cohort")
        if kept.images.empty:
            raise _nothing("the external cohort", kept.left_out)
        return kept


def load_mammograms(
    cohort: str, *, twin: Callable[[], Mammograms] = no_twin, workers: int | None = None
) -> Mammograms:
    """Load a cohort of mammograms, and look at every image and mask once.

    Parameters
    ----------
    cohort : str
        ``synthetic``; a folder in the layout of CBIS-DDSM (`read_cbis`); a ``cohort.csv``, a folder
        with one, or with images and masks (`read_folder`); or a data set's name.
    twin : callable, optional
        Makes the synthetic twin.
    workers : int, optional
        As for `each`. What was seen in an image is kept: another call is fast.

    Raises
    ------
    RequestError
        If the spec stands for nothing.
    DataError
        If a table cannot be read, or no image can be used.
    """
    source = find_source(cohort)
    if source.synthetic:
        return twin()
    given = read_cbis(source.path) if is_cbis(source.path) else read_folder(source.path)
    if given.images.empty:
        raise _nothing(source.name, pd.DataFrame(given.left_out))
    done = each(
        given.images, look, columns=_LOOK, keep=_VERSION, workers=workers, progress="mammograms"
    )
    left = pd.concat([pd.DataFrame(given.left_out), done.failures], ignore_index=True)
    if not done.results:
        raise _nothing(source.name, left)
    rows: list[dict[str, Any]] = done.rows.to_dict("records")  # type: ignore[assignment]
    seen, gone = _assembled(rows, done.results)
    gone |= _digests(given.images[~done.done])
    left = left.reindex(columns=["subject", "site", "problem"]).fillna({"site": "unknown"})
    left = pd.concat([left, seen.left_out], ignore_index=True)
    return _each_once(replace(seen, left_out=left), gone)


def images_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of images as a table with the columns and types of `Mammograms.images`."""
    return _typed(rows, _IMAGES)


def lesions_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of masses as a table with the columns and types of `Mammograms.lesions`."""
    return _typed(rows, _LESIONS)


def _typed(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    further = [name for name in table if name not in types]
    table = table.reindex(columns=[*types, *further])
    words = [name for name, kind in types.items() if kind == "str"]
    table[words] = table[words].astype(object).where(table[words].notna(), "")
    return table.astype(types)


def _assembled(
    rows: list[dict[str, Any]], seen: list[dict[str, Any]]
) -> tuple[Mammograms, dict[str, str]]:
    """The cohort, and who was left out of it by the digest of the picture."""
    images, masses, doubts, left, gone = [], [], [], [], {}
    for row, saw in zip(rows, seen, strict=True):
        aside = dict(no_masses(row))
        found = [] if None in aside else [f for f in saw["found"] if f["part"] not in aside]
        if saw["found"] and not found:
            left.append({k: row[k] for k in ("subject", "site")} | {"problem": _why(aside)})
            gone[saw["digest"]] = row["subject"]
            continue
        said = [*saw["said"], *(f"left out of its mask: {why}" for why in aside.values())]
        masses += (of := [_mass(row, saw, one, k) for k, one in enumerate(found, 1)])
        images.append(_image(row, saw, [one["label"] for one in of]))
        if images[-1]["label"] == 1 and not of:
            said.append("called malignant, but no mass is marked in it")
        doubts += [{"subject": row["subject"], "problem": "; ".join(said)}] if said else []
    made = Mammograms(
        images_table(images),
        lesions_table(masses),
        pd.DataFrame(left, columns=["subject", "site", "problem"]),
        pd.DataFrame(doubts, columns=["subject", "problem"]),
    )
    return made, gone


def _digests(images: pd.DataFrame) -> dict[str, str]:
    """Who was left out for a mask or a box, by the digest of the picture."""
    found = each(images, _digest, columns=["subject", "image"], workers=1)
    return dict(zip(found.results, found.rows["subject"], strict=True))


def _digest(row: Mapping[str, Any]) -> str:
    return digest_of(read_film(row["image"]).shown)


def _why(aside: Mapping[int | None, str]) -> str:
    return f"its mask outlines no mass: {'; '.join(aside.values())}"


def _image(
    row: Mapping[str, Any], saw: Mapping[str, Any], labels: list[int | None]
) -> dict[str, Any]:
    label = row["label"]
    if labels:
        label = 1 if 1 in labels else None if None in labels else 0
    own = {k: v for k, v in row.items() if k not in ("marks", "mask", "modality")}
    seen = {k: saw[k] for k in ("rows", "columns", "digest", "turned", "spacing")}
    return own | seen | {"label": label, "masses": len(labels)}


def _mass(
    row: Mapping[str, Any], saw: Mapping[str, Any], one: Mapping[str, Any], number: int
) -> dict[str, Any]:
    mark = row["marks"][one["mark"]]
    known = {k: v for k, v in mark.items() if k not in ("box", "mask", "pictures")}
    place = {k: one[k] for k in ("x0", "y0", "x1", "y1")}
    size = {"diameter_mm": one["diameter"] * saw["spacing"], "mask": one.get("mask", "")}
    own = {k: row[k] for k in ("subject", "patient", "site")}
    return own | {"lesion": f"{row['subject']}_{number}"} | known | place | size


def _each_once(seen: Mammograms, gone: Mapping[str, str]) -> Mammograms:
    """Without pictures that are there under another name, of which one with its masses stays.

    Nor without any mark where the same picture was left out (`gone`): it may have a mass.
    """
    images = seen.images.sort_values("masses", ascending=False, kind="stable")
    first = images.drop_duplicates("digest").set_index("digest")["subject"]

    def why(image: pd.Series) -> str:
        if image["digest"] in gone and not image["masses"]:
            named = gone[image["digest"]]
            return f"the same picture as {named}, which is left out: perhaps a mass is in it"
        same = first[image["digest"]]
        return "" if same == image["subject"] else f"the same picture as {same}"

    problems = seen.images.apply(why, axis=1)
    again = problems != ""
    left = seen.images.loc[again, ["subject", "site"]].assign(problem=problems[again])
    kept = seen.only(seen.images["subject"][~again])
    kept = replace(kept, left_out=pd.concat([kept.left_out, left], ignore_index=True))
    if kept.images.empty:
        raise _nothing("the cohort", kept.left_out)
    return kept


def _nothing(name: str, left: pd.DataFrame) -> DataError:
    first = [f"{row.subject}: {row.problem}" for row in left.head(3).itertuples()]
    return DataError(
        f"{name} holds no mammogram that can be used",
        expected="images with masks, boxes.csv, or CBIS-DDSM's tables",
        found="; ".join(first) or "no image",
        mend="see docs: a cohort.csv with the columns subject, patient, image, mask",
    )
