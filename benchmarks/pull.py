"""Pulling from a real archive, beside dicomweb-client and de-identification one after the other.

    python benchmarks/pull.py --peer PYTHON     # writes benchmarks/results/pull.json
    python benchmarks/pull.py --quick           # few images, to try the script itself

PYTHON is the interpreter of an environment that has dicomweb-client (0.61 was measured);
without it only the kit is measured. The archive is Orthanc with its DICOMweb plugin behind TLS on
this machine. Each way runs in processes of its own, in turns: CPU seconds from the first request
on, and the memory taken at the highest. The ways that only bring keep files with identity, which
the kit never does: they say what bringing costs. All on one core.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/data/archives"))

import orthanc
from chests import studies

from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives.dicomweb import DicomWeb
from nextaim_kit.data.archives.pull import reach
from nextaim_kit.files import write_json

MEASURED = """
import sys, time
def end(count):
    status = open("/proc/self/status").read()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1000
    print("MEASURED", time.process_time() - began, peak, count)
"""
KIT = """
from pathlib import Path
from nextaim_kit.data.addresses import read_address
from nextaim_kit.data.archives.pull import pull, reach
archive = reach(read_address(sys.argv[1]), Path(sys.argv[3]))
out = Path(sys.argv[2])
"""
WAYS = {
    "kit, bring": KIT + """
out.mkdir()
began, count = time.process_time(), 0
for series in archive.offer().series:
    for name, content in archive.fetch(series, archive.items(series)):
        (out / f"{name}.dcm").write_bytes(content)
        count += 1
end(count)
""",
    "kit, pull": KIT + """
import nextaim_kit.data.privacy.deidentify
began = time.process_time()
end(len(pull(archive, "measured", out, out.with_name(out.name + ".key")).arrived))
""",
    "kit, deidentify": """
from pathlib import Path
from nextaim_kit.data.privacy.deidentify import deidentify
source, out = Path(sys.argv[1]), Path(sys.argv[2])
began = time.process_time()
end(deidentify(source, out, out.with_name(out.name + ".key")).written["DICOM"])
""",
    "dicomweb-client, bring": """
import os
from pathlib import Path
from requests import Session
from dicomweb_client.api import DICOMwebClient
session = Session()
session.auth = (os.environ["NEXTAIM_ARCHIVE_USER"], os.environ["NEXTAIM_ARCHIVE_PASSWORD"])
session.verify, session.trust_env = sys.argv[3], False
client = DICOMwebClient(sys.argv[1].partition("+")[2], session=session)
out, count = Path(sys.argv[2]), 0
out.mkdir()
began = time.process_time()
for study in client.search_for_studies():
    study = study["0020000D"]["Value"][0]
    for series in client.search_for_series(study):
        for data in client.iter_series(study, series["0020000E"]["Value"][0]):
            data.save_as(out / f"{data.SOPInstanceUID}.dcm")
            count += 1
end(count)
""",
}  # fmt: skip


def measured(way: str, python: str, *given: object) -> dict[str, float]:
    """CPU seconds, megabytes at the highest, and how many files."""
    command = [python, "-c", MEASURED + WAYS[way], *map(str, given)]
    alone = {"CPU_LIMIT": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    line = next(one for one in done.stdout.splitlines() if one.startswith("MEASURED"))
    cpu, peak, count = map(float, line.split()[1:])
    return {"cpu_s": cpu, "peak_mb": peak, "files": count}


def chest(folder: Path, size: tuple[int, int, int]) -> Path:
    """A synthetic chest CT of this size."""
    from nextaim_kit.twins.chest_ct.acquisition import Scan, acquire
    from nextaim_kit.twins.chest_ct.anatomy import add_branches, draw_chest
    from nextaim_kit.twins.chest_ct.writing import save_volume

    body, noise = np.random.default_rng(1).spawn(2)
    drawn = draw_chest(size, body)
    add_branches(drawn)
    hu = acquire(drawn.hu, drawn.grid, Scan(5.0, "smooth", 10.0), noise)
    save_volume(hu, folder / "ct.nii.gz", grid=drawn.grid, axes="LPS")
    return folder / "ct.nii.gz"


def long_series(folder: Path, slices: int) -> Path:
    """So many small slices, each another."""
    z, y, x = np.ogrid[:slices, :64, :64]
    image = sitk.GetImageFromArray((x * 8 + y * 4 + z % 500).astype(np.int16))
    image.SetSpacing((5.0, 5.0, 0.1))
    sitk.WriteImage(image, str(folder / f"{slices}.nrrd"))
    return folder / f"{slices}.nrrd"


def fill(server: orthanc.Orthanc, files: list[bytes]) -> None:
    """Store files in an archive."""
    archive = reach(read_address(server.address), server.certificate)
    assert isinstance(archive, DicomWeb)
    for content in files:
        data = dcmread(io.BytesIO(content), specific_tags=["StudyInstanceUID"])
        archive.store(str(data.StudyInstanceUID), content)


def side_by_side(root: Path, peer: str, quick: bool) -> dict[str, Any]:
    """Bringing alone, and all until nothing tells of a person."""
    size, count, turns = ((64, 48, 24), 2, 1) if quick else ((512, 384, 80), 5, 3)
    files = [one for study in studies([chest(root, size)], count) for one in study]
    rows: dict[str, list[dict[str, float]]] = {}
    with orthanc.running(root / "archive") as server:
        fill(server, files)
        for turn in range(turns):
            here = root / str(turn)
            here.mkdir()
            for way in WAYS:
                python = peer if way.startswith("dicomweb") else sys.executable
                source: object = server.address
                if way == "kit, deidentify":
                    source = here / "kit, bring"
                if python:
                    given = (source, here / way, server.certificate)
                    rows.setdefault(way, []).append(measured(way, python, *given))
    found = {way: {k: statistics.median(one[k] for one in of) for k in of[0]} for way, of in
             rows.items()}  # fmt: skip
    assert {one["files"] for one in found.values()} == {len(files)}
    cpu = {way: one["cpu_s"] for way, one in found.items()}
    ratios = {}
    if peer:
        one_by_one = cpu["dicomweb-client, bring"] + cpu["kit, deidentify"]
        ratios = {
            "bring": cpu["kit, bring"] / cpu["dicomweb-client, bring"],
            "pull": cpu["kit, pull"] / one_by_one,
        }
    return {"bytes": sum(map(len, files)), "ways": found, "cpu_ratios_to_dicomweb_client": ratios}


def memory(root: Path, quick: bool) -> dict[str, Any]:
    """What a series takes at its highest, of a few instances and of many."""
    counts = (20, 100) if quick else (500, 10_000)
    found = {}
    for count in counts:
        with orthanc.running(root / f"archive{count}") as server:
            fill(server, next(studies([long_series(root, count)], 1)))
            given = (server.address, root / f"out{count}", server.certificate)
            found[str(count)] = measured("kit, pull", sys.executable, *given)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default="", help="interpreter that has dicomweb-client")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    os.environ["NEXTAIM_ARCHIVE_USER"] = orthanc.USER
    os.environ["NEXTAIM_ARCHIVE_PASSWORD"] = orthanc.PASSWORD
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found = side_by_side(root, asked.peer, asked.quick)
        found["pull_of_instances"] = memory(root, asked.quick)
    write_json(asked.out / "pull.json", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
