"""The brains a notebook starts from: the twin's, a folder's in whatever layout, or a file's."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.sheets import SHEETS, kind_of
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import files_below
from nextaim_kit.studies.asd_fusion.brains import Brains, read_brains, upper
from nextaim_kit.studies.asd_fusion.connectivity import Measure, dead_regions, edges_of
from nextaim_kit.studies.asd_fusion.phenotypes import completed, is_structural, read_who, same_name
from nextaim_kit.studies.asd_fusion.regions import networks_near

Problem = dict[str, str]
_Read = tuple[Path, pd.DataFrame, list[Problem], str]
_SERIES = (".1d", ".tsv", ".csv", ".txt", ".npy")
_ATLAS = re.compile(r"_rois_([A-Za-z0-9]+)|_(?:atlas|seg|space)-([A-Za-z0-9]+)_")
_SAME_ATLAS = {"harvard_oxford": "ho"}
_LEAST = 20  # volumes below which a series is no series


class _Given(NamedTuple):
    """What lies in a folder: tables of people, matrices of many, files of one, centers."""

    tables: list[Path]
    packs: list[Path]
    single: list[Path]
    centers: list[Path]


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
        files: its ``.npz``, or a table of FreeSurfer's.
    twin : callable, optional
        Makes the synthetic twin.
    atlas : str
        Which series are meant where a folder has those of several atlases.
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
    given, only = _look(path), path if path.is_file() else None
    people, problems = _people(given.tables, only)
    of_edges = _of_packs(given.packs, only) if given.packs and _wanted(only, ".npz") else None
    if of_edges is None and given.single and only is None:
        of_edges = _of_files(given.single, people, atlas, measure, shrink, problems)
    return _together(people, of_edges, given.centers, problems, source.name)


def _wanted(only: Path | None, suffix: str) -> bool:
    return only is None or only.suffix == suffix


def _look(path: Path) -> _Given:
    """Sort a folder's files by what they can be."""
    folder = path if path.is_dir() else path.parent
    given = _Given([], [], [], [])
    for file in files_below(folder):
        kind = kind_of(file)
        if file.suffix == ".npz":
            given.packs.append(file)
        elif kind in SHEETS and kind != ".parquet" and _is_table_of_people(file):
            given.tables.append(file)
        elif kind in SHEETS and re.search(r"cent(er|re)s?|coord", file.name, re.I):
            given.centers.append(file)
        elif file.suffix.lower() in _SERIES:
            given.single.append(file)
    return given


def _is_table_of_people(path: Path) -> bool:
    """By its header alone: it has a subject's column, or FreeSurfer's."""
    if kind_of(path) == ".xlsx":
        return True
    with path.open("rb") as stream:
        head = stream.readline(1 << 20).decode("utf-8", "replace")
    names = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", head)]
    ids = {"sub_id", "subject", "participant_id", "subject_id", "subid"}
    return bool(ids & {n.lower() for n in names}) or sum(map(is_structural, names)) > 1


def _people(tables: list[Path], only: Path | None) -> tuple[pd.DataFrame, list[Problem]]:
    """All tables of a folder that speak of one cohort, joined by subject."""
    order = sorted(tables, key=lambda path: (path != only, path.name))
    people, problems = pd.DataFrame({"subject": pd.Series(dtype=str)}), []
    for path, table, wrong, said in _of_one_cohort([(p, *read_who(p)) for p in order], only):
        problems += wrong
        if said:
            print(f"{path.name}, {said}")
        new = [c for c in table if c not in people.columns]
        people = people.merge(table[["subject", *new]], on="subject", how="outer")
    if "label" not in people:
        raise DataError(
            "no table of phenotypes was found",
            expected="a CSV, TSV or xlsx with the subject (SUB_ID) and the diagnosis (DX_GROUP)",
            found=", ".join(path.name for path in tables) or "no table of subjects",
        )
    bad = {row["subject"] for row in problems}
    return people[~people["subject"].isin(bad)].reset_index(drop=True), problems


def _of_one_cohort(tables: list[_Read], only: Path | None) -> list[_Read]:
    """Tables that speak of the same people; RequestError where a folder holds two cohorts."""
    cohorts: list[tuple[set[str], list[_Read]]] = []
    for read in tables:
        names, of = set(read[1]["subject"]), [read]
        apart = [cohort for cohort in cohorts if not cohort[0] & names]
        for others, near in (cohort for cohort in cohorts if cohort[0] & names):
            names, of = names | others, [*near, *of]
        cohorts = [*apart, (names, of)]
    if only is not None:
        meant = set(_pack(only)[0]) if only.suffix == ".npz" else set(tables[0][1]["subject"])
        cohorts = [cohort for cohort in cohorts if cohort[0] & meant]
    if len(cohorts) > 1:
        raise RequestError(
            f"the folder holds {len(cohorts)} cohorts that share no subject",
            expected="tables, images and series of the same people",
            found=" and ".join(
                f"{len(names)} subjects of {', '.join(read[0].name for read in of)}"
                for names, of in cohorts
            ),
            mend="name one file of the cohort that is meant: its .npz, or its table of features",
        )
    return cohorts[0][1] if cohorts else []


def _pack(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Names and Fisher z of an ``.npz`` of all subjects' edges or matrices."""
    try:
        with np.load(path, allow_pickle=False) as pack:
            arrays = {name: pack[name] for name in pack.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path.name} cannot be read", found=type(error).__name__) from error
    names = [a for a in arrays.values() if a.ndim == 1 and a.dtype.kind in "iuUS"]
    wide = [a for a in arrays.values() if a.ndim in (2, 3) and a.dtype.kind in "if"]
    scale = [float(a) for n, a in arrays.items() if a.ndim == 0 and n in ("step", "scale")]
    if len(names) != 1 or len(wide) != 1 or len(names[0]) != len(wide[0]):
        raise DataError(
            f"{path.name} is no pack of connectivity",
            expected="one array of edges (subjects, edges) or matrices, and one of their names",
            found=", ".join(f"{n} {a.shape}" for n, a in arrays.items()) or "nothing",
        )
    edges = wide[0] if wide[0].ndim == 2 else upper(wide[0])
    regions = _regions(edges.shape[1])
    if regions % 1:
        raise DataError(f"{path.name}: {edges.shape[1]} is no number of edges",
                        expected="n (n - 1) / 2 of n regions, as 5253 of 103")  # fmt: skip
    values = edges.astype(np.float32) * np.float32(scale[0] if scale else 1)
    if not np.nanmax(np.abs(values)) > 1:
        print(f"{path.name}: no value beyond 1, taken as correlations")
        values = np.arctanh(np.clip(values, -0.9999999, 0.9999999))
    return [same_name(name) for name in names[0]], _without_signal(values, int(regions))


def _without_signal(edges: NDArray, n: int) -> NDArray[np.float32]:
    """Edges of regions that go with nothing at all, exactly, are missing."""
    edges = np.array(edges, np.float32)
    dead = dead_regions(np.where(edges == 0, np.nan, edges), n)
    i, j = np.triu_indices(n, 1)
    for row in np.flatnonzero(dead.any(axis=1)):
        edges[row, dead[row][i] | dead[row][j]] = np.nan
    return edges


def _of_packs(packs: list[Path], only: Path | None) -> dict[str, NDArray]:
    if only is None and len(packs) > 1:
        raise RequestError(
            f"the folder holds {len(packs)} packs of connectivity",
            found=", ".join(path.name for path in packs),
            mend="give the one that is meant",
        )
    return dict(zip(*_pack(only or packs[0]), strict=True))


def _of_files(
    files: list[Path], people: pd.DataFrame, atlas: str, measure: Measure, shrink: bool,
    problems: list[Problem],
) -> dict[str, NDArray]:  # fmt: skip
    """Edges of every subject that has one file of series or of a matrix."""
    keys = {same_name(name): name for name in people["subject"]}
    if "file" in people:
        keys |= {f: s for f, s in zip(people["file"], people["subject"], strict=True) if f}
    owned: dict[str, list[Path]] = defaultdict(list)
    for file in _of_atlas(files, atlas):
        owner = _owner(file, keys)
        if owner is None:
            problems.append({"subject": file.name, "problem": "no phenotype for this file"})
        else:
            owned[owner].append(file)
    for name in [n for n, of in owned.items() if len(of) > 1]:
        listed = ", ".join(file.name for file in owned.pop(name))
        problems.append({"subject": name, "problem": f"several files ({listed}): none is used"})
    table = pd.DataFrame({"subject": list(owned), "file": [str(of[0]) for of in owned.values()]})
    done = each(table, partial(_read_edges, measure=measure, shrink=shrink), columns=["file"])
    problems += [{str(k): str(v) for k, v in r.items()} for r in done.failures.to_dict("records")]
    edges = dict(zip(done.rows["subject"], done.results, strict=True))
    usual = Counter(map(len, edges.values())).most_common(1)[0][0] if edges else 0
    for name in [n for n, of in edges.items() if len(of) != usual]:
        had, want = _regions(len(edges.pop(name))), _regions(usual)
        problems.append({"subject": name, "problem": f"{had} regions, the others have {want}"})
    return edges


def _regions(edges: int) -> float:
    return (1 + (1 + 8 * edges) ** 0.5) / 2


def _of_atlas(files: list[Path], atlas: str) -> list[Path]:
    """The series of one atlas, by what their names say."""
    tags: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        found = _ATLAS.search(file.name)
        tags[(found[1] or found[2]).lower() if found else ""].append(file)
    named = sorted(tag for tag in tags if tag)
    wanted = _SAME_ATLAS.get(atlas, atlas).lower()
    if len(named) < 2:
        return files
    if wanted not in named:
        raise RequestError(
            f"the folder has the series of {len(named)} atlases",
            expected="one of " + ", ".join(named),
            found=repr(atlas),
            mend=f"choose one, as in atlas={named[0]}",
        )
    return tags[wanted]


def _owner(file: Path, keys: Mapping[str, str]) -> str | None:
    """Whose a file is, by the parts of its name and its folder's."""
    stem = file.name.split(".")[0]
    parts = [stem, re.sub(r"_(rois|func|atlas|task|ses|space|desc|run)\b?.*", "", stem)]
    for place in (stem, file.parent.name):
        parts += re.findall(r"sub-([A-Za-z0-9]+)", place)
        parts += [same_name(digits) for digits in re.findall(r"\d{4,}", place)]
    return next((keys[part] for part in map(same_name, parts) if part in keys), None)


def _read_edges(row: Mapping[str, str], *, measure: Measure, shrink: bool) -> NDArray:
    path = Path(row["file"])
    values = _numbers(path)
    square = values.ndim == 2 and values.shape[0] == values.shape[1]
    if square and path.suffix.lower() != ".1d" and "timeseries" not in path.name:
        return _of_matrix(values)
    if values.ndim != 2 or len(values) < _LEAST:
        raise DataError(
            f"{path.name} is no time series of regions",
            expected=f"{_LEAST} volumes or more, a row each, and a column for each region",
            found=f"an array of shape {values.shape}",
        )
    return edges_of(values, measure=measure, shrink=shrink)


def _numbers(path: Path) -> NDArray:
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        with path.open(encoding="utf-8-sig") as stream:
            head = stream.readline()
        named = head.lstrip().startswith("#") or bool(re.search(r"[A-DF-Za-df-z]{2}", head))
        apart = "," if "," in head else "\t" if "\t" in head else r"\s+"
        return pd.read_csv(path, sep=apart, header=None, skiprows=int(named), comment="#",
                           na_values=["n/a"]).to_numpy(float)  # fmt: skip
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path.name} cannot be read",
            expected="rows of numbers, all as long",
            found=" ".join(str(error).split())[:120],
        ) from error


def _of_matrix(matrix: NDArray) -> NDArray:
    """Fisher z of a matrix of correlations, or of Fisher z already."""
    i, j = np.triu_indices(len(matrix), 1)
    if not np.allclose(matrix[i, j], matrix[j, i], atol=1e-5, equal_nan=True):
        raise DataError("the matrix is not symmetric", expected="one of correlations")
    edges, diagonal = upper(matrix.astype(np.float32)), np.diag(matrix)
    of_ones = np.isclose(diagonal[np.isfinite(diagonal)], 1, atol=1e-3)
    beyond = float(np.nanmax(np.abs(edges))) if edges.size else 0.0
    if of_ones.any() and beyond > 1 + 1e-3:
        raise DataError(
            "the matrix is none of correlations",
            expected="ones on the diagonal and values from -1 to 1, or Fisher's z",
            found=f"a diagonal of 1 and values up to {beyond:.3g}",
        )
    edges = np.arctanh(np.clip(edges, -0.9999999, 0.9999999)) if of_ones.any() else edges
    return _without_signal(edges[None], len(matrix))[0]


def _together(
    people: pd.DataFrame, of_edges: dict[str, NDArray] | None, centers: list[Path],
    problems: list[Problem], name: str,
) -> Brains:  # fmt: skip
    """People, edges and features by subject; who has neither is left out by name."""
    of_edges = of_edges or {}
    width = len(next(iter(of_edges.values()), []))
    nobody = np.full(width, np.nan, np.float32)
    edges = np.array([of_edges.get(s, nobody) for s in people["subject"]], np.float32)
    features = [c for c in people if is_structural(str(c))]
    structure = people[features].astype(float)
    problems += [{"subject": s, "problem": "connectivity without a phenotype"}
                 for s in of_edges if s not in set(people["subject"])]  # fmt: skip
    there = structure.notna().any(axis=1).to_numpy()
    there = there | ~np.isnan(edges).all(axis=1) if width else there
    problems += [{"subject": s, "problem": "no series, no matrix and no structural feature"}
                 for s in people["subject"][~there]]  # fmt: skip
    if not there.any():
        raise DataError(
            f"{name} holds nobody with a phenotype and an image",
            expected="series, matrices or FreeSurfer's tables whose names are in the phenotypes",
            found="; ".join(f"{p['subject']}: {p['problem']}" for p in problems[:3]),
        )
    regions = _regions_of(centers, int(_regions(width)) if width else 0)
    who = completed(people.drop(columns=features))
    return Brains(who, edges, structure, regions, False, problems).at(there)


def _regions_of(centers: list[Path], n: int) -> pd.DataFrame:
    """Names, networks and centers; of an atlas of unknown centers, names alone."""
    for path in centers:
        table = pd.read_csv(path)
        table.columns = [str(c).split(",")[-1].strip().lower() for c in table]
        if len(table) == n and {"x", "y", "z"} <= set(table):
            xyz = table[["x", "y", "z"]].astype(float)
            names = [f"region {k}" for k in range(1, n + 1)]
            return pd.DataFrame({"region": names, "network": networks_near(xyz)}).join(xyz)
    names = [f"region {k}" for k in range(1, n + 1)]
    blank = dict.fromkeys("xyz", np.nan)
    return pd.DataFrame({"region": names, "network": "unknown"}).assign(**blank)
