"""How the image is prepared before features are taken: IBSI's configurations by name.

References
----------
Zwanenburg et al., arXiv:1612.07003, chapter 2 (image processing) and tables 5.1 and 5.2
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from nextaim_kit.errors import RequestError

Extent = Literal["2D", "2_5D", "3D"]
Name = Literal["digital_phantom", "A", "B", "C", "D", "E"]
_SIZES = ("bin_width", "bin_count", "ivh_width", "ivh_count")


@dataclass(frozen=True)
class Configuration:
    """Everything that decides a feature's value under IBSI's definitions.

    Parameters
    ----------
    name : str
        What tables call it.
    spacing : tuple of float, optional
        Voxel size (z, y, x) in mm to interpolate to; 0 keeps an axis as it is.
    spline : int
        Order of the image's interpolation: 1 linear, 3 cubic. The mask's is always linear.
    keep : tuple of float, optional
        Range of HU that the intensity mask keeps, both ends included.
    sigmas : float, optional
        Standard deviations around the region's mean that the intensity mask keeps.
    bin_width, bin_count : float or int, optional
        One of the two: width of a gray level in HU, counted from the lower end of `keep` or else
        from the region's minimum; or number of gray levels between the region's extremes.
    ivh_width, ivh_count : float or int, optional
        The same for the intensity-volume histogram; neither: whole HU.
    texture : tuple of str
        ``2D`` (within slices, averaged), ``2_5D`` (within slices, merged), ``3D``.
    label : int, optional
        Label value of the region in the mask; left out, the mask must hold one label.

    Raises
    ------
    RequestError
        If a value is out of bounds, or neither or both of `bin_width` and `bin_count` are given.
    """

    name: str
    spacing: tuple[float, float, float] | None = None
    spline: int = 1
    keep: tuple[float, float] | None = None
    sigmas: float | None = None
    bin_width: float | None = None
    bin_count: int | None = None
    ivh_width: float | None = None
    ivh_count: int | None = None
    texture: tuple[Extent, ...] = ("3D",)
    label: int | None = None

    def __post_init__(self) -> None:
        low, high = self.keep or (0, 1)
        sizes = [getattr(self, name) for name in _SIZES]
        self._require("spacing", all(0 <= s < math.inf for s in self.spacing or ()), "mm, or 0")
        self._require("spline", self.spline in (1, 3), "1 or 3")
        self._require("keep", low < high, "a lower and a higher HU")
        self._require("sigmas", self.sigmas is None or self.sigmas > 0, "a number above 0")
        for name, size in zip(_SIZES, sizes, strict=True):
            self._require(name, size is None or 0 < size < math.inf, "a number above 0")
        one = (self.bin_width is None) != (self.bin_count is None)
        self._require("bin_width", one, "either bin_width or bin_count")
        both = self.ivh_width is not None and self.ivh_count is not None
        self._require("ivh_width", not both, "ivh_width or ivh_count")
        known = set(self.texture) <= {"2D", "2_5D", "3D"} and self.texture
        self._require("texture", bool(known), "some of 2D, 2_5D, 3D")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RequestError(
                f"IBSI configuration: {name} is out of bounds",
                expected=expected,
                found=str(getattr(self, name)),
            )

    @property
    def lowest(self) -> float | None:
        """Lower end (HU) of the range that is kept, if it has one."""
        return self.keep[0] if self.keep and math.isfinite(self.keep[0]) else None

    @property
    def highest(self) -> float | None:
        """Upper end (HU) of the range that is kept, if it has one."""
        return self.keep[1] if self.keep and math.isfinite(self.keep[1]) else None

    def describe(self) -> str:
        """One line of JSON that holds every setting, the same for equal settings."""
        return json.dumps({"definition": "ibsi", **asdict(self)}, sort_keys=True)

    cache_key = property(describe)  # stands for the settings where results are kept


_PLANAR: dict[str, Any] = {"keep": (-500.0, 400.0), "texture": ("2D", "2_5D")}
CONFIGURATIONS = {
    setup.name: setup
    for setup in (
        Configuration("digital_phantom", bin_width=1, texture=("2D", "2_5D", "3D")),
        Configuration("A", bin_width=25, **_PLANAR),
        Configuration("B", spacing=(0, 2, 2), bin_count=32, **_PLANAR),
        Configuration("C", (2, 2, 2), keep=(-1000, 400), bin_width=25, ivh_width=2.5),
        Configuration("D", (2, 2, 2), sigmas=3, bin_count=32),
        Configuration(
            "E", (2, 2, 2), spline=3, keep=(-1000, 400), sigmas=3, bin_count=32, ivh_count=1000
        ),
    )
}  # fmt: skip


def configuration(name: str, label: int | None = None) -> Configuration:
    """IBSI's configuration of that name.

    Raises
    ------
    RequestError
        If there is none.

    Examples
    --------
    >>> configuration("C").bin_width
    25
    """
    if name not in CONFIGURATIONS:
        near = difflib.get_close_matches(name.upper(), CONFIGURATIONS, n=1, cutoff=0.5)
        raise RequestError(
            f"unknown IBSI configuration {name!r}",
            expected=", ".join(CONFIGURATIONS),
            mend=f"did you mean {near[0]!r}?" if near else "",
        )
    return replace(CONFIGURATIONS[name], label=label)
