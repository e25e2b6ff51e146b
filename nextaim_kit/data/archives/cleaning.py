"""Instances cleaned as they arrive: held in memory, by as many processes as there are cores."""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from nextaim_kit.data.archives.arriving import Came
from nextaim_kit.data.archives.ledger import Arrived
from nextaim_kit.data.images.dicom import parsed
from nextaim_kit.data.privacy.instances import write_dataset
from nextaim_kit.data.privacy.learning import learn_dataset
from nextaim_kit.data.privacy.profile import Profile
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.errors import DataError, KitError
from nextaim_kit.files import sha256_of
from nextaim_kit.machine.limits import process_count
from nextaim_kit.machine.workers import begin_under

_WORTH = 64  # instances for which a process of its own is worth its start


@dataclass(frozen=True)
class Cleaner:
    """Cleans one instance after the other.

    Parameters
    ----------
    scrubber : Scrubber
        With all that headers tell of people.
    profile : Profile
    out : Path
        Folder that the files are written to.
    """

    scrubber: Scrubber
    profile: Profile
    out: Path

    def one(self, came: Came) -> Arrived:
        """Write an instance without identity, or say why it is left out.

        Raises
        ------
        DataError
            If the disk does not take it.
        """
        item = came.item
        name = Path(item)  # what errors may say of it
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of damaged values, which go or stay as they are
                data = parsed(io.BytesIO(came.content), name)
                learn_dataset(self.scrubber.lexicon, data)
                done = write_dataset(data, name, self.out, self.scrubber, self.profile, came.faces)
        except DataError as error:
            if isinstance(error.__cause__, OSError) and error.what.startswith("cannot write"):
                raise
            why = error.what.removeprefix(f"{item} is left out: ")
            return Arrived(item, left_out=why + (f": {error.found}" if error.found else ""))
        except Exception as error:  # a damaged file may raise anything; it is never passed on
            return Arrived(item, left_out=f"it cannot be read ({type(error).__name__})")
        return Arrived(
            item, str(done.path.relative_to(self.out)), sha256_of(done.path),
            done.path.stat().st_size, done.masked, done.face, done.defaced,
        )  # fmt: skip

    def all(self, arriving: Iterable[Came], count: int) -> Iterator[Arrived]:
        """Clean what arrives, in its order; no more is held than what the processes work on.

        Parameters
        ----------
        arriving : iterable of Came
        count : int
            How many there will be, by which processes are started.

        Raises
        ------
        DataError
        """
        processes = min(process_count(), count // _WORTH)
        if processes < 2:
            yield from map(self.one, arriving)
            return
        pending: deque[Future[Arrived]] = deque()
        how = (processes, get_context("spawn"), _begin, (self, os.getpid()))
        with ProcessPoolExecutor(*how) as pool:
            try:
                for came in arriving:
                    pending.append(pool.submit(_clean, came))
                    if len(pending) > 2 * processes:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            except KitError:
                while pending:  # what was there before the archive went down is noted
                    yield pending.popleft().result()
                raise
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that cleans images was killed",
                    found="most often for memory",
                    mend="give the same command again: it goes on from here",
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


_cleaner: list[Cleaner] = []  # of this process


def _begin(cleaner: Cleaner, parent: int) -> None:
    begin_under(parent, 1)
    _cleaner[:] = [cleaner]


def _clean(came: Came) -> Arrived:
    return _cleaner[0].one(came)
