"""A cohort of brains: who they are, how their regions go together, how they are built."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.joining import some
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path

WHO = ["subject", "site", "label", "age", "sex", "fiq", "eyes", "motion", "tr", "volumes",
       "institution"]  # fmt: skip
_EDGES, _NOTES = "connectivity", b"nextaim_brains"
# ABIDE's institutions with several scanners or samples, and those that ABIDE II calls otherwise.
_OF_SEVERAL = ("UCLA", "UM", "LEUVEN")
_NAMED_ANEW = {"KUL": "LEUVEN", "OILH": "OLIN", "SU": "STANFORD", "TCD": "TRINITY", "UPSM": "PITT"}


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
    problems : list of dict
        ``subject`` and ``problem`` of who or what was left out.
    edge : str
        What an edge was made as, such as ``correlation`` or ``partial, shrunk``.
    """

    table: pd.DataFrame
    connectivity: NDArray[np.float32]
    structure: pd.DataFrame
    regions: pd.DataFrame
    synthetic: bool
    problems: list[dict[str, str]] = field(default_factory=list)
    edge: str = "correlation"

    def __len__(self) -> int:
        return len(self.table)

    @property
    def y(self) -> NDArray[np.int64]:
        """Outcomes, 1 for autism; all subjects must have one."""
        return self.table["label"].to_numpy(int)

    @property
    def functional(self) -> NDArray[np.bool_]:
        """Which subjects have connectivity."""
        return np.asarray(~np.isnan(self.connectivity).all(axis=1))

    @property
    def structural(self) -> NDArray[np.bool_]:
        """Which subjects have structural features."""
        return self.structure.notna().any(axis=1).to_numpy()

    def has(self, part: str) -> NDArray[np.bool_]:
        """Which subjects have a modality, "function" or "structure"; all have "confounds"."""
        if part == "confounds":
            return np.ones(len(self), bool)
        return self.functional if part == "function" else self.structural

    def at(self, rows: NDArray) -> Brains:
        """Some of the subjects, by position or by a mask."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, int)
        return replace(
            self,
            table=self.table.iloc[rows].reset_index(drop=True),
            connectivity=self.connectivity[rows],
            structure=self.structure.iloc[rows].reset_index(drop=True),
        )

    def matrix(self, row: int) -> NDArray[np.float32]:
        """The connectivity of one subject as a symmetric matrix, its diagonal 0."""
        return square(self.connectivity[row], len(self.regions))

    def save(self, path: Path) -> None:
        """Write all as one parquet file: a row per subject, the edges as one column of lists."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        who = self.table[[name for name in WHO if name in self.table]]
        beside = pd.concat([who, self.structure], axis=1)
        beside["provenance_synthetic"] = self.synthetic
        flat = pa.array(np.ascontiguousarray(self.connectivity, np.float32).ravel())
        edges = pa.FixedSizeListArray.from_arrays(flat, max(self.connectivity.shape[1], 1))
        whole = pa.Table.from_pandas(beside, preserve_index=False)
        if self.connectivity.shape[1]:
            whole = whole.append_column(_EDGES, edges)
        notes = {"structure": list(self.structure), "edge": self.edge, "problems": self.problems,
                 "regions": self.regions.to_dict("list")}  # fmt: skip
        notes_of = {**(whole.schema.metadata or {}), _NOTES: json.dumps(notes).encode()}
        with atomic_path(path) as partial:
            pq.write_table(whole.replace_schema_metadata(notes_of), partial, compression="zstd",
                           use_dictionary=["site"])  # fmt: skip


def read_brains(path: Path) -> Brains:
    """Read what `Brains.save` wrote.

    Raises
    ------
    DataError
        If it is another file, or damaged.
    """
    import pyarrow.parquet as pq

    try:
        whole = pq.read_table(path, partitioning=None)
        whole.validate(full=True)
        notes = json.loads((whole.schema.metadata or {})[_NOTES])
        n, has_edges = whole.num_rows, _EDGES in whole.column_names
        edges = np.zeros((n, 0), np.float32)
        if has_edges:
            flat = whole.column(_EDGES).combine_chunks().flatten()
            edges = flat.to_numpy(zero_copy_only=False).reshape(n, -1)
        table = whole.drop_columns([_EDGES] if has_edges else []).to_pandas()
        synthetic = bool(table["provenance_synthetic"].any())
        who = table[[c for c in WHO if c in table]].astype({"label": "Int64"})
        structure, regions = table[notes["structure"]], pd.DataFrame(notes["regions"])
        told = (synthetic, notes["problems"], notes["edge"])
        return Brains(who, edges, structure, regions, *told)
    except Exception as error:  # a damaged file can make the parser raise anything
        raise DataError(
            f"{path.name} is no table of brains",
            expected="features.parquet of asd_fusion/features",
            found=" ".join(f"{type(error).__name__}: {error}".split())[:120],
            mend="run asd_fusion/features on your cohort, and give the file it makes",
        ) from error


def institution_of(site: str) -> str:
    """Whose scanner a site of ABIDE is: ``UCLA_1`` and ``ABIDEII-UCLA_Long`` are both UCLA's.

    Sites of other names are institutions of their own.
    """
    bare = re.sub(r"^ABIDEII-|_(\d|Long)$", "", site)
    if bare in _NAMED_ANEW:
        return _NAMED_ANEW[bare]
    return bare if site.startswith("ABIDEII-") or bare in _OF_SEVERAL else site


def square(edges: NDArray, n: int) -> NDArray:
    """Edges of shape (..., edges) as symmetric matrices of shape (..., n, n), the diagonal 0."""
    i, j = np.triu_indices(n, 1)
    matrix = np.zeros((*edges.shape[:-1], n, n), edges.dtype)
    matrix[..., i, j] = matrix[..., j, i] = edges
    return matrix


def upper(matrix: NDArray) -> NDArray:
    """The edges of symmetric matrices of shape (..., n, n), row by row."""
    i, j = np.triu_indices(matrix.shape[-1], 1)
    return matrix[..., i, j]


def joined(first: Brains, second: Brains) -> Brains:
    """Two cohorts as one, the second behind the first; features that one lacks are left out.

    Raises
    ------
    DataError
        If their regions or kinds of edges differ, or they share subjects or no structural feature.
    """
    shared = sorted({*first.table["subject"]} & {*second.table["subject"]})
    regions = [one.regions["region"].tolist() for one in (first, second)]
    features = [one.structure.columns.tolist() for one in (first, second)]
    both = [name for name in features[0] if name in features[1]]
    alone = sorted({*features[0]} ^ {*features[1]})
    if shared:
        said = f"{len(shared)} subjects are in both cohorts"
        raise DataError(said, found=some(shared), mend="leave them out of one")
    if regions[0] != regions[1]:
        first_ones, others = (f"{len(names)}: {some(names)}" for names in regions)
        raise DataError("the two cohorts have other regions", expected=first_ones, found=others,
                        mend="take the same atlas for both")  # fmt: skip
    if first.edge != second.edge:
        raise DataError("the edges of the two cohorts are not of one kind", expected=first.edge,
                        found=second.edge, mend="make both by the same measure")  # fmt: skip
    if alone and not both:
        first_ones, others = (some(names) or "none" for names in features)
        raise DataError("the two cohorts have no structural feature of the same name",
                        expected=first_ones, found=others,
                        mend="take FreeSurfer's tables for both, or for neither")  # fmt: skip
    if alone:
        print(f"{len(alone)} structural features are in one cohort alone, not used: {some(alone)}")
    return replace(
        first,
        table=pd.concat([first.table, second.table], ignore_index=True),
        connectivity=np.concatenate([first.connectivity, second.connectivity]),
        structure=pd.concat([one.structure[both] for one in (first, second)], ignore_index=True),
        synthetic=first.synthetic or second.synthetic,
        problems=[*first.problems, *second.problems],
    )
