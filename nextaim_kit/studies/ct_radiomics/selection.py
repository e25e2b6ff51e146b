"""Which features of which classes are kept, by pyradiomics' names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

# The slides count 100 features: two of co-occurrence are off, neighboring tone is not computed.
_STUDY = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm")
_OFF = ("SumAverage", "MCC")
# What pyradiomics 3.0.1 still computes of its deprecated features; of the others nothing comes.
_STILL = {
    ("firstorder", "StandardDeviation"),
    ("shape", "Compactness1"),
    ("shape", "Compactness2"),
    ("shape", "SphericalDisproportion"),
    ("shape2D", "SphericalDisproportion"),
}

Features = dict[str, tuple[str, ...]]


@cache
def _names(kind: str) -> dict[str, bool]:
    """Features of a class, and whether pyradiomics calls them deprecated."""
    import radiomics

    return radiomics.getFeatureClasses()[kind].getFeatureNames()


def study_features() -> Features:
    """The study's 100 features: class -> names."""
    every = named(dict.fromkeys(_STUDY))
    return {kind: tuple(n for n in names if n not in _OFF) for kind, names in every.items()}


def named(chosen: Mapping[str, Sequence[str] | None]) -> Features:
    """Features of a parameter file's ``featureClass``, in its order.

    Parameters
    ----------
    chosen : mapping
        Class -> names; an empty list or None stands for all that are not deprecated. Without any
        class all classes are meant.
    """
    import radiomics

    return {
        kind: tuple(dict.fromkeys(chosen.get(kind) or _current(kind)))
        for kind in chosen or radiomics.getFeatureClasses()
    }


def _current(kind: str) -> list[str]:
    return [name for name, deprecated in _names(kind).items() if not deprecated]


def computed(features: Features) -> Features:
    """Those of `features` that pyradiomics 3.0.1 computes, with a warning for deprecated ones."""
    gone: list[str] = []
    for kind, names in features.items():
        for name in names:
            if _names(kind)[name] and (kind, name) not in _STILL:
                gone.append(f"{kind} {name}")
    if gone:
        warnings.warn(f"no longer computed by pyradiomics: {', '.join(gone)}", stacklevel=2)
    return {
        kind: tuple(name for name in names if f"{kind} {name}" not in gone)
        for kind, names in features.items()
    }


def with_deprecated(kind: str, values: Mapping[str, float]) -> dict[str, float]:
    """A class's features and those deprecated ones that pyradiomics 3.0.1 still computes."""
    if kind == "firstorder":
        return {**values, "StandardDeviation": float(np.sqrt(values["Variance"]))}
    volume, area = values["MeshVolume"], values["SurfaceArea"]
    ball = 36 * np.pi * volume**2
    more = {
        "Compactness1": volume / (area**1.5 * np.sqrt(np.pi)),
        "Compactness2": ball / area**3,
        "SphericalDisproportion": area / ball ** (1 / 3) if volume else float("nan"),
    }
    return {**values, **{name: float(value) for name, value in more.items()}}
