"""Which columns of a table are radiomic features, by the naming of the program that wrote them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from nextaim_kit.errors import RequestError

_STATISTICS = (
    "mean|var|skew|kurt|median|min|max|p10|p90|mode|iqr|range|mad|rmad|medad|cov|qcod|energy|rms|"
    "entropy|uniformity"
)
# pyradiomics' <image type>_<class>_<feature> (R turns its hyphens into points), CaPTk's
# <modality>_<label>_<class>_<feature>, MIRP's [<filter>_]<family>_<feature>. This kit writes the
# names of pyradiomics and, by the IBSI's definitions, MIRP's. Before each may stand a modality or a
# lesion.
NAMINGS = {
    "pyradiomics": re.compile(
        r"(?:^|[_.-])(?:original|exponential|logarithm|square|squareroot|gradient"
        r"|(?:lbp[-._][23]d|wavelet|log[-._]sigma)[\w.-]*)"
        r"[_.](?:shape|shape2d|firstorder|glcm|glrlm|glszm|gldm|ngtdm)[_.]\w",
        re.IGNORECASE,
    ),
    "CaPTk": re.compile(
        r"^[^_]+_[^_]+_(?:\w+_)?(?:Intensity|Histogram|Volumetric|Morphologic|GLCM|GLRLM|GLSZM"
        r"|NGTDM|NGLDM|LBP|LBP2D|Lattice|Collage|FractalDimension|Gabor|GaborWavelets|Laws"
        r"|LawsMeasures|EdgeEnhancement|PowerSpectrum)_\w"
    ),
    "MIRP": re.compile(
        rf"(?:^|_)(?:(?:stat|ih)_(?:{_STATISTICS})|loc_peak_|ivh_(?:v|i|diff_|auc)"
        r"|morph_(?:vol|area|av|comp|sph|asph|com|diam|pca|integ|moran|geary)"
        r"|cm_(?:joint|diff|sum|energy|contrast|dissim|inv|corr|auto|clust|info)"
        r"|(?:rlm|szm|dzm|ngt|ngl)_[a-z])"
    ),
}
# What an extraction says of itself beside its features.
NOTES = ("provenance_", "diagnostics_")
_OUTCOMES = {
    "label", "outcome", "target", "y", "event", "severity", "severe", "death", "dead", "died",
    "deceased", "alive", "exitus", "mortality", "survival", "os", "pfs", "dfs", "rfs", "icu",
    "intubated", "intubation", "ventilated", "ventilation", "recurrence", "relapse", "progression",
    "response", "responder", "prognosis", "diagnosis",
}  # fmt: skip


def named_as_features(columns: Iterable[str]) -> list[str]:
    """Those of `columns` that are features by one of the `NAMINGS`, in their order."""
    return [
        name
        for name in columns
        if not name.startswith(NOTES) and any(form.search(name) for form in NAMINGS.values())
    ]


def chosen(columns: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Those of `columns` that `wanted` names, in their order.

    Parameters
    ----------
    columns : sequence of str
    wanted : iterable of str
        Names, and shell-style patterns such as ``deep_*``.

    Raises
    ------
    RequestError
        If one of them is, and matches, no column; names the near miss.

    Examples
    --------
    >>> chosen(["age", "deep_1", "deep_2"], ["deep_*"])
    ['deep_1', 'deep_2']
    """
    found: set[str] = set()
    for name in wanted:
        hits = [name] if name in columns else [c for c in columns if fnmatchcase(c, name)]
        if not hits:
            near = difflib.get_close_matches(name, columns, n=1)
            raise RequestError(
                f"feature_columns: no column {name!r}",
                expected="names of columns, or patterns such as deep_*",
                found=", ".join(columns[:8]) + (" and more" if columns[8:] else ""),
                mend=f"did you mean {near[0]!r}?" if near else "",
            )
        found |= set(hits)
    return [column for column in columns if column in found]


def like_an_outcome(column: str) -> bool:
    """Whether a word of a column's name is one that outcomes are called by.

    Examples
    --------
    >>> like_an_outcome("ICU_admission"), like_an_outcome("lesion_count")
    (True, False)
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column)
    return not _OUTCOMES.isdisjoint(word.lower() for word in words)
