"""What is extracted and how: the study's settings by default, the usual variants as toggles."""

from __future__ import annotations

import difflib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nextaim_kit.errors import RequestError

# pyradiomics settings that the engine honors beside its own fields.
EXTRA = (
    "additionalInfo", "binCount", "distances", "force2D", "force2Ddimension", "geometryTolerance",
    "gldm_a", "interpolator", "level", "minimumROIDimensions", "minimumROISize", "normalize",
    "normalizeScale", "padDistance", "preCrop", "removeOutliers", "resampledPixelSpacing",
    "resegmentMode", "resegmentRange", "resegmentShape", "start_level", "symmetricalGLCM",
    "voxelArrayShift", "wavelet", "weightingNorm",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Extraction settings; the defaults are the study's and give 100 features.

    Parameters
    ----------
    bin_width : float
        Width of a gray level in HU; levels start at a multiple of it.
    resample_mm : float
        Edge of the isotropic voxels to resample to (B-spline; mask nearest neighbor); 0: as is.
    wavelet : bool
        Add the eight coif1 wavelet bands (first order and texture of each).
    log_sigma : tuple of float
        Add a Laplacian of Gaussian of each of these widths, in mm.
    label : int, optional
        Label value of the region in the mask; left out, the mask must hold one label.
    extra : mapping
        Further pyradiomics settings under pyradiomics' own names, for instance
        ``{"voxelArrayShift": 2000}``.

    Raises
    ------
    RequestError
        If a value is out of bounds, or a name or value in `extra` is none of pyradiomics'.
    """

    bin_width: float = 25.0
    resample_mm: float = 0.0
    wavelet: bool = False
    log_sigma: tuple[float, ...] = ()
    label: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_sigma", tuple(float(sigma) for sigma in self.log_sigma))
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))
        _require("bin_width", self.bin_width, self.bin_width > 0, "a width above 0 HU")
        _require("resample_mm", self.resample_mm, self.resample_mm >= 0, "0 or an edge in mm")
        _require("log_sigma", self.log_sigma, all(s > 0 for s in self.log_sigma), "widths above 0")
        for name in self.extra:
            if name not in EXTRA:
                raise _unknown(name)
        if self.extra:
            _check_values(self.extra)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled; workers get a plain dictionary.
        values = (self.bin_width, self.resample_mm, self.wavelet, self.log_sigma, self.label)
        return (Settings, (*values, dict(self.extra)))

    def pyradiomics(self) -> dict[str, Any]:
        """Return the same settings under pyradiomics' names; the region's label is always 1."""
        size = [self.resample_mm] * 3 if self.resample_mm else None
        bins = int(self.bin_width) if float(self.bin_width).is_integer() else self.bin_width
        return {
            "binWidth": bins,
            "geometryTolerance": 1e-4,
            "interpolator": "sitkBSpline",
            "resampledPixelSpacing": size,
            "label": 1,
            "padDistance": 5,
            **self.extra,
        }

    def image_types(self) -> dict[str, dict[str, Any]]:
        """Images to compute features on, as pyradiomics' ``enableImageTypes`` takes them."""
        types: dict[str, dict[str, Any]] = {"Original": {}}
        if self.log_sigma:
            types["LoG"] = {"sigma": list(self.log_sigma)}
        if self.wavelet:
            types["Wavelet"] = {}
        return types

    def describe(self) -> str:
        """One line of JSON that holds every setting, the same for equal settings."""
        values = {**self.pyradiomics(), "imageTypes": self.image_types(), "label": self.label}
        return json.dumps(values, sort_keys=True, default=str)

    cache_key = property(describe)  # stands for the settings where results are kept


def _require(name: str, value: Any, holds: bool, expected: str) -> None:
    finite = all(math.isfinite(v) for v in (value if isinstance(value, tuple) else (value,)))
    if not (holds and finite):
        raise RequestError(
            f"extraction setting {name} is out of bounds", expected=expected, found=str(value)
        )


def _check_values(extra: Mapping[str, Any]) -> None:
    """Refuse values that pyradiomics' own schema of its parameter files refuses."""
    import radiomics
    from pykwalify.core import Core
    from pykwalify.errors import SchemaError

    logging.getLogger("pykwalify").setLevel(logging.CRITICAL)  # what is wrong is said below
    schema, functions = radiomics.getParameterValidationFiles()
    try:
        given = json.loads(json.dumps(dict(extra), allow_nan=False))  # tuples as its lists
        Core(
            source_data={"setting": given}, schema_files=[schema], extensions=[functions]
        ).validate()
    except (SchemaError, ValueError, TypeError) as error:
        said = str(getattr(error, "msg", error)).replace("Schema validation failed:", "")
        raise RequestError(
            "a pyradiomics setting cannot have its value",
            expected="what pyradiomics' schema of parameter files takes",
            found=" ".join(said.replace("/setting/", "").split())[:300],
        ) from error


def _unknown(name: str) -> RequestError:
    own = {"binWidth": "bin_width", "label": "label", "sigma": "log_sigma"}
    near = difflib.get_close_matches(name, EXTRA, n=1)
    mend = f"did you mean {near[0]!r}?" if near else ""
    return RequestError(
        f"unknown pyradiomics setting {name!r}",
        expected="one of " + ", ".join(EXTRA),
        mend=f"it is a field of its own: Settings({own[name]}=...)" if name in own else mend,
    )
