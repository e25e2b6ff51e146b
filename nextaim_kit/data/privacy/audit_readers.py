"""Everything that a file says, in words: headers, keys, cells, metadata, and text within bytes."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

_LARGEST = 1 << 28  # bytes of a file that is looked at whole
_ROWS = 100  # of a table that are looked at to tell what its first one is
_ARRAY = b"\x93NUMPY"
_STRINGS = re.compile(rb"[\x20-\x7e\xa0-\xff]{5,}")
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
_TITLED = re.compile(r"\b(?:Dott|Dr|Prof|Sig|Sig\.ra|Dott\.ssa|Mr|Mrs|Ms)\.?\s*$")
_TAG = re.compile(r"<[^>]*>")
_EMBEDDED = re.compile(
    r"data:(?P<kind>[\w/+.-]+)[^,\s\"']{0,80};base64,(?P<bytes>[A-Za-z0-9+/=\r\n]+)"
)
_LITERAL = re.compile(r"\"((?:[^\"\\\n]|\\.){4,2000})\"")
_IMAGE = re.compile(r"image/(?:png|jpeg|gif|webp)$")
_FONTS = ("font/", "application/font", "application/x-font", "application/wasm")
_LINES = (".txt", ".md", ".rst", ".csv", ".tsv", ".log", ".py", ".yaml", ".yml", ".bval", ".bvec")


class CannotRead(Exception):
    """A file that says nothing here: somebody has to look at it."""


class Said(NamedTuple):
    """A text of a file: where it stands, of what kind it is (a VR, or nothing), and itself."""

    where: str
    kind: str
    text: str


def said_by(path: Path) -> Iterator[Said]:
    """All texts of a file, by its kind.

    Raises
    ------
    CannotRead
        If it is no plain file, too large, or damaged.
    """
    if not path.is_file():
        raise CannotRead("no plain file")
    if path.stat().st_size > _LARGEST:
        raise CannotRead(f"too large to be looked at whole: more than {_LARGEST >> 20} MB")
    raw = path.read_bytes()
    try:
        yield from _by_kind(raw, path)
    except CannotRead:
        raise
    except Exception as error:  # a damaged file may make its reader raise anything
        raise CannotRead(f"it cannot be read ({type(error).__name__})") from error


def _by_kind(raw: bytes, path: Path) -> Iterator[Said]:
    suffix = path.suffix.lower()
    if raw[:2] == b"\x1f\x8b":
        raw, suffix = gzip.decompress(raw), Path(path.stem).suffix.lower()
    if raw[128:132] == b"DICM" or suffix in (".dcm", ".dicom", ".ima"):
        yield from _dicom(raw, path)
    elif suffix in (".json", ".ipynb", ".geojson"):
        yield from _json(json.loads(raw), "")
    elif suffix in (".html", ".htm", ".svg", ".xml"):
        yield from _page(raw.decode("utf-8", "replace"))
    elif suffix in _LINES:
        yield from _lines(_text(raw), suffix in (".csv", ".tsv"))
    elif raw[:4] == b"PK\x03\x04":
        yield from _zip(path)
        if suffix == ".xlsx":
            yield from _sheets(raw)
    elif suffix == ".parquet":
        yield from _parquet(path)
    elif raw[:5] == b"%PDF-":
        yield from _pdf(raw)
    elif suffix in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp"):
        yield from _picture(path)
    elif raw[:6] == _ARRAY:
        yield from _array(raw, "array")
    elif suffix == ".nii":
        yield from _nifti(raw)
    else:
        head = raw if len(raw) < 1 << 20 else raw[: 1 << 16] + raw[-(1 << 16) :]
        yield from _strings(head, "text within its bytes")


def _text(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _lines(text: str, table: bool = False) -> Iterator[Said]:
    """A text line by line, one that ends in a title with the next; a table's first as columns."""
    rows = text.splitlines()
    if table and rows:
        columns = re.split(r"[;,\t|]", rows[0])
        yield from (Said(f"column {name}", "key", name.strip('" ')) for name in columns)
        apart = max(",;\t|", key=rows[0].count)
        yield from _first_row(list(csv.reader(rows[:_ROWS], delimiter=apart)))
    for number, row in enumerate(rows, 1):
        after = rows[number] if number < len(rows) and _TITLED.search(row) else ""
        yield Said(f"line {number}", "", f"{row} {after}")


def _first_row(rows: list[list[str]]) -> Iterator[Said]:
    """What stands where the names of columns should, each with what is below it, a line each."""
    for at, name in enumerate(rows[0] if rows else []):
        below = [row[at] for row in rows[1:] if at < len(row)]
        yield Said(f"first row, column {at + 1}", "first", "\n".join([name, *below]))


def _sheets(raw: bytes) -> Iterator[Said]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    for sheet in book.worksheets:
        rows = sheet.iter_rows(max_row=_ROWS, values_only=True)
        yield from _first_row([["" if c is None else str(c) for c in row] for row in rows])


def _strings(raw: bytes, where: str) -> Iterator[Said]:
    for match in _STRINGS.finditer(raw):
        yield Said(where, "bytes", match[0].decode("latin-1"))


def _json(value: Any, key: str) -> Iterator[Said]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield Said(f"{key}.{name}".strip("."), "key", str(name))
            letters = "".join(inner) if isinstance(inner, list) and _IMAGE.match(name) else inner
            if isinstance(letters, str) and _IMAGE.match(str(name)):
                yield from _embedded(str(name), letters)
            else:
                yield from _json(inner, f"{key}.{name}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _json(inner, key)
    elif isinstance(value, str) and (_TAG.search(value) or _EMBEDDED.search(value)):
        yield from (one._replace(where=f"{key}: {one.where}") for one in _page(value))
    elif value not in (None, "") and not isinstance(value, bool):
        yield Said(key, "", str(value))


def _page(text: str) -> Iterator[Said]:
    """A page's texts line by line, then what its tags and comments hold."""
    for match in _EMBEDDED.finditer(text):
        yield from _embedded(match["kind"], match["bytes"])
    text = _EMBEDDED.sub(" ", text)
    for script in re.findall(r"(?is)<script\b[^>]*>(.*?)</script>", text):
        for literal in _LITERAL.findall(script):
            yield Said("a text of a script", "", literal)
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>", " ", text)
    for number, row in enumerate(unescape(_TAG.sub("\n", text)).splitlines(), 1):
        if row.strip():
            yield Said(f"text {number}", "", row)
    for tag in _TAG.findall(text):
        if "content=" in tag or "title=" in tag or "alt=" in tag or tag.startswith("<!--"):
            yield Said("a tag of the page", "", unescape(tag))


def _embedded(kind: str, packed: str) -> Iterator[Said]:
    """What a picture or a file says that lies within a page or a notebook as letters."""
    if kind.startswith(_FONTS):
        return
    try:
        raw = base64.b64decode(packed)
    except ValueError:
        yield Said(f"{kind} within it", "", packed)
        return
    if kind.startswith("image/") and "svg" not in kind:
        yield from _picture(io.BytesIO(raw))
    elif kind.endswith("svg+xml"):
        yield from _page(raw.decode("utf-8", "replace"))
    else:
        yield from _strings(raw, f"{kind} within it")


def _zip(path: Path) -> Iterator[Said]:
    """Names and texts within a workbook, a document or an archive."""
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            yield Said(item.filename, "", item.filename)
            if item.file_size > _LARGEST:
                raise CannotRead(f"{item.filename} within it is too large")
            inner = archive.read(item)
            if item.filename.endswith((".xml", ".rels", ".html")):
                rows = unescape(_TAG.sub("\n", inner.decode("utf-8", "replace"))).splitlines()
                yield from (Said(item.filename, "", row) for row in rows if row.strip())
            elif inner[:6] == _ARRAY:
                yield from _array(inner, item.filename)
            else:
                yield from _strings(inner[: 1 << 20], item.filename)


def _array(raw: bytes, where: str) -> Iterator[Said]:
    """Texts of a NumPy array; numbers of several bytes each are no letters."""
    import numpy as np

    try:
        values = np.load(io.BytesIO(raw), allow_pickle=False)
    except ValueError:  # it holds Python's objects
        yield from _strings(raw[: 1 << 20], where)
        return
    if values.dtype.kind == "U":
        yield from (Said(where, "", str(text)) for text in np.unique(values))
    elif values.dtype.kind not in "biufcmM" or (values.itemsize == 1 and values.ndim == 1):
        yield from _strings(raw[: 1 << 20], where)


def _parquet(path: Path) -> Iterator[Said]:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    for key, value in (table.schema.metadata or {}).items():
        yield Said("metadata", "", f"{key.decode()}: {value.decode('utf-8', 'replace')}")
    top = table.slice(0, _ROWS).to_pydict()
    yield from _first_row(
        [list(top), *([str(c) for c in row] for row in zip(*top.values(), strict=True))]
    )
    for name in table.column_names:
        yield Said(f"column {name}", "key", name)
        for cell in table.column(name).to_pylist():
            if cell not in (None, ""):
                yield Said(f"column {name}", "", str(cell))


def _pdf(raw: bytes) -> Iterator[Said]:
    yield from _strings(_STREAM.sub(b"", raw), "metadata")
    for match in _STREAM.finditer(raw):
        try:
            inner = zlib.decompress(match[1])
        except zlib.error:
            inner = match[1]
        texts = re.findall(rb"\(((?:\\.|[^()\\])*)\)", inner)
        yield from (Said("a page", "", text.decode("latin-1")) for text in texts if len(text) > 2)


def _picture(path: Path | io.BytesIO) -> Iterator[Said]:
    from PIL import Image

    with Image.open(path) as picture:
        for key, value in picture.info.items():
            if key not in ("icc_profile", "exif"):
                yield Said(f"metadata {key}", "", str(value)[:10_000])
        for tag, value in picture.getexif().items():
            yield Said(f"EXIF {tag}", "", str(value))


def _nifti(raw: bytes) -> Iterator[Said]:
    size = 540 if raw[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big")) else 348
    voxels = raw[108:112] if size == 348 else raw[168:176]
    yield from _strings(raw[4:size], "header")
    import struct

    order = "<" if raw[:4] == size.to_bytes(4, "little") else ">"
    begin = int(struct.unpack(f"{order}{'f' if size == 348 else 'q'}", voxels)[0])
    yield from _strings(raw[size:begin], "extension")


def _dicom(raw: bytes, path: Path) -> Iterator[Said]:
    import pydicom

    yield from _strings(raw[:128], "preamble")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values against the standard: they are read as they are
        data = pydicom.dcmread(path, force=True)
        yield from _elements(getattr(data, "file_meta", pydicom.Dataset()), "meta ")
        yield from _elements(data, "")
        stamped = str(data.get("PatientIdentityRemoved") or "")
        yield Said("PatientIdentityRemoved", "stamp", stamped)
        moved = str(data.get("LongitudinalTemporalInformationModified") or "")
        yield Said("LongitudinalTemporalInformationModified", "moved", moved)
        if "PixelData" in data:
            burnt = str(data.get("BurnedInAnnotation") or "")
            yield Said("PixelData", "burnt", f"{data.get('Modality', '')} {burnt}")


def _elements(data: Any, above: str) -> Iterator[Said]:
    for tag in sorted(data.keys()):
        element = data.get_item(tag)
        try:
            element = data[tag]
        except Exception:  # unreadable as what it says it is: then its bytes are looked at
            yield from _strings(bytes(element.value or b""), f"{above}{tag}")
            continue
        where = f"{above}{element.keyword or tag}"
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _elements(item, f"{where}.")
        elif isinstance(element.value, bytes):
            short = element.value if element.keyword != "PixelData" else element.value[-64:]
            yield from _strings(short[: 1 << 20], where)
        elif element.value not in (None, ""):
            kind = f"private {element.VR}" if element.tag.is_private else str(element.VR)
            several = isinstance(element.value, (list, tuple)) or hasattr(element.value, "append")
            for one in element.value if several else [element.value]:
                yield Said(where, kind, str(one))
