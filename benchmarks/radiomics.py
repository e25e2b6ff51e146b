"""Extractors of radiomics side by side: pyradiomics, pictologics, nyxus, flash-radiomics, the kit.

    python benchmarks/radiomics.py             # a quarter of an hour; writes benchmarks/results
    python benchmarks/radiomics.py --quick     # a minute, to try the script itself

Each extractor runs in a process of its own, one thread, in an environment that this script makes;
where one cannot be made, the extractor is left out and named. All are asked for shape, first order
and four classes of texture in bins of 25 HU; pyradiomics' values are compared with the kit's.
Imports and the first, tiny region are not measured. Repetitions of a few seconds, the median.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from nextaim_kit.files import cache_folder, write_text
from nextaim_kit.machine import limits

SPACING = (0.7, 0.7, 2.5)  # mm, x y z
TOLERANCE = 1e-9
WORKER = Path(__file__).resolve().with_name("radiomics_peers.py")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
}
# What each environment needs, and the Python it starts from; none: this one.
FLASH = [
    "numpy", "h5py", "SimpleITK", "pykwalify", "PyWavelets", "scipy", "scikit-image",
    "scikit-learn", "trimesh",
]  # fmt: skip
PEERS: dict[str, tuple[list[str], tuple[int, int]] | None] = {
    "pyradiomics": None,
    "pictologics": (["pictologics"], (3, 12)),
    "nyxus": (["nyxus"], (3, 10)),
    "flash": (["flash-radiomics", *FLASH], (3, 10)),
}


def chest(
    shape: tuple[int, int, int], lesion_ml: float, seed: int = 20260101
) -> dict[str, sitk.Image]:
    """Make a chest CT (int16, HU) with the masks of both lungs and of one lesion (uint8).

    A body ellipse, lungs with uneven borders, vessels, and a lesion of mixed density.
    """
    random = np.random.default_rng(seed)
    fine = ndimage.gaussian_filter(random.standard_normal(shape, dtype=np.float32), (0.5, 1.2, 1.2))
    fine /= fine.std()
    coarse = random.standard_normal([n // 8 + 1 for n in shape]).astype(np.float32)
    coarse = ndimage.zoom(coarse, 8, order=1)[tuple(slice(n) for n in shape)]
    left, right = (_ellipsoid(shape, (0.5, 0.48, x), (0.48, 0.27, 0.155)) for x in (0.31, 0.69))
    lungs = np.minimum(left, right) + 0.06 * coarse < 1
    radius = (lesion_ml * 1000 * 3 / 4 / math.pi) ** (1 / 3)
    radii = [radius / s / n for s, n in zip(SPACING[::-1], shape, strict=True)]
    lesion = _ellipsoid(shape, (0.5, 0.48, 0.3), radii) + 0.15 * coarse < 1
    ct = np.full(shape, -1000, np.float32)
    body = _ellipsoid(shape, (0.5, 0.5, 0.5), (9, 0.36, 0.46)) < 1
    ct[body] = 40 + 12 * fine[body]
    ct[lungs] = -850 + 45 * fine[lungs]
    ct[lungs & (fine + 0.6 * coarse > 2.4)] = 30
    ct[lesion] = -250 + 130 * (0.6 * fine + 0.8 * coarse)[lesion]
    arrays = {"ct": np.rint(ct).astype(np.int16)}
    arrays |= {"lungs": lungs.astype(np.uint8), "lesion": lesion.astype(np.uint8)}
    return {name: _image(array) for name, array in arrays.items()}


def _ellipsoid(shape: tuple[int, ...], center: tuple[float, ...], radii: Any) -> np.ndarray:
    """Squared distance from a center in units of the radii; all relative to the shape."""
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    parts = zip(grid, shape, center, radii, strict=True)
    return sum(((g / n - c) / r) ** 2 for g, n, c, r in parts).astype(np.float32)


def _image(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    return image


def regions(folder: Path, quick: bool) -> Iterator[tuple[str, int, list[list[str]]]]:
    """Name, voxels and files of regions of growing size, up to both lungs of a chest CT."""
    shape = (40, 160, 160) if quick else (120, 512, 512)
    sizes = (1_000,) if quick else (1_000, 10_000, 100_000, 1_000_000)
    for size in (*sizes, None):
        images = chest(shape, (size or sizes[0]) * math.prod(SPACING) / 1000)
        mask = images["lesion" if size else "lungs"]
        files = [str(folder / f"{size or 'lungs'}_{part}.nii") for part in ("ct", "mask")]
        for image, file in zip((images["ct"], mask), files, strict=True):
            sitk.WriteImage(image, file)
        title = f"lesion of {_milliliters(size)} ml" if size else "both lungs"
        yield title, int(sitk.GetArrayViewFromImage(mask).sum()), [files]
        for file in files:
            Path(file).unlink()


def _milliliters(voxels: int) -> str:
    return f"{float(f'{voxels * math.prod(SPACING) / 1000:.3g}'):,g}"


def patients(counts: tuple[int, ...]) -> Iterator[tuple[str, int, list[list[str]]]]:
    """The same of synthetic patients of the study, whose files are read."""
    from nextaim_kit.studies.ct_radiomics.twin import make_twin

    rows = make_twin(max(counts), seed=7)[["image", "mask"]].astype(str).to_numpy().tolist()
    sizes = [int(sitk.GetArrayViewFromImage(sitk.ReadImage(mask)).sum()) for _, mask in rows]
    for count in counts:
        yield (
            f"{count} patients of the synthetic twin, with reading",
            sum(sizes[:count]),
            rows[:count],
        )


def tiny(folder: Path) -> list[str]:
    """Files of a region of a few voxels."""
    values = np.random.default_rng(0).integers(-100, 100, (10, 10, 10)).astype(np.int16)
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[2:8, 2:8, 2:8] = 1
    files = [str(folder / f"tiny_{part}.nii") for part in ("ct", "mask")]
    for array, file in zip((values, mask), files, strict=True):
        sitk.WriteImage(_image(array), file)
    return files


def environment(name: str, place: Path) -> str:
    """Python of a peer's own environment, made where it is not there yet."""
    needs = PEERS[name]
    if needs is None:
        return sys.executable
    packages, least = needs
    python = place / name / "bin" / "python"
    if not (place / name / "made").exists():
        shutil.rmtree(place / name, ignore_errors=True)
        _say([_newer(least), "-m", "venv", str(place / name)])
        _say([str(python), "-m", "pip", "install", "--quiet", *packages])
        (place / name / "made").touch()
    return str(python)


def _newer(least: tuple[int, int]) -> str:
    """A Python of at least a version: this one, or one on the path or of pyenv."""
    if sys.version_info[:2] >= least:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    for python in [*sorted(map(str, versions.glob("3.*/bin/python3"))), *found]:
        code = f"import sys; sys.exit(sys.version_info[:2] < {least})"
        if python and subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    raise OSError(f"no Python of at least {least[0]}.{least[1]} is found")


def _say(command: list[str], folder: Path | None = None) -> str:
    """Output of a program, run in a folder; OSError with its last words where it fails."""
    alone = {**os.environ, **ONE_THREAD}
    ran = subprocess.run(command, capture_output=True, text=True, env=alone, cwd=folder)
    if ran.returncode:
        raise OSError(f"{' '.join(command[:4])} ...: {ran.stderr.strip()[-300:]}")
    return ran.stdout


def measure(name: str, python: str, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run one extractor on a job, in a process of its own."""
    file = folder / "job.json"
    file.write_text(json.dumps({**job, "values": name in ("kit", "pyradiomics")}))
    return json.loads(_say([python, str(WORKER), name, str(file)], folder).splitlines()[-1])


def difference(reference: list[dict[str, float]], ours: list[dict[str, float]]) -> float:
    """Largest relative difference between two lists of features."""
    largest = 0.0
    for theirs, mine in zip(reference, ours, strict=True):
        if set(theirs) != set(mine):
            sys.exit(f"features differ: {sorted(set(theirs) ^ set(mine))}")
        pairs = [(theirs[name], mine[name]) for name in theirs]
        largest = max(largest, *(abs(a - b) / abs(a) if a else abs(b) for a, b in pairs))
    return largest


def compare(
    case: tuple[str, int, list[list[str]]], pythons: dict[str, str], job: dict[str, Any]
) -> dict[str, Any]:
    """Measure all extractors on one case."""
    title, voxels, pairs = case
    folder = Path(job["tiny"][0]).parent
    job = {**job, "pairs": pairs}
    sides: dict[str, Any] = {}
    for name, python in {"kit": sys.executable, **pythons}.items():
        try:
            sides[name] = measure(name, python, job, folder)
        except (OSError, ValueError) as error:
            print(f"    {name} did not end: {error}", flush=True)
    ours = sides["kit"]
    row: dict[str, Any] = {"case": title, "roi_voxels": voxels, "features": ours["features"]}
    for name, side in sides.items():
        kept = {k: side[k] for k in ("cpu", "wall", "peak_gb", "start_gb", "features", "repeats")}
        row[name] = {k: float(f"{v:.4g}") for k, v in kept.items()}
        if name != "kit":
            row[name]["kit_to_peer_cpu"] = float(f"{ours['cpu'] / side['cpu']:.3g}")
    if "pyradiomics" in sides:
        found = difference(sides["pyradiomics"]["values"], ours["values"])
        row["largest_relative_difference"] = found
    return row


def hardware() -> str:
    """Cores this process may use, and the processor's name."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    return f"{limits.cpu_count()} cores, {name}"


def line(row: dict[str, Any], names: list[str]) -> str:
    """One row of the Markdown table."""
    cells = []
    for name in names:
        side = row.get(name)
        ratio = f" ({side['kit_to_peer_cpu']:.2g})" if side and name != "kit" else ""
        cells.append(f"{side['cpu']:.3g} s, {side['peak_gb']:.2f} GB{ratio}" if side else "-")
    return f"| {row['case']} | {row['roi_voxels']:,} | " + " | ".join(cells) + " |"


def table(rows: list[dict[str, Any]], names: list[str], left_out: dict[str, str]) -> str:
    """Return the measurements as Markdown."""
    head = "| region | voxels | " + " | ".join(["this kit", *names]) + " |"
    largest = max(row.get("largest_relative_difference", 0.0) for row in rows)
    note = (
        f"Measured on {hardware()}; one process and one thread each, imports not counted. "
        "Processor seconds, peak memory of the process and, in brackets, the kit's seconds by the "
        "peer's: below 1 the kit is faster. Values differ from pyradiomics' by at most "
        f"{largest:.0e}, relative, over all features; the others define theirs otherwise."
    )
    absent = [f"Left out: {name} ({why})." for name, why in left_out.items()]
    body = [line(row, ["kit", *names]) for row in rows]
    return "\n".join([head, "|---" * (len(names) + 3) + "|", *body, "", note, *absent, ""])


def summary(rows: list[dict[str, Any]], names: list[str]) -> str:
    """Return the README's table: the kit's processor seconds by each peer's, of a few cases."""
    head = "| processor seconds, kit / peer | this kit | " + " | ".join(names) + " |"
    shown = [row for row in rows if row["case"].startswith(("lesion of 12", "both", "20", "80"))]
    lines = [
        f"| {row['case']} | {row['kit']['cpu']:.2g} s | "
        + " | ".join(f"{row[n]['kit_to_peer_cpu']:.2g}" if n in row else "-" for n in names)
        + " |"
        for row in shown
    ]
    return "\n".join([head, "|---" * (len(names) + 2) + "|", *lines, ""])


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small images, pyradiomics alone")
    parser.add_argument("--peers", help="of " + ",".join(PEERS) + "; all by default")
    parser.add_argument("--environments", type=Path, help="folder for the peers' environments")
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    wanted = (options.peers or ("pyradiomics" if options.quick else ",".join(PEERS))).split(",")
    place = options.environments or cache_folder() / "benchmark_peers"
    out = options.out or (None if options.quick else Path(__file__).parent / "results")
    pythons, left_out = {}, {}
    for name in wanted:
        try:
            pythons[name] = environment(name, place)
        except OSError as error:
            left_out[name] = str(error).splitlines()[-1]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXTAIM_CACHE"] = folder
        job = {"tiny": tiny(Path(folder)), "seconds": 0.5 if options.quick else 3}
        for case in regions(Path(folder), options.quick):
            rows.append(compare(case, pythons, {**job, "reading": False}))
            print(line(rows[-1], ["kit", *pythons]), flush=True)
        for case in () if options.quick else patients((5, 20, 80)):
            rows.append(compare(case, pythons, {**job, "reading": True}))
            print(line(rows[-1], ["kit", *pythons]), flush=True)
    if out:
        record = {"hardware": hardware(), "python": platform.python_version(), "cases": rows}
        write_text(
            out / "radiomics.json", json.dumps({**record, "left_out": left_out}, indent=1) + "\n"
        )
        write_text(out / "radiomics.md", table(rows, list(pythons), left_out))
        write_text(out / "radiomics_summary.md", summary(rows, list(pythons)))
    if max(row.get("largest_relative_difference", 0) for row in rows) > TOLERANCE:
        sys.exit(f"values differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
