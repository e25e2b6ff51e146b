"""The Indiana chest X-ray reports: which frequent labels their MeSH coding has, and which not.

Coders marked what a report *finds*. So of a coded report each label below is ``present`` or
``absent``, and ``absent`` means: not among the codes. Whether the report denies it or is silent
about it, the coding does not say. A report that was not coded has no labels, and is left out.

References
----------
Demner-Fushman et al. 2016, doi:10.1093/jamia/ocv080.
"""

from __future__ import annotations

from collections.abc import Iterable

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.schema import Value, read_words

LABELS: dict[str, list[str]] = read_words("indiana")
NOT_CODED = "no indexing"


def labels_of(codes: str) -> dict[str, Value]:
    """Labels of a report by its cell of codes.

    Raises
    ------
    DataError
        If the report was not coded.

    Examples
    --------
    >>> labels = labels_of("Lung/hypoinflation/mild;Aorta/calcified")
    >>> [key for key, value in labels.items() if value == "present"]
    ['low_volumes']
    """
    terms = [term.strip().casefold().split("/") for term in codes.split(";") if term.strip()]
    if not terms or terms == [[NOT_CODED]]:
        raise DataError("the report was not coded", expected="MeSH codes, or normal",
                        found=codes.strip() or "nothing")  # fmt: skip
    return {key: "present" if _coded(terms, of) else "absent" for key, of in LABELS.items()}


def _coded(terms: list[list[str]], wanted: Iterable[str]) -> bool:
    heads = [one.casefold().split("/") for one in wanted]
    return any(
        term[0].strip() == head and {*qualifiers} <= {part.strip() for part in term[1:]}
        for term in terms
        for head, *qualifiers in heads
    )
