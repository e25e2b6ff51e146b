"""What a step may give, taken apart into arrays and a description in JSON, and put together."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nextaim_kit.errors import DataError, RequestError

Take = Callable[[int], np.ndarray]
_SMALL = 1024  # bytes
FILE = "filename_or_obj"  # MONAI's note of where an image was read from


def taken_apart(value: Any) -> tuple[Any, list[np.ndarray]]:
    """Describe a value in JSON; its arrays are counted off in a list.

    Parameters
    ----------
    value
        An array, a tensor (MONAI's with its affine and history), a SimpleITK image, a number, a
        text, None, or a dict, list or tuple of these.

    Raises
    ------
    DataError
        If it holds anything else.
    """
    arrays: list[np.ndarray] = []
    return _described(value, arrays), arrays


def _described(value: Any, arrays: list[np.ndarray]) -> Any:
    def put(array: np.ndarray) -> Any:
        if array.nbytes <= _SMALL:  # not worth chunks of its own
            text = base64.b64encode(array.tobytes()).decode()
            return [array.dtype.str, list(array.shape), text]
        arrays.append(array)
        return len(arrays) - 1

    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, dict):
        pairs = [[_described(k, arrays), _described(v, arrays)] for k, v in value.items()]
        return {"dict": pairs}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_described(one, arrays) for one in value]}
    if isinstance(value, np.generic) and _plain(value.dtype):
        return {"scalar": put(np.asarray(value))}
    if type(value) in (np.ndarray, np.memmap) and _plain(value.dtype):
        return {"array": put(np.asarray(value))}
    found = _of_packages(value, put, arrays)
    if found is not None:
        return found
    raise DataError(
        f"a step gave a {type(value).__module__}.{type(value).__qualname__}, which is not kept",
        expected="arrays, tensors, images, numbers or texts, or a dict, list or tuple of them",
        mend="give the arrays alone",
    )


def _plain(dtype: np.dtype) -> bool:
    return not dtype.hasobject and not dtype.names


def _of_packages(value: Any, put: Callable[[np.ndarray], int], arrays: list) -> Any:
    home = type(value).__module__.partition(".")[0]
    name = type(value).__name__
    if home == "SimpleITK" and hasattr(value, "GetDirection"):
        import SimpleITK as sitk

        where = value.GetSpacing(), value.GetOrigin(), value.GetDirection()
        components = value.GetNumberOfComponentsPerPixel()
        return {
            "image": put(sitk.GetArrayFromImage(value)),
            "where": where,
            "vector": components > 1,
        }
    if home in ("torch", "monai") and hasattr(value, "detach"):
        tensor = {"tensor": put(_numbers(value)), "dtype": str(value.dtype).partition(".")[2]}
        if name != "MetaTensor":
            return tensor
        meta = {k: v for k, v in value.meta.items() if k != FILE}
        history = list(value.applied_operations)
        return tensor | {"meta": _described(meta, arrays), "history": _described(history, arrays)}
    if home == "torch" and name in ("dtype", "device"):
        return {"torch": name, "is": str(value).removeprefix("torch.")}
    if home == "torch" and name == "Size":
        return {"size": list(value)}
    return _of_monai(value) if home == "monai" else None


def _numbers(tensor: Any) -> np.ndarray:
    """A tensor's numbers; of types that numpy lacks, the bytes."""
    import torch

    # The class of MONAI's tensors follows each operation, which is slow and of no use here.
    plain = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy()
    return plain.numpy()


def _of_monai(value: Any) -> Any:
    import enum

    if isinstance(value, enum.Enum) and isinstance(value.value, str):
        return {"enum": type(value).__name__, "is": value.value}
    return None


def put_together(described: Any, take: Take) -> Any:
    """The value that `taken_apart` described; `take` gives its arrays by their number."""
    if not isinstance(described, dict):
        return described
    kind = next(iter(described))
    return _MAKERS[kind](described, take)


def which(described: Any, name: str | None, take: Callable[[int], Any]) -> Any:
    """The array that is meant of a described value: its only one, or that of a dict's key.

    Raises
    ------
    RequestError
        If there is none such.
    """
    if name is not None and isinstance(described, dict):
        described = next((v for k, v in described.get("dict", []) if k == name), None)
    for kind in ("array", "tensor", "image"):
        if isinstance(described, dict) and kind in described:
            return _got(described[kind], take)
    raise RequestError(
        f"the step gives no array under the name {name!r}" if name else "the step gives no array",
        expected="an array, or a dict of arrays of which one is named: value['image'][0:64]",
        mend="ask for the whole value",
    )


def _got(put: Any, take: Callable[[int], Any]) -> Any:
    if isinstance(put, int):
        return take(put)
    dtype, shape, text = put
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape).copy()


def _dict(described: Any, take: Take) -> dict:
    return {put_together(k, take): put_together(v, take) for k, v in described["dict"]}


def _tensor(described: Any, take: Take) -> Any:
    import torch

    tensor = torch.from_numpy(_got(described["tensor"], take))
    if described["dtype"] == "bfloat16":
        tensor = tensor.view(torch.bfloat16)
    if "meta" not in described:
        return tensor
    from monai.data import MetaTensor

    history = put_together(described["history"], take)
    return MetaTensor(
        tensor, meta=put_together(described["meta"], take), applied_operations=history
    )


def _image(described: Any, take: Take) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(_got(described["image"], take), isVector=described["vector"])
    spacing, origin, direction = described["where"]
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    return image


def _torch(described: Any, _take: Take) -> Any:
    import torch

    if described["torch"] == "device":
        return torch.device(described["is"])
    return getattr(torch, described["is"])


def _size(described: Any, _take: Take) -> Any:
    import torch

    return torch.Size(described["size"])


def _enum(described: Any, _take: Take) -> Any:
    import monai.utils.enums

    return getattr(monai.utils.enums, described["enum"])(described["is"])


_MAKERS: dict[str, Callable[[Any, Take], Any]] = {
    "float": lambda d, _: float(d["float"]),
    "dict": _dict,
    "list": lambda d, take: [put_together(one, take) for one in d["list"]],
    "tuple": lambda d, take: tuple(put_together(one, take) for one in d["tuple"]),
    "scalar": lambda d, take: _got(d["scalar"], take)[()],
    "array": lambda d, take: _got(d["array"], take),
    "tensor": _tensor,
    "image": _image,
    "torch": _torch,
    "size": _size,
    "enum": _enum,
}
