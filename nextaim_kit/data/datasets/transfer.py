"""One file brought from the mirror or its source, checked before it gets its name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from nextaim_kit.data.datasets.download import Copier, NotThereError, Resumer, UnreachableError
from nextaim_kit.data.datasets.manifest import File
from nextaim_kit.errors import DataError, RequestError, mend_of, without_user

Progress = Callable[[str, int, int | None], None]
_Way = tuple[str, Copier | Resumer]


def transfer(name: str, file: File, target: Path, progress: Progress | None = None) -> None:
    """Bring a file of the data set `name` to `target`, from the mirror or else from its source.

    A file without a known hash comes from its source where it can: nothing would tell another one.

    Raises
    ------
    DataError
        If it cannot be had, or is not the manifest's; then nothing stands under `target`'s name
        that did not stand there before.
    RequestError
        If the mirror is not there.
    """
    *mirrors, source = _ways(name, file, target, progress)
    lost: DataError | None = None
    for way in [*mirrors, source] if file.sha256 else [source, *mirrors]:
        try:
            return _take(way, file, target)
        except (NotThereError, UnreachableError) as error:
            # A mirror need not have every file, or be up: what the source says is what counts.
            lost = error if way is source else lost
    assert lost is not None
    raise lost


def _ways(name: str, file: File, target: Path, progress: Progress | None) -> list[_Way]:
    def report(done: int, total: int | None) -> None:
        if progress:
            progress(file.path, done, file.bytes if total is None else total)

    def over_http(address: str) -> _Way:
        part = target.with_name(target.name + ".part")
        url, user = _parted(address)
        return url, Resumer(part, file.sha256 is not None, report, user)

    mirror = os.environ.get("NEXTAIM_MIRROR", "").strip()
    source = over_http(str(file.url))
    if re.match("https?://", mirror):
        return [over_http(f"{mirror.rstrip('/')}/{name}/{quote(file.path)}"), source]
    copy = _folder(mirror) / name / file.path if mirror else None
    return [(copy.as_uri(), Copier(copy)), source] if copy and copy.is_file() else [source]


def _parted(address: str) -> tuple[str, tuple[str, str] | None]:
    """An address that can be shown, and user and password that stood in it."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:  # its text would repeat the password
        raise RequestError(
            "an address of data cannot be read",
            expected="https://host/path; signs in a user's name or password as in %2F for /",
            mend="see NEXTAIM_MIRROR and the manifest",
        ) from None
    if parts.username is None:
        return address, None
    return without_user(address), (unquote(parts.username), unquote(parts.password or ""))


def _folder(mirror: str) -> Path:
    local = unquote(urlsplit(mirror).path) if mirror.startswith("file://") else mirror
    folder = Path(local).expanduser().resolve()
    if folder.is_dir():
        return folder
    raise RequestError(
        "the mirror in NEXTAIM_MIRROR is not there",
        expected="a folder, or an address that begins with http:// or https://",
        found=f"an address of {mirror.partition('://')[0]}" if "://" in mirror else mirror,
        mend="set NEXTAIM_MIRROR to the right place, or unset it",
    )


def _take(way: _Way, file: File, target: Path) -> None:
    url, downloader = way
    fresh = target.with_name(f".fetched-{target.name}")
    try:
        fresh.unlink(missing_ok=True)
        _retrieve(url, downloader, file, fresh)
        size = fresh.stat().st_size
        if file.bytes is not None and size != file.bytes:
            raise _other(file, url, f"{file.bytes:,} bytes", f"{size:,} bytes")
        os.replace(fresh, target)
    except OSError as error:
        raise DataError(
            f"cannot write {file.path}",
            expected=f"room and permission to write in {target.parent}",
            found=error.strerror or str(error),
            mend=mend_of(error, "set NEXTAIM_DATA to another folder"),
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _retrieve(url: str, downloader: Copier | Resumer, file: File, fresh: Path) -> None:
    """Download by pooch, which compares the hash; once more if a part gone on with was stale."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    known = f"sha256:{file.sha256}" if file.sha256 else None
    for _ in range(2):
        downloader.resumed = False
        try:
            pooch.retrieve(url, known, fresh.name, fresh.parent, downloader=downloader)
            return
        except ValueError as error:  # pooch's word for a wrong hash
            if not downloader.resumed:
                digest = re.search("but got ([0-9a-f]{64})", str(error))
                found = f"sha256 {digest[1]}" if digest else str(error)
                raise _other(file, url, f"sha256 {file.sha256}", found) from error
    raise _other(file, url, f"sha256 {file.sha256}", "another one, twice")


def _other(file: File, url: str, expected: str, found: str) -> DataError:
    return DataError(
        f"{file.path} from {url} is not the file of the manifest",
        expected=expected,
        found=found,
        mend="nothing was kept of it; try again, or use another mirror. If it comes again, the "
        "source has changed: tell the maintainers",
    )
