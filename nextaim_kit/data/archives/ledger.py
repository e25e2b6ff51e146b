"""What has come of a pull: one line an instance, so that a killed one goes on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from nextaim_kit.data.privacy.profile import OPTIONS, Profile
from nextaim_kit.data.privacy.secret import Key
from nextaim_kit.errors import DataError, RequestError, mend_of
from nextaim_kit.files import sha256_of

LEDGER = ".pull.jsonl"


@dataclass(frozen=True)
class Arrived:
    """What became of an instance.

    Parameters
    ----------
    item : str
        A keyed hash of what the archive calls it.
    path, sha256 : str
        Of the file without identity; nothing where there is none.
    bytes : int
    masked, head, defaced : bool
        Whether writing was covered, a face may be seen, and one was cut off.
    left_out : str
        Why there is no file.
    """

    item: str
    path: str = ""
    sha256: str = ""
    bytes: int = 0
    masked: bool = False
    head: bool = False
    defaced: bool = False
    left_out: str = ""


class Ledger:
    """The lines of a folder's pull.

    Parameters
    ----------
    folder : Path
    key : Key
    profile : Profile
    archive : str
        The address as it may be shown.

    Raises
    ------
    RequestError
        If the folder was pulled with another key, otherwise, or from elsewhere, or is none of
        this.
    """

    def __init__(self, folder: Path, key: Key, profile: Profile, archive: str) -> None:
        self.folder, self.path = folder, folder / LEDGER
        self.key = key
        self._first = {
            "archive": archive,
            "key": key.code("pull", "which key"),
            "options": [name for name in OPTIONS if getattr(profile, name)],
        }
        self.lines: dict[str, Arrived] = {}
        self.fresh: set[str] = set()  # what was added by this process
        if self.path.exists():
            self._read()
        elif folder.exists() and any(folder.iterdir()):
            raise RequestError(
                f"{folder} holds something else", expected="a new folder", mend="give another"
            )

    def item(self, name: str) -> str:
        """What stands for an instance in the lines."""
        return self.key.uid(f"item|{name}")

    def _read(self) -> None:
        first, *rest = self._rows()
        wrong = [name for name, value in self._first.items() if first.get(name) != value]
        if wrong:
            raise RequestError(
                f"{self.folder.name} was pulled with another {wrong[0]}",
                expected="the same: else a patient would have two pseudonyms in it"
                if wrong[0] == "key"
                else f"{first.get(wrong[0])}",
                mend="give the same again, or another folder",
            )
        for row in rest:
            line = Arrived(**row)
            self.lines[line.item] = line

    def _rows(self) -> list[dict]:
        """Lines that are whole: a killed process may leave half of the last one, which goes."""
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            self.path.write_bytes(whole)
        try:
            return [json.loads(line) for line in whole.splitlines()] or [{}]
        except ValueError as error:
            raise DataError(
                f"{self.path.name} of {self.folder.name} is damaged",
                mend="remove the folder, and pull it again",
            ) from error

    def begin(self) -> None:
        """Make the folder, and forget files that are not there as they were written.

        Raises
        ------
        DataError
            If it cannot be made.
        """
        lost = [one.item for one in self.lines.values() if not self._stands(one)]
        for item in lost:
            del self.lines[item]
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.path.exists() or not self.path.stat().st_size:
                self.path.write_text(json.dumps(self._first) + "\n", encoding="utf-8")

    def _stands(self, one: Arrived) -> bool:
        if not one.path:
            return bool(one.left_out)
        path = self.folder / one.path
        with contextlib.suppress(OSError):
            return path.stat().st_size == one.bytes and sha256_of(path) == one.sha256
        return False

    def add(self, line: Arrived) -> None:
        """Note one instance, whose file is there already.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        self._write(line)
        self.lines[line.item] = line
        self.fresh.add(line.item)

    def forget(self, items: Iterable[str]) -> None:
        """Take back what was noted of instances that come again, and remove their files.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        for item in items:
            if line := self.lines.pop(item, None):
                self._write(Arrived(item))
                with self._writing():
                    (self.folder / line.path).unlink() if line.path else None

    def _write(self, line: Arrived) -> None:
        with self._writing(), self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(line)) + "\n")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"cannot write {self.path.name}",
                expected=f"room and permission to write in {self.folder}",
                found=error.strerror or str(error),
                mend=mend_of(error),
            ) from error

    def wrong(self) -> list[Arrived]:
        """Those whose files are not there, or not as they were written."""
        return [one for one in self.lines.values() if not self._stands(one)]
