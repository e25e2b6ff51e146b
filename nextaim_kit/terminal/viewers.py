"""The viewer of itkwidgets, fetched once so that it works without internet."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from re import fullmatch

from nextaim_kit.errors import DataError, RequestError, mend_of
from nextaim_kit.files import take_place
from nextaim_kit.show.viewers.available import ITK_FOLDER

PACKAGE, VERSION = "itk-vtk-viewer", "14.51.0"
# As the npm registry states it, so that a mirror or a file by hand is checked as well.
SHA512 = "i1H0PfekLdCfL45lZ96aWCoh4thzxeexiGJ3NYC9euF1WefXW0P1JijBLIJfrDBvp5fhjncj/EEnIW1auBh+zw=="
# The program and its parts; not 74 MB of readers for files, nor what is for other servers.
_NEEDED = r"LICENSE|dist/(?!.*CDN|service|workbox)[\w.]+js|dist/itk/(pipeline|web-workers)/.+"


def install(archive: Path | None = None, folder: Path | None = None) -> Path:
    """Put itk-vtk-viewer where Jupyter's server serves it.

    Parameters
    ----------
    archive : Path, optional
        ``itk-vtk-viewer-14.51.0.tgz`` that was fetched elsewhere; without it npm fetches it.
    folder : Path, optional
        A ``labextensions`` folder; by default this environment's, or where that cannot be
        written the user's.

    Returns
    -------
    Path
        The folder it is in.

    Raises
    ------
    RequestError
        If npm is needed and not there.
    DataError
        If the archive is missing, is another one, cannot be fetched, or has no place here.
    """
    place = (folder or labextensions()) / ITK_FOLDER
    with tempfile.TemporaryDirectory() as own:
        archive = archive or _fetch(Path(own))
        _check(archive)
        try:
            _put(archive, place)
        except OSError as error:
            raise DataError(
                f"{PACKAGE} cannot be put where Jupyter's server serves it",
                expected=f"room and permission to write in {place.parent}",
                found=error.strerror or str(error),
                mend=mend_of(error, "set JUPYTER_DATA_DIR to another folder"),
            ) from error
    return place


def _put(archive: Path, place: Path) -> None:
    """Unpack beside the place, then take it, so that it is whole or as it was."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as beside:
        unpacked = Path(beside) / ITK_FOLDER
        _unpack(archive, unpacked)
        take_place(unpacked, place)


def labextensions() -> Path:
    """Folder below which Jupyter's server finds extensions, and that can be written."""
    from jupyter_core.paths import jupyter_data_dir

    own = Path(sys.prefix) / "share" / "jupyter"
    base = own if os.access(own, os.W_OK) else Path(jupyter_data_dir())
    return base / "labextensions"


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise RequestError(
            "npm is not on this machine",
            expected=f"npm, or the file {PACKAGE}-{VERSION}.tgz",
            mend=f"where npm is, run `npm pack {PACKAGE}@{VERSION}`; then --archive with its file",
        )
    command = [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise DataError(
            f"{PACKAGE} {VERSION} could not be fetched",
            expected="the package from npm's registry",
            found=(done.stderr.strip().splitlines() or ["no file"])[0][:200],
            mend=f"`npm pack {PACKAGE}@{VERSION}` on another machine; then --archive with its file",
        )
    return archives[0]


def _check(archive: Path) -> None:
    if not archive.is_file():
        raise DataError(f"{archive.name} is missing", expected=f"{PACKAGE}-{VERSION}.tgz")
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    if base64.b64encode(digest).decode() != SHA512:
        raise DataError(
            f"{archive.name} is not {PACKAGE} {VERSION}",
            expected=f"sha512 {SHA512[:16]}...",
            found=f"{base64.b64encode(digest).decode()[:16]}...",
            mend=f"fetch it again: npm pack {PACKAGE}@{VERSION}",
        )


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        for member in packed.getmembers():
            name = member.name.removeprefix("package/")
            if member.isfile() and fullmatch(_NEEDED, name):
                member.name = name.removeprefix("dist/")
                packed.extract(member, folder, filter="data")
