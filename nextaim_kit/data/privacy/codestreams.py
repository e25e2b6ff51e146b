"""Comments and metadata that JPEG files carry within compressed pixels, taken out."""

from __future__ import annotations

import re
import struct

# Segments of text and of applications (ITU-T T.81 B.2.4); JFIF's and Adobe's tell colors and stay.
_JPEG_DROPPED = {0xFE, *range(0xE1, 0xEE), 0xEF}
_JPEG_ENDS = 0xDA  # start of the scan, behind which are coefficients
# What encoders leave of themselves, and headers of SPIFF and of HP's transform of colors.
_HARMLESS = re.compile(
    rb"(?:\x00\x01)?(?:Creator: |Created by )?(?:GDCM/)?(?:Kakadu|OpenJPEG|JasPer|CharLS)"
    rb"(?:[ -](?:[Vv]ersion )?v?[\d.]+)?\x00?"
    rb"|SPIFF\x00[\x00-\xff]{22,26}|\x00\x00\x00\x01\xff\xd8|mrfx[\x00-\x05]",
    re.DOTALL,
)
_J2K_COMMENT, _J2K_ENDS = 0x64, 0x90  # ITU-T T.800 A.9.2; start of the first tile


class Unknown(ValueError):
    """A code stream that is not as its standard says."""


def plain(stream: bytes) -> bytes:
    """A JPEG, JPEG-LS or JPEG 2000 code stream without comments; others as they are.

    Raises
    ------
    Unknown
        If it is cut off, or packed in boxes, which hold anything.
    """
    if stream[4:8] == b"jP  ":
        raise Unknown("JPEG 2000 in boxes")
    if stream[:2] == b"\xff\xd8":
        return _without(stream, _JPEG_DROPPED, _JPEG_ENDS)
    if stream[:2] == b"\xff\x4f":
        return _without(stream, {_J2K_COMMENT}, _J2K_ENDS)
    return stream


def _without(stream: bytes, dropped: set[int], ends: int) -> bytes:
    parts, at = [stream[:2]], 2
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            raise Unknown("no marker where one has to be")
        marker = stream[at + 1]
        if marker == ends:
            return b"".join([*parts, stream[at:]])
        size = 2 + struct.unpack(">H", stream[at + 2 : at + 4])[0]
        if marker not in dropped or _HARMLESS.fullmatch(stream[at + 4 : at + size]):
            parts.append(stream[at : at + size])
        at += size
    raise Unknown("cut off")
