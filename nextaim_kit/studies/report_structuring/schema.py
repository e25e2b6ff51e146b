"""Templates of structured reports: their fields, what is allowed, and the canonical text."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.yaml_text import parse_yaml

NOT_MENTIONED = "not_mentioned"
TEMPLATES = ("covid_ct", "covid_ct_short", "echo", "echo_short")
SHORT = "_short"
UNSAID = "?"  # in the canonical text, of what the report does not mention
Value = str | float | None
_WORD = r"^[a-z][a-z0-9_]*$"
_UCUM = {"ml": "mL", "ml/m2": "mL/m2", "mmHg": "mm[Hg]", "bpm": "/min", "days": "d", "": "1"}
_Word = Annotated[str, pydantic.Field(pattern=_WORD)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Field(_Frozen):
    """One field of a template: a choice of words, or a number in its unit.

    Attributes
    ----------
    key : str
        Short name in snake_case.
    label : dict of str to str
        What it is called, by language.
    choices : tuple of str
        Of a choice; beside them every choice may be `NOT_MENTIONED`.
    unit : str
        Of a number.
    low, high : float
        Of a number: what is possible.
    decimals : int
        Of a number.
    section : str
        LOINC code of the section that it stands in.
    short : bool
        Whether the short form of the template has it.
    """

    key: _Word
    label: dict[str, str]
    choices: tuple[_Word, ...] = ()
    unit: str = ""
    low: float | None = None
    high: float | None = None
    decimals: Annotated[int, pydantic.Field(ge=0, le=4)] = 0
    section: str = "18782-3"
    short: bool = False

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Field:
        bounds = self.low is not None and self.high is not None and self.low < self.high
        if bool(self.choices) == bounds:
            raise ValueError(f"{self.key}: either choices, or low and a greater high")
        if NOT_MENTIONED in self.choices or len({*self.choices}) < len(self.choices):
            raise ValueError(f"{self.key}: choices once each, and without {NOT_MENTIONED}")
        return self

    @property
    def kind(self) -> Literal["choice", "number"]:
        """What its values are."""
        return "choice" if self.choices else "number"

    @property
    def ucum(self) -> str:
        """The unit as UCUM writes it."""
        return _UCUM.get(self.unit, self.unit)

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        if self.choices:
            return " or ".join([*self.choices, NOT_MENTIONED])
        return f"a number from {self.low:g} to {self.high:g} {self.unit}".strip() + ", or none"

    def holds(self, number: float) -> bool:
        """Whether a number is possible; no choice holds one."""
        return self.low is not None and self.high is not None and self.low <= number <= self.high

    def written(self, value: Value) -> str:
        """A value as the canonical text has it."""
        if value is None or value != value or value == NOT_MENTIONED:
            return UNSAID
        return value if isinstance(value, str) else f"{value:.{self.decimals}f}"


class Template(_Frozen):
    """The fields of a kind of report, in their order.

    Attributes
    ----------
    name : str
    title : dict of str to str
        By language.
    sections : dict of str to dict
        LOINC code of each section, with its title by language.
    words : dict of str to dict
        What a choice is called where its word itself will not do, by language.
    fields : tuple of Field

    Examples
    --------
    >>> template = read_template("echo_short")
    >>> values = template.empty() | {"rhythm": "sinus", "ef": 55}
    >>> text = template.serialize(values)
    >>> text.split("; ")[:2]
    ['rhythm=sinus', 'comparison=?']
    >>> template.parse(text)["ef"]
    55.0
    """

    name: _Word
    title: dict[str, str]
    sections: dict[str, dict[str, str]]
    words: dict[str, dict[str, str]] = {}
    fields: Annotated[tuple[Field, ...], pydantic.Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Template:
        keys = [field.key for field in self.fields]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"fields: {', '.join(twice)} said twice")
        if strange := sorted({field.section for field in self.fields} - {*self.sections}):
            raise ValueError(f"fields in sections that are not declared: {', '.join(strange)}")
        return self

    @cached_property
    def by_key(self) -> dict[str, Field]:
        """Fields by key."""
        return {field.key: field for field in self.fields}

    @cached_property
    def model(self) -> type[BaseModel]:
        """The pydantic model of a report's values: enumerations, ranges, no further field."""
        types: dict[str, Any] = {field.key: _type_of(field) for field in self.fields}
        strict = ConfigDict(extra="forbid", allow_inf_nan=False)
        return create_model(self.name, __config__=strict, **types)

    def of(self, name: str, fields: Iterable[Field]) -> Template:
        """A template of some of the fields, under a name of its own."""
        shared: Any = {"title": self.title, "sections": self.sections, "words": self.words}
        return Template(name=name, fields=tuple(fields), **shared)

    def word(self, choice: str, language: str = "en") -> str:
        """A choice as it is shown to a reader."""
        return self.words.get(choice, {}).get(language, choice.replace("_", " "))

    def empty(self) -> dict[str, Value]:
        """Values of a report that mentions nothing."""
        return {f.key: NOT_MENTIONED if f.choices else None for f in self.fields}

    def check(self, values: Mapping[str, Any]) -> dict[str, Value]:
        """A report's values as they should be.

        Parameters
        ----------
        values : mapping
            By key. What is missing, None, NaN or an empty text counts as not mentioned; a number
            is rounded to its field's decimals.

        Raises
        ------
        DataError
            If a field is not of the template, or a value not allowed; names the field.
        """
        said = {key: value for key, value in values.items() if not _blank(value)}
        try:
            checked = self.model.model_validate(said).model_dump()
        except ValidationError as error:
            raise self._refused(error) from error
        return {
            f.key: checked[f.key] if f.choices else _rounded(checked[f.key], f.decimals)
            for f in self.fields
        }

    def entered(self, values: Mapping[str, Any]) -> dict[str, Value]:
        """A report's values as somebody has entered them: `check`, and no share for percent.

        Raises
        ------
        DataError
            As `check`, or if a value in percent lies between 0 and 1.
        """
        for field in self.fields:
            given = values.get(field.key)
            if field.unit == "%" and isinstance(given, float) and 0 < given < 1:
                raise DataError(
                    f"field {field.key}: {given:g} looks like a share", expected=field.expected,
                    found=f"{given:g}", mend=f"give it in percent, {100 * given:g}",
                )  # fmt: skip
        return self.check(values)

    def serialize(self, values: Mapping[str, Any]) -> str:
        """The canonical text of a report's values: every field in its order.

        Raises
        ------
        DataError
            As `check`.
        """
        checked = self.check(values)
        return "; ".join(f"{f.key}={f.written(checked[f.key])}" for f in self.fields)

    def parse(self, text: str) -> dict[str, Value]:
        """Values of a canonical text: the exact inverse of `serialize`.

        Raises
        ------
        DataError
            If the text is not one that `serialize` writes; names the first place that is wrong.
        """
        parts = text.split("; ")
        values: dict[str, Any] = {}
        for field, part in zip(self.fields, parts, strict=False):
            key, _, word = part.partition("=")
            if key != field.key:
                raise self._unreadable(f"{field.key}=…", part)
            values[key] = None if word == UNSAID else _value_of(field, word)
            if field.written(values[key]) != word:
                raise self._unreadable(f"{key}={field.expected}", part)
        if len(parts) != len(self.fields):
            raise self._unreadable(f"{len(self.fields)} fields", f"{len(parts)}")
        return self.check(values)

    def _unreadable(self, expected: str, found: str) -> DataError:
        what = f"the text does not follow the template {self.name}"
        return DataError(what, expected=expected, found=repr(found[:80]))

    def _refused(self, error: ValidationError) -> DataError:
        first, *others = error.errors()
        key, more = str(first["loc"][0]), f", and {len(others)} more" if others else ""
        found = f"{str(first['input'])[:60]!r}{more}"
        if key in self.by_key:
            unit = ", write its unit beside it" if self.by_key[key].unit else ""
            return DataError(f"field {key}", expected=self.by_key[key].expected, found=found,
                             mend=f"correct the value{unit}, or leave it empty")  # fmt: skip
        near = difflib.get_close_matches(key, self.by_key, n=1)
        return DataError(f"the template {self.name} has no field {key!r}", found=found,
                         expected=", ".join(self.by_key),
                         mend=f"did you mean {near[0]!r}?" if near else "")  # fmt: skip


def read_template(name: str | Path) -> Template:
    """Read a template: one of `TEMPLATES`, or a user's own ``template.yaml``.

    Raises
    ------
    RequestError
        If there is none of that name.
    DataError
        If the file is damaged; names the file and the field.
    """
    if str(name) in (*TEMPLATES, "indiana"):
        whole = str(name).removesuffix(SHORT)
        template = _read(Path(__file__).with_name("templates") / f"{whole}.yaml")
        short = (field for field in template.fields if field.short)
        return template if whole == name else template.of(f"{whole}{SHORT}", short)
    path = Path(name)
    if not path.is_file():
        raise RequestError(
            f"there is no template {str(name)!r}",
            expected=f"{', '.join(TEMPLATES)}, or the path of a template.yaml",
        )
    return _read(path)


@cache
def read_words(name: str) -> Any:
    """What is said in ``words/<name>.yaml``, the words and patterns of this study."""
    path = Path(__file__).with_name("words") / f"{name}.yaml"
    return parse_yaml(path.read_text(encoding="utf-8"))


def _read(path: Path) -> Template:
    try:
        return Template.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        found = repr(first["input"])[:80]
        raise DataError(f"{path.name}: {place or 'the template'}", expected=first["msg"],
                        found=found, mend="correct the template") from error  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read", expected="a template in YAML, UTF-8",
            found=" ".join(str(error).split())[:200],
        ) from error  # fmt: skip


def _type_of(field: Field) -> tuple[Any, Any]:
    if field.choices:
        return Literal[(*field.choices, NOT_MENTIONED)], NOT_MENTIONED
    return Annotated[float, pydantic.Field(ge=field.low, le=field.high)] | None, None


def _value_of(field: Field, word: str) -> Value:
    """What a word stands for; None where it stands for nothing, which is never written so."""
    if field.choices:
        return word if word in field.choices else None
    try:
        return float(word) + 0.0 if math.isfinite(float(word)) else None
    except ValueError:
        return None


def _blank(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _rounded(value: float | None, decimals: int) -> float | None:
    # Adding zero leaves no minus sign before a zero.
    return None if value is None else round(value, decimals) + 0.0
