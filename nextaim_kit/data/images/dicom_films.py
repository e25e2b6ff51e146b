"""Radiographs in DICOM: decoded in any coding, and shown as all of their header asks."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from nextaim_kit.data.bounds import require_room
from nextaim_kit.data.images.dicom import opened
from nextaim_kit.errors import DataError

_HELD = 20  # bytes that a value takes while it is read and shown
MOST_PIXELS = 100_000_000  # a film of 43 cm at 0.05 mm has 74 million
GRAY = ("MONOCHROME1", "MONOCHROME2")
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_NOT_FILMS = ("CT", "MR", "NM", "PT", "US")
# What pydicom cannot decode by itself.
_BY_GDCM = (uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGExtended12Bit)


def read_dicom_film(path: Path) -> tuple[NDArray, NDArray, str]:
    """Pixels as stored, as they are to be shown, and the photometric interpretation.

    Shown: after the modality LUT or rescale, the first VOI LUT, and the inversion that
    MONOCHROME1 or a PresentationLUTShape INVERSE asks for; padding is as dark as what is darkest.
    Windows only clip, and are left to who looks. Of a color picture both have a third axis.

    Raises
    ------
    DataError
        If the file is damaged, of another modality, a stack, or contradicts itself.

    References
    ----------
    DICOM PS3.4 N.2, the order of the transformations; PS3.3 C.7.6.3.1.2 and C.11.6.
    """
    try:
        header = opened(path)
        _check(header, path)
        stored, says = _decoded(header), str(header.PhotometricInterpretation)
        return stored, _shown(stored, header, says), says
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parsers raise anything
        raise DataError(
            f"{path.name} cannot be read as DICOM",
            expected="a whole DICOM file with one radiograph",
            found=" ".join(str(error).replace(str(path), path.name).split())[:200],
            mend="copy the film again, or export it uncompressed",
        ) from error


def _check(header: Dataset, path: Path) -> None:
    name = path.name
    says, modality = str(header.PhotometricInterpretation), str(header.get("Modality", ""))
    frames, size = int(header.get("NumberOfFrames") or 1), int(header.Rows) * int(header.Columns)
    if modality in _NOT_FILMS:
        raise DataError(f"{name} is no radiograph", found=f"an image of modality {modality}")
    if frames > 1:
        raise DataError(f"{name} is a stack of pictures", found=f"{frames} frames")
    if says not in (*GRAY, *_COLORS):
        raise DataError(
            f"{name} is not one gray picture", expected="MONOCHROME1 or MONOCHROME2", found=says
        )
    if size > MOST_PIXELS:
        raise too_large(name, f"{size:,} pixels")
    require_room(_HELD * size * int(header.get("SamplesPerPixel") or 1), path)
    if says == "MONOCHROME1" and header.get("PresentationLUTShape") == "IDENTITY":
        raise DataError(
            f"the header of {name} contradicts itself: are its bones bright or dark?",
            expected="MONOCHROME1 with INVERSE, or MONOCHROME2 with IDENTITY",
            found="MONOCHROME1 with PresentationLUTShape IDENTITY",
            mend="correct the header, or export the film as PNG",
        )


def too_large(name: str, found: str) -> DataError:
    """Make the error for a picture whose header asks for more memory than a film needs."""
    return DataError(
        f"{name} is too large for a radiograph",
        expected=f"at most {MOST_PIXELS:,} pixels",
        found=found,
        mend="copy the film again if its header is damaged, or shrink it",
    )


def _decoded(header: Dataset) -> NDArray:
    # Where the stored bits lie above others, those are taken along and then shifted out.
    shift = max(int(header.HighBit) + 1 - int(header.BitsStored), 0)
    header.BitsStored = int(header.BitsStored) + shift
    by_gdcm = header.file_meta.TransferSyntaxUID in _BY_GDCM
    pixels = _by_gdcm(header) if by_gdcm else header.pixel_array
    if header.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(pixels, header)
    return pixels >> shift if shift else pixels


def _by_gdcm(header: Dataset) -> NDArray:
    """Pixels as stored, of a bare copy: ITK would turn and scale them on its own."""
    import SimpleITK as sitk

    bare = deepcopy(header.group_dataset(0x0028))
    for name in ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence"):
        bare.pop(name, None)
    if bare.PhotometricInterpretation == "MONOCHROME1":
        bare.PhotometricInterpretation = "MONOCHROME2"
    bare.file_meta, bare.SOPClassUID = header.file_meta, uid.SecondaryCaptureImageStorage
    bare.SOPInstanceUID = uid.generate_uid()
    bare.add_new("PixelData", "OB", header.PixelData)
    bare["PixelData"].is_undefined_length = True
    with TemporaryDirectory() as folder:
        bare.save_as(Path(folder) / "film.dcm", enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(Path(folder) / "film.dcm")))[0]


def _shown(stored: NDArray, header: Dataset, says: str) -> NDArray:
    if says not in GRAY:
        return stored
    values: Any = apply_modality_lut(stored, header)
    if header.get("VOILUTSequence"):
        values = apply_voi(values, header)
    turned = says == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"
    values = -values.astype(np.float32) if turned else values.astype(np.float32)
    padding = _padding(stored, header)
    if padding.any() and not padding.all():
        values[padding] = values[~padding].min()
    return values


def _padding(stored: NDArray, header: Dataset) -> NDArray[np.bool_]:
    if header.get("PixelPaddingValue") is None:
        return np.zeros(stored.shape, bool)
    value = int(header.PixelPaddingValue)
    other = int(header.get("PixelPaddingRangeLimit", value))
    return (stored >= min(value, other)) & (stored <= max(value, other))
