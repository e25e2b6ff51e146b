"""What it costs that a cohort is encrypted: the same run on a folder and on its store, in turns.

    python benchmarks/store.py            # 10 minutes; writes benchmarks/results/store.json
    python benchmarks/store.py --quick    # small CTs, once, to try the script itself

Synthetic CTs of 512 x 512 x 300 voxels are written as DICOM series, sealed, and measured by
``nextaim run ct_lungquant/quantification``, plain and sealed by turns, each in processes of its own
and with an empty cache. Processor time is that of all these processes. Beside it the reading alone,
and what is left of a planted name and of planted voxels in all that the sealed run wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from quantify import QUICK, SIZE, write_ct

RESULT = Path(__file__).parent / "results" / "store.json"
NAME, PHRASE = "Zanzottera", "six words drawn by lot"
READ = """
import sys
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.studies.ct_lungquant.scans import read_ct
place = find_source(sys.argv[1]).path
for folder in sorted(place.iterdir()):
    read_ct(folder)
"""


def cpu(command: list[str], work: Path) -> float:
    """Processor seconds of a command and all that it starts, with an empty cache of its own."""
    told = {"NEXTAIM_WARM": "0", "NEXTAIM_STORE_PASSPHRASE": PHRASE}
    told |= {"NEXTAIM_CACHE": tempfile.mkdtemp(dir=work), "TMPDIR": tempfile.mkdtemp(dir=work)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | told
    )
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(cohort: Path, work: Path) -> tuple[float, dict[str, Any]]:
    """Processor seconds of the notebook, and what it measured."""
    out = Path(tempfile.mkdtemp(dir=work))
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", "ct_lungquant/quantification"]
    seconds = cpu([*command, "-p", f"cohort={cohort}", "--out", str(out)], work)
    record = json.loads(next(out.rglob("run.json")).read_text())
    values = next(out.rglob("values.csv")).read_text()
    return seconds, {"metrics": record["metrics"], "values": values}


def left_in(work: Path, voxels: bytes) -> list[str]:
    """What of the planted name and voxels lies in any file below a folder."""
    found = []
    for path in (path for path in work.rglob("*") if path.is_file()):
        text = path.read_bytes()
        found += [f"{path.name}: {NAME}"] * (NAME.encode() in text)
        found += [f"{path.name}: voxels"] * (voxels in text)
    return found


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Make the CTs, measure, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    from nextaim_kit.files import write_json
    from nextaim_kit.machine.limits import cpu_count

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plain, sealed = root / "plain" / "cts", root / "sealed" / "cts"
        plain.mkdir(parents=True)
        for number in range(2):
            write_ct(QUICK if quick else SIZE, plain / f"ct{number}")
            plant(plain / f"ct{number}")
        (plain / "ct.nii.gz").unlink()
        work = {kind: root / f"work_{kind}" for kind in ("plain", "sealed")}
        for folder in work.values():
            folder.mkdir()
        command = [sys.executable, "-m", "nextaim_kit.cli", "data", "store"]
        make = cpu([*command, "make", str(plain), str(sealed)], root)
        check = cpu([*command, "verify", str(sealed)], root)
        turns: dict[str, list[dict[str, float]]] = {"notebook": [], "reading": []}
        same = []
        for _ in range(1 if quick else 3):
            kinds = {"plain": plain, "sealed": sealed}
            ran = {kind: run(cohort, work[kind]) for kind, cohort in kinds.items()}
            turns["notebook"].append({kind: seconds for kind, (seconds, _) in ran.items()})
            same.append(ran["plain"][1] == ran["sealed"][1])
            reading = {kind: [sys.executable, "-c", READ, str(c)] for kind, c in kinds.items()}
            turns["reading"].append({kind: cpu(one, root) for kind, one in reading.items()})
            print(turns["notebook"][-1], turns["reading"][-1], same[-1])
        voxels = voxels_of(plain / "ct0")
        result = {
            "size": QUICK if quick else SIZE, "cts": 2, "cores": cpu_count(),
            "mb": round(size_of(plain) / 1e6), "sealed_over_plain_bytes":
            round(size_of(sealed) / size_of(plain), 4), "make_cpu_seconds": round(make, 1),
            "verify_cpu_seconds": round(check, 1), "same_numbers": all(same),
            "cpu_seconds": turns, "sealed_over_plain_cpu": ratios(turns),
            "left_on_disk": left_in(work["sealed"], voxels),
            "found_where_planted": len(left_in(plain, voxels)),
        }  # fmt: skip
    print(json.dumps(result, indent=1))
    if not quick:
        write_json(RESULT, result)


def ratios(turns: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Median, lowest and highest ratio of each pair of turns."""
    found = {}
    for name, pairs in turns.items():
        each = sorted(pair["sealed"] / pair["plain"] for pair in pairs)
        numbers = statistics.median(each), each[0], each[-1]
        found[name] = dict(
            zip(("median", "low", "high"), (round(n, 3) for n in numbers), strict=True)
        )
    return found


def plant(series: Path) -> None:
    """Write a patient's name into the headers of a series."""
    import pydicom

    for path in series.iterdir():
        data = pydicom.dcmread(path)
        data.PatientName = f"{NAME}^Ada"
        data.save_as(path)


def voxels_of(series: Path) -> bytes:
    """A row of voxels as it lies in a file of a series."""
    path = sorted(series.iterdir())[len(list(series.iterdir())) // 2]
    plane = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    return (plane[plane.shape[0] // 2].astype(np.int32) + 1024).astype("<u2").tobytes()


if __name__ == "__main__":
    main()
