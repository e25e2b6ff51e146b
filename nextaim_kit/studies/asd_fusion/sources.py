"""The brains a notebook starts from: the twin's, a folder's in whatever layout, or a file's."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.bounds import require_members
from nextaim_kit.data.cohort.joining import merged, of_one_cohort, some
from nextaim_kit.data.cohort.numbers import NUMBERS, read_numbers
from nextaim_kit.data.cohort.sheets import header_of, kind_of
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import files_below
from nextaim_kit.studies.asd_fusion.brains import Brains, read_brains
from nextaim_kit.studies.asd_fusion.connectivity import (
    Measure,
    edges_of,
    fisher_z,
    in_order,
    raw_edges,
    regions_in,
    without_signal,
)
from nextaim_kit.studies.asd_fusion.phenotypes import (
    TABLES,
    completed,
    is_structural,
    is_table_of_people,
    read_who,
    same_name,
)
from nextaim_kit.studies.asd_fusion.regions import FILED, networks_near

Problem = dict[str, str]
_LEAST = 20  # volumes below which a series is no series
_ATLAS = re.compile(r"rois_([A-Za-z0-9]+)|(?:atlas|seg)-([A-Za-z0-9]+)")
# Tables that fMRIPrep and XCP-D put beside the series, of the same endings.
_NO_SERIES = re.compile(r"confounds|outliers|coverage|_motion|_events|_reho|_f?alff", re.I)
_MATRIX = re.compile(r"relmat|conmat|correlation", re.I)
_ALONE = 50  # files that are read before further processes would have started


class _Given(NamedTuple):
    """What lies in a folder: tables of people, matrices of many, files of one, centers."""

    tables: list[Path]
    packs: list[Path]
    single: list[Path]
    centers: list[Path]


class _One(NamedTuple):
    """Edges of a file: made of a series of so many volumes, or as its matrix has them."""

    edges: NDArray
    names: tuple[str, ...]
    kind: str
    volumes: int


class _Edges(NamedTuple):
    """Fisher z by subject, who is left out, names of the regions, volumes of the series."""

    of: dict[str, NDArray]
    wrong: Mapping[str, str] = {}
    names: tuple[str, ...] = ()
    volumes: Mapping[str, int] = {}


def load_brains(
    spec: str,
    *,
    twin: Callable[[], Brains] | None = None,
    atlas: str = "",
    measure: Measure = "correlation",
    shrink: bool = False,
) -> Brains:
    """Load a cohort of brains.

    Parameters
    ----------
    spec : str
        ``synthetic``; a table of `Brains.save`; a data set's name; or a folder with a table of
        phenotypes (ABIDE's, its preprocessed version's, RAMP's, BIDS's), and time series or
        matrices of each subject (``Site_0050003_rois_cc200.1D``,
        ``sub-0050003_atlas-cc200_timeseries.tsv``, ``.npy``), one ``.npz`` of all subjects' edges
        with their names, or FreeSurfer's tables. Of a folder that holds two cohorts, one of the
        files: its ``.npz``, or one of its tables.
    twin : callable, optional
        Makes the synthetic twin.
    atlas : str
        Which series are meant where a folder has those of several atlases; ``ho+cc200`` takes the
        regions of both side by side.
    measure, shrink
        As for `connectivity.edges_of`.

    Returns
    -------
    Brains
        Its `problems` name who is left out, and files without a phenotype.

    Raises
    ------
    RequestError
        If the spec stands for nothing, or it is not clear which of several files are meant.
    DataError
        If there is no table of phenotypes, or nobody is left.
    """
    source = find_source(spec)
    if source.synthetic:
        if twin is None:
            raise RequestError("the synthetic twin is no other cohort than itself")
        return twin()
    path = source.path
    if path.is_file() and path.suffix == ".parquet":
        return read_brains(path)
    only = path if path.is_file() else None
    given = _look(path if only is None else path.parent)
    if only is not None and only not in [*given.tables, *given.packs]:
        raise RequestError(
            f"{path.name} alone is no cohort",
            expected="a folder, a table of subjects, a pack (.npz) or features.parquet",
            mend="give the folder that holds it and a table of phenotypes",
        )
    pack = _pack(given, only)
    people, problems = _people(given.tables, only, {*pack.of} if only in given.packs else None)
    if pack.of and only in given.tables and not {*pack.of} & {*people["subject"]}:
        print(f"not read, as it shares no subject with {path.name}: {given.packs[0].name}")
        pack = _Edges({})
    if pack.of and (measure != "correlation" or shrink):
        raise _made_already(given.packs[0])
    if pack.of and given.single:
        print(f"not read beside the pack: {some([file.name for file in given.single])}")
    elif given.single:
        pack = _of_files(given.single, people, problems, atlas, measure=measure, shrink=shrink)
    edge = f"{measure}, shrunk" if shrink else measure
    return replace(_together(people, pack, given.centers, problems, source.name), edge=edge)


def _look(folder: Path) -> _Given:
    """Sort a folder's files by what they can be; name those that can be nothing."""
    given, other = _Given([], [], [], []), []
    for file in files_below(folder):
        kind = kind_of(file)
        if file.suffix.lower() == ".npz":
            given.packs.append(file)
        elif kind in TABLES and is_table_of_people(header_of(file)):
            given.tables.append(file)
        elif kind in TABLES and re.search(r"cent(er|re)s?|coord", file.name, re.I):
            given.centers.append(file)
        elif file.suffix.lower() in NUMBERS and not _NO_SERIES.search(file.name):
            given.single.append(file)
        else:
            other.append(file.name)
    matrices = [file for file in given.single if _MATRIX.search(file.name)]
    if any("timeseries" in file.name for file in given.single):
        given.single[:] = [file for file in given.single if file not in matrices]
        other += [file.name for file in matrices]
    if other:
        print(f"{len(other)} files are not read: {some(other)}")
    return given


def _pack(given: _Given, only: Path | None) -> _Edges:
    """Fisher z of the folder's ``.npz`` of all subjects' edges or matrices, if it has one."""
    packs = [only] if only in given.packs else given.packs
    if len(packs) > 1:
        raise RequestError(
            f"the folder holds {len(packs)} packs of connectivity",
            found=some([path.name for path in packs]),
            mend="give the one that is meant",
        )
    return _of_pack(packs[0]) if packs else _Edges({})


def _made_already(path: Path) -> RequestError:
    return RequestError(
        f"{path.name} holds matrices that are made already",
        expected="time series, to make others from",
        mend='take measure="correlation" without shrinkage',
    )


def _of_pack(path: Path) -> _Edges:
    try:
        require_members(path)
        with np.load(path, allow_pickle=False) as pack:
            arrays: dict[str, Any] = {name: np.asarray(pack[name]) for name in pack.files}
    except Exception as error:  # a damaged file can make the parser raise anything
        raise DataError(f"{path.name} cannot be read", expected="arrays of numbers and of text",
                        found=str(error)[:120]) from error  # fmt: skip
    wide = [a for a in arrays.values() if a.ndim in (2, 3) and a.dtype.kind in "if"]
    flat = {n: a for n, a in arrays.items() if a.ndim == 1 and a.dtype.kind in "iufUS"
            and len(wide) == 1 and len(a) == len(wide[0])}  # fmt: skip
    names = [a for n, a in flat.items() if is_table_of_people([n])] or [*flat.values()]
    scale = [float(a.item()) for n, a in arrays.items() if n in ("step", "scale") and a.size == 1]
    if len(wide) != 1 or len(names) != 1 or (wide[0].dtype.kind == "i" and not scale):
        raise DataError(
            f"{path.name} is no pack of connectivity",
            expected="one array of edges (subjects, edges) or matrices, one of the subjects' names "
            "(SUB_ID), and for integers their step",
            found=", ".join(f"{n} {a.shape} {a.dtype}" for n, a in arrays.items()) or "nothing",
        )
    subjects = [same_name(name) for name in names[0].astype(str)]
    raw = wide[0] * np.float32(scale[0] if scale else 1)
    kinds = [""] * len(raw)
    if raw.ndim == 3:
        raw, kinds = map(list, zip(*map(raw_edges, raw), strict=True))
    edges, wrong = fisher_z(np.array(raw, np.float32), kinds)
    edges = in_order(edges) if wide[0].ndim == 2 else edges
    twice = Counter(subjects)
    wrong = [f"{twice[s]} times in {path.name}: none is used" if twice[s] > 1 else said
             for s, said in zip(subjects, wrong, strict=True)]  # fmt: skip
    return _sound(subjects, edges, wrong)


def _sound(subjects: Iterable[str], edges: NDArray, wrong: list[str]) -> _Edges:
    """The edges with which nothing is wrong, by subject."""
    rows = list(zip(subjects, without_signal(edges), wrong, strict=True))
    problems = {name: said for name, _, said in rows if said}
    return _Edges({name: row for name, row, said in rows if not said}, problems)


def _people(
    tables: list[Path], only: Path | None, packed: set[str] | None
) -> tuple[pd.DataFrame, list[Problem]]:
    """All tables of a folder that speak of one cohort, joined by subject."""
    read = {path: read_who(path) for path in sorted(tables, key=lambda p: (p != only, p.name))}
    meant = {*read[only][0]["subject"]} if only in read else packed
    people = pd.DataFrame({"subject": pd.Series(dtype=str)})
    problems: list[Problem] = []
    for path in of_one_cohort({p: table for p, (table, _, _) in read.items()}, meant):
        table, wrong, said = read[path]
        table = table.assign(known=True) if "label" in table else table
        print(f"{path.name}: {len(table)} subjects" + (f"; {said}" if said else ""))
        people, torn = merged(people, table, path.name)
        problems += [*wrong, *torn]
    if "label" not in people:
        raise DataError(
            "no table of phenotypes was found",
            expected="a CSV, TSV or xlsx with the subject (SUB_ID) and the diagnosis (DX_GROUP)",
            found=some([path.name for path in tables]) or "no table of subjects",
            mend="put it into the folder",
        )
    nameless = people["subject"].isin([row["subject"] for row in problems])
    return people[~nameless].reset_index(drop=True), problems


def _of_files(
    files: list[Path], people: pd.DataFrame, problems: list[Problem], atlas: str, **how: Any
) -> _Edges:
    """Edges of every subject that has one file of series or of a matrix."""
    atlases = atlas.split("+")
    owned = [
        _owned(_of_atlas(files, one, must=len(atlases) > 1), people, problems) for one in atlases
    ]
    for name in sorted({*chain(*owned)} - {*owned[0]}.intersection(*owned)):
        problems.append({"subject": name, "problem": f"not of all atlases: {atlas}"})
    all_of = [name for name in owned[0] if all(name in one for one in owned)]
    table = pd.DataFrame({"subject": all_of,
                          "file": [[str(one[s]) for one in owned] for s in all_of]})  # fmt: skip
    workers = 1 if len(table) < _ALONE else None
    done = each(table, partial(_of_file, **how), columns=["file"], workers=workers)
    problems += [{str(k): str(v) for k, v in r.items()} for r in done.failures.to_dict("records")]
    ones: dict[str, _One] = dict(zip(done.rows["subject"], done.results, strict=True))
    if not ones:
        return _Edges({})
    ones = _of_usual_regions(ones, problems)
    if any(one.volumes for one in ones.values()) and how["shrink"]:
        warnings.warn("how far covariances shrink follows the series' length, and so the site",
                      stacklevel=3)  # fmt: skip
    edges, wrong = fisher_z(np.array([one.edges for one in ones.values()], np.float32),
                            [one.kind for one in ones.values()])  # fmt: skip
    volumes = {name: one.volumes for name, one in ones.items() if one.volumes}
    return _sound(ones, edges, wrong)._replace(
        names=next(iter(ones.values())).names, volumes=volumes
    )


def _of_usual_regions(ones: dict[str, _One], problems: list[Problem]) -> dict[str, _One]:
    """Those that have the same regions as most; the others are named."""
    shapes = Counter((len(one.edges), one.names) for one in ones.values())
    (usual, names), most = shapes.most_common(1)[0]
    if 2 * most < len(ones):
        raise DataError(
            "most files have other regions than the rest",
            expected="the same regions in all: a row for each volume, a column for each region",
            found=some([f"{n}: {len(one.edges)} edges" for n, one in ones.items()]),
            mend="transpose the series if their regions lie in rows; take files of one atlas",
        )
    alike = {s: one for s, one in ones.items() if (len(one.edges), one.names) == (usual, names)}
    for name in [name for name in ones if name not in alike]:
        same = len(ones[name].edges) == usual
        said = "other names, or another order" if same else "another number"
        problems.append({"subject": name, "problem": f"its regions have {said} than the others'"})
    return alike


def _owned(files: list[Path], people: pd.DataFrame, problems: list[Problem]) -> dict[str, Path]:
    """The file of each subject that has one; the others' are named."""
    keys = {same_name(name): name for name in people["subject"]}
    if "file" in people:
        of = people.dropna(subset="file").drop_duplicates("file", keep=False)
        keys |= dict(zip(of["file"], of["subject"], strict=True))
    owned: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        owners = _owners(file, keys)
        if len(owners) == 1:
            owned[owners.pop()].append(file)
        else:
            said = f"may be of {some(sorted(owners))}" if owners else "no phenotype for this file"
            problems.append({"subject": file.name, "problem": said})
    for name in [n for n, of in owned.items() if len(of) > 1]:
        listed = some([file.name for file in owned.pop(name)])
        said = f"several files, none is used; keep one of {listed}"
        problems.append({"subject": name, "problem": said})
    return {name: of[0] for name, of in owned.items()}


def _owners(file: Path, keys: Mapping[str, str]) -> set[str]:
    """Whose a file can be, by the first parts of its name, or its folder's, that name somebody."""
    stem = file.name.split(".")[0]
    levels = [[stem], [re.split(r"_(?:rois|func|atlas|task|ses|space|desc|run)", stem)[0]]]
    for place in (stem, file.parent.name):
        levels += [re.findall(r"sub-([A-Za-z0-9]+)", place), re.findall(r"\d{4,}", place)]
    found = ({keys[p] for p in map(same_name, level) if p in keys} for level in levels)
    return next(filter(None, found), set())


def _of_atlas(files: list[Path], atlas: str, *, must: bool = False) -> list[Path]:
    """The series of one atlas, by what their names or their folder's say; it `must` be there."""
    tags: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found = _ATLAS.search(file.name) or _ATLAS.search(file.parent.name)
        tags[(found[1] or found[2]).lower() if found else ""].append(file)
    named = sorted(tag for tag in tags if tag)
    wanted = FILED.get(atlas, atlas).lower()
    if (len(named) > 1 or must) and wanted not in named:
        raise RequestError(
            f"the folder has the series of {len(named)} atlases",
            expected="one of " + (", ".join(named) or "those that names of files or folders tell"),
            found=repr(atlas),
            mend=f"choose one, as in atlas={named[0]}" if named else "",
        )
    if named and wanted not in named:
        print(f"the series are of the atlas {named[0]}")
    chosen = tags[wanted] if wanted in named else files
    if len(chosen) < len(files):
        print(f"{len(files) - len(chosen)} files of other atlases, or of none by name, not read")
    return chosen


def _of_file(row: Mapping[str, Any], *, measure: Measure, shrink: bool) -> _One:
    path, *others = map(Path, row["file"])
    names, values = read_numbers(path)
    for other in others:
        names, values = _beside(names, values, path, other)
    square = values.ndim == 2 and values.shape[0] == values.shape[1]
    if square and path.suffix.lower() != ".1d" and "timeseries" not in path.name:
        if measure != "correlation" or shrink:
            raise _made_already(path)
        edges, kind = raw_edges(values)
        return _One(edges, names, kind, 0)
    if values.ndim != 2 or len(values) < _LEAST:
        raise DataError(
            f"{path.name} is no time series of regions",
            expected=f"{_LEAST} volumes or more, a row each, and a column for each region",
            found=f"an array of shape {values.shape}",
        )
    return _One(edges_of(values, measure=measure, shrink=shrink), names, "series", len(values))


def _beside(
    names: tuple[str, ...], values: NDArray, path: Path, other: Path
) -> tuple[tuple[str, ...], NDArray]:
    """Series of one atlas with those of another, of the same volumes, to their right."""
    more, right = read_numbers(other)
    if values.ndim != 2 or right.ndim != 2 or len(values) != len(right):
        raise DataError(
            f"{path.name} and {other.name} are not series of the same volumes",
            expected="two atlases' series of one scan",
            found=f"arrays of shape {values.shape} and {right.shape}",
        )
    both = (*names, *(f"{name} of {other.parent.name}" for name in more))
    return both, np.hstack([values, right])


def _together(
    people: pd.DataFrame, pack: _Edges, centers: list[Path], problems: list[Problem], name: str
) -> Brains:
    """People, edges and features by subject; who has neither is left out by name."""
    features = [c for c in people if is_structural(str(c))]
    structure = people[features].astype(float)
    subjects, known = people["subject"], people["known"].notna().to_numpy()
    width = len(next(iter(pack.of.values()), []))
    nobody = np.full(width, np.nan, np.float32)
    edges = np.array([pack.of.get(s, nobody) for s in subjects], np.float32)
    edges = edges.reshape(len(subjects), width)  # also where there is nobody
    there = structure.notna().any(axis=1).to_numpy() | ~np.isnan(edges).all(axis=1)
    reasons = {s: "no series, no matrix and no structural feature" for s in subjects[~there]}
    reasons |= dict.fromkeys(subjects[~known], "no phenotype beside its other data")
    reasons |= dict.fromkeys({*pack.of} - {*subjects}, "connectivity without a phenotype")
    named = {problem["subject"] for problem in problems}
    problems += [{"subject": s, "problem": said} for s, said in (reasons | {**pack.wrong}).items()
                 if s not in named]  # fmt: skip
    if not (there & known).any():
        raise DataError(
            f"{name} holds nobody with a phenotype and an image",
            expected="series, matrices or FreeSurfer's tables whose names are in the phenotypes",
            found="; ".join(f"{p['subject']}: {p['problem']}" for p in problems[:3]),
            mend="see that tables and files name the subjects alike",
        )
    who = completed(people.drop(columns=features))
    length = subjects.map(dict(pack.volumes)).astype(float)
    who["volumes"] = length.where(length.notna(), who["volumes"])
    regions = _regions_of(centers, regions_in(width) if width else 0, pack.names)
    return Brains(who, edges, structure, regions, False, problems).at(there & known)


def _regions_of(centers: list[Path], n: int, names: tuple[str, ...]) -> pd.DataFrame:
    """Names, networks and centers; of an atlas of unknown centers, names alone."""
    names = names if len({*names}) == n else tuple(str(k) for k in range(1, n + 1))
    regions = pd.DataFrame({"region": [f"region {s}" if s.isdigit() else s for s in names]})
    for path in centers if n else []:
        table = read_table(path, kinds=TABLES)
        table.columns = [str(c).lower() for c in table]
        xyz = table.reindex(columns=[*"xyz"]).apply(pd.to_numeric, errors="coerce").astype(float)
        if len(table) == n and np.isfinite(xyz).all(axis=None):
            return regions.assign(network=networks_near(xyz)).join(xyz)
        print(f"{path.name} is not of the {n} regions: not used")
    return regions.assign(network="unknown", **dict.fromkeys("xyz", np.nan))
