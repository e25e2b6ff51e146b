"""Steps done once: what a function gives for its inputs and parameters, kept and found again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nextaim_kit.data.cache import store
from nextaim_kit.data.cache.identity import as_input, code_of, digest, names_file, said
from nextaim_kit.errors import RequestError

Step = Callable[..., Any]


def cached(
    step: Step, /, *inputs: Any, version: Any = None, key: str = "", **parameters: Any
) -> Any:
    """What ``step(*inputs, **parameters)`` gives, made once and read from then on.

    A value is found again by the content of the inputs (a file's, wherever it lies), the name and
    source of the step, the version of its package, and the parameters. So an edited step, another
    file or another spacing makes a new entry; a moved file does not. Pixels lie in the user's
    own cache folder, compressed without loss: see `store`.

    Parameters
    ----------
    step : callable
        A deterministic function, written with ``def``. Gives an array, a tensor, a SimpleITK image
        or what can be pickled; or a dict, list or tuple of them.
    *inputs
        Paths of files or folders (text or `pathlib.Path`), arrays, `lazy` steps, and dicts and
        lists of these: what the step is applied to. The step is given them as they are.
    version
        Change it when a function, a constant or a package changes that the step uses: only the
        step's own source is looked at.
    key : str, optional
        Stands for what cannot be told from others (a lambda, an object); change it with that.
    **parameters
        What else it is told: numbers, texts, arrays, functions. A file is a `pathlib.Path`.

    Returns
    -------
    object
        As the step gives it, with its types and bits.

    Raises
    ------
    KitError
        If a file is not there, what it is given cannot be told from others, a text names a file,
        or the value cannot be kept.

    Examples
    --------
    >>> cached(resampled, "patient/ct.nii.gz", spacing=1.5)    # doctest: +SKIP
    """
    return lazy(step, *inputs, version=version, key=key, **parameters).value()


def lazy(
    step: Step, /, *inputs: Any, version: Any = None, key: str = "", **parameters: Any
) -> Lazy:
    """As `cached`, but nothing is made or read before it is asked for, and then only that part.

    >>> patch = lazy(resampled, path, spacing=1.5)[20:84, 40:104, 40:104]   # doctest: +SKIP

    Given to another step as an input it stands for its value, and is not made where the other
    step's value is there.
    """
    for name, value in parameters.items():
        if isinstance(value, str) and names_file(value):
            what = f"the parameter {name!r} is the name of a file, whose changes would not be seen"
            raise RequestError(what, mend=f"give {name}=Path(...)")
    code = code_of(step, key)
    told = [said(one, key) for one in (parameters, [as_input(one) for one in inputs], version)]

    def make() -> Any:
        given = [one.value() if isinstance(one, Lazy) else one for one in inputs]
        return step(*given, **parameters)

    name = code[0].replace(".<locals>", "")
    return Lazy(store.Entry(name, digest([code, told, key])), make)


class Lazy:
    """The value of a step, whole or in part; of a dict, one array is meant by its name."""

    def __init__(self, entry: store.Entry, make: Callable[[], Any], name: str = "") -> None:
        self.entry, self._make, self._name = entry, make, name
        self._held: list[Any] = []  # the value, where no entry can be had

    @property
    def cache_key(self) -> str:
        """What stands for the value."""
        return self.entry.key + self._name

    def value(self) -> Any:
        """The whole value."""
        whole = self._whole()
        return whole[self._name] if self._name else whole

    def _whole(self) -> Any:
        found = self._held or self.entry.read(store.whole)
        if found:
            return found[0]
        value = self._make()
        self.entry.write(value)
        self._held = [] if self.entry.path.exists() else [value]
        return value

    def __getitem__(self, where: Any) -> Any:
        """Part of the value's array, reading no more of it; or one of its arrays, by name."""
        if isinstance(where, str):
            return Lazy(self.entry, self._make, where)
        box = _is_box(where)
        return self._of_array(lambda array: array[where] if box else array[...][where])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._of_array(lambda array: array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of its numbers."""
        return self._of_array(lambda array: array.dtype)

    def _of_array(self, how: Callable[[Any], Any]) -> Any:
        """What `how` makes of the array, which need not be read for that."""
        found = [] if self._held else self.entry.read(lambda one: store.part(one, self._name, how))
        if found and found[0]:
            return found[0][0]
        value = self._whole()
        named = self._name and isinstance(value, dict)
        array = store.as_array(value.get(self._name) if named else value)
        if array is None:
            raise RequestError(
                f"the step gives no array under the name {self._name!r}",
                expected="an array, or a dict of which one is named: value['image'][0:64]",
                mend="ask for the whole value",
            )
        return how(array)


def _is_box(where: Any) -> bool:
    """Whether zarr reads a part as numpy would: single planes and slices that go forward."""
    return all(
        one is ... or type(one) is int or (isinstance(one, slice) and (one.step or 1) > 0)
        for one in (where if isinstance(where, tuple) else (where,))
    )
