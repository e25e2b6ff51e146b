"""NIfTI files, read whole or not at all, placed by the rule of the standard."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.data.bounds import fill, require_room, unpacked
from nextaim_kit.data.images.blank import blank_image
from nextaim_kit.data.images.dicom import named
from nextaim_kit.data.paths import voxel_files
from nextaim_kit.errors import DataError

_SECONDS = {8: 1.0, 16: 1e-3, 24: 1e-6}  # by the header's unit: s, ms, microsecond
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # by the header's unit: none given, m, mm, micron
_BY_QFORM = (
    "export the volume again; or, if the qform is right: image = nibabel.load(old); "
    "image.header['sform_code'] = 0; "
    "nibabel.save(nibabel.Nifti1Image(image.dataobj, None, image.header), new)"
)
_HEAD = 540  # bytes of the longest header
_SLACK = 1 << 20  # bytes that may follow the last voxel
_COPIES = 2  # of the values that are held at once
_ALIKE = 0.1  # of the shortest edge of a voxel: so far apart two matrices are the same


def read_nifti(path: Path) -> sitk.Image:
    """Read a NIfTI-1 or NIfTI-2 file.

    The sform places the voxels if its code is above 0, else the qform if its code is, else
    ``pixdim`` alone [1]_. The spacing is that of the matrix that is used. A warning with the
    numbers says where they disagree. Not by ITK, which takes the spacing from ``pixdim`` and the
    qform before some sforms, fills missing bytes with what is in memory, and turns NaN into 0.

    Returns
    -------
    SimpleITK.Image
        Three axes, in mm; values as stored, or float32 (float64 from 8 bytes) where a slope
        that is neither 0 nor NaN scales them.

    Raises
    ------
    DataError
        If the values are complex or colors, if there are several volumes, or if size, matrix or
        voxels' edges make no grid.
    ValueError
        If the file is truncated or damaged.

    References
    ----------
    .. [1] https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
    """
    told = _told(path, 3)
    made, values = blank_image(told.shape[::-1], told.kind)
    _fill(values, told)
    turned = np.diag([-1, -1, 1]) @ told.placed[:3]  # NIfTI's go right and front, LPS left and back
    made.SetSpacing(told.edges.tolist())
    made.SetOrigin(turned[:, 3].tolist())
    made.SetDirection((turned[:, :3] / told.edges).ravel().tolist())
    return made


def read_nifti_4d(path: Path) -> tuple[NDArray, NDArray, NDArray, float | None]:
    """Values (x, y, z, volume), affine, edges in mm and seconds between volumes, if they are told.

    By the rules of `read_nifti`; seconds without a unit, or none, are warned of.
    """
    told = _told(path, 4)
    values = np.empty(told.shape[::-1], told.kind)
    _fill(values, told)
    return values.T, told.placed, told.edges, _step(told.header, path)


@dataclass(frozen=True)
class _Told:
    """What a header says: the file of its voxels, their grid (x first), and what they become."""

    header: Any
    voxels: Path
    shape: list[int]
    placed: NDArray[np.float64]  # matrix from indices to mm
    edges: NDArray[np.float64]  # of a voxel, mm
    offset: int  # bytes before the first voxel
    kind: np.dtype  # of the values


def _told(path: Path, axes: int) -> _Told:
    if path.suffix.lower() == ".img":
        (path,) = voxel_files(path)
    (voxels,) = voxel_files(path) or [path]
    with unpacked(path) as stream:
        header = _header(stream.read(_HEAD), path, pair=voxels != path)
    shape = _shape(header, path, axes)
    placed, edges = _grid(header, shape[:3], path)
    offset = _offset(header)
    stored = header.get_data_dtype()
    require_room(_COPIES * (offset + math.prod(shape) * stored.itemsize), path)
    if np.isinf(header["scl_slope"]):
        raise ValueError("values are scaled by an infinite slope")
    real = np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
    kind = real if _scale(header) else stored.newbyteorder("=")
    return _Told(header, voxels, shape, placed, edges, offset, kind)


def _scale(header: Any) -> tuple[float, float] | None:
    """Slope and intercept, where they change anything."""
    slope, inter = header.get_slope_inter()
    return None if slope is None or (slope, inter) == (1, 0) else (slope, inter)


def _fill(values: NDArray, told: _Told) -> None:
    """Read all values, (z, y, x), scaled as the header says."""
    scale, kind = _scale(told.header), told.header.get_data_dtype()
    stored = np.empty(values.shape, kind) if scale else values
    with unpacked(told.voxels) as stream:
        fill(stored, stream, told.offset, _SLACK)
    if scale:
        np.multiply(stored, scale[0], out=values, dtype=np.float64, casting="same_kind")
        np.add(values, scale[1], out=values, dtype=np.float64, casting="same_kind")
    elif not kind.isnative:
        values.byteswap(inplace=True)


def _step(header: Any, path: Path) -> float | None:
    unit, step = int(header["xyzt_units"]) & 56, float(header["pixdim"][4])
    found: float | None = None
    if unit > max(_SECONDS):
        note = "the fourth axis is no time"
    elif not (math.isfinite(step) and step > 0):
        note = f"no time between volumes (pixdim {step:g})"
    else:
        note = "" if unit else f"no unit of time: {step:g} s taken"
        found = step * _SECONDS.get(unit, 1.0)
    if note:
        warnings.warn(f"{path.name}: {note}", stacklevel=4)
    return found


def _header(content: bytes, path: Path, pair: bool) -> Any:
    """The header as stored: what nibabel would set right in it, it would do without a word."""
    from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
    from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader

    for kind in (Nifti1PairHeader, Nifti2PairHeader) if pair else (Nifti1Header, Nifti2Header):
        if kind.may_contain_header(content):
            header = kind(content[: kind.sizeof_hdr], check=False)
            if header["magic"].item()[:3] == (kind.pair_magic if pair else kind.single_magic)[:3]:
                return header
    if pair and len(content) == 348:
        raise _refused(
            path,
            "is Analyze 7.5, which does not say where right and left are",
            mend="save the volume again as NIfTI (.nii.gz) from the data it was made of",
        )
    raise ValueError("the header is damaged or this is not NIfTI")


def _shape(header: Any, path: Path, axes: int) -> list[int]:
    kind = header.get_data_dtype()
    if kind.kind not in "iuf":
        raise _refused(
            path,
            "holds more or less than a number for each voxel",
            found=f"voxels of type {header.get_value_label('datatype')}",
            mend="save what you mean, such as the magnitude or one channel, as int16 or float32",
        )
    shape = [int(size) for size in header["dim"][1 : 1 + header["dim"][0]]]
    if not 0 < len(shape) < 8 or min(shape) < 1:
        raise ValueError(f"the header promises a size of {shape}")
    while len(shape) > axes and shape[-1] == 1:
        shape.pop()
    several = len(shape) > 3
    if len(shape) > axes or several < (axes == 4):
        mend = "save the volume you mean as a file of its own"
        if len(shape) == 4:
            mend += ", or read them all by read_image_4d"
        raise DataError(
            f"{named(path)} has {len(shape)} axes",
            expected="four axes: several volumes on one grid" if axes == 4 else "one volume",
            found=f"size {shape}" + (", a time series or several channels" if several else ""),
            mend=mend if several else "read the one volume by read_image",
        )
    return shape + [1] * (axes - len(shape))


def _grid(header: Any, shape: list[int], path: Path) -> tuple[NDArray, NDArray]:
    """Matrix from voxel indices to mm, to the patient's right, front and head; edges of a voxel."""
    notes, pixdim = [], header["pixdim"]
    pixdim[1:4][header["dim"][0] :] = 1  # axes that the file does not have
    if (pixdim[1:4] < 0).any():
        notes.append("voxels' edges below 0 in pixdim: taken without the sign")
    pixdim[1:4] = abs(pixdim[1:4])
    pixdim[0] = -1 if pixdim[0] < 0 else 1  # the standard: 0 stands for 1
    name, placed = _chosen(header, path)
    edges = np.linalg.norm(placed[:3, :3], axis=0)
    if not np.isfinite(placed).all() or edges.min() <= 0 or _flat(placed[:3, :3] / edges):
        other = name == "sform" and header["qform_code"] > 0
        raise _refused(
            path,
            f"has a {name} that makes no grid",
            found=_numbers(placed[:3]),
            mend=_BY_QFORM if other else "export the volume again from what it was made of",
        )
    notes += _disagreements(header, name, placed, edges, shape)
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        means = {1: "m", 3: "micron"}.get(unit)
        notes.append(f"lengths in {means}: taken as such" if means else f"no unit {unit}: mm taken")
    for note in notes:
        warnings.warn(f"{path.name}: {note}", stacklevel=4)
    # Of numbers that are equal but for their rounding, pixdim has the one that was meant.
    edges = np.where(np.isclose(edges, pixdim[1:4], rtol=1e-5, atol=0), pixdim[1:4], edges)
    scale = _MM.get(unit, 1.0)
    return np.diag([scale] * 3 + [1.0]) @ placed, edges.astype(float) * scale


def _chosen(header: Any, path: Path) -> tuple[str, NDArray[np.float64]]:
    if header["sform_code"] > 0:
        return "sform", header.get_sform()
    if header["qform_code"] > 0:
        try:
            return "qform", header.get_qform()
        except ValueError as error:
            raise _refused(
                path,
                "has a qform whose quaternion is no rotation",
                found=str(error),
                mend="export the volume again from what it was made of",
            ) from error
    return "pixdim", header.get_base_affine()


def _disagreements(
    header: Any, name: str, placed: NDArray, edges: NDArray, shape: list[int]
) -> list[str]:
    if name == "pixdim":
        return ["neither sform nor qform: which side is left is a guess, and so is the place"]
    notes = []
    if name == "sform" and header["qform_code"] > 0:
        corners = np.array([[*c, 1] for c in itertools.product(*((0, n - 1) for n in shape))])
        try:
            apart = np.linalg.norm((placed - header.get_qform()) @ corners.T, axis=0).max()
        except ValueError:
            apart = math.inf
        if not apart <= _ALIKE * edges.min():
            notes.append(f"sform and qform lie up to {apart:.3g} mm apart: the sform is used")
    if not np.allclose(edges, header["pixdim"][1:4], rtol=1e-3):
        says = _numbers(header["pixdim"][1:4])
        notes.append(f"voxels of {says} mm in pixdim, {_numbers(edges)} in the {name}, used")
    return notes


def _flat(cosines: NDArray) -> bool:
    return bool(abs(np.linalg.det(cosines)) < 1e-3)


def _numbers(values: NDArray) -> str:
    if values.ndim > 1:
        return "; ".join(_numbers(row) for row in values)
    return " x ".join(f"{value:.5g}" for value in values)


def _offset(header: Any) -> int:
    """Bytes before the first voxel."""
    offset = int(header["vox_offset"])
    if header.is_single and offset == 0:
        offset = header.single_vox_offset
    if offset < (header.sizeof_hdr if header.is_single else 0):
        raise ValueError(f"the header promises voxels at byte {offset}")
    return offset


def _refused(path: Path, what: str, *, found: str = "", mend: str) -> DataError:
    expected = "one volume, a number for each voxel, on a grid in mm"
    return DataError(f"{named(path)} {what}", expected=expected, found=found, mend=mend)
