"""Writing that is burnt into pixels: found by its form, and covered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from nextaim_kit.data.privacy.codestreams import Unknown, plain
from nextaim_kit.data.privacy.writing import covered


class CannotLook(Exception):
    """Pixels that cannot be decoded, and so not be passed on as clean."""


@dataclass(frozen=True)
class Looked:
    """Whether pixels were looked at, and whether writing in them was covered."""

    looked: bool
    masked: bool


def clean_pixels(data: Dataset, cut: Callable[[np.ndarray], bool] | None = None) -> Looked:
    """Cover writing in the pixels of an instance, in place; other pixels stay byte for byte.

    Parameters
    ----------
    data : Dataset
    cut : callable, optional
        Takes a face out of the frames, and says if it changed any.

    Raises
    ------
    CannotLook
        If the pixels cannot be decoded, or the header tells of writing and none is found.
    """
    said = str(data.get("BurnedInAnnotation") or "").upper() == "YES"
    if "PixelData" not in data:
        return Looked(looked=False, masked=False)
    try:
        pixels = np.array(data.pixel_array)
    except Exception as error:  # decoders raise whatever they like
        raise CannotLook(f"its pixels cannot be decoded ({type(error).__name__})") from error
    _tidy(data, pixels)
    color = int(data.get("SamplesPerPixel") or 1) > 1
    several = int(data.get("NumberOfFrames") or 1) > 1
    frames = pixels if several else pixels[None]
    masked = False
    for frame in frames:
        masked |= covered(frame, color)
    defaced = bool(cut and cut(frames))
    if masked or defaced:
        _put_back(data, pixels)
    if said and not masked:
        raise CannotLook("its header says that its pixels hold writing, and none was found")
    return Looked(looked=True, masked=masked)


def _tidy(data: Dataset, pixels: np.ndarray) -> None:
    """Drop what stands beside the pixels: bytes after them, overlays in bits they do not use."""
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        _without_comments(data, pixels)
    if data.file_meta.TransferSyntaxUID.is_compressed:
        return
    size = _bytes(data, pixels)
    if len(data.PixelData) > size + size % 2:
        data.PixelData = data.PixelData[:size] + b"\0" * (size % 2)
    tags = [BaseTag(group << 16 | 0x0102) for group in range(0x6000, 0x6020, 2)]
    embedded = any(data[tag].value for tag in tags if tag in data)
    if embedded and pixels.dtype.itemsize == 2:
        _clear_unused_bits(data, size)


def _without_comments(data: Dataset, pixels: np.ndarray) -> None:
    """Take comments out of the code streams; they are packed anew only where there were any."""
    count = int(data.get("NumberOfFrames") or 1)
    frames = list(generate_frames(data.PixelData, number_of_frames=count))
    try:
        clean = [plain(frame) for frame in frames]
    except Unknown as error:
        raise CannotLook(f"its compressed pixels may hold more than pixels ({error})") from error
    if clean != frames:
        data.PixelData = encapsulate(clean)
        data["PixelData"].is_undefined_length = True
        if not np.array_equal(data.pixel_array, pixels):
            raise CannotLook("its compressed pixels change where their metadata goes")


def _bytes(data: Dataset, pixels: np.ndarray) -> int:
    bits = int(data.BitsAllocated)
    subsampled = str(data.PhotometricInterpretation).startswith("YBR_FULL_422")
    count = pixels.size * (2 if subsampled else 3) // 3 if subsampled else pixels.size
    return (count * bits + 7) // 8


def _clear_unused_bits(data: Dataset, size: int) -> None:
    high = int(data.get("HighBit", int(data.BitsStored) - 1))
    low = high + 1 - int(data.BitsStored)
    mask = ((1 << int(data.BitsStored)) - 1) << low
    order = "<" if data.original_encoding[1] else ">"
    raw = np.frombuffer(data.PixelData[:size], f"{order}u2")
    data.PixelData = (raw & np.uint16(mask)).astype(f"{order}u2").tobytes() + data.PixelData[size:]


def _put_back(data: Dataset, pixels: np.ndarray) -> None:
    """Pixels as plain ones, whatever held them before."""
    color = int(data.get("SamplesPerPixel") or 1) > 1
    if color:
        ybr = "YBR" in data.PhotometricInterpretation  # decoded as RGB
        data.PhotometricInterpretation = "RGB" if ybr else data.PhotometricInterpretation
        data.PlanarConfiguration = 0
    if data.file_meta.TransferSyntaxUID.is_compressed:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    order: Literal["<", ">"] = "<" if data.original_encoding[1] else ">"
    raw = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder(order)).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    data["PixelData"].is_undefined_length = False
