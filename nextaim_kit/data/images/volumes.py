"""Volumes in files of their own (NIfTI, NRRD, MetaImage), on a grid with right angles, in mm."""

from __future__ import annotations

import math
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.bounds import require_room, unpacked_size
from nextaim_kit.data.images.dicom import named
from nextaim_kit.data.images.nifti import read_nifti
from nextaim_kit.data.paths import files_of, voxel_files
from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file

_SKEW = 0.25  # degrees that a rounded matrix may lie from right angles: 1.5 mm across a chest
_ROUNDED = 0.01  # degrees that are said
# Named, since ITK would read files of any kind, and knows MetaImage by small letters only.
_ITKS = dict.fromkeys((".nrrd", ".nhdr"), "NrrdImageIO")
_ITKS |= dict.fromkeys((".mha", ".mhd"), "MetaImageIO")
NIFTI = (".nii", ".nii.gz", ".hdr", ".img")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
_EDGES = re.compile(
    rb"^\s*(spacings|space directions|ElementSpacing|ElementSize)\s*[:=](?!.*nan)", re.M | re.I
)
_COPIES, _DEFLATE = 2, 1100  # of the values that are held at once; most that zlib packs into a byte
_ZLIB = re.compile(rb"CompressedData[^\w\r\n=:]*[=:]\s*[Tt1]")
_DATA = re.compile(rb"[\r\n]\s*ElementDataFile[^\n]*\n")
# Within what is packed ITK seeks them without end.
_PACKED = re.compile(rb"[\r\n]encoding: *+(?!raw\s)", re.I)
_SKIP = re.compile(rb"[\r\n](byte|line) ?skip:", re.I)
_NOT_MM = re.compile(rb'^space units:(?!(\s*"mm")+\s*$)(.*)', re.M)


def read_volume(path: Path) -> sitk.Image:
    """Read a NIfTI, NRRD or MetaImage file.

    Raises
    ------
    DataError
        If the file is damaged or of another kind, its voxels' file is not there or in another
        folder, it promises more than memory bears, the header does not give a voxel's edges, or
        its axes are not at right angles.
    """
    with damage_told(path):
        if path.name.lower().endswith(NIFTI):
            image = read_nifti(path)
        else:
            reader = _itks(path)
            voxels, kind = _promised(reader)
            _check_promise(voxels * kind.itemsize, path)
            image = reader.Execute()
    _require_edges(image, path)
    return _upright(image, path)


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Refuse a part of a volume, and a file that cannot be parsed, by name."""
    absent = [part.name for part in voxel_files(path) if not part.is_file()]
    if absent:
        raise DataError(
            f"{named(path)} is but a part of a volume",
            expected=f"{', '.join(absent[:3])} beside it",
            mend="copy that there, or save the volume again as one file (.nii.gz, .nrrd, .mha)",
        )
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parsers raise anything
        raise DataError(
            f"{named(path)} cannot be read",
            expected="a whole NIfTI, NRRD, MetaImage or DICOM file",
            found=brief(str(error), path),
            mend="copy or export the file again",
        ) from error


def _itks(path: Path) -> sitk.ImageFileReader:
    """ITK's reader of a file, of which it knows the header."""
    if path.suffix.lower() not in _ITKS and path.suffix.lower() not in _PICTURES:
        raise ValueError("no file of these by its suffix")
    head = _head(path)
    if _PACKED.search(head) and _SKIP.search(head):
        raise ValueError("bytes or lines to be skipped in what is packed")
    for part in files_of(path):
        require_file(part)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_ITKS.get(path.suffix.lower(), ""))
    reader.ReadImageInformation()
    return reader


def _promised(reader: sitk.ImageFileReader) -> tuple[int, np.dtype]:
    one = sitk.GetArrayViewFromImage(sitk.Image([1, 1], reader.GetPixelID()))
    return math.prod(reader.GetSize()) * reader.GetNumberOfComponents(), one.dtype


def _check_promise(size: int, path: Path) -> None:
    """Refuse a header whose voxels are not there, or are more than memory bears.

    ITK makes room for all of them first, and of a compressed MetaImage that it cannot unpack it
    gives what was in memory, without a word.
    """
    require_room(_COPIES * size, path)
    files = files_of(path)
    if size > _DEFLATE * sum(file.stat().st_size for file in files):
        raise ValueError(f"truncated: the header promises {size:,} bytes of voxels")
    head = _head(path)
    if path.suffix.lower() in (".mha", ".mhd") and _ZLIB.search(head):
        with files[-1].open("rb") as stream:
            local = _DATA.search(head) if len(files) == 1 else None
            stream.seek(local.end() if local else 0)
            found = unpacked_size(stream, 32 + zlib.MAX_WBITS, size)
        if len(files) > 2 or found != size:
            raise ValueError(f"{found:,} bytes are packed where {size:,} are promised")


def stored_size(path: Path) -> tuple[int, np.dtype]:
    """Voxels of a volume's file and the type of each, by its header alone; (0, int16) if unread.

    What is wrong with the file is told by `read_volume`.
    """
    import nibabel

    try:
        require_file(path)
        if path.name.lower().endswith(NIFTI):
            header: Any = nibabel.load(path)
            return math.prod(header.shape), header.get_data_dtype()
        return _promised(_itks(path))
    except Exception:  # a damaged file can make the parsers raise anything
        return 0, np.dtype(np.int16)


def _require_edges(image: sitk.Image, path: Path) -> None:
    """Refuse a header without the edges of a voxel in mm, for which ITK takes 1 mm."""
    head = _head(path) if path.suffix.lower() in _ITKS else b"ElementSpacing="
    edges, unit = _EDGES.search(head), _NOT_MM.search(head)
    there = path.suffix.lower() not in _PICTURES and edges and not unit
    if not there or not np.isfinite([*image.GetSpacing(), *image.GetOrigin()]).all():
        raise DataError(
            f"{named(path)} does not say how large its voxels are",
            expected="their edges in mm in the header",
            found=f"space units {unit[2].decode().strip()}" if unit else "none",
            mend="save the volume with its spacing in mm as .nii.gz, .nrrd or .mha",
        )
    if edges and edges[1].lower() == b"spacings":
        warnings.warn(f"{path.name}: the header does not say which side is left", stacklevel=3)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(1 << 20)


def _upright(image: sitk.Image, path: Path) -> sitk.Image:
    """The volume with axes exactly at right angles; refused where they are not by far."""
    axes = np.reshape(image.GetDirection(), [image.GetDimension()] * 2)
    skew = float(np.degrees(np.arcsin(abs(np.triu(axes.T @ axes, 1)).max().clip(0, 1))))
    if skew > _SKEW:
        raise DataError(
            f"{named(path)} is sheared: its axes are not at right angles",
            expected=f"axes within {_SKEW} degrees of right angles",
            found=f"{skew:.3g} degrees off, as after a tilted gantry or an affine registration",
            mend="resample image and mask onto one upright grid, such as for NIfTI by "
            "nibabel.processing.resample_to_output (with order=0 for a mask)",
        )
    if skew > _ROUNDED:
        warnings.warn(
            f"{path.name}: axes {skew:.2g} degrees off right angles, as by rounding: set right",
            stacklevel=3,
        )
        left, _, right = np.linalg.svd(axes)
        image.SetDirection((left @ right).ravel().tolist())  # the nearest with right angles
    return image


def brief(message: str, path: Path) -> str:
    """Keep the telling end of a C++ message: no addresses, no source lines, no folders."""
    text = message.rsplit("ERROR: ", 1)[-1].replace(str(path), path.name)
    text = re.sub(r"\w+\(0x[0-9a-f]+\): ", "", text)
    # MetaIO blames a missing file for a short one.
    text = text.replace("Reason: No such file or directory", "truncated or damaged")
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:60]} … {text[-139:]}"
