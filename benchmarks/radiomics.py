"""Plain pyradiomics beside the kit's extraction, on the same images, one process each.

    python benchmarks/radiomics.py             # a few minutes; writes benchmarks/results
    python benchmarks/radiomics.py --quick     # a minute, to try the script itself

Plain is what a user would write: ``RadiomicsFeatureExtractor.execute`` with the study's settings
on SimpleITK images that are already in memory. Both sides first extract a tiny region, so that
imports are not measured; then the median of the repetitions counts.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from nextaim_kit.files import write_text
from nextaim_kit.machine import limits

SPACING = (0.7, 0.7, 2.5)  # mm, x y z
TOLERANCE = 1e-9
Extract = Callable[[sitk.Image, sitk.Image], dict[str, float]]


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


def plain() -> Extract:
    """Pyradiomics as its documentation shows it, with the study's settings."""
    import logging

    from radiomics.featureextractor import RadiomicsFeatureExtractor
    from radiomics.glcm import RadiomicsGLCM

    from nextaim_kit.studies.ct_radiomics.settings import Settings

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    extractor = RadiomicsFeatureExtractor(**Settings().pyradiomics())
    extractor.disableAllFeatures()
    for name in ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm"):
        extractor.enableFeatureClassByName(name)
    names = RadiomicsGLCM.getFeatureNames().items()
    kept = [n for n, old in names if not old and n not in ("SumAverage", "MCC")]
    extractor.enabledFeatures["glcm"] = kept

    def run(image: sitk.Image, mask: sitk.Image) -> dict[str, float]:
        found = extractor.execute(image, mask)
        return {k: float(v) for k, v in found.items() if not k.startswith("diagnostics")}

    return run


def kit() -> Extract:
    """Extraction as the kit's notebooks do it."""
    from nextaim_kit.studies.ct_radiomics.extraction import extract

    return extract


SIDES = {"plain": plain, "kit": kit}


def measure(side: str, image: str, mask: str, repeat: int, result: Any) -> None:
    """Time one side on one region, in this process; puts seconds, values and peak memory."""
    run = SIDES[side]()
    run(*_tiny())
    ct, region = sitk.ReadImage(image), sitk.ReadImage(mask)
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        values = run(ct, region)
        seconds.append(time.perf_counter() - start)
    result.put((statistics.median(seconds), [values], _peak_gb()))


def measure_cohort(side: str, rows: list[dict[str, str]], result: Any) -> None:
    """Time one side over patients, reading included, in this process."""
    from nextaim_kit.data.images.reading import read_image, read_mask

    run = SIDES[side]()
    run(*_tiny())
    start = time.perf_counter()
    values = [run(read_image(row["image"]), read_mask(row["mask"])) for row in rows]
    result.put((time.perf_counter() - start, values, _peak_gb()))


def _tiny() -> tuple[sitk.Image, sitk.Image]:
    values = np.random.default_rng(0).integers(-100, 100, (10, 10, 10)).astype(np.int16)
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[2:8, 2:8, 2:8] = 1
    return _image(values), _image(mask)


def _peak_gb() -> float:
    """Peak memory of this process; on Linux without what it had before it became this program."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(x.split(":", 1) for x in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(work: Callable[..., None], *arguments: Any) -> Any:
    """Run `work` in a fresh process and give what it put."""
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    process = context.Process(target=work, args=(*arguments, result))
    process.start()
    while process.is_alive() and result.empty():
        time.sleep(0.05)
    if result.empty() and process.exitcode:
        sys.exit(f"the process of {arguments[0]} ended with code {process.exitcode}")
    found = result.get()
    process.join()
    return found


def compare(name: str, voxels: int, sides: dict[str, Any]) -> dict[str, Any]:
    """Speed, memory and largest difference of the two sides."""
    (slow, reference, slow_gb), (fast, ours, fast_gb) = sides["plain"], sides["kit"]
    return {
        "case": name,
        "roi_voxels": voxels,
        "features": len(reference[0]),
        "plain_seconds": round(slow, 3),
        "kit_seconds": round(fast, 4),
        "speedup": round(slow / fast, 1),
        "plain_peak_gb": round(slow_gb, 2),
        "kit_peak_gb": round(fast_gb, 2),
        "largest_relative_difference": max(map(difference, reference, ours)),
    }


def difference(reference: dict[str, float], ours: dict[str, float]) -> float:
    """Largest relative difference between two sets of features."""
    if set(reference) != set(ours):
        sys.exit(f"features differ: {sorted(set(reference) ^ set(ours))}")
    pairs = [(reference[name], ours[name]) for name in reference]
    return max(abs(a - b) / abs(a) if a else abs(b) for a, b in pairs)


def regions(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Compare on the lesion and on both lungs of the synthetic chest."""
    shape, lesion_ml = ((40, 160, 160), 1.0) if quick else ((120, 512, 512), 10.0)
    found = []
    images = chest(shape, lesion_ml)
    for name, image in images.items():
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
    size = " x ".join(map(str, shape[::-1]))
    for region, title in (("lesion", f"lesion of {lesion_ml:g} ml"), ("lungs", "both lungs")):
        files = (str(folder / "ct.nrrd"), str(folder / f"{region}.nrrd"))
        repeats = {"plain": 3 if region == "lesion" else 1, "kit": 5}
        sides = {side: alone(measure, side, *files, repeats[side]) for side in SIDES}
        voxels = int(sitk.GetArrayViewFromImage(images[region]).sum())
        found.append(compare(f"{title} in a CT of {size}", voxels, sides))
        print(line(found[-1]), flush=True)
    return found


def patients(count: int) -> list[dict[str, Any]]:
    """Compare on synthetic patients of the study, reading their files included."""
    from nextaim_kit.studies.ct_radiomics.twin import make_twin

    cohort = make_twin(count, seed=7)
    rows = cohort[["image", "mask"]].astype(str).to_dict("records")
    sides = {side: alone(measure_cohort, side, rows) for side in SIDES}
    voxels = sum(int(sitk.GetArrayViewFromImage(sitk.ReadImage(r["mask"])).sum()) for r in rows)
    found = compare(f"{len(rows)} patients of the synthetic twin, with reading", voxels, sides)
    print(line(found), flush=True)
    return [found]


def hardware() -> str:
    """Cores this process may use, and the processor's name."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    return f"{limits.cpu_count()} cores, {name}"


def line(row: dict[str, Any]) -> str:
    """One row of the Markdown table."""
    return (
        f"| {row['case']} | {row['roi_voxels']:,} | {row['plain_seconds']:.2f} s "
        f"| {row['kit_seconds']:.3f} s | **{row['speedup']:.0f} times** "
        f"| {row['plain_peak_gb']:.2f} / {row['kit_peak_gb']:.2f} GB "
        f"| {row['largest_relative_difference']:.0e} |"
    )


def table(rows: list[dict[str, Any]], machine: str) -> str:
    """Return the measurements as Markdown."""
    head = (
        "| region | voxels | pyradiomics 3.0.1 | this kit | faster | memory | largest difference |",
        "|---|---|---|---|---|---|---|",
    )
    note = (
        f"Measured on {machine}; one process each, imports not counted. Memory is the peak of the "
        "process, pyradiomics / this kit; the difference is relative, over all features. How much "
        "the lungs gain depends on their surface: pyradiomics compares all pairs of its points."
    )
    return "\n".join([*head, *map(line, rows), "", note, ""])


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small images, to try the script")
    parser.add_argument("--patients", type=int, default=20, help="twin patients, from 20; 0: none")
    parser.add_argument("--out", type=Path, help="folder for the results")
    options = parser.parse_args()
    # The script has pyradiomics' module name: its folder must not be searched, here or in children.
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]
    out = options.out or (None if options.quick else Path(__file__).parent / "results")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXTAIM_CACHE"] = folder
        rows = regions(Path(folder), options.quick)
        if options.patients and not options.quick:
            rows += patients(options.patients)
    machine = hardware()
    if out:
        record = {"hardware": machine, "python": platform.python_version(), "cases": rows}
        write_text(out / "radiomics.json", json.dumps(record, indent=1) + "\n")
        write_text(out / "radiomics.md", table(rows, machine))
    if max(row["largest_relative_difference"] for row in rows) > TOLERANCE:
        sys.exit(f"values differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
