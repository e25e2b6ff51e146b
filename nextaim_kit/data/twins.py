"""What synthetic twins share: who is in them, each patient's own chance, files made once."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.files import cache_folder, sha256_of
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.machine.workers import parallel, scheduler
from nextaim_kit.show.progress import ProgressLine

Progress = Callable[[int, int, str], None]
Counts = Mapping[str, tuple[int, int]]  # severe and not severe patients by site


def roster(counts: Counts, n: int) -> list[tuple[str, str, int]]:
    """Subject, site and label of each patient, by subject.

    Parameters
    ----------
    counts : mapping of str to (int, int)
        Patients with label 1 and 0 by site.
    n : int
        How many; fewer than there are keep the proportions, with two of each label in every
        site. A subject keeps its name and label whatever `n`.

    Raises
    ------
    RequestError
        If so few or so many cannot be.
    """
    rows = []
    for site, both in _scaled(counts, n).items():
        for label, count in zip((1, 0), both, strict=True):
            names = [f"{site}-{2 * k + 2 - label:03d}" for k in range(count)]
            rows += [(name, site, label) for name in names]
    return sorted(rows)


def _scaled(counts: Counts, n: int) -> dict[str, tuple[int, int]]:
    total, cells = sum(map(sum, counts.values())), 2 * len(counts)
    if not 2 * cells <= n <= total:
        raise RequestError(
            "the twin cannot have so many patients",
            expected=f"{2 * cells} to {total}",
            found=str(n),
        )
    wanted = {(s, k): both[k] * n / total for s, both in counts.items() for k in (0, 1)}
    given = {key: max(2, int(share)) for key, share in wanted.items()}
    while sum(given.values()) != n:
        step = 1 if sum(given.values()) < n else -1
        able = [key for key in given if step > 0 or given[key] > 2]
        key = max(able, key=lambda key: step * (wanted[key] - given[key]))
        given[key] += step
    return {site: (given[site, 0], given[site, 1]) for site in counts}


def chance(seed: int, subject: str) -> np.random.Generator:
    """A patient's own random numbers, the same whoever else is in the twin."""
    return np.random.default_rng([seed, zlib.crc32(subject.encode())])


def smooth_noise(
    shape: Sequence[int], sigma: float | Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of mean 0 and variance 1 that is correlated over `sigma` pixels; its ends join."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return (field - field.mean()) / field.std()


def twin_folder(study: str, sources: Sequence[ModuleType], *options: object) -> Path:
    """Where a twin's files lie: other options or another version of its code have another place."""
    digests = [sha256_of(str(path)) for path in (__file__, *(m.__file__ for m in sources))]
    name = hashlib.sha256(" ".join(map(str, [*options, digests])).encode()).hexdigest()[:12]
    return cache_folder() / "twins" / study / name


def make_files(
    table: pd.DataFrame,
    files: Mapping[str, str],
    folder: Path,
    make: Callable[[str, str, int, Path], str],
    *,
    what: str,
    workers: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the files that are not there yet, and give the table with their paths.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, ``label``.
    files : mapping of str to str
        A column for each file and the end of its name, in the order in which they are written:
        where the last one is, the others are.
    folder : Path
    make : callable
        Called with subject, site, label and folder, in another process; writes whole files
        (`atomic_path`) and gives the subject.
    what : str
        What is made, for the line of progress.
    workers : int, optional
        Processes; the files do not depend on it. With ``NEXTAIM_DASK`` (`machine.workers`) the
        workers write them, and `folder` must lie in a file system that is shared.
    progress : callable, optional
        Called with the number done, the total and the subject; by default a line is printed.

    Raises
    ------
    DataError
        If workers wrote the files where this machine does not see them.
    """
    from joblib import delayed

    last = list(files)[-1]
    paths = {name: [folder / f"{s}{end}" for s in table["subject"]] for name, end in files.items()}
    rows = table[["subject", "site", "label"]].itertuples(index=False)
    missing = [
        (str(s), str(site), int(label))
        for (s, site, label), path in zip(rows, paths[last], strict=True)
        if not path.exists()
    ]
    report = progress or ProgressLine(what)
    if missing:
        jobs = (delayed(make)(*patient, folder) for patient in missing)
        made = parallel(jobs, n_jobs=workers, return_as="generator_unordered")
        for done, subject in enumerate(made, 1):
            report(done, len(missing), subject)
        if scheduler():
            _check_shared(folder, [path.name for path in paths[last]])
    return table.assign(**{name: list(map(str, there)) for name, there in paths.items()})


def _check_shared(folder: Path, names: Sequence[str]) -> None:
    # A listing, since network file systems remember for a while that a file was not there.
    seen = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    absent = [name for name in names if name not in seen]
    if absent:
        raise DataError(
            f"the Dask workers made {absent[0]} where this machine does not see it",
            expected=f"{len(names)} files in {folder}",
            found=f"{len(names) - len(absent)}",
            mend="set NEXTAIM_CACHE to a folder that workers and this machine share",
        )
