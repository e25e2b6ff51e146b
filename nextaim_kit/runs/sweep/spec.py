"""What a ``sweep.yaml`` says: notebooks, what varies, what is left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    field_validator,
)

from nextaim_kit.errors import RequestError
from nextaim_kit.files import read_text
from nextaim_kit.runs.schema import Text
from nextaim_kit.yaml_text import parse_yaml

Values = list[Any]


class Sweep(BaseModel):
    """A sweep as asked for.

    Attributes
    ----------
    notebooks : list of str
        In order; what one leaves feeds the next, as their ``needs`` in ``study.yaml`` say.
    profile : str
    parameters : dict
        The same in every run. A name goes to each notebook that has it, ``<stage>.<name>`` to one.
    grid : dict of lists
        All combinations.
    zip : dict of lists of one length
        First values together, then second ones, and so on.
    seeds : list of int
        Values of the parameter ``seed``.
    repeat : int
        As many seeds, counted up from the one that holds otherwise.
    where : list of str
        Conditions that a combination has to fulfil, such as ``outer_folds > inner_folds``. A plain
        name is that of the last notebook that has it.
    metric, better : str
        What the report ranks by; by default the first metric that the last notebook declares.
    resources : dict
        ``cores``, ``memory_gb``, ``vram_gb``, ``minutes`` of a run, where the profile's do not fit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    title: Text = ""
    notebooks: list[str] = Field(min_length=1)
    profile: str = "tutorial"
    parameters: dict[str, Any] = {}
    grid: dict[str, Values] | None = None
    zip: dict[str, Values] | None = None
    seeds: list[int] | None = None
    repeat: int | None = Field(default=None, ge=1, le=100_000)
    where: list[str] = []
    metric: str = ""
    better: Literal["higher", "lower"] = "higher"
    resources: dict[Literal["cores", "memory_gb", "vram_gb", "minutes"], NonNegativeFloat] = {}

    @field_validator("notebooks", "where", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def varied(self) -> list[str]:
        """Names of the parameters that differ between runs."""
        seed = ["seed"] if self.seeds is not None or self.repeat is not None else []
        return [*(self.grid or {}), *(self.zip or {}), *seed]

    def combinations(self, seed: int) -> Iterator[dict[str, Any]]:
        """Values of what varies, the last named one fastest; `seed` is the one to count from.

        Raises
        ------
        RequestError
            If something has no values, or is said twice.
        """
        self._check()
        axes = [[{name: value} for value in values] for name, values in (self.grid or {}).items()]
        if self.zip:
            together = itertools.zip_longest(*self.zip.values())
            axes.append([dict(zip(self.zip, values, strict=True)) for values in together])
        seeds = self.seeds if self.repeat is None else range(seed, seed + self.repeat)
        if seeds is not None:
            axes.append([{"seed": s} for s in seeds])
        for parts in itertools.product(*axes):
            yield {name: value for part in parts for name, value in part.items()}

    def _check(self) -> None:
        if self.seeds is not None and self.repeat is not None:
            raise RequestError(
                "the sweep has both seeds and repeat", mend="repeat: n means n seeds; keep one"
            )
        if self.grid == {} or self.zip == {} or self.seeds == []:
            empty = next(n for n in ("grid", "zip", "seeds") if getattr(self, n) in ({}, []))
            raise _nothing(f"{empty} is empty")
        for name, values in {**(self.grid or {}), **(self.zip or {})}.items():
            if not values:
                raise _nothing(f"{name!r} has no values")
        if self.zip and len({len(values) for values in self.zip.values()}) > 1:
            raise RequestError(
                "the lists below zip differ in length",
                found=", ".join(f"{n}: {len(v)}" for n, v in self.zip.items()),
                mend="zip takes their first values together, then the second ones: give as many",
            )
        said = [*self.parameters, *self.varied()]
        twice = sorted({name for name in said if said.count(name) > 1})
        if twice:
            raise RequestError(
                f"the sweep says {twice[0]!r} twice",
                mend="it stands in one of parameters, grid, zip, seeds or repeat",
            )

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Whether a combination fulfils every condition.

        Raises
        ------
        RequestError
            If a condition cannot be evaluated.
        """
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import SandboxedEnvironment

        environment = SandboxedEnvironment(undefined=StrictUndefined)
        for condition in self.where:
            try:
                said = environment.compile_expression(condition, undefined_to_none=False)(**names)
                if not bool(said):
                    return False
            except (TemplateError, TypeError, ArithmeticError, ValueError) as error:
                raise RequestError(
                    f"the condition {condition!r} cannot be evaluated",
                    expected="a comparison of parameters, such as outer_folds > inner_folds",
                    found=str(error),
                ) from error
        return True


def _nothing(why: str) -> RequestError:
    return RequestError(
        "the sweep has no runs", found=why, mend="give at least one value, or leave the line out"
    )


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises
    ------
    RequestError
        If there is no such file, or it says what a sweep cannot say.
    """
    try:
        said = parse_yaml(read_text(path))
    except OSError as error:
        raise RequestError(f"no sweep file {path}", found=error.strerror or str(error)) from error
    except ValueError as error:
        raise RequestError(f"{path} is no YAML file", found=str(error)) from error
    if not isinstance(said, dict):
        raise RequestError(f"{path} is no sweep", expected="lines such as notebooks: [...]")
    empty = [name for name, value in said.items() if value is None]
    if empty:
        raise _nothing(f"{empty[0]} is empty")
    if "notebook" in said:
        if "notebooks" in said:
            raise RequestError(f"{path.name} says notebook and notebooks", mend="keep one")
        said["notebooks"] = said.pop("notebook")
    try:
        return Sweep(**said)
    except (ValidationError, TypeError) as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> RequestError:
    from nextaim_kit.catalog import near_miss

    if not isinstance(error, ValidationError):
        return RequestError(f"{path.name} is no sweep", found=str(error))
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        return RequestError(f"{path.name}: {place} cannot be this", found=first["msg"])
    known = list(Sweep.model_fields)
    near = near_miss(place, known)
    return RequestError(
        f"{path.name} says {place!r}, which no sweep knows",
        expected=f"one of {', '.join(known)}",
        mend=f"did you mean {near!r}?" if near else "leave it out",
    )
