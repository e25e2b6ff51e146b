"""What the standard asks of each element, with the options that were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# CID 7050 of PS3.16: code and meaning.
_CODES = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "pixels": ("113101", "Clean Pixel Data Option"),
    "faces": ("113102", "Clean Recognizable Visual Features Option"),
    "structured": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "private": ("113111", "Retain Safe Private Option"),
}
_BIRTH = (0x00100030, 0x00100032)  # no option keeps them
OPTIONS = ("dates", "patient", "device", "descriptors", "faces")


@dataclass(frozen=True)
class Profile:
    """The Basic Profile of PS3.15 with options.

    Parameters
    ----------
    dates : bool
        Keep dates, moved by one shift a patient; else they are emptied.
    patient : bool
        Keep sex, age (above 89: 90), size, weight and the like.
    device : bool
        Keep serial numbers and names of devices.
    descriptors : bool
        Keep descriptions, labels and comments, cleaned; else they are removed.
    faces : bool
        Leave faces in images of heads; else they are cut off.
    k : int
        Rows of a table that have to be alike in age, sex and the like; 0 leaves tables so.
    """

    dates: bool = True
    patient: bool = True
    device: bool = False
    descriptors: bool = True
    faces: bool = False
    k: int = 0

    def action(self, tag: int, vr: str) -> str:
        """What to do with an element of the table: K, C, D, Z, X or U; nothing if it has no row.

        Of actions that depend on the kind of object, such as X/Z/D, the last is given, which keeps
        each object valid.
        """
        row = table().get(tag)
        if row is None:
            return ""
        basic, options = row
        if vr in ("DA", "DT", "TM") and self.dates and tag not in _BIRTH:
            return "C"
        for option in ("device", "patient", "descriptors"):
            if option in options and getattr(self, option):
                return options[option]
        if "structured" in options:
            return "C"
        return basic.rsplit("/", 1)[-1]

    def codes(self, *, pixels: bool, private: bool, faces: bool = False) -> list[tuple[str, str]]:
        """Codes of CID 7050 and their meanings, for what was done."""
        done = ["basic", "structured"] + [name for name in OPTIONS[:4] if getattr(self, name)]
        done += ["faces"] * faces + ["pixels"] * pixels + ["private"] * private
        return sorted(_CODES[name] for name in done)


@cache
def table() -> dict[int, tuple[str, dict[str, str]]]:
    """Tag, to the Basic Profile's action and what options make of it (PS3.15 table E.1-1)."""
    text = files(__package__).joinpath("confidentiality.tsv").read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            tag, _, _, basic, *said = line.split("\t")
            options = dict(one.split("=") for one in said[0].split(",")) if said else {}
            rows[int(tag, 16)] = (basic, options)
    return rows
