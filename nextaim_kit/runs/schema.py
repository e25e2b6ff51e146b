"""What a record of a run has to look like to be believed, and the parts that other files share.

A file may be another version's, cut off by a full disk, or somebody else's: whatever is read is
checked here once, so that no page, board or report has to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic import with_config as _with
from typing_extensions import TypedDict

from nextaim_kit.errors import UNSEEN, without_control
from nextaim_kit.files import read_json

SCHEMA = 1
_STRICT = ConfigDict(extra="allow", strict=True)


def _inside(path: str) -> str:
    if not path or path[0] == "/" or ".." in path.split("/"):
        raise ValueError("leads out of its folder")
    return path


def _quiet(text: str) -> str:
    if UNSEEN.search(text):
        raise ValueError("holds characters that a terminal obeys")
    return text


Text = Annotated[str, AfterValidator(_quiet)]
Inside = Annotated[Text, AfterValidator(_inside)]
_Scalar = Text | bool | int | FiniteFloat | None


@_with(_STRICT)
class Metric(TypedDict):
    """A number with its interval."""

    name: Text
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: int | None
    unit: Text | None
    note: Text | None


@_with(_STRICT)
class _Data(TypedDict):
    name: Text
    synthetic: NotRequired[bool]
    agreement: NotRequired[Text]
    until: NotRequired[Text]


@_with(_STRICT)
class _Figure(TypedDict):
    name: Text
    file: Inside
    alt: Text


@_with(_STRICT)
class _Section(TypedDict):
    title: Text
    seconds: FiniteFloat
    peak_mb: FiniteFloat


@_with(_STRICT)
class _Error(TypedDict):
    kind: Text
    what: Text


@_with(_STRICT)
class _Hardware(TypedDict):
    processor: Text
    cores: FiniteFloat
    memory_gb: FiniteFloat


@_with(_STRICT)
class _Warned(TypedDict):
    subjects: int
    of: int
    table: Text


@_with(_STRICT)
class Record(TypedDict):
    """What of a record others rely on."""

    schema: Literal[1]
    id: Text
    notebook: Text
    stage: Text
    title: Text
    profile: Text
    parameters: dict[Text, _Scalar | list[_Scalar]]
    data: list[_Data]
    metrics: list[Metric]
    figures: list[_Figure]
    failures: Annotated[int, Field(ge=0)]
    sections: list[_Section]
    outcome: Literal["complete", "incomplete", "failed"]
    error: _Error | None
    hardware: _Hardware
    files: dict[Inside, Text]
    seconds: NotRequired[FiniteFloat]  # of the whole run; older records have those of cells alone
    warned: NotRequired[_Warned | None]


@cache
def checker(form: Any) -> TypeAdapter:
    """Checks values of a form; made once."""
    return TypeAdapter(form)


_sound: dict[Path, tuple[int, int]] = {}  # records that were checked: time of change, size


def read_record_file(path: Path) -> dict[str, Any]:
    """A run's record as it was written; one that did not change is checked once in a process.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is no record of this version of the kit; says which field, and why, in a line.
    """
    now = _state(path)  # before it is read: what is written meanwhile is checked next time
    record = read_json(path)
    if _sound.get(path) != now:
        checked(record, Record)
        _sound[path] = now
    return record


def known_sound(path: Path) -> bool:
    """Whether a record that is there was checked in this process."""
    return _sound.get(path) == _state(path)


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def checked(value: Any, form: Any) -> Any:
    """A value in a form that pydantic knows.

    Raises
    ------
    ValueError
        Naming the first field that is otherwise, in a line.
    """
    try:
        return checker(form).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise ValueError(f"{place}: {first['msg']}".removeprefix(": ")) from None


def printable(value: Any) -> Any:
    """What is to be recorded, its texts without characters that a terminal obeys."""
    if isinstance(value, Mapping):
        return {printable(name): printable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [printable(one) for one in value]
    return without_control(value) if isinstance(value, str) else value
