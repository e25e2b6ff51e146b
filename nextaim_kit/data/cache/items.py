"""A data set for training: the deterministic part of a MONAI pipeline is cached, chance is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Transform
from monai.transforms.traits import RandomizableTrait
from monai.transforms.utils import reset_ops_id
from torch.utils.data import Dataset

from nextaim_kit.data.cache.step import Lazy, variant_of
from nextaim_kit.data.cache.values import FILE
from nextaim_kit.errors import RequestError

_PLAIN = (str, int, float, bool, type(None))


class CachedItems(Dataset):
    """Items that a MONAI pipeline makes, cached up to its first random transform.

    The split is that of MONAI's ``PersistentDataset``: the pipeline's transforms are deterministic
    up to the first that is random or no ``Transform``. What they give is kept as `cached` keeps
    it, with the affine and history of MONAI's tensors; what comes after is done for each item
    anew, with chance from torch's generator, so that `learn.fit` draws the same again from the
    same seed. Put what is large and random, such as a crop, after what is slow.

    Parameters
    ----------
    items : sequence of dict
        As for MONAI: paths count by the content of their files, other values as they are.
    transform : callable
        A MONAI transform or ``Compose`` of dictionary transforms.
    take : sequence of two keys, optional
        Give ``(inputs, target)``, two tensors, as `learn.fit` wants; by default the whole dict.

    Raises
    ------
    RequestError
        If the pipeline gives several samples for an item where `take` wants one, or holds what
        cannot be told from others of its kind.

    Examples
    --------
    >>> train = CachedItems(files, Compose([LoadImaged(keys), Spacingd(keys, (2, 2, 2)),
    ...     RandFlipd(keys, 0.5)]), take=("image", "label"))    # doctest: +SKIP
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        transform: Any,
        *,
        take: tuple[str, str] | None = None,
    ) -> None:
        whole = transform if isinstance(transform, Compose) else Compose([transform])
        whole = whole.flatten() if type(whole) is Compose else Compose([whole])
        first = whole.get_index_of_first(_left_to_chance)
        cut = len(whole.transforms) if first is None else first
        names = "map_items", "unpack_items", "lazy", "overrides"
        options = {name: getattr(whole, name) for name in names}
        self._items, self._take = items, take
        self._steps = _Steps(list(whole.transforms[:cut]), options)
        self._rest = Compose(list(whole.transforms[cut:]), **options)
        self._variant = variant_of(self._steps, {})

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        item = dict(self._items[index])
        made = self._made(item) if self._steps.transforms else item
        if self._rest.transforms:
            # The chance of a training is torch's, so that a resumed one draws the same again.
            self._rest.set_random_state(int(torch.randint(2**31, ())))
            made = self._rest(made)
        return made if self._take is None else self._taken(made, self._take)

    def _made(self, item: dict[str, Any]) -> Any:
        found = Lazy(self._steps, (item,), {}, self._variant).value()
        if "whole" in found:
            return found["whole"]
        made = {**{key: item[key] for key in found["kept"]}, **found["made"]}
        for key, value in made.items():
            if isinstance(value, MetaTensor) and isinstance(item.get(key), str):
                value.meta[FILE] = item[key]
        return made

    @staticmethod
    def _taken(made: Any, take: tuple[str, str]) -> tuple[Any, Any]:
        if isinstance(made, list) and len(made) != 1:
            raise RequestError(
                "the pipeline gives several samples for an item",
                expected="one, as the training takes them",
                found=f"{len(made)} of them",
                mend="set num_samples=1, or give take=None",
            )
        one = made[0] if isinstance(made, list) else made
        first, second = (one[key] for key in take)
        return _plain(first), _plain(second)


def _left_to_chance(transform: Any) -> bool:
    return isinstance(transform, RandomizableTrait) or not isinstance(transform, Transform)


def _plain(value: Any) -> Any:
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)


class _Steps:
    """The deterministic transforms as one step, which leaves out what the item holds as it is."""

    def __init__(self, transforms: list[Any], options: dict[str, Any]) -> None:
        self.transforms, self.options = transforms, options

    @property
    def cache_name(self) -> str:
        """First and last transform."""
        names = [type(t).__name__ for t in self.transforms]
        return "monai." + "-to-".join(dict.fromkeys([names[0], names[-1]]))

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        made = Compose(self.transforms, **self.options)(dict(item))
        reset_ops_id(made)  # the history names objects of this process
        if not isinstance(made, dict):
            return {"whole": made}
        kept = [k for k in item if k in made and _same(made[k], item[k])]
        return {"made": {k: v for k, v in made.items() if k not in kept}, "kept": kept}


def _same(made: Any, given: Any) -> bool:
    return type(made) is type(given) and isinstance(made, _PLAIN) and made == given
