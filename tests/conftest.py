"""Fixtures that all tests share: isolated folders, real data, a toy study to run."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
if "PYTEST_XDIST_WORKER" in os.environ:
    # A worker for each core: threads and processes of one would wait for those of the others,
    # and each process would import anew what the kernel has. Tests that need some ask for them.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("CPU_LIMIT", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell leaves it in the background: programs that are started here would inherit it, and
    # the tests that interrupt them would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("NEXTAIM_WARM_LINGER", "60")  # the tests' server goes with the tests
# What a warm server for toys imports: what runs a notebook and no more, in 2 s instead of 10.
FEW = "ipykernel.kernelapp,ipykernel.ipkernel,IPython,numpy,papermill,nbconvert,pandas"
REQUIRE_ALL = os.environ.get("NEXTAIM_REQUIRE") == "all"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Decide which process runs which tests."""
    from tests.scheduling import Scheduling

    return Scheduling(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of whose tests `make test-rest`, or `make test`, runs none."""
    wanted = config.option.markexpr
    if wanted not in ("rest", "not rest") or not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    if wanted == "rest":
        return "mark.rest" not in text or None
    return re.search(r"^pytestmark = .*mark\.rest\b", text, re.MULTILINE) is not None or None


def absent(what: str) -> None:
    """Leave a test out, saying what is missing; a failure where nothing may be left out."""
    if REQUIRE_ALL:
        pytest.fail(f"{what} is absent, and NEXTAIM_REQUIRE=all allows no omission")
    pytest.skip(f"left out: {what} is absent")


def validator_says(path) -> str:
    """What dciodvfy says of a DICOM file."""
    if shutil.which("dciodvfy") is None:
        absent("dciodvfy (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's folder."""
    return PROJECT


@pytest.fixture
def benchmark(tmp_path):
    """Run a script of benchmarks/ on small numbers; gives the result that it writes."""

    def run(name: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, f"benchmarks/{name}.py", "--quick", "--out", str(tmp_path)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / f"{name}.json").read_text())

    return run


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of the real samples: NEXTAIM_REAL, else beside the project."""
    folder = Path(os.environ.get("NEXTAIM_REAL") or PROJECT.parent / "shared" / "real")
    if not folder.is_dir():
        absent("the folder of real samples (NEXTAIM_REAL)")
    return folder


@pytest.fixture(scope="session")
def homes(tmp_path_factory) -> Iterator[Path]:
    """A new folder for each test."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_folders(homes, monkeypatch) -> Path:
    """Give every test its own cache, data and runs, so that none sees the user's."""
    folder = next(homes)
    folder.mkdir()
    for name in ("CACHE", "DATA", "PROGRESS", "RUNS"):
        monkeypatch.setenv(f"NEXTAIM_{name}", str(folder / name.lower()))
    for name in ("RUN", "MIRROR", "NOTEBOOKS", "MANIFESTS", "DASK", "DASK_WAIT", "CACHE_GB"):
        monkeypatch.delenv(f"NEXTAIM_{name}", raising=False)
    return folder


@pytest.fixture
def save_dicom():
    """Writes a radiograph as DICOM: path, values, photometric interpretation, further tags."""
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    def save(path, values, says, **tags):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
        image.Rows, image.Columns, image.SamplesPerPixel = *values.shape, 1
        image.PhotometricInterpretation, image.PixelRepresentation = says, 0
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelData = 15, values.astype(np.uint16).tobytes()
        for name, value in tags.items():
            setattr(image, name, value)
        image.save_as(path, enforce_file_format=True)
        return path

    return save


# A record that is whole, for tests that write one as if a run had left it.
WHOLE = {
    "id": "abc", "notebook": "toy/draw", "study": "toy", "stage": "draw", "title": "Draw numbers",
    "profile": "smoke", "parameters": {}, "data": [], "kit": "1.0", "metrics": [], "tables": [],
    "figures": [], "failures": 0, "sections": [], "outcome": "complete", "error": None,
    "packages": {}, "hardware": {"processor": "x", "cores": 1, "memory_gb": 1.0}, "files": {},
    "environment": {},
}  # fmt: skip


@pytest.fixture(scope="session")
def shared_cache(pytestconfig) -> Path:
    """A cache in which twins are made and measured once, for all processes and all later tests."""
    return pytestconfig.cache.mkdir("twins")


PARAMETERS = """\
from typing import Literal

cohort: str = "synthetic"  # cohort: synthetic, or a path
size: int = 3  # numbers to draw [1, 100]
kind: Literal["mean", "sum"] = "mean"  # what to make of them
rates: list[float] = [0.1, 0.2]  # learning rates [0, 1]
limit: float | None = None  # upper limit
seed: int = 7  # random seed [0, 1000]
"""
BODY = """\
import numpy as np
from nextaim_kit.runs.context import start
run = start("toy/draw", parameters=globals(), seed=seed)
numbers = np.random.default_rng(seed).normal(size=size)
print("drawn", size)
run.metric("mean", numbers.mean(), interval=(numbers.min(), numbers.max()))
np.savetxt(run.file("numbers.txt"), numbers)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A study of one notebook, `toy/draw`; call it with code to put before `finish`."""

    def make(before_finish: str = "", outputs: dict | None = None, **study) -> Path:
        folder = tmp_path / "notebooks" / "toy"
        folder.mkdir(parents=True, exist_ok=True)
        cells = [
            nbformat.v4.new_markdown_cell("# Draw numbers"),
            nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_markdown_cell("## Drawing"),
            nbformat.v4.new_code_cell(BODY),
            nbformat.v4.new_markdown_cell("## More"),
            nbformat.v4.new_code_cell(before_finish or "pass"),
            nbformat.v4.new_markdown_cell("## Record"),
            nbformat.v4.new_code_cell("run.finish()"),
        ]
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number}"
        document = nbformat.v4.new_notebook(cells=cells)
        document.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(document, folder / "1_draw.ipynb")
        declared = {
            "title": "Draw numbers",
            "data": ["cohort"],
            "profiles": {"smoke": {"size": 2}},
            "outputs": outputs or {"metrics": ["mean"], "files": ["numbers.txt"]},
        }
        published = {"metric": "mean", "value": 0.1, "tag": "pub", "where": "a paper"}
        whole = {"title": "Toy", "question": "Does it run?", "published": [published]}
        whole |= {"notebooks": {"draw": declared}} | study
        (folder / "study.yaml").write_text(yaml.safe_dump(whole))
        monkeypatch.setenv("NEXTAIM_NOTEBOOKS", str(folder.parent))
        monkeypatch.setenv("NEXTAIM_WARM_IMPORTS", FEW)
        return folder / "1_draw.ipynb"

    return make
