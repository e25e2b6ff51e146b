"""Steps done once: what a function gives for its inputs and parameters, kept and found again."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nextaim_kit.data.cache import store
from nextaim_kit.data.cache.arrays import digest
from nextaim_kit.data.cache.chunks import DamagedError, Entry
from nextaim_kit.data.cache.inputs import check_parameters
from nextaim_kit.data.cache.store import Identity
from nextaim_kit.data.cache.tokens import Tokens
from nextaim_kit.data.cache.values import put_together, taken_apart, which

_FORMAT = "1"


def cached(step: Callable[..., Any], /, *inputs: Any, **parameters: Any) -> Any:
    """What ``step(*inputs, **parameters)`` gives, made once and read from then on.

    A value is found again by the content of the inputs (a file's, wherever it lies), the
    compiled code of the step and of one's own functions that it calls, the versions of the
    packages that it uses, and the parameters. So an edited step, another file or another spacing
    makes a new entry; a moved file does not. Pixels lie in the user's own cache folder,
    compressed without loss: see `store`.

    Parameters
    ----------
    step : callable
        Deterministic: what it draws at random is not kept. Gives an array, a tensor, a SimpleITK
        image, numbers or texts, or a dict, list or tuple of them.
    *inputs
        Paths of files or folders (text or `pathlib.Path`), arrays, images, `lazy` steps, and
        dicts and lists of these: what the step is applied to. The step is given them as they are.
    **parameters
        What else it is told: numbers, texts, arrays, functions. A file is a `pathlib.Path`.

    Returns
    -------
    object
        As the step gives it, with its types and bits.

    Raises
    ------
    DataError
        If a file is not there, or the step gives what cannot be kept.
    RequestError
        If an input or parameter cannot be told from others of its kind, or a text names a file.

    Examples
    --------
    >>> import numpy as np
    >>> def windowed(ct, *, low, high):
    ...     return np.clip(ct, low, high)
    >>> ct = np.array([-2000, 40, 900], np.int16)
    >>> cached(windowed, ct, low=-1000, high=300)
    array([-1000,    40,   300], dtype=int16)
    """
    return lazy(step, *inputs, **parameters).value()


def lazy(step: Callable[..., Any], /, *inputs: Any, **parameters: Any) -> Lazy:
    """As `cached`, but nothing is made or read before it is asked for, and then only that part.

    >>> patch = lazy(resampled, path, spacing=1.5)[20:84, 40:104, 40:104]   # doctest: +SKIP

    Given to another step as an input it stands for its value, and is not made where the other
    step's value is there.
    """
    return Lazy(step, inputs, parameters)


class Lazy:
    """The value of a step, to be had whole or in part.

    Attributes
    ----------
    cache_key : str
        64 hexadecimal digits that stand for the value.
    cache_sources : dict of str to int
        Bytes of the files and arrays it was made from, by the hash of their content.
    """

    def __init__(
        self, step: Callable[..., Any], inputs: tuple, parameters: dict, variant: str = ""
    ) -> None:
        self._step, self._inputs, self._parameters = step, inputs, parameters
        self._identity = identify(step, inputs, variant or variant_of(step, parameters))
        self._held: list[Any] = []  # the value, where no entry can be had

    @property
    def cache_key(self) -> str:
        """What stands for the value."""
        return self._identity.key

    @property
    def cache_sources(self) -> dict[str, int]:
        """Bytes of what it was made from."""
        return self._identity.sources

    def value(self) -> Any:
        """The whole value."""
        if self._held:
            return self._held[0]
        found = self._read(lambda entry: put_together(entry.note["value"], entry.array))
        return found[0] if found else self._make()

    def __getitem__(self, where: Any) -> Any:
        """Part of the value's array, reading no more of it; or one of its arrays, by name."""
        return _Named(self, where) if isinstance(where, str) else self.part(None, _axes(where))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value's array."""
        return self.part(None).shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the value's numbers."""
        return self.part(None).dtype

    def part(self, name: str | None, where: Any = None) -> Any:
        """Part of the value's array of a name; without `where`, what has its shape and type.

        Raises
        ------
        RequestError
            If the value is no array, or no dict that has one of this name.
        """

        def read(entry: Entry) -> Any:
            array = which(entry.note["value"], name, entry.lazily)
            return array if where is None else array[where]

        found = [] if self._held else self._read(read)
        if not found and not self._held:
            self._held.append(self._make())
            found = self._read(read)
        if found:
            self._held.clear()
            return found[0]
        described, arrays = taken_apart(self._held[0])
        array = which(described, name, arrays.__getitem__)
        return array if where is None else np.array(array[where])

    def _read(self, how: Callable[[Entry], Any]) -> list[Any]:
        """What `how` makes of the entry, if there is a whole one."""
        with contextlib.suppress(DamagedError), store.opened(self._identity) as entry:
            return [] if entry is None else [how(entry)]
        return []

    def _make(self) -> Any:
        inputs = [one.value() if isinstance(one, Lazy) else one for one in self._inputs]
        before = _chance()
        value = self._step(*inputs, **self._parameters)
        described, arrays = taken_apart(value)
        if _chance() == before:
            store.keep(self._identity, described, arrays)
        else:
            store.say(
                f"{self._identity.step} draws random numbers, so what it gives is not kept; "
                "leave chance to what comes after, or to a generator whose seed is a parameter"
            )
        return value


def _chance() -> list[Any]:
    """States of the generators that all share: a step that draws from them changes them."""
    state: Any = np.random.get_state()
    states = [random.getstate(), state[1].tobytes(), state[2:]]
    if "torch" in sys.modules:
        states.append(sys.modules["torch"].get_rng_state().numpy().tobytes())
    return states


class _Named:
    """One array of a step's value."""

    def __init__(self, lazily: Lazy, name: str) -> None:
        self._lazily, self._name = lazily, name

    def __getitem__(self, where: Any) -> np.ndarray:
        return self._lazily.part(self._name, _axes(where))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._lazily.part(self._name).shape

    @property
    def dtype(self) -> np.dtype:
        """Type of its numbers."""
        return self._lazily.part(self._name).dtype


def _axes(where: Any) -> Any:
    return (None,) if where is None else where  # a new axis, not the lack of an index


def variant_of(step: Callable[..., Any], parameters: Mapping[str, Any]) -> str:
    """What stands for the code and the parameters of a step.

    Raises
    ------
    DataError, RequestError
        As `cached` does.
    """
    check_parameters(parameters)
    tokens = Tokens()
    return digest(_FORMAT, tokens.step(step), tokens.of(dict(parameters)))


def identify(step: Callable[..., Any], inputs: tuple, variant: str) -> Identity:
    """What stands for the value of a step for its inputs.

    Raises
    ------
    DataError, RequestError
        As `cached` does.
    """
    tokens = Tokens()
    key = digest(variant, tokens.inputs(inputs))
    return Identity(step_name(step), variant, key, tokens.sources)


def step_name(step: Any) -> str:
    """Under what name a step is listed."""
    if hasattr(step, "cache_name"):
        return str(step.cache_name)
    step = getattr(step, "func", step)
    named = step if hasattr(step, "__qualname__") else type(step)
    return f"{named.__module__}.{named.__qualname__}".replace(".<locals>", "")
