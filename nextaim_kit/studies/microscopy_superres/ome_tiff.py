"""Predicted images as OME-TIFF: with the size of their pixels, and told from measured ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path

_SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_PREDICTED = re.compile(r'<M K="predicted">true</M>')
_DESCRIPTION = 270


def save_predicted(
    image: NDArray, path: Path, pixel_nm: float, *, told: Mapping[str, str] | None = None
) -> Path:
    """Write a predicted image as OME-TIFF, its values as they are, in single precision.

    Name, description and a map annotation (``predicted: true``) of its OME metadata say that it
    was not measured; `is_predicted` reads that, and `load_pairs` takes no such image.

    Parameters
    ----------
    image : array of shape (rows, columns)
    path : Path
        Ends in ``.ome.tif``.
    pixel_nm : float
        Edge of one of its pixels in nm; NaN where it is not known, and then not written.
    told : mapping of str to str, optional
        What else the annotation says, such as the model and the image that it was given.

    Raises
    ------
    DataError
        If the image is no plane, has values that are no numbers, or the path another ending.

    References
    ----------
    Goldberg et al. 2005, doi:10.1186/gb-2005-6-5-r47; the OME data model of June 2016.
    """
    if np.ndim(image) != 2 or not np.isfinite(image).all():
        raise DataError(
            "only a plane of numbers becomes an OME-TIFF",
            expected="rows and columns, every value finite", found=f"shape {np.shape(image)}",
        )  # fmt: skip
    if not path.name.endswith(".ome.tif"):
        raise DataError("an OME-TIFF has its own ending", expected=".ome.tif", found=path.name)
    text = _xml(path.name.removesuffix(".ome.tif"), image.shape, pixel_nm, told or {})
    with atomic_path(path) as unfinished:
        Image.fromarray(np.asarray(image, np.float32)).save(
            unfinished, format="TIFF", tiffinfo={_DESCRIPTION: text}
        )
    return path


def is_predicted(path: str | Path) -> bool:
    """Whether a picture's OME metadata say that it is a prediction."""
    try:
        with Image.open(path) as picture:
            text = str(dict(getattr(picture, "tag_v2", {})).get(_DESCRIPTION, ""))
    except OSError:
        return False
    return bool(_PREDICTED.search(text))


def _xml(name: str, shape: tuple[int, ...], pixel_nm: float, told: Mapping[str, str]) -> str:
    sizes = "".join(
        f' PhysicalSize{axis}="{pixel_nm:.6g}" PhysicalSize{axis}Unit="nm"'
        for axis in "XY"
        if pixel_nm == pixel_nm
    )
    rows = "".join(
        f"<M K={quoteattr(key)}>{_escaped(value)}</M>"
        for key, value in {"predicted": "true", **told}.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_SPACE}" Creator="nextaim_kit">'
        f'<Image ID="Image:0" Name={_quoted(name + " (predicted, not measured)")}>'
        "<Description>Predicted by a network from a widefield image; not measured.</Description>"
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" SizeX="{shape[1]}" '
        f'SizeY="{shape[0]}" SizeC="1" SizeZ="1" SizeT="1"{sizes}>'
        '<Channel ID="Channel:0:0" Name="predicted" SamplesPerPixel="1"/><TiffData/></Pixels>'
        '<AnnotationRef ID="Annotation:0"/></Image><StructuredAnnotations>'
        '<MapAnnotation ID="Annotation:0" Namespace="nextaim_kit/predicted"><Value>'
        f"{rows}</Value></MapAnnotation></StructuredAnnotations></OME>"
    )


def _quoted(text: str) -> str:
    return quoteattr(text).encode("ascii", "xmlcharrefreplace").decode()


def _escaped(text: str) -> str:
    return _quoted(text)[1:-1]
