"""Headers of NIfTI, NRRD and MetaImage without identity; the voxels stay byte for byte."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from nextaim_kit.data.privacy.folding import words
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path

_NIFTI, _NRRD, _META = (".nii", ".nii.gz"), (".nrrd", ".nhdr"), (".mha", ".mhd")
_LOOSE = (".raw", ".zraw", ".raw.gz", ".bval", ".bvec", ".bvals", ".bvecs")
# Fields of text, by the size of the header: data_type, db_name, descrip, aux_file, intent_name.
_TEXTS = {
    348: ((4, 10), (14, 18), (148, 80), (228, 24), (328, 16)),
    540: ((240, 80), (320, 24), (508, 16)),
}
_FIELDS = words("""
    dimension type block size encoding endian sizes spacings thicknesses kinds centers labels
    units space|dimension space|units space|origin space|directions measurement|frame
    axis|mins axis|maxs byte|skip line|skip min max old|min old|max sample|units data|file
    datafile space
""") | {"block size"}
_PAIRS = re.compile(
    r"(?:DWMRI_(?:b-value|gradient_\d+|NEX_\d+)|modality|Segment\d+_(?:Color|Extent|LabelValue"
    r"|Layer|Name))$"
)
_NUMBERS = re.compile(r"[\d\s.,+eE-]*$")
_KEYS = words("""
    ObjectType NDims BinaryData BinaryDataByteOrderMSB ElementByteOrderMSB CompressedData
    CompressedDataSize TransformMatrix Rotation Orientation Offset Position Origin
    CenterOfRotation AnatomicalOrientation ElementSpacing ElementSize DimSize ElementType
    ElementNumberOfChannels ElementMin ElementMax HeaderSize ElementDataFile
""")


Change = Callable[[bytes], bytes]
Named = Callable[[str], str]


def _same(voxels: bytes) -> bytes:
    return voxels


def is_volume(path: Path) -> bool:
    """Whether a file is a volume or what lies beside one, by its name."""
    return path.name.lower().endswith((*_NIFTI, *_NRRD, *_META, *_LOOSE))


def has_header(path: Path) -> bool:
    """Whether a file is a volume that says where it lies, by its name."""
    return path.name.lower().endswith((*_NIFTI, *_NRRD, *_META))


def write_volume(
    path: Path, target: Path, said: Named, named: Named, change: Change = _same
) -> None:
    """Write a volume whose header says nothing of a person.

    Parameters
    ----------
    path, target : Path
    said, named : callable
        Give a text without identity, and the new name of a file that lies beside.
    change : callable
        Gives the bytes of the voxels, in the order of the file, without a face.

    Raises
    ------
    DataError
        If its header is not as the format asks.
    """
    name = path.name.lower()
    raw = path.read_bytes()
    if name.endswith(_NIFTI):
        packed = raw[:2] == b"\x1f\x8b"
        head, voxels = _nifti(_unzipped(raw, path) if packed else raw, path)
        clean = head + change(voxels)
        clean = _zipped(clean) if packed else clean
    elif name.endswith(_NRRD):
        clean = _nrrd(raw, path, change, named, said)
    elif name.endswith(_META):
        clean = _meta(raw, path, change, named)
    else:
        clean = _loose(raw, path)
    with atomic_path(target) as partial:
        partial.write_bytes(clean)


def _apart(path: Path) -> DataError:
    return DataError(
        f"{path.name} is left out: a head whose voxels lie in a file of their own",
        mend="save it as one file (.nii.gz, .nrrd, .mha), so that its face can be cut off",
    )


def _unzipped(raw: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is packed and cannot be unpacked") from error


def _zipped(raw: bytes) -> bytes:
    return gzip.compress(raw, compresslevel=6, mtime=0)


def _nifti(raw: bytes, path: Path) -> tuple[bytes, bytes]:
    """Header of a NIfTI file, its texts and extensions zeros, and its voxels alone."""
    for order in "<>":
        size = struct.unpack(f"{order}i", raw[:4])[0] if len(raw) >= 4 else 0
        if size in _TEXTS and len(raw) >= size:
            break
    else:
        raise DataError(f"{path.name} is no NIfTI", expected="a header of 348 or 540 bytes")
    old = size == 348
    magic = raw[344:348] if old else raw[4:8]
    if magic not in (b"n+1\0", b"n+2\0"):
        raise DataError(f"{path.name} is no NIfTI in one file", expected="n+1 or n+2 in its header")
    dims = struct.unpack(f"{order}8{'h' if old else 'q'}", raw[40:56] if old else raw[16:80])
    bits = struct.unpack(f"{order}h", raw[72:74] if old else raw[14:16])[0]
    begin = int(
        struct.unpack(f"{order}{'f' if old else 'q'}", raw[108:112] if old else raw[168:176])[0]
    )
    count = 1
    for number in dims[1 : dims[0] + 1]:
        count *= number
    end = begin + (count * bits + 7) // 8
    if begin < size or end > len(raw):
        raise DataError(f"{path.name} ends before its voxels do")
    head = bytearray(raw[:begin])
    for start, length in _TEXTS[size]:
        head[start : start + length] = bytes(length)
    head[size:] = bytes(begin - size)
    return bytes(head), raw[begin:end]


def _nrrd(raw: bytes, path: Path, change: Change, named: Named, said: Named) -> bytes:
    text, data = _parted(raw)
    lines = text.split("\n")
    if not lines[0].startswith("NRRD000"):
        raise DataError(f"{path.name} is no NRRD", expected="a first line like NRRD0005")
    kept = [lines[0]]
    packed = False
    for line in lines[1:]:
        key, pair, value = line.partition(":=")
        if pair:
            if _PAIRS.match(key):
                words = key.endswith("_Name") or key == "modality"
                value = said(value) if words else value
                kept += [f"{key}:={value}"] if words or _NUMBERS.match(value) else []
            continue
        key, _, value = line.partition(":")
        if (
            key.strip().lower().replace(" ", "|") not in _FIELDS
            and key.strip().lower() not in _FIELDS
        ):
            continue
        packed |= key.strip().lower() == "encoding" and value.strip() in ("gzip", "gz")
        if key.replace(" ", "").lower() == "datafile":
            line = f"data file: {_beside(value.strip(), path, named)}"
        kept.append(line)
    if data:
        data = _zipped(change(_unzipped(data, path))) if packed else change(data)
    elif change is not _same:
        raise _apart(path)
    return ("\n".join(kept) + "\n\n").encode() + data


def _parted(raw: bytes) -> tuple[str, bytes]:
    """Header and data of a NRRD, which an empty line parts."""
    for gap in (b"\n\n", b"\r\n\r\n"):
        head, found, data = raw.partition(gap)
        if found:
            return head.decode("utf-8", "replace").replace("\r\n", "\n"), data
    return raw.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n"), b""


def _beside(name: str, path: Path, named: Named) -> str:
    """Name of the file that holds the voxels, as that file is named now."""
    if "/" in name or "%" in name or name == "LIST":
        raise DataError(f"{path.name} names its voxels' file in a way that is not followed")
    return named(name)


def _meta(raw: bytes, path: Path, change: Change, named: Named) -> bytes:
    kept, at = [], 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        key, equals, value = raw[at:end].decode("utf-8", "replace").strip().partition("=")
        at = end + 1
        key, value = key.strip(), value.strip()
        if not equals:
            raise DataError(f"{path.name} is no MetaImage", expected="lines of Key = value")
        if key == "ElementDataFile":
            local = value == "LOCAL"
            if change is not _same and not local:
                raise _apart(path)
            kept.append(f"{key} = {value if local else _beside(value, path, named)}")
            data = raw[at:] if local else b""
            if change is not _same and "CompressedData = True" in kept:
                kept = [row for row in kept if not row.startswith("CompressedData")]
                data = zlib.decompress(data)
            return ("\n".join(kept) + "\n").encode() + (change(data) if data else b"")
        if key in _KEYS:
            kept.append(f"{key} = {value}")
    raise DataError(f"{path.name} is no whole MetaImage", expected="ElementDataFile at its end")


def _loose(raw: bytes, path: Path) -> bytes:
    """Numbers beside a volume, checked to be such; bare voxels as they are."""
    if ".bv" in path.name.lower() and not _NUMBERS.match(raw.decode("ascii", "replace")):
        raise DataError(f"{path.name} holds more than numbers")
    return raw
