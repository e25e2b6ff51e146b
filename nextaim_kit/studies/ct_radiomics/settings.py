"""What is extracted and how: the study's settings, the usual variants, or a parameter file."""

from __future__ import annotations

import copy
import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_radiomics import parameter_file
from nextaim_kit.studies.ct_radiomics.selection import Features, named, study_features

_SPLINE = 3  # the B-spline's number when pyradiomics 3.0.1 was made; SimpleITK has others now
_OWN = {"binWidth": "bin_width", "label": "label", "sigma": "log_sigma"}  # fields, not in `extra`


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
        Label value of the region in the mask; left out, the file's, or else the mask must hold
        one label.
    extra : mapping
        Further pyradiomics settings under pyradiomics' own names, for instance
        ``{"voxelArrayShift": 2000}``.
    file : str, Path or mapping
        A pyradiomics 3.0.1 parameter file (YAML or JSON), or what one says. It then stands for
        all the others but `label`: settings, image types, classes and features are its own, and
        what it leaves out is as pyradiomics has it. What became of the file is held as a mapping.

    Raises
    ------
    RequestError
        If a value is out of bounds, a name or value in `extra` or in the file is none of
        pyradiomics', or anything but `label` is given beside a file.
    """

    bin_width: float = 25.0
    resample_mm: float = 0.0
    wavelet: bool = False
    log_sigma: tuple[float, ...] = ()
    label: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    file: str | Path | Mapping[str, Any] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_sigma", tuple(float(sigma) for sigma in self.log_sigma))
        object.__setattr__(self, "extra", MappingProxyType(dict(self.extra)))
        if self.file:
            self._take_file()
            return
        object.__setattr__(self, "file", MappingProxyType({}))
        _require("bin_width", self.bin_width, self.bin_width > 0, "a width above 0 HU")
        _require("resample_mm", self.resample_mm, self.resample_mm >= 0, "0 or an edge in mm")
        _require("log_sigma", self.log_sigma, all(s > 0 for s in self.log_sigma), "widths above 0")
        if self.extra:
            _check_extra(self.extra)

    def _take_file(self) -> None:
        if isinstance(self.file, Mapping):
            name = "the parameters"
            content = parameter_file.check_parameters(copy.deepcopy(dict(self.file)), name)
        else:
            name, content = Path(self.file).name, parameter_file.read_parameters(self.file)
        for one in fields(self):
            plain = {} if one.default is MISSING else one.default
            if one.name not in ("label", "file") and getattr(self, one.name) != plain:
                raise RequestError(
                    f"{one.name} is given beside {name}, which has settings of its own",
                    expected=f"{one.name} as it is by default",
                    found=f"{one.name}={getattr(self, one.name)!r}",
                    mend="write it into the file, under pyradiomics' name",
                )
        label = content.get("setting", {}).get("label")
        object.__setattr__(self, "label", label if self.label is None else self.label)
        object.__setattr__(self, "file", MappingProxyType(content))

    def __getstate__(self) -> dict[str, Any]:
        # A mapping proxy cannot be pickled; workers get plain dictionaries.
        return {**vars(self), "extra": dict(self.extra), "file": self._content()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            whole = MappingProxyType(value) if name in ("extra", "file") else value
            object.__setattr__(self, name, whole)

    def _content(self) -> dict[str, Any]:
        assert isinstance(self.file, Mapping)
        return dict(self.file)

    def pyradiomics(self) -> dict[str, Any]:
        """Return the same settings under pyradiomics' names; the region's label is always 1."""
        size = [self.resample_mm] * 3 if self.resample_mm else None
        bins = int(self.bin_width) if float(self.bin_width).is_integer() else self.bin_width
        given = {**self.extra, **self._content().get("setting", {})}
        if given.get("geometryTolerance", 0) is None:
            del given["geometryTolerance"]
        if given.get("interpolator") == _SPLINE:
            given["interpolator"] = "sitkBSpline"
        return {
            "binWidth": bins,
            "geometryTolerance": 1e-4,
            "interpolator": "sitkBSpline",
            "resampledPixelSpacing": size,
            "padDistance": 5,
            **given,
            "label": 1,
        }

    def image_types(self) -> dict[str, dict[str, Any]]:
        """Images to compute features on, as pyradiomics' ``enableImageTypes`` takes them."""
        if self.file:
            return dict(self._content().get("imageType") or {"Original": {}})
        types: dict[str, dict[str, Any]] = {"Original": {}}
        if self.log_sigma:
            types["LoG"] = {"sigma": list(self.log_sigma)}
        if self.wavelet:
            types["Wavelet"] = {}
        return types

    def classes(self) -> dict[str, list[str] | None]:
        """Classes that a parameter file names, with the features it names of each; else none."""
        return dict(self._content().get("featureClass") or {})

    def features(self) -> Features:
        """Features to compute: class -> names, in the order of the table's columns."""
        return named(self.classes()) if self.file else study_features()

    def resampled(self, edge: float) -> Settings:
        """The same settings, on isotropic voxels of `edge` mm."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        if not self.file:
            return Settings(**{**values, "resample_mm": edge})
        own = {**self._content().get("setting", {}), "resampledPixelSpacing": [edge] * 3}
        own["interpolator"] = own.get("interpolator") or "sitkBSpline"
        return Settings(**{**values, "file": {**self._content(), "setting": own}})

    def describe(self) -> str:
        """One line of JSON that holds every setting, the same for equal settings."""
        values = dict(sorted({**self.pyradiomics(), "label": self.label}.items()))
        values |= {"imageTypes": self.image_types()}  # as they stand: so do the table's columns
        if self.file:
            values["featureClass"] = self.classes()
        return json.dumps(values, default=str)

    def require_default(self) -> None:
        """Refuse what was chosen, but for the label: an IBSI configuration would not heed it.

        Raises
        ------
        RequestError
            If any setting is another than by default.
        """
        if self.describe() != Settings(label=self.label).describe():
            raise RequestError(
                "an IBSI configuration fixes bins, voxel size and filters",
                expected="settings of pyradiomics as they are by default",
                found=self.describe(),
                mend="leave them out, take definition=pyradiomics, or make an ibsi.Configuration",
            )

    cache_key = property(describe)  # stands for the settings where results are kept


def as_settings(given: Settings | str | Path | None) -> Settings:
    """Settings as they are, of a parameter file, or the study's if there are none."""
    if isinstance(given, Settings):
        return given
    return Settings(file=given) if given else Settings()


def _require(name: str, value: Any, holds: bool, expected: str) -> None:
    finite = all(math.isfinite(v) for v in (value if isinstance(value, tuple) else (value,)))
    if not (holds and finite):
        raise RequestError(
            f"extraction setting {name} is out of bounds", expected=expected, found=str(value)
        )


def _check_extra(extra: Mapping[str, Any]) -> None:
    known = [name for name in parameter_file.setting_names() if name not in _OWN]
    for name in extra:
        if name not in known:
            raise _unknown(name, known)
    given = {n: list(v) if isinstance(v, tuple) else v for n, v in extra.items()}
    parameter_file.check_parameters({"setting": given}, "extra")


def _unknown(name: str, known: list[str]) -> RequestError:
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]!r}?" if near else ""
    return RequestError(
        f"unknown pyradiomics setting {name!r}",
        expected="one of " + ", ".join(known),
        mend=f"it is a field of its own: Settings({_OWN[name]}=...)" if name in _OWN else mend,
    )
