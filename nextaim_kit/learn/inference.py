"""What a trained network says of items: on the device there is, in batches or in windows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError

Items = Tensor | NDArray[Any]
# Only the network knows which numbers it takes (one that looks up words takes whole ones), and
# torch says in words only that it was given others.
_OF_TYPES = re.compile(r"\bd?types?\b|not implemented for '")


def apply(
    net: nn.Module,
    items: Items | tuple[Items, ...],
    *,
    batch_size: int = 16,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
) -> Tensor:
    """Ask a network about items, on a GPU if there is one, in mixed precision there.

    The network is left in evaluation mode, where it was.

    Parameters
    ----------
    net : torch.nn.Module
    items : array of shape (n, ...), or a tuple of such
        A tuple is for a network of several inputs.
    batch_size : int
        Items, or windows, at once; the answers do not depend on it.
    window : sequence of int, optional
        Edges of what the network sees at once: it slides over each item, and what overlapping
        windows say is averaged, their middles counting most (MONAI). Only windows and their
        answers are on the device, so that items may be of any size.
    overlap : float
        Share of a window that the next one sees too.

    Returns
    -------
    Tensor of shape (n, ...)
        On the CPU, in single precision.

    Raises
    ------
    DataError
        If there are no items, inputs differ in number, their numbers are of a type that the network
        does not take, or windows are asked for of several inputs.

    Examples
    --------
    >>> double = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(double.weight, 2.0)
    >>> apply(double, torch.ones(3, 1), batch_size=2)[:, 0].tolist()
    [2.0, 2.0, 2.0]
    """
    inputs = [_single(one) for one in (items if isinstance(items, tuple) else (items,))]
    sizes = [len(one) for one in inputs]
    if len(set(sizes)) != 1 or not sizes[0]:
        raise DataError(
            "the network cannot be asked", expected="inputs of one number of items, at least one",
            found=" and ".join(map(str, sizes)),
        )  # fmt: skip
    if window and len(inputs) > 1:
        raise DataError("windows slide over one input", found=f"{len(inputs)} inputs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    first = next(net.parameters(), None)
    home = device if first is None else first.device
    net = net.to(device).eval()
    try:
        with torch.inference_mode(), _mixed(device):
            if window:
                return _slide(net, inputs[0], window, overlap, batch_size, device)
            parts = [
                net(*(one[k : k + batch_size].to(device) for one in inputs)).float().cpu()
                for k in range(0, sizes[0], batch_size)
            ]
        return torch.cat(parts)
    except (RuntimeError, ValueError) as error:
        if not _OF_TYPES.search(str(error)):
            raise
        kinds = " and ".join(str(one.dtype).removeprefix("torch.") for one in inputs)
        raise DataError(
            f"the network cannot be asked about items of type {kinds}",
            expected="numbers of the type that its first layer takes, most often float32",
            found=str(error).splitlines()[0][:200],
            mend='items.astype("float32"); int64 for a layer that looks up (Embedding)',
        ) from error
    finally:
        net.to(home)


def _single(items: Items) -> Tensor:
    """NumPy's numbers have double precision unless told otherwise; a network's have single."""
    found = torch.as_tensor(items)
    return found.float() if found.dtype == torch.float64 else found


def _mixed(device: torch.device) -> Any:
    if device.type == "cpu":
        return nullcontext()
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast("cuda", torch.bfloat16 if native else torch.float16)


def _slide(
    net: nn.Module, items: Tensor, window: Sequence[int], overlap: float, batch_size: int,
    device: torch.device,
) -> Tensor:  # fmt: skip
    from monai.inferers import sliding_window_inference

    found: list[Any] = [
        sliding_window_inference(
            item[None], tuple(window), batch_size, net, overlap, mode="gaussian",
            sw_device=device, device="cpu",
        )
        for item in items
    ]  # fmt: skip
    return torch.cat(found).float()
