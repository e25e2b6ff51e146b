"""Manifests: what the kit knows of each public data set, one YAML file per set."""

from __future__ import annotations

import difflib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

import nextaim_kit
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import read_text
from nextaim_kit.places import folder
from nextaim_kit.yaml_text import parse_yaml

_STRICT = ConfigDict(extra="forbid", strict=True)
UNKNOWN = "unknown"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or {".."} & set(parts) or re.search(r"[\\:]", path):
        raise ValueError("must be a relative path inside the data set's folder")
    return path


Inside = Annotated[str, AfterValidator(_inside)]  # what lies there counts in the fingerprint


@with_config(_STRICT)
class Subject(TypedDict):
    """One subject's files, relative to the data set's folder."""

    subject: str
    image: Inside
    mask: Inside
    lungs: NotRequired[Inside]
    site: NotRequired[str]
    label: NotRequired[int]


@with_config(_STRICT)
class Column(TypedDict):
    """A column of a second table that says something of each subject.

    `strip` is an ending that the second table adds to some subjects; `where` keeps rows by the
    values of other columns; `names` gives readable names to coded values.
    """

    table: Inside
    subject: str
    column: str
    strip: NotRequired[str]
    where: NotRequired[dict[str, list[str]]]
    names: NotRequired[dict[str, str]]


@with_config(_STRICT)
class Layout(TypedDict, total=False):
    """How the files make a cohort: one of `cohort`, `subjects`, `pattern`, `table`."""

    cohort: Inside
    subjects: Annotated[list[Subject], Field(min_length=1)]
    pattern: Literal["pairs"]
    table: Inside
    subject: str
    sites: Column
    labels: Column


class File(BaseModel):
    """One file of a data set; None stands for unknown."""

    model_config = _STRICT
    path: Inside
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    bytes: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    unpack: bool = False


class Manifest(BaseModel):
    """A data set: what it is, who may have it and how, its files, its known flaws."""

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: Annotated[str, Field(min_length=1)]
    version: str
    access: Literal["open", "registration", "restricted"]
    terms: Annotated[str, Field(min_length=1)]
    how_to_get: list[str] = []
    licence: Annotated[str, Field(min_length=1)]
    licence_url: str = ""
    citation: Annotated[str, Field(min_length=1)]
    doi: str = ""
    deidentified: bool | Literal["unknown"]
    caveats: list[str] = []
    files: Annotated[list[File], Field(min_length=1)]
    layout: Layout = {}
    studies: list[str]
    size_note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.access != "open" and not self.how_to_get:
            raise ValueError("how_to_get: steps are required where access is not open")
        if self.access == "open" and any(file.url is None for file in self.files):
            raise ValueError("files: every file needs a url where access is open")
        if len({file.path for file in self.files}) < len(self.files):
            raise ValueError("files: a path occurs twice")
        kinds = {"cohort", "subjects", "pattern", "table"} & set(self.layout)
        if len(kinds) > 1:
            raise ValueError(f"layout: {' and '.join(sorted(kinds))} exclude each other")
        return self


def manifests_folder() -> Path:
    """Folder of the manifests: ``NEXTAIM_MANIFESTS``, else ``data_manifests`` of the project."""
    default = Path(nextaim_kit.__file__).resolve().parents[1] / "data_manifests"
    return folder("NEXTAIM_MANIFESTS", default)


def manifest_names() -> list[str]:
    """Names of the data sets that have a manifest, sorted."""
    return sorted(path.stem for path in manifests_folder().glob("*.yaml"))


def load_manifest(name: str) -> Manifest:
    """Read the manifest of a data set.

    Raises
    ------
    RequestError
        If no data set has that name; names the nearest.
    DataError
        If the file is damaged; names the file and the field.
    """
    names = manifest_names()
    if name not in names:
        raise _unknown(name, names)
    path = manifests_folder() / f"{name}.yaml"
    try:
        manifest = Manifest.model_validate(_read(path))
    except ValidationError as error:
        raise _damaged(path, error) from error
    if manifest.name != name:
        raise DataError(
            f"{path.name}: field name",
            expected=f"the file's own name, {name}",
            found=manifest.name,
            mend="rename the file or the data set",
        )
    return manifest


def _read(path: Path) -> Any:
    try:
        return parse_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read",
            expected="a manifest in YAML, UTF-8",
            found=" ".join(str(error).split())[:200],
            mend="correct the file",
        ) from error


def _unknown(name: str, names: list[str]) -> RequestError:
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    return RequestError(
        f"unknown data set {name!r}",
        expected=", ".join(names) or f"manifests in {manifests_folder()}",
        mend=f"did you mean {' or '.join(near)}?" if near else "nextaim data list shows the names",
    )


def _damaged(path: Path, error: ValidationError) -> DataError:
    first, *others = error.errors()
    field = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    found = first["input"] if isinstance(first["input"], str | int | float | None) else ""
    return DataError(
        f"{path.name}: field {field}" if field else f"{path.name}",
        expected=first["msg"] + more,
        found=repr(found)[:100] if found != "" else "",
        mend="correct the manifest",
    )
