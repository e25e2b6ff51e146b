"""A data set for training: the deterministic part of a MONAI pipeline is cached, chance is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import ImageReader, MetaTensor
from monai.transforms import Compose, Transform
from monai.transforms.traits import RandomizableTrait
from monai.transforms.utils import reset_ops_id
from monai.utils.enums import MetaKeys
from torch.utils.data import Dataset

from nextaim_kit.data.cache.identity import as_input, code_of, digest, said
from nextaim_kit.data.cache.step import Lazy
from nextaim_kit.data.cache.store import Entry
from nextaim_kit.errors import RequestError

_FILE = "filename_or_obj"  # MONAI's note of where an image was read from
_PLAIN = (str, int, float, bool, type(None))


Take = tuple[str, str] | None


class CachedItems(Dataset):
    """Items that a MONAI pipeline makes, cached up to its first random transform.

    The split is that of MONAI's ``PersistentDataset``: the pipeline's transforms are deterministic
    up to the first that is random or no ``Transform``. What they give is kept as `cached` keeps
    it, with the affine and history of MONAI's tensors but not the rest of a file's header, which
    may name the patient; what comes after is done for each item anew, with chance from torch's
    generator, so that `learn.training.train` draws the same again from the same seed. Put what is
    large and random, such as a crop, after what is slow.

    Parameters
    ----------
    items : sequence of dict
        As for MONAI: paths count by the content of their files, other values as they are.
    transform : callable
        A MONAI transform or ``Compose`` of dictionary transforms.
    take : sequence of two keys, optional
        Give ``(inputs, target)``, two tensors, as a `Task` wants them; by default the whole dict.

    Raises
    ------
    RequestError
        If the pipeline gives several samples for an item where `take` wants one, or a fixed
        transform has attributes that cannot be told from others of their kind.

    Examples
    --------
    >>> train = CachedItems(files, Compose([LoadImaged(keys), Spacingd(keys, (2, 2, 2)),
    ...     RandFlipd(keys, 0.5)]), take=("image", "label"))    # doctest: +SKIP
    """

    def __init__(
        self, items: Sequence[Mapping[str, Any]], transform: Any, *, take: Take = None
    ) -> None:
        whole = transform if isinstance(transform, Compose) else Compose([transform])
        whole = whole.flatten() if type(whole) is Compose else Compose([whole])
        first = whole.get_index_of_first(_left_to_chance)
        cut = len(whole.transforms) if first is None else first
        names = "map_items", "unpack_items", "lazy", "overrides"
        options = {name: getattr(whole, name) for name in names}
        self._items, self._take = items, take
        self._fixed = Compose(list(whole.transforms[:cut]), **options)
        self._rest = Compose(list(whole.transforms[cut:]), **options)
        self._told = digest([[_told(t) for t in self._fixed.transforms], said(options)])

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        item = dict(self._items[index])
        made = self._made(item) if self._fixed.transforms else item
        if self._rest.transforms:
            # The chance of a training is torch's, so that a resumed one draws the same again.
            self._rest.set_random_state(int(torch.randint(2**31, ())))
            made = self._rest(made)
        return made if self._take is None else self._taken(made, self._take)

    def _made(self, item: dict[str, Any]) -> Any:
        key = digest([self._told, said(as_input(item))])
        found = Lazy(Entry(self._name(), key), lambda: self._make(item)).value()
        made = {**{key: item[key] for key in found["kept"]}, **found["made"]}
        for key, value in made.items():
            if isinstance(value, MetaTensor) and isinstance(item.get(key), str):
                value.meta[_FILE] = item[key]
        return made

    def _make(self, item: dict[str, Any]) -> dict[str, Any]:
        """What the fixed transforms give, without what the item holds as it is."""
        made = self._fixed(dict(item))
        reset_ops_id(made)  # the history names objects of this process
        if not isinstance(made, dict):
            what = "a fixed transform gives several samples for an item"
            raise RequestError(what, mend="put it after the first random transform")
        for value in made.values():
            if isinstance(value, MetaTensor):  # the rest is the file's header
                value.meta = {key: value.meta[key] for key in MetaKeys if key in value.meta}
        kept = [key for key in item if key in made and _same(made[key], item[key])]
        return {"made": {k: v for k, v in made.items() if k not in kept}, "kept": kept}

    def _name(self) -> str:
        names = [type(one).__name__ for one in self._fixed.transforms]
        return "monai." + "-to-".join(dict.fromkeys([names[0], names[-1]]))

    @staticmethod
    def _taken(made: Any, take: tuple[str, str]) -> tuple[Any, Any]:
        if isinstance(made, list) and len(made) != 1:
            what = f"the pipeline gives several samples for an item: {len(made)}"
            raise RequestError(what, mend="set num_samples=1, or give take=None")
        one = made[0] if isinstance(made, list) else made
        first, second = (one[key] for key in take)
        return _plain(first), _plain(second)


def _left_to_chance(transform: Any) -> bool:
    return isinstance(transform, RandomizableTrait) or not isinstance(transform, Transform)


def _plain(value: Any) -> Any:
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)


def _told(transform: Any) -> Any:
    """A transform by its code and attributes, with those of the transforms and readers it holds."""

    def of(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [of(one) for one in value]
        if isinstance(value, Transform | ImageReader):
            return [code_of(type(value)), {name: of(one) for name, one in vars(value).items()}]
        return str(value) if isinstance(value, torch.dtype | torch.device) else said(value)

    try:
        return of(transform)
    except RequestError as error:
        raise RequestError(
            f"what {type(transform).__name__} does cannot be told: {error.what}",
            expected="a transform whose attributes are numbers, texts, arrays or named functions",
            mend="do it in a step of its own (cached), or after the first random transform",
        ) from error


def _same(made: Any, given: Any) -> bool:
    return type(made) is type(given) and isinstance(made, _PLAIN) and made == given
