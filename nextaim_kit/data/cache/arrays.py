"""Arrays, tensors and images as text: equal where their types, shapes, places and values are."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def digest(*texts: str) -> str:
    """SHA-256 of texts, in order, as 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()


def array_text(value: Any) -> str | None:
    """Arrays, tensors and images, by type, shape, place and values."""
    home = type(value).__module__.partition(".")[0]
    if isinstance(value, np.ma.MaskedArray):
        return f"masked {array_text(value.data)} {array_text(np.ma.getmaskarray(value))}"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        dtype = value.dtype.descr if value.dtype.names else value.dtype.str
        return f"array {dtype} {value.shape} {bytes_digest(value)}"
    if home in ("torch", "monai") and hasattr(value, "detach"):
        flat = value.detach().cpu().contiguous().reshape(-1).view(_uint8())
        place = array_text(np.asarray(value.affine)) if hasattr(value, "affine") else ""
        return f"tensor {value.dtype} {tuple(value.shape)} {bytes_digest(flat.numpy())} {place}"
    if home == "SimpleITK" and hasattr(value, "GetDirection"):
        import SimpleITK as sitk

        where = value.GetSpacing(), value.GetOrigin(), value.GetDirection()
        return f"image {where} {array_text(sitk.GetArrayViewFromImage(value))}"
    return None


def _uint8() -> Any:
    import torch

    return torch.uint8


def bytes_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's values in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
