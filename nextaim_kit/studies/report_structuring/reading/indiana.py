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
from nextaim_kit.studies.report_structuring.schema import Field, Template, Value

# What each label is called, and the codes that stand for it: a heading, alone or with one of its
# qualifiers. Chosen for being in 2 % of the reports or more, or nearly, and for their meaning.
LABELS = {
    "cardiomegaly": ("enlarged heart", "Cardiomegaly", "Cardiac Shadow/enlarged"),
    "opacity": ("opacity", "Opacity"),
    "atelectasis": ("atelectasis", "Pulmonary Atelectasis"),
    "airspace_disease": ("airspace disease", "Airspace Disease"),
    "effusion": ("pleural effusion", "Pleural Effusion"),
    "congestion": ("congestion or edema", "Pulmonary Congestion", "Pulmonary Edema"),
    "low_volumes": ("low lung volumes", "Lung/hypoinflation"),
    "hyperinflation": ("hyperinflated lungs", "Lung/hyperdistention"),
    "diaphragm": ("elevated diaphragm", "Diaphragm/elevated"),
    "scar": ("scar", "Cicatrix"),
    "nodule": ("nodule", "Nodule"),
    "granuloma": ("calcified granuloma", "Calcified Granuloma"),
    "spine": ("degenerative spine", "Thoracic Vertebrae/degenerative", "Spine/degenerative",
              "Spondylosis", "Osteophyte"),
    "scoliosis": ("scoliosis", "Scoliosis"),
    "fracture": ("fracture of bone", "Fractures, Bone"),
    "tortuous_aorta": ("tortuous aorta", "Aorta/tortuous", "Aorta, Thoracic/tortuous"),
    "atherosclerosis": ("atherosclerosis", "Atherosclerosis"),
    "catheter": ("catheter", "Catheters, Indwelling"),
}  # fmt: skip
NOT_CODED = "no indexing"
COLUMN = "MeSH"


def indiana_template() -> Template:
    """The frequent labels as a template: each ``present`` or ``absent``."""
    fields = (
        Field(key=key, label={"en": label}, choices=("present", "absent"))
        for key, (label, *_) in LABELS.items()
    )
    return Template(
        name="indiana",
        title={"en": "Chest X-ray, frequent findings"},
        sections={"18782-3": {"en": "Findings", "it": "Referto"}},
        fields=tuple(fields),
    )


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
        raise DataError(
            "the report was not coded",
            expected="MeSH codes, or normal",
            found=codes.strip() or "nothing",
        )
    return {
        key: "present" if _coded(terms, wanted) else "absent"
        for key, (_, *wanted) in LABELS.items()
    }


def _coded(terms: list[list[str]], wanted: Iterable[str]) -> bool:
    heads = [one.casefold().split("/") for one in wanted]
    return any(
        term[0].strip() == head and {*qualifiers} <= {part.strip() for part in term[1:]}
        for term in terms
        for head, *qualifiers in heads
    )
