"""What synthetic twins share: who is in them, each patient's own chance, files made once."""

from __future__ import annotations

import hashlib
import inspect
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import cache_folder, sha256_of
from nextaim_kit.machine.workers import parallel_when_long, scheduler
from nextaim_kit.progress import Progress, ProgressLine


class Who(NamedTuple):
    """A synthetic patient."""

    subject: str
    site: str
    label: Any


@dataclass(frozen=True)
class Twin:
    """The synthetic patients of a study.

    A patient depends on its name, the seed and the options alone: it is the same however many
    others there are, in whatever process it is made.

    Parameters
    ----------
    study : str
    counts : mapping of str to sequence of int
        Patients of each site: so many of each of `labels`.
    draw : callable
        ``draw(who, rng)`` gives the patient's further columns, a dict, and what `write` needs.
    write : callable
        ``write(drawn, rng, paths)`` makes the patient's `files`, whole or not at all
        (`atomic_path`), at the path of each; `rng` goes on where `draw` left it.
    files : mapping of str to str
        A column for each file and the end of its name, in the order in which they are written:
        where the last one is, the others are.
    seed : int
    sources : sequence of modules, optional
        Beside those of `draw` and `write`: where their code changes, the files are made anew.
        So they are with other options, which are those keywords that `functools.partial` gave.
    labels : sequence, optional
        By default 1 and 0; names, or one None where patients have no label.
    least : int, optional
        Patients of each label and site that a smaller twin keeps.
    what : str, optional
        What is made, for the line of progress.
    """

    study: str
    counts: Mapping[str, Sequence[int]]
    draw: partial
    write: partial
    files: Mapping[str, str]
    seed: int
    sources: Sequence[ModuleType] = ()
    labels: Sequence[Any] = (1, 0)
    least: int = 2
    what: str = "synthetic patients"

    def roster(self, n: int) -> list[Who]:
        """`n` patients, by subject.

        Fewer than there are keep the proportions, with `least` of each label in every site. A
        subject keeps its name and label whatever `n`.

        Raises
        ------
        RequestError
            If so few or so many cannot be.
        """
        kinds = len(self.labels)
        return sorted(
            Who(f"{site}-{kinds * k + index + 1:03d}", site, self.labels[index])
            for (site, index), count in self._shared_out(n).items()
            for k in range(count)
        )

    def _shared_out(self, n: int) -> dict[tuple[str, int], int]:
        cells = {(s, k): c for s, both in self.counts.items() for k, c in enumerate(both) if c}
        total, lowest = sum(cells.values()), {key: min(self.least, c) for key, c in cells.items()}
        if not sum(lowest.values()) <= n <= total:
            raise RequestError(
                "the twin cannot have so many patients",
                expected=f"{sum(lowest.values())} to {total}",
                found=str(n),
            )
        wanted = {key: count * n / total for key, count in cells.items()}
        given = {key: max(lowest[key], int(share)) for key, share in wanted.items()}
        while sum(given.values()) != n:
            step = 1 if sum(given.values()) < n else -1
            able = [key for key in given if step > 0 or given[key] > lowest[key]]
            given[max(able, key=lambda key: step * (wanted[key] - given[key]))] += step
        return given

    def patients(self, n: int) -> pd.DataFrame:
        """Draw `n` patients without making their files: ``subject, site, label``, then `draw`'s."""
        rows = [who._asdict() | self._drawn(who)[0] for who in self.roster(n)]
        table = pd.DataFrame(rows)
        if set(self.labels) == {None}:
            return table.drop(columns="label")
        return table.astype({"label": "Int64"}) if set(self.labels) <= {0, 1} else table

    def make(
        self,
        n: int,
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> pd.DataFrame:
        """Make the files that are not there yet, and give the patients with their paths.

        Parameters
        ----------
        n : int
        workers : int, optional
            Processes; the files do not depend on it. With ``NEXTAIM_DASK`` (`machine.workers`)
            the workers write them, and `folder` must lie in a file system that is shared.
        progress : callable, optional
            Called with the number done, the total and the subject; by default a line is printed.
        folder : Path, optional
            By default one in the cache.

        Raises
        ------
        DataError
            If workers wrote the files where this machine does not see them.
        """
        from joblib import delayed

        folder, everyone = folder or self.folder, self.roster(n)
        last = list(self.files)[-1]
        missing = [who for who in everyone if not self._paths(who, folder)[last].exists()]
        if missing:
            report = progress or ProgressLine(self.what)
            jobs = [delayed(self._make)(who, folder) for who in missing]
            made = parallel_when_long(jobs, n_jobs=workers)
            for done, subject in enumerate(made, 1):
                report(done, len(missing), subject)
            if scheduler():
                _check_shared([self._paths(who, folder)[last] for who in missing])
        paths = pd.DataFrame([self._paths(who, folder) for who in everyone]).astype(str)
        return pd.concat([self.patients(n), paths], axis=1)

    @property
    def folder(self) -> Path:
        """Where the files lie: other options or another version of the code have another place."""
        options = {**self.draw.keywords, **self.write.keywords}
        parts = [self.draw.func, self.write.func, *filter(callable, options.values())]
        modules = [*self.sources, *map(inspect.getmodule, parts), sys.modules[__name__]]
        code = {str(module.__file__) for module in modules if module}
        said = {k: getattr(v, "__qualname__", v) for k, v in sorted(options.items())}
        text = repr([self.seed, said, sorted(map(sha256_of, code))])
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        return cache_folder() / "twins" / self.study / name

    def _drawn(self, who: Who) -> tuple[dict[str, Any], Any, np.random.Generator]:
        rng = chance(self.seed, who.subject)
        return *self.draw(who, rng), rng

    def _paths(self, who: Who, folder: Path) -> dict[str, Path]:
        return {name: folder / f"{who.subject}{end}" for name, end in self.files.items()}

    def _make(self, who: Who, folder: Path) -> str:
        _, drawn, rng = self._drawn(who)
        self.write(drawn, rng, self._paths(who, folder))
        return who.subject


def chance(seed: int, subject: str) -> np.random.Generator:
    """A patient's own random numbers, the same whoever else is in the twin."""
    return np.random.default_rng([seed, zlib.crc32(subject.encode())])


def _check_shared(paths: Sequence[Path]) -> None:
    # A listing, since network file systems remember for a while that a file was not there.
    folder = paths[0].parent
    seen = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    absent = [path.name for path in paths if path.name not in seen]
    if absent:
        raise DataError(
            f"the Dask workers made {absent[0]} where this machine does not see it",
            expected=f"{len(paths)} files in {folder}",
            found=f"{len(paths) - len(absent)}",
            mend="set NEXTAIM_CACHE to a folder that workers and this machine share",
        )
