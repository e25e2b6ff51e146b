"""The viewer of itkwidgets is put where Jupyter serves it: the right one, whole, or not at all."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile

import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.terminal import viewers


@pytest.fixture
def archive(tmp_path, monkeypatch):
    path = tmp_path / "viewer.tgz"
    names = ["dist/itkVtkViewer.js", "dist/itkVtkViewerCDN.js", "dist/itk/web-workers/w.js"]
    with tarfile.open(path, "w:gz") as packed:
        for name in [*names, "dist/itk/image-io/Nifti.wasm", "src/index.js", "LICENSE"]:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = 1
            packed.addfile(member, io.BytesIO(b"x"))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(viewers, "SHA512", digest)
    return path


def test_what_is_needed_is_unpacked_and_no_more(archive, tmp_path):
    place = viewers.install(archive, tmp_path / "labextensions")
    files = sorted(str(f.relative_to(place)) for f in place.rglob("*") if f.is_file())
    assert files == ["LICENSE", "itk/web-workers/w.js", "itkVtkViewer.js"]
    assert viewers.install(archive, tmp_path / "labextensions") == place


def test_another_archive_is_refused_and_leaves_nothing(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(viewers, "SHA512", "other")
    with pytest.raises(DataError, match="is not itk-vtk-viewer"):
        viewers.install(archive, tmp_path / "labextensions")
    assert not (tmp_path / "labextensions").exists()


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.tgz is missing"):
        viewers.install(tmp_path / "no.tgz", tmp_path)


def test_without_npm_the_way_by_hand_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(viewers.shutil, "which", lambda name: None)
    with pytest.raises(RequestError, match="npm pack itk-vtk-viewer"):
        viewers.install(folder=tmp_path)


def test_a_place_that_cannot_be_written_is_named(archive, tmp_path):
    (tmp_path / "labextensions").write_text("")  # holds for root too, whom no right stops
    with pytest.raises(DataError, match="room and permission to write in"):
        viewers.install(archive, tmp_path / "labextensions")
