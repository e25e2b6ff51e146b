"""DICOM series: which slices belong together, in which order, and is any of them missing."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.images.blank import blank_image
from nextaim_kit.data.images.dicom import Instance, named, read_header
from nextaim_kit.data.images.frames import frames_of
from nextaim_kit.data.images.headers import header_of, scan
from nextaim_kit.data.images.pixels import frame_values
from nextaim_kit.errors import DataError

# Slices may be this far, in units of the step between slices, from an even spacing.
UNEVEN = 0.05
_SAME = 1e-4  # relative: spacings that differ by less are one, as some programs round them
_GAP = 1.5  # steps between slices, in units of their thickness, from which it is said
# No tissue and no metal has so many HU; a sign or an intercept that was lost gives them.
_TOO_DENSE, _TOO_MANY = 10_000, 0.05


def read_single(path: Path) -> sitk.Image:
    """Read one DICOM file that is an image: a slice, or a multi-frame volume.

    Raises
    ------
    DataError
        If the file is damaged, no image, or, with several frames, not a regular volume.
    """
    header = header_of(path)
    if not header.is_image:
        raise DataError(
            f"{named(path)} is not an image",
            expected="a slice or a volume of a CT, MR or other scan",
            found=f"DICOM {header.aside}",
            mend="give the folder of the image series as the image, RTSTRUCT or SEG as the mask",
        )
    return _volume([header], path)


def read_series(folder: Path, series: str = "") -> sitk.Image:
    """Read the one series below a folder as a volume, slices ordered by their position.

    What is no slice of it, such as a localizer, a screenshot or a report, is left aside, with a
    warning that names it.

    Parameters
    ----------
    folder : Path
        Searched with its sub-folders.
    series : str, optional
        End of the series UID to take.

    Raises
    ------
    DataError
        If a file is damaged, if there is no series or more than one, or if slices are missing,
        doubled, unevenly spaced, of different shape or shifted against each other.
    """
    instances, damaged = scan(folder)
    for path in damaged:
        read_header(path)  # says what is wrong with it
    chosen = _one_series(instances, folder, series)
    meant = {i.series for i in chosen} if series else {i.series for i in instances}
    taken = {i.path for i in chosen}
    others = [i for i in instances if i.path not in taken and not i.is_mask and i.series in meant]
    _name_aside(others, folder)
    return _volume(chosen, folder)


def _name_aside(aside: Sequence[Instance], where: Path) -> None:
    if aside:
        files = [f"{i.name} ({i.aside or 'another series'})" for i in aside[:5]]
        more = f" and {len(aside) - 5} more" if len(aside) > 5 else ""
        _warn(where, f"no slice of the volume, left aside: {', '.join(files)}{more}")


def _warn(where: Path, text: str) -> None:
    warnings.warn(f"{where.name}: {text}", stacklevel=4)


def _one_series(instances: list[Instance], folder: Path, series: str) -> list[Instance]:
    images = [i for i in instances if i.is_image]
    there = sorted({i.series for i in images})
    # What was made from other images does not count beside them.
    measured = {i.series for i in images if not i.derived} or set(there)
    chosen = [uid for uid in there if (uid.endswith(series) if series else uid in measured)]
    if len(chosen) == 1:
        return [i for i in images if i.series == chosen[0]]
    if not there:
        raise DataError(
            f"{folder.name} holds no DICOM image",
            expected="the slices of one series",
            found=", ".join(sorted({i.aside for i in instances})) or "no DICOM file",
            mend="give the folder of the series itself",
        )
    wanted = f"one series whose UID ends in {series}" if series else "one series"
    raise DataError(
        f"{folder.name}: which series is not clear",
        expected=wanted,
        found="UIDs ending in " + ", ".join(uid[-8:] for uid in there),
        mend=f"write {folder.name}#{there[0][-8:]} to take that one, or give it its own folder",
    )


def _volume(images: list[Instance], where: Path) -> sitk.Image:
    """Read images of one series, or the frames of one file, as a volume."""
    slices = [s for i in images for s in ([i] if i.position and i.frames == 1 else frames_of(i))]
    slices, step = in_order(_without_strays(slices, where), where)
    doubts = set(_gap(slices[0], step))
    image, voxels = _voxels(slices, doubts)
    if slices[0].modality == "CT":
        _check_hu(voxels, where, doubts)
    if doubts:
        _warn(where, "; ".join(sorted(doubts)))
    row, column = np.array(slices[0].orientation).reshape(2, 3)
    image.SetDirection(np.column_stack([row, column, np.cross(row, column)]).ravel().tolist())
    image.SetSpacing((slices[0].grid[3], slices[0].grid[2], step))
    image.SetOrigin(slices[0].position)
    return image


def _gap(one: Instance, step: float) -> Iterator[str]:
    """Evenly spaced slices may lie apart: scanned so, or every other one is missing."""
    if one.thickness and 0 < _GAP * one.thickness[0] < step:
        yield (
            f"slices of {one.thickness[0]:g} mm lie {step:g} mm apart: what is between them was "
            "not scanned, or slices are missing"
        )


def _voxels(slices: list[Instance], doubts: set[str]) -> tuple[sitk.Image, np.ndarray]:
    """Values of slices as an image and as its array (z, y, x): int16, or what holds all."""
    files: dict[Path, list[int]] = defaultdict(list)
    for z, item in enumerate(slices):
        files[item.path].append(z)
    out = np.empty((len(slices), 0, 0), np.int16)
    for there in files.values():
        frames = [slices[z].frame for z in there]
        planes = frame_values(slices[there[0]], slices[0].modality, frames, doubts)
        for z, plane in zip(there, planes, strict=True):
            kind = np.promote_types(out.dtype, plane.dtype)
            if not out.size or kind != out.dtype:  # only now: a header may promise any size
                image, wider = blank_image((len(slices), *plane.shape), kind)
                if out.size:
                    wider[:] = out
                out = wider
            out[z] = plane
    return image, out


def _check_hu(voxels: np.ndarray, where: Path, doubts: set[str]) -> None:
    """Refuse values that no CT has: the last net, under all that the headers say."""
    highest, lowest = voxels.max(), voxels.min()
    dense = float((voxels > _TOO_DENSE).mean()) if highest > _TOO_DENSE else 0.0
    if dense > _TOO_MANY:
        raise DataError(
            f"the values of {where.name} are no HU",
            expected="air near -1000, tissue near 0",
            found=f"{100 * dense:.0f} % above {_TOO_DENSE} HU, up to {highest:g}",
            mend="export the series again: sign or rescale intercept in its headers are wrong",
        )
    if lowest > -200:
        doubts.add(f"no air: the lowest value is {lowest:g} HU")


def _without_strays(slices: list[Instance], where: Path) -> list[Instance]:
    """Slices without those that cannot be of one volume with most of the others.

    These are turned by more than 18 degrees, as unmarked localizers are, or have neither a place
    nor the others' shape, as screenshots do.
    """
    usual, _ = Counter(s.orientation for s in slices).most_common(1)[0]
    shape, _ = Counter(s.grid for s in slices).most_common(1)[0]
    strays = [
        replace(s, aside="turned against the others" if s.position else "a screenshot, maybe")
        for s in slices
        if (abs(_normal(s.orientation) @ _normal(usual)) < 0.95 if s.position else s.grid != shape)
    ]
    if 2 * len(strays) >= len(slices):
        return slices
    _name_aside(strays, where)
    gone = {(s.path, s.frame) for s in strays}
    return [s for s in slices if (s.path, s.frame) not in gone]


def _normal(orientation: tuple[float, ...]) -> np.ndarray:
    normal = np.cross(orientation[:3], orientation[3:]) if len(orientation) == 6 else np.zeros(3)
    # Not a number is unlike nothing: what has no direction is named when slices are compared.
    return normal if normal @ normal > 0.5 else np.full(3, np.nan)


def in_order(slices: list[Instance], where: Path) -> tuple[list[Instance], float]:
    """Slices sorted along their normal, and the step between them in mm; DataError if uneven."""
    _check_of_one(slices, where)
    _check_alike(slices, where)
    _check_rescaled(slices)
    if len(slices) == 1:
        thickness = (*slices[0].thickness, 0.0)[0]
        if not 0 < thickness < np.inf:
            raise _broken(where, f"{slices[0].name} is alone and has no SliceThickness")
        return slices, thickness
    normal = _normal(slices[0].orientation)
    depth = np.array([np.dot(s.position, normal) for s in slices])
    order = np.argsort(depth, kind="stable")
    slices, depth = [slices[i] for i in order], depth[order]
    _check_even(slices, np.diff(depth), where)
    _check_one(slices, where)
    shift = np.array([s.position for s in slices]) - np.outer(depth, normal)
    if np.ptp(shift, axis=0).max() > UNEVEN * min(slices[0].grid[2:]):
        raise _broken(
            where,
            "slices shifted against each other, as with a tilted gantry",
            "resample the series onto an upright grid (dcm2niix does so for a tilted CT)",
        )
    return slices, float((depth[-1] - depth[0]) / (len(slices) - 1))


def _check_of_one(slices: list[Instance], where: Path) -> None:
    """Refuse slices of several patients or modalities, which lie in a row by chance."""
    for what, of in (("patient", "patient"), ("kind of scan", "modality")):
        said = [str(getattr(one, of)) for one in slices]
        (usual, count), *others = Counter(filter(None, said)).most_common() or [("", 0)]
        if others:
            first = next(s for s, own in zip(slices, said, strict=True) if own not in ("", usual))
            raise DataError(
                f"the DICOM series in {where.name} is not of one {what}",
                expected=f"one {what} in all slices",
                found=f"{len(others) + 1} in {len(slices)} slices; {first.name} is of another than "
                f"{count} others",
                mend="put the files of each into a folder of their own, or export the series again",
            )


def _check_alike(slices: list[Instance], where: Path) -> None:
    first = slices[0]
    for other in slices:
        _check_placed(other, where)
        if other.grid[:2] != first.grid[:2] or not np.allclose(
            other.grid[2:], first.grid[2:], rtol=_SAME, atol=0
        ):
            found = f"{other.name} differs from {first.name} in size or pixel spacing"
            raise _broken(where, found)
        if not np.allclose(other.orientation, first.orientation, atol=1e-3):
            found = f"{other.name} is turned against {first.name}"
            raise _broken(where, found, "take localizers out of the folder")


def _check_rescaled(slices: list[Instance]) -> None:
    without = [s for s in slices if not s.rescaled]
    if 0 < len(without) < len(slices):
        raise DataError(
            f"{named(without[0].path)} does not say what its stored numbers mean",
            expected="rescale slope and intercept, as in the other slices",
            found="one of them is missing or empty",
            mend="export the series again from the archive, not from a converted copy",
        )


def _check_placed(one: Instance, where: Path) -> None:
    for name, numbers, count in (
        ("ImagePositionPatient", one.position, 3),
        ("ImageOrientationPatient", one.orientation, 6),
        ("PixelSpacing", one.grid[2:], 2),
    ):
        if len(numbers) != count:
            raise _broken(where, f"{one.name} does not say where it lies: no {name}")
        if not np.isfinite(numbers).all():
            raise _broken(where, f"{one.name} has {name} {numbers}")
    row, column = np.array(one.orientation).reshape(2, 3)
    skew = np.abs([row @ row - 1, column @ column - 1, row @ column]).max()
    if skew > 0.01 or min(one.grid[2:]) <= 0:
        raise _broken(where, f"{one.name} has no possible orientation or pixel spacing")


def _check_even(slices: list[Instance], steps: np.ndarray, where: Path) -> None:
    usual = float(np.median(steps))
    for step, (below, above) in zip(steps, pairwise(slices), strict=True):
        pair = f"{below.name} and {above.name}"
        if step < 1e-3:
            apart = ", ".join(f"{name} {value}" for name, value in below.phase + above.phase)
            found = f"{pair} lie at the same place" + (f": {apart}" if apart else "")
            raise _broken(where, found, "remove the double, or split the phases of the series")
        if abs(step - usual) > UNEVEN * usual:
            missing = round(step / usual) - 1
            what = f"{missing} missing between" if missing > 0 else "an uneven step between"
            found = f"{what} {pair}: {step:.4g} mm where the others are {usual:.4g} mm apart"
            raise _broken(where, found, "export the series again with all its slices")


def _check_one(slices: list[Instance], where: Path) -> None:
    """Refuse several stacks, echoes, times or acquisitions that lie between one another."""
    for name in dict.fromkeys(name for s in slices for name, _ in s.phase):
        values = [dict(s.phase).get(name, "") for s in slices]
        blocks = 1 + sum(a != b for a, b in pairwise(values))
        # A CT may be made of several acquisitions, one after the other.
        if len(set(values)) > 1 and (blocks > len(set(values)) or "Acquisition" not in name):
            found = (
                f"{len(set(values))} volumes in one: {name} {', '.join(sorted(set(values))[:5])}"
            )
            raise _broken(where, found, "split the series, one for each of them")


def _broken(where: Path, found: str, mend: str = "") -> DataError:
    return DataError(
        f"the DICOM series in {where.name} is not a regular volume",
        expected="slices of one shape, parallel and evenly spaced",
        found=found,
        mend=mend or "export the series again",
    )
