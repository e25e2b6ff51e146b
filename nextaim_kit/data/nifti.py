"""NIfTI files, read whole or not at all."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk


def read_nifti(path: Path) -> sitk.Image:
    """Read a NIfTI, refusing a truncated or altered one and keeping what is not finite.

    ITK alone fills missing bytes with whatever is in memory, and turns NaN into 0. It is asked
    for the geometry only, so that large files are not unpacked twice.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        header: Any = nibabel.load(path)
    except (ImageFileError, HeaderDataError) as error:
        raise ValueError("the header is damaged or this is not NIfTI") from error
    stored = _stored_values(path, header.dataobj)
    geometry = sitk.ImageFileReader()
    geometry.SetFileName(str(path))
    geometry.ReadImageInformation()
    scaled = (header.dataobj.slope, header.dataobj.inter) != (1, 0)
    if scaled or geometry.GetDimension() != 3 or geometry.GetNumberOfComponents() != 1:
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise ValueError("values that are not finite in a scaled or not 3-D NIfTI")
        return sitk.ReadImage(str(path))
    image = sitk.GetImageFromArray(stored.reshape(geometry.GetSize()[::-1]), isVector=False)
    image.SetSpacing(geometry.GetSpacing())
    image.SetOrigin(geometry.GetOrigin())
    image.SetDirection(geometry.GetDirection())
    return image


def _stored_values(path: Path, header: Any) -> np.ndarray:
    """All values of a NIfTI as stored, in the order of the file, the gzip checksum verified."""
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        content = gzip.decompress(content)
    count = math.prod(header.shape)
    needed = header.offset + count * header.dtype.itemsize
    if len(content) < needed:
        raise ValueError(f"truncated: {len(content)} bytes where the header promises {needed}")
    values = np.frombuffer(content, header.dtype, count, header.offset)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
