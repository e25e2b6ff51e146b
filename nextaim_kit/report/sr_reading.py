"""A report read back from its DICOM SR, and what is wrong with an SR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.sr.codedict import codes as dicom

from nextaim_kit.data.images.dicom import require_bounded
from nextaim_kit.errors import DataError, refused_if_damaged
from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code, OwnSystem
from nextaim_kit.report.model import Field, Report, Template
from nextaim_kit.report.quantity import Quantity, Value
from nextaim_kit.report.sr import SYNTHETIC

Pair = tuple[str, str]  # coding scheme and value


@dataclass(frozen=True)
class _Group:
    """A measurement group as it was read: numbers and words by their names' codes."""

    name: str
    system: OwnSystem
    what: Quantity | None
    said: dict[Pair, Any]
    sites: list[Pair]
    by_algorithm: bool
    observer: str
    reviewer: str
    reason: str

    @property
    def value(self) -> Any:
        return self.said.get(_key(self.what.standard or self.what.code)) if self.what else None

    @property
    def absent(self) -> bool:
        """Whether it says that there is no value."""
        return _is_absent(self.value, self.system)

    @property
    def status(self) -> str:
        """Review status; empty where there is none that is known."""
        word = self.said.get(_key(self.system.status))
        known = {_key(code): status for status, code in self.system.statuses.items()}
        return known.get(_pair(word), "") if word is not None else ""


def read(source: str | Path | BinaryIO) -> Any:
    """Read an SR by highdicom, which checks its structure; DataError if it is none."""
    from highdicom.sr import srread

    try:
        if isinstance(source, str | Path):
            require_bounded(Path(source))
        return srread(source)
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parser raise anything
        name = Path(source).name if isinstance(source, str | Path) else "the file"
        raise DataError(
            f"{name} is no DICOM SR that can be read",
            expected="a Comprehensive 3D SR",
            found=" ".join(str(error).split())[:200],
        ) from error


@refused_if_damaged("this is no report in DICOM SR")
def from_sr(document: Any, template: Template) -> Report:
    """Read a report back from its SR.

    Raises
    ------
    DataError
        If it is not valid, or not one of this template.
    """
    report, wrong = examine(document, template)
    if report is None:
        raise DataError("this is no report in DICOM SR", found="; ".join(wrong[:5]))
    return report


def examine(document: Any, template: Template) -> tuple[Report | None, list[str]]:
    """Read an SR and say what is wrong with it: its form, codes, units, places and flags.

    Returns
    -------
    report : Report or None
        None if anything is wrong.
    problems : list of str
    """
    form = document.ContentTemplateSequence[0].TemplateIdentifier
    wrong = [] if form == "1500" else [f"template {form}, not 1500"]
    groups = [_group(g, template) for g in document.content.get_image_measurement_groups()]
    wrong += [f"{group.name}: {said}" for group in groups for said in _broken(group)]
    said = {group.what.key for group in groups if group.what}
    wrong += [
        f"{what.code.value}: left out" for what in template.quantities if what.key not in said
    ]
    report = None if wrong or not groups else _report(document, groups, template)
    if report and (document.VerificationFlag == "VERIFIED") != report.final:
        wrong.append(f"{document.VerificationFlag}, its values are not")
    return (None if wrong else report), wrong


def _group(group: Any, template: Template) -> _Group:
    # Its items as they are: what highdicom gives of a group are copies, which take long.
    name, items = str(group.tracking_identifier), group[0].ContentSequence
    numbers = {_pair(item.name): item for item in items if item.ValueType == "NUM"}
    coded = [(_pair(item.name), item.value) for item in items if item.ValueType == "CODE"]
    texts = _texts(group[0])
    return _Group(
        name=name,
        system=template.system,
        what=next((what for what in template.quantities if what.code.value == name), None),
        said=numbers | dict(coded),
        sites=[_pair(value) for kind, value in coded if kind == _pair(dicom.SCT.FindingSite)],
        by_algorithm=_pair(dicom.DCM.AlgorithmName) in texts,
        observer=_observer(group[0]),
        reviewer="".join(texts.get(_key(template.system.reviewer), [])),
        reason="".join(texts.get(_pair(dicom.DCM.Comment), [])),
    )


def _observer(container: Any) -> str:
    names = (item.value for item in container.ContentSequence if item.ValueType == "PNAME")
    return "".join(str(name.family_name) for name in names)


def _texts(container: Any) -> dict[Pair, list[str]]:
    found: dict[Pair, list[str]] = {}
    for item in container.ContentSequence:
        if item.ValueType == "TEXT":
            found.setdefault(_pair(item.name), []).append(str(item.TextValue))
    return found


def _pair(concept: Any) -> Pair:
    return (concept.scheme_designator, concept.value)


def _key(code: Code) -> Pair:
    return (code.scheme, code.value)


def _broken(group: _Group) -> Iterator[str]:
    what = group.what
    if what is None:
        yield "unknown quantity"
        return
    if group.value is None or (group.absent and not what.optional):
        yield "no value of this code"
    elif what.unit and not group.absent and _pair(group.value.unit) != _key(what.unit):
        yield f"the unit is not UCUM's {what.unit.value}"
    if what.site and group.sites != [_key(what.site)]:
        yield f"the place is not {what.site.display}"
    if not group.status:
        yield "no review status"
    elif (group.status == "ai-derived") == bool(group.reviewer):
        yield "reviewed by nobody, or a reader without a review"
    edited = group.status == "edited"
    if (group.by_algorithm, group.observer) != (not edited, group.reviewer if edited else ""):
        yield f"{group.status}, and made by another than it says"


def _report(document: Any, groups: list[_Group], template: Template) -> Report:
    texts = _texts(document.content[0])
    comments = texts.get(_pair(dicom.DCM.Comment), [])
    return Report(
        template=template,
        subject=str(document.PatientID),
        site=str(document.get("InstitutionName") or ""),
        software=texts[_pair(dicom.DCM.DeviceObserverName)][0],
        fields=tuple(_field(group) for group in groups),
        warnings=tuple(text for text in comments if text != SYNTHETIC),
        synthetic=SYNTHETIC in comments,
    )


def _field(group: _Group) -> Field:
    what: Any = group.what
    status: Any = group.status
    value = _read(what, group.value, group.system)
    before = group.said.get(_key(group.system.ai_value))
    ai_value = value if before is None else _read(what, before, group.system)
    return Field(what, ai_value, value, status, group.reviewer, reason=group.reason)


def _is_absent(said: Any, system: OwnSystem) -> bool:
    """Whether an item says that there is no value; a number has no code of its own."""
    return getattr(said, "value", None) == system.absent.value and _pair(said) == _key(
        system.absent
    )


def _read(what: Quantity, said: Any, system: OwnSystem) -> Value:
    if _is_absent(said, system):
        return None
    if what.kind == "number":
        return what.typed(float(said.value))
    if what.kind == "flag":
        return _pair(said) == _key(codes.YES)
    return next(word for word, code in what.choices if _key(code) == _pair(said))
