"""The cache of steps beside stored copies: bytes of a development path, seconds of an epoch.

    python benchmarks/cache.py         # 3 minutes; writes benchmarks/results

The raw data are synthetic CTs of 512 x 512 x 60 voxels as .nii.gz, of about the 17 MB that a CT of
ct_lungquant has on average (21 GB, 1200 CTs). The path is six experiments on all of them, see
`EXPERIMENTS`. As stored copies it is what made 3.5 TB of 21 GB: each step and each augmentation
in a file. An epoch reads each CT, takes a random patch, mirrors it, and does a training step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch import nn

from nextaim_kit.data.cache import cached, lazy, room
from nextaim_kit.data.cache.store import Entry
from nextaim_kit.data.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.machine.seeds import seed_everything

SUBJECTS, TURNS, PATCH = 5, 4, 64
SIZE = (200, 150, 100)  # x, y, z, as LungQuant's networks take it
COPIES = 10  # stored augmentations of each CT
LIMIT_BYTES, LIMIT_TIME = 1.0, 1.05
# What is changed from one experiment to the next: size, window in HU, box around the lungs,
# smoothing before. Windows and augmentations are done on the fly: they cost less than reading.
EXPERIMENTS = [
    {"size": SIZE, "window": (-1000, 300), "box": False, "smoothed": False},
    {"size": SIZE, "window": (-1000, 1000), "box": False, "smoothed": False},
    {"size": SIZE, "window": (-1000, 300), "box": False, "smoothed": False, "mirror": True},
    {"size": (160, 120, 80), "window": (-1000, 300), "box": False, "smoothed": False},
    {"size": SIZE, "window": (-1000, 300), "box": True, "smoothed": False},
    {"size": SIZE, "window": (-1000, 300), "box": False, "smoothed": True},
]


def write_ct(path: Path, seed: int) -> None:
    """A body with lungs, ribs and vessels of sorts, in noise as a scanner's."""
    rng = np.random.default_rng(seed)
    x, y, z = np.ogrid[-1:1:512j, -1:1:512j, -1:1:60j]
    body = (x / 0.85) ** 2 + (y / 0.6) ** 2 < 1
    lungs = ((np.abs(x) - 0.38) / 0.28) ** 2 + (y / 0.42) ** 2 + (z / 0.95) ** 2 < 1
    fine = rng.normal(size=(128, 128, 60)).astype(np.float32)
    texture = ndimage.zoom(ndimage.gaussian_filter(fine, 2), (4, 4, 1), order=1)
    ct = np.where(body, np.where(lungs, -820, 40), -1000) + 400 * texture * body
    noise = ndimage.gaussian_filter(rng.normal(size=ct.shape).astype(np.float32), (0.7, 0.7, 0))
    ct = np.clip(ct + 30 * noise / noise.std(), -1024, 3071).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(ct, np.diag([0.75, 0.75, 5, 1])), path)


def resampled(
    path: str | Path, *, size: tuple[int, int, int], box: bool, smoothed: bool
) -> np.ndarray:
    """The CT on a grid of `size` voxels, in HU as int16, shape (z, y, x)."""
    image = sitk.ReadImage(str(path))
    if box:
        air = sitk.GetArrayViewFromImage(image)[:, 150:360, 100:410] < -500
        planes = np.flatnonzero(air.any((1, 2)))
        image = image[80:430, 120:390, int(planes[0]) : int(planes[-1]) + 1]
    spacing = [s * n / m for s, n, m in zip(image.GetSpacing(), image.GetSize(), size, strict=True)]
    image = sitk.SmoothingRecursiveGaussian(image, 0.5 * spacing[0]) if smoothed else image
    made = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing,
        image.GetDirection(), -1000.0, sitk.sitkInt16,
    )  # fmt: skip
    return sitk.GetArrayFromImage(made)


def prepared(path: Path, experiment: dict) -> np.ndarray:
    """What an experiment's network reads, by the cache."""
    fixed = {name: experiment[name] for name in ("size", "box", "smoothed")}
    return windowed(cached(resampled, path, **fixed), experiment["window"])


def windowed(ct: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """HU in a window, 0 to 1, float32."""
    low, high = window
    return (np.clip(ct, low, high).astype(np.float32) - low) / np.float32(high - low)


def path_by_the_kit(raw: list[Path]) -> int:
    """Bytes that the development path writes into the cache."""
    for experiment in EXPERIMENTS:
        for path in raw:
            prepared(path, experiment)
    return sum(one.bytes for one in room.held())


def path_by_copies(raw: list[Path], folder: Path) -> tuple[int, int]:
    """Bytes written where each step is a file, without and with the augmentations."""
    steps = copies = 0
    for experiment in EXPERIMENTS:
        for path in raw:
            fixed = {name: experiment[name] for name in ("size", "box", "smoothed")}
            ct = cached(resampled, path, **fixed)
            steps += _written(ct, folder / "resampled.nii.gz")
            steps += _written(windowed(ct, experiment["window"]), folder / "windowed.npy")
            copies += COPIES * _written(windowed(ct, experiment["window"]), folder / "turned.npy")
    return steps, steps + copies


def _written(array: np.ndarray, path: Path) -> int:
    save(array, path)
    size = path.stat().st_size
    path.unlink()
    return size


def save(array: np.ndarray, path: Path) -> None:
    """One stored copy."""
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


class Epoch:
    """One epoch of training on the CTs that a reader gives: seconds to read, seconds in all."""

    def __init__(self) -> None:
        from monai.networks.nets import BasicUNet

        self.net = BasicUNet(spatial_dims=3, features=(8, 8, 16, 32, 64, 8), out_channels=1)
        self.adam = torch.optim.Adam(self.net.parameters(), 1e-4)

    def __call__(self, readers: list[Callable[[], np.ndarray]]) -> tuple[float, float]:
        """Read each CT, cut a patch, do a step."""
        rng, reading, began = np.random.default_rng(0), 0.0, time.perf_counter()
        for read in readers:
            before = time.perf_counter()
            ct = read()
            reading += time.perf_counter() - before
            corner = [rng.integers(0, n - PATCH + 1) for n in ct.shape]
            patch = ct[tuple(slice(c, c + PATCH) for c in corner)][:, :, :: rng.choice([-1, 1])]
            x = torch.from_numpy(windowed(patch, (-1000, 300)))[None, None]
            self.adam.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(
                self.net(x), (x > 0.6).float()
            ).backward()
            self.adam.step()
        return reading, time.perf_counter() - began


def unpacked(path: Path) -> np.ndarray:
    """The values of a NIfTI."""
    return np.asarray(nibabel.load(path).dataobj)


def readers(raw: list[Path], copies: Path) -> dict[str, list[Callable[[], np.ndarray]]]:
    """The ways to the same volumes."""
    fixed = {"size": SIZE, "box": False, "smoothed": False}

    def each(way: Callable[[int, Path], Callable[[], np.ndarray]]) -> list:
        return [way(k, path) for k, path in enumerate(raw)]

    return {
        "cache": each(lambda k, path: lambda: cached(resampled, path, **fixed)),
        "npy": each(lambda k, path: lambda: np.load(copies / f"{k}.npy")),
        "nii_gz": each(lambda k, _: lambda: unpacked(copies / f"{k}.nii.gz")),
        "nothing_kept": each(lambda k, path: lambda: resampled(path, **fixed)),
    }  # fmt: skip


def patches(raw: list[Path], copies: Path) -> dict[str, list[Callable[[], np.ndarray]]]:
    """The ways to a patch of 64 x 64 x 64 of the same volumes."""
    fixed = {"size": SIZE, "box": False, "smoothed": False}
    where = np.s_[20:84, 50:114, 70:134]
    count = range(len(raw))
    return {
        "cache": [lambda p=p: lazy(resampled, p, **fixed)[where] for p in raw],
        "npy_mapped": [
            lambda k=k: np.array(np.load(copies / f"{k}.npy", mmap_mode="r")[where]) for k in count
        ],
        "nii_gz": [lambda k=k: unpacked(copies / f"{k}.nii.gz")[where] for k in count],
    }


def forget(folder: Path) -> None:
    """Let the system drop what it holds in memory of the files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def milliseconds(ways: dict[str, list[Callable]], folder: Path, *, cold: bool) -> dict[str, float]:
    """Median time of one reading, with the files in memory or only on the disk."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, reads in ways.items():
            if cold:
                forget(folder)
            for read in reads:
                began = time.perf_counter()
                read()
                found[name].append(1000 * (time.perf_counter() - began))
    return {name: round(statistics.median(times), 2) for name, times in found.items()}


def epochs(ways: dict[str, list[Callable]]) -> dict[str, dict[str, float]]:
    """Seconds of an epoch by each way, in turns; the first warms up.

    The steps are the same by any way and take turns that differ by more than the ways do, so
    their time, that of the turn least disturbed, is the same in each sum.
    """
    train = Epoch()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(1 + TURNS):
        for name, reads in ways.items():
            seconds = train(reads)
            found[name] += [seconds] if turn else []
    steps = min(whole - reading for times in found.values() for reading, whole in times)
    return {
        name: {
            "seconds": round(min(reading for reading, _ in times) + steps, 3),
            "seconds_reading": round(min(reading for reading, _ in times), 3),
            "seconds_median_as_measured": round(statistics.median(w for _, w in times), 3),
        }
        for name, times in found.items()
    }


def codecs(ct: np.ndarray, folder: Path) -> dict[str, dict[str, float]]:
    """Size, and time to write, of one volume in each form."""

    def of_cache(path: Path) -> None:
        entry = Entry("benchmark", path.stem)
        entry.write(ct)
        entry.path.replace(path)

    ways: dict[str, Callable[[Path], None]] = {
        "cache.zip": of_cache,
        "npy.npy": lambda path: np.save(path, ct),
        "npz.npz": lambda path: np.savez_compressed(path, ct=ct),
        "nii_gz.nii.gz": lambda path: save(ct, path),
    }
    return {name.partition(".")[0]: _measured(way, folder / name) for name, way in ways.items()}


def _measured(write: Callable[[Path], None], path: Path) -> dict[str, float]:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        write(path)
        times.append(1000 * (time.perf_counter() - began))
    megabytes = path.stat().st_size / 1e6
    path.unlink()
    return {"megabytes": round(megabytes, 2), "ms_to_write": round(min(times), 1)}


def real_volumes(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Real CTs, where there are any (NEXTAIM_REAL)."""
    home = Path(os.environ.get("NEXTAIM_REAL") or Path(__file__).parents[2] / "shared" / "real")
    for path in sorted((home / "ct_lungquant" / "totalsegmentator").rglob("ct_cropped.nii.gz")):
        yield path.parent.name, np.asarray(nibabel.load(path).dataobj).astype(np.int16)


def measure(folder: Path) -> dict:
    """All figures."""
    raw, copies, own = (folder / name for name in ("raw", "copies", "cache"))
    os.environ["NEXTAIM_CACHE"] = str(own)
    raw.mkdir()
    copies.mkdir()
    files = [raw / f"{k}.nii.gz" for k in range(SUBJECTS)]
    for k, path in enumerate(files):
        write_ct(path, k)
        time.sleep(0.1)
    time.sleep(2.5)  # a file just written is not remembered by its time stamp
    raw_bytes = sum(path.stat().st_size for path in files)
    kit = path_by_the_kit(files)
    steps, augmented = path_by_copies(files, folder)
    for k, path in enumerate(files):
        for suffix in (".npy", ".nii.gz"):
            save(
                cached(resampled, path, size=SIZE, box=False, smoothed=False),
                copies / f"{k}{suffix}",
            )
    whole = readers(files, copies)
    first = whole["cache"][0]()
    kept = {name: reads for name, reads in whole.items() if name != "nothing_kept"}
    part = patches(files, copies)
    return {
        "hardware": f"{cpu_count()} cores",
        "raw": {"cts": SUBJECTS, "megabytes": round(raw_bytes / 1e6, 1)},
        "bytes_written_over_raw_bytes": {
            "cache": round(kit / raw_bytes, 3),
            "copies_of_each_step": round(steps / raw_bytes, 2),
            f"copies_of_each_step_and_{COPIES}_augmentations": round(augmented / raw_bytes, 2),
        },
        "experiments": len(EXPERIMENTS),
        "epoch": epochs(whole),
        "ms_to_read_a_volume": milliseconds(kept, folder, cold=False),
        "ms_to_read_a_volume_from_disk": milliseconds(kept, folder, cold=True),
        "ms_to_read_a_patch": milliseconds(part, folder, cold=False),
        "ms_to_read_a_patch_from_disk": milliseconds(part, folder, cold=True),
        "one_volume_of_200_x_150_x_100": codecs(first, folder),
        "real_cts": {name: codecs(ct, folder) for name, ct in real_volumes(folder)},
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seed_everything(0)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    over = result["epoch"]["cache"]["seconds"] / result["epoch"]["npy"]["seconds"]
    result["cache_over_npy"] = round(over, 3)
    print(json.dumps(result, indent=1))
    write_text(options.out / "cache.json", json.dumps(result, indent=1) + "\n")
    if result["bytes_written_over_raw_bytes"]["cache"] > LIMIT_BYTES or over > LIMIT_TIME:
        raise SystemExit(f"more than {LIMIT_BYTES:g} of the raw bytes, or {LIMIT_TIME:g} in time")


if __name__ == "__main__":
    main()
