"""What the stored numbers of a DICOM image mean: HU of a CT, activity of a PET, signal of an MR.

Every file and every frame is decoded by its own header. pydicom reads; codings that it cannot
decode by itself, such as JPEG Lossless, are left to the decoders within SimpleITK.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_modality_lut, pixel_array
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from nextaim_kit.data.bounds import require_room
from nextaim_kit.data.images.dicom import (
    Instance,
    damaged_file,
    named,
    opened,
    present,
    require_unchanged,
)
from nextaim_kit.data.images.frames import group_of
from nextaim_kit.errors import DataError

# Modalities whose stored numbers mean nothing by themselves, and what padding is in them.
_PADDED = {"CT": -1024, "PT": 0}
_PIXELS = b"\xe0\x7f\x10\x00"  # the tag of their element
_COPIES = 3  # of the numbers of a file that are held at once
_JPEG_STARTS, _JPEG_END = (b"\xff\xd8", b"\xff\x4f"), b"\xd9"


def frame_values(
    image: Instance,
    modality: str,
    frames: Sequence[int],
    doubts: set[str],
    data: Dataset | None = None,
) -> Iterator[np.ndarray]:
    """Values of some frames of one DICOM file.

    Parameters
    ----------
    image : Instance
        Of that file; of a plain one only the pixels are read.
    modality : str
        CT and PT need slope and intercept; of others stored numbers may be the values.
    frames : sequence of int
        Which frames, from 0, in the order wanted.
    doubts : set of str
        What may make the values other than meant is added here.
    data : Dataset, optional
        The whole of it, where it lies in memory; else the file is read.

    Yields
    ------
    array of shape (rows, columns)
        int16, or else int32 or int64, where all are whole; float32 otherwise.

    Raises
    ------
    DataError
        If the pixels are damaged, in color or in an unknown coding, if the header does not say
        what a stored number means, or if the file has changed since its header was read.
    """
    path = image.path
    try:
        if data is None:
            data, stored = _of_header(image) or _of_file(image)
        else:
            stored = _of_dataset(data, path)
        doubts.update(_doubts(data))
        for frame in frames:
            numbers, padded = _numbers(stored[frame], data, doubts)
            values = _meant(numbers, data, frame, modality, doubts)
            if padded.any():
                values = np.where(padded, _PADDED.get(modality, 0), values)
            yield values if values.dtype == np.int16 else _narrowed(values)
    except DataError:
        raise
    except _Unusable as error:
        what, expected, found, mend = error.args
        raise DataError(
            f"{named(path)} {what}", expected=expected, found=found, mend=mend
        ) from None
    except Exception as error:  # a damaged file can make the parser raise anything
        raise damaged_file(path, str(error)) from error


class _Unusable(Exception):
    """A sound file that cannot be used: what it lacks, what was expected and found, how to mend."""


def _doubts(data: Dataset) -> Iterator[str]:
    if data.PhotometricInterpretation == "MONOCHROME1":
        yield "MONOCHROME1 says how to show the values: they are not turned"
    if data.get("LossyImageCompression") == "01":
        yield "compressed with loss: the values are near the measured ones"


def _of_header(image: Instance) -> tuple[Dataset, np.ndarray] | None:
    """Header and stored numbers of one plain frame of 16 bits; None of any other.

    What is not as it should be is left to the parser of the whole file, which names it.
    """
    if image.stored is None or image.frames != 1:
        return None
    data = image.stored.header
    if data.get("BitsAllocated") != 16 or data.get("SamplesPerPixel", 1) != 1:
        return None
    shape = (1, int(data.Rows), int(data.Columns))
    require_room(math.prod(shape) * 2 * _COPIES, image.path)
    with image.path.open("rb") as file:
        require_unchanged(file, image.path, image.stamp)
        file.seek(image.pixels_at)
        head = file.read(8 if image.stored.implicit else 12)
        size = int.from_bytes(head[-4:], "little")
        if head[:4] != _PIXELS or size != math.prod(shape) * 2:
            return None
        stored = np.empty(shape, "<u2")
        if file.readinto(stored.data) < size:
            return None
    _require_gray(data)
    return data, stored.astype("=u2", copy=False)


def _of_file(image: Instance) -> tuple[Dataset, np.ndarray]:
    data = opened(image.path, image.stamp)
    return data, _of_dataset(data, image.path)


def _of_dataset(data: Dataset, path: Path) -> np.ndarray:
    sizes = (data.get("Rows"), data.get("Columns"), data.get("NumberOfFrames") or 1)
    require_room(math.prod(map(int, sizes)) * int(data.BitsAllocated) // 8 * _COPIES, path)
    return _decoded(data)


def _require_gray(data: Dataset) -> None:
    kind = str(data.get("PhotometricInterpretation") or "missing")
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        found = f"photometric interpretation {kind}"
        raise _Unusable("is not in gray", "one value for each pixel", found, "export it in gray")


def _decoded(data: Dataset) -> np.ndarray:
    """Stored numbers (frames, rows, columns), with what lies in the bits that are not theirs."""
    _require_gray(data)
    syntax, count = data.file_meta.TransferSyntaxUID, int(data.get("NumberOfFrames") or 1)
    if "PixelData" in data and data["PixelData"].is_undefined_length > syntax.is_encapsulated:
        raise ValueError("compressed pixels without the name of their coding (transfer syntax)")
    if syntax.is_encapsulated:
        for picture in generate_frames(data.PixelData, number_of_frames=count):
            if picture.startswith(_JPEG_STARTS) and not picture.rstrip(b"\0\xff").endswith(
                _JPEG_END
            ):
                raise ValueError("truncated: a compressed picture has no end")
    try:
        pixels = pixel_array(data, raw=True, correct_unused_bits=False, view_only=True)
    except (RuntimeError, NotImplementedError, ValueError):
        if not syntax.is_encapsulated:
            raise
        pixels = _decoded_by_itk(data)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return native.reshape(count, data.Rows, data.Columns)


def _decoded_by_itk(data: Dataset) -> np.ndarray:
    """Decode by SimpleITK, from a copy with a header that changes no number."""
    plain = Dataset()
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    plain.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    plain.SOPInstanceUID = "1.2.3"
    for name in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        plain[name] = data[name]
    plain.NumberOfFrames = data.get("NumberOfFrames") or 1
    plain.SamplesPerPixel, plain.PhotometricInterpretation = 1, "MONOCHROME2"
    plain.BitsStored, plain.HighBit = data.BitsAllocated, data.BitsAllocated - 1
    plain.PixelRepresentation = 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plain.dcm"
        plain.save_as(file, enforce_file_format=True)
        try:
            return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        except RuntimeError as error:
            coding = data.file_meta.TransferSyntaxUID.name
            mend = "decode it first, for example with dcmtk's dcmdjpeg or with gdcmconv --raw"
            raise _Unusable("cannot be decoded", "a coding known here", coding, mend) from error


def _numbers(
    pixels: np.ndarray, data: Dataset, doubts: set[str]
) -> tuple[np.ndarray, np.ndarray | np.bool]:
    """Numbers without the bits that are not theirs, and which of them are padding."""
    if pixels.dtype.kind == "f":
        blank = ~np.isfinite(pixels)
        if blank.any():
            doubts.add("values that are not finite: taken as padding")
        return pixels, blank | (pixels == data.get("FloatPixelPaddingValue"))
    signed = int(data.PixelRepresentation) == 1
    cells = pixels.view(f"{'i' if signed else 'u'}{pixels.itemsize}")
    allocated, stored = 8 * pixels.itemsize, int(data.BitsStored)
    high = int(data.HighBit) if present(data, "HighBit") else stored - 1
    if (stored, high) == (allocated, allocated - 1):
        return cells, _padding(cells, data)
    if not signed and high + 1 == stored and int(cells.max()) >> stored == 0:
        return cells, _padding(cells, data)
    # Shifted up, what lies above the high bit falls off; shifted down, the sign fills up.
    numbers = (cells << (allocated - 1 - high)) >> (allocated - stored)
    padded = _padding(cells, data) | _padding(numbers, data)
    above = cells.view(pixels.dtype.str.replace("i", "u")) >> (high + 1)
    stray = (above != 0) & (cells >> (high + 1 - stored) != numbers) & ~padded
    if stray.any() and not _has_overlay(data):
        doubts.add(f"bits are set beyond the {stored} of a stored number: cut off")
    return numbers, padded


def _padding(numbers: np.ndarray, data: Dataset) -> np.ndarray | np.bool:
    """Where padding lies, by PixelPaddingValue and PixelPaddingRangeLimit; False if nowhere."""
    if not present(data, "PixelPaddingValue"):
        return np.False_
    ends = [data.PixelPaddingValue, data.get("PixelPaddingRangeLimit")]
    # Written unsigned for signed numbers, or the other way round, it means the same bits.
    known = np.array([end for end in ends if end not in (None, "")], np.int64)
    known = known.astype(numbers.dtype)
    return (numbers >= known.min()) & (numbers <= known.max())


def _has_overlay(data: Dataset) -> bool:
    """Whether overlays are said to lie in the bits that the numbers leave free."""
    places = (e for e in data if e.tag.group >> 8 == 0x60 and e.tag.element == 0x0102)
    return any(place.value for place in places)


def _meant(
    numbers: np.ndarray, data: Dataset, frame: int, modality: str, doubts: set[str]
) -> np.ndarray:
    """Apply slope and intercept, of the frame where it has its own, or else the lookup table."""
    scaled = modality in _PADDED
    what = f"does not say how its values become {'HU' if modality == 'CT' else 'measures'}"
    expected = "rescale slope and rescale intercept"
    mend = "export the series again from the archive, not from a converted copy"
    if data.get("ModalityLUTSequence"):
        if scaled:
            raise _Unusable(what, expected, "a lookup table (Modality LUT)", mend)
        return apply_modality_lut(numbers, data)
    told = group_of(data, frame, "PixelValueTransformationSequence") or data
    lacking = [n for n in ("RescaleSlope", "RescaleIntercept") if not present(told, n)]
    if len(lacking) == 2 and not scaled:
        return numbers
    if lacking:
        raise _Unusable(what, expected, f"no {' and no '.join(lacking)}, or an empty one", mend)
    slope, intercept = float(told.RescaleSlope), float(told.RescaleIntercept)
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise ValueError(f"rescale slope {slope:g}, intercept {intercept:g}")
    unit = str(told.get("RescaleType") or "HU")
    if modality == "CT" and unit == "US":
        doubts.add("the header does not say the unit (RescaleType US): taken as HU")
    elif modality == "CT" and unit not in ("HU", "HU_MOD"):
        found = f"values in {unit} (RescaleType)"
        raise _Unusable("is not in HU", "HU", found, "take the series of the same CT in HU")
    if slope.is_integer() and intercept.is_integer() and numbers.dtype.kind != "f":
        ends = [int(end) * slope + intercept for end in (numbers.min(), numbers.max())]
        kind = _kind(min(ends), max(ends))
        # What does not fit wraps around, and back again: the result is known to fit.
        values = numbers.astype(kind)
        if slope != 1:
            values *= np.array(int(slope)).astype(kind)
        values += np.array(int(intercept)).astype(kind)
        return values
    return numbers * slope + intercept


def _narrowed(values: np.ndarray) -> np.ndarray:
    """Values in as few bytes as hold them."""
    if values.dtype.kind in "iu" or np.array_equal(values, np.rint(values)):
        return values.astype(_kind(values.min(), values.max()), copy=False)
    return values.astype(np.float32)


def _kind(low: float, high: float) -> np.dtype:
    """The smallest type for whole numbers of a range."""
    for kind in (np.int16, np.int32, np.int64):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)
