"""Sidecars, tables, reports and pictures without identity, each by its kind."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from nextaim_kit.data.privacy import packed, tables
from nextaim_kit.data.privacy.kanonymity import Generalized, coarser
from nextaim_kit.data.privacy.learning import kind_of, learn_mapping
from nextaim_kit.data.privacy.lexicon import Lexicon
from nextaim_kit.data.privacy.patterns import OLDEST
from nextaim_kit.data.privacy.scrubbing import Scrubber
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path, require_file, write_text

_TEXTS, _PAGES = (".txt", ".md", ".rst"), (".html", ".htm")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_KEPT = re.compile(
    r"patient_?(?:sex|age|weight|size)$|.*(?:seriesinstance|studyinstance|sopinstance"
    r"|frameofreference)_?uid$",
    re.I,
)
_AGE = re.compile(r"(?:^|_|patient)age$|^eta$", re.I)
_UID = re.compile(r"[0-2](?:\.\d+){4,}$")


def learn(lexicon: Lexicon, path: Path) -> None:
    """Learn whom a sidecar, a table or a report's labels tell of."""
    require_file(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        learn_mapping(lexicon, json.loads(path.read_bytes()))
    elif suffix in tables.SUFFIXES:
        for table in tables.read_tables(path).values():
            tables.learn_table(lexicon, table)


def owner_of(path: Path, scrubber: Scrubber) -> str:
    """The one patient whom a report or a sidecar names, else nothing."""
    if path.suffix.lower() not in (*_TEXTS, *_PAGES, *packed.DOCUMENTS, ".json"):
        return ""
    return scrubber.lexicon.owner(_decoded(path))


def write(
    path: Path, target: Path, scrubber: Scrubber, patient: str, k: int = 0
) -> tuple[str, list[Generalized]]:
    """Write a file without identity; gives its kind, and how alike the rows of its tables are.

    Parameters
    ----------
    path, target : Path
    scrubber : Scrubber
    patient : str
        Whose it is, if it is one patient's.
    k : int
        Make a table's quasi-identifiers coarser until so many rows are alike; 0 leaves them.

    Raises
    ------
    DataError
        If nothing here knows its kind: then it is not passed on.
    """
    require_file(path)
    suffix = path.suffix.lower()
    if suffix in tables.SUFFIXES:
        return "table", _write_tables(path, target, scrubber, patient, k)
    kinds: dict[tuple[str, ...], tuple[str, Callable[[Path, Path, Scrubber, str], None]]] = {
        (".json",): ("sidecar", _write_json),
        (*_TEXTS, *packed.DOCUMENTS): ("report", _write_text),
        _PAGES: ("report", _write_page),
        PICTURES: ("picture", _write_picture),
    }
    for suffixes, (kind, writer) in kinds.items():
        if suffix in suffixes:
            writer(path, target, scrubber, patient)
            return kind, []
    raise DataError(f"{path.name} is left out: nothing here cleans files of its kind")


def _decoded(path: Path) -> str:
    if path.suffix.lower() in packed.DOCUMENTS:
        return packed.text_of(path)
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _write_text(path: Path, target: Path, scrubber: Scrubber, patient: str) -> None:
    write_text(target, scrubber.text(_decoded(path), patient))


def _write_tables(
    path: Path, target: Path, scrubber: Scrubber, patient: str, k: int
) -> list[Generalized]:
    """Tables as they came; those of a workbook as one CSV for each sheet, which holds no author."""
    done = []
    for sheet, table in tables.read_tables(path).items():
        found = coarser(tables.clean_table(table, scrubber, patient), k)
        kinds = tables.kinds_of(table)
        gone = tuple(name for name, kind in kinds.items() if kind in tables.TAKEN_OUT)
        clean = found.table
        done.append(replace(found, gone=gone))
        if path.suffix.lower() == ".parquet":
            with atomic_path(target) as partial:
                clean.to_parquet(partial, index=False)
            continue
        place = target
        if path.suffix.lower() == ".xlsx":
            name, number = f"{target.stem}_{scrubber.name(sheet, patient)}", 1
            while (place := target.with_name(f"{name}{f'_{number}' * (number > 1)}.csv")).exists():
                number += 1
        apart = "\t" if path.suffix.lower() == ".tsv" else ","
        write_text(place, clean.to_csv(index=False, sep=apart, lineterminator="\n"))
    return done


def _write_json(path: Path, target: Path, scrubber: Scrubber, patient: str) -> None:
    try:
        value = json.loads(_decoded(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is no JSON") from error
    clean = _clean_value(value, "", scrubber, patient)
    write_text(target, json.dumps(clean, indent=1, ensure_ascii=False) + "\n")


def _clean_value(value: Any, label: str, scrubber: Scrubber, patient: str) -> Any:
    """A value of JSON without identity; keys that name people go with what they hold."""
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            clean = _clean_value(inner, str(key), scrubber, patient)
            if clean is not None or inner is None:
                kept[scrubber.key_text(str(key))] = clean
        return kept
    if isinstance(value, list):
        cleaned = [_clean_value(inner, label, scrubber, patient) for inner in value]
        return [
            clean
            for clean, inner in zip(cleaned, value, strict=True)
            if clean is not None or inner is None
        ]
    if value is None or isinstance(value, bool):
        return value
    return _clean_leaf(value, label, scrubber, patient)


def _clean_leaf(value: Any, label: str, scrubber: Scrubber, patient: str) -> Any:
    text = str(value)
    kind = "" if _KEPT.match(label) else kind_of(label)
    if kind == "id" and text.strip() in scrubber.lexicon.patients:
        return scrubber.key.pseudonym(text)
    if kind:
        scrubber.counts["key"] += 1
        return None
    if _AGE.search(label):
        match = re.match(r"0*(\d+)(?:\.\d+)?(?P<unit>Y?)$", text)
        if match and int(match[1]) > OLDEST:
            return f"{OLDEST + 1:03d}Y" if match["unit"] else OLDEST + 1
    if not isinstance(value, str):
        return value if abs(value) < 10**8 or isinstance(value, float) else None
    if _UID.match(text):
        return scrubber.key.uid(text)
    return scrubber.text(text, patient, short=len(text) <= 64)


class _Page(HTMLParser):
    """Writes a page anew with its texts cleaned, without scripts, comments and metadata."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=True)
        self.clean, self.hidden = clean, 0
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self.hidden += 1
        if self.hidden or tag in ("meta", "link", "base", "img", "iframe", "object"):
            return
        said = "".join(
            f' {k}="{html.escape(self.clean(v or ""))}"'
            for k, v in attrs
            if k in ("colspan", "rowspan", "class")
        )
        self.parts.append(f"<{tag}{said}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.hidden = max(0, self.hidden - 1)
        elif not self.hidden:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(html.escape(self.clean(data), quote=False))


def _write_page(path: Path, target: Path, scrubber: Scrubber, patient: str) -> None:
    page = _Page(lambda text: scrubber.text(text, patient))
    page.feed(_decoded(path))
    page.close()
    write_text(target, "".join(page.parts))


def _write_picture(path: Path, target: Path, scrubber: Scrubber, patient: str) -> None:
    """A picture as PNG: its pixels, with writing covered, and nothing else."""
    import numpy as np
    from PIL import Image

    from nextaim_kit.data.privacy.writing import covered

    with Image.open(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise DataError(f"{path.name} is left out: a picture of several frames")
        plain = picture if picture.mode in ("L", "RGB", "I;16", "I") else picture.convert("RGB")
        pixels = np.array(plain)
    scrubber.counts["writing in pixels"] += covered(pixels, pixels.ndim == 3)
    with atomic_path(target) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
