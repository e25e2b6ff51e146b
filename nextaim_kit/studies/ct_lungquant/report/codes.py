"""Codes of the report: sections, quantities, places, units, and the systems they come from.

LOINC's are those that DICOM names as titles and headings of imaging reports (PS3.16, CID 7000 and
7001), SNOMED CT's and DCM's those of PS3.16 and of HL7's own examples (right and left lung). What
no standard is known to have a code for stands in a code system of the kit's own.
"""

from __future__ import annotations

from dataclasses import dataclass

# System as FHIR names it (a URI) and as DICOM does (a coding scheme designator).
LOINC, SNOMED, DCM, UCUM, KIT = "LN", "SCT", "DCM", "UCUM", "99NEXTAIM"
KIT_URL = "http://example.org/nextaim-kit"  # example.org: reserved for what has no home yet
URIS = {
    LOINC: "http://loinc.org",
    SNOMED: "http://snomed.info/sct",
    DCM: "http://dicom.nema.org/resources/ontology/DCM",
    UCUM: "http://unitsofmeasure.org",
    KIT: f"{KIT_URL}/CodeSystem/ct-lungquant",
}
SCHEMES = {uri: scheme for scheme, uri in URIS.items()}


@dataclass(frozen=True)
class Code:
    """A concept: its value in a system, and how it is displayed."""

    scheme: str
    value: str
    display: str

    @property
    def uri(self) -> str:
        """The system as FHIR names it."""
        return URIS[self.scheme]


def own(value: str, display: str) -> Code:
    """Code of the kit's own system."""
    return Code(KIT, value, display)


CT_CHEST = Code(LOINC, "24627-2", "CT Chest Report")
PROCEDURE = Code(LOINC, "55111-9", "Current Procedure Descriptions")
FINDINGS = Code(LOINC, "59776-5", "Findings")
IMPRESSIONS = Code(LOINC, "19005-8", "Impressions")
SECTIONS = (PROCEDURE, FINDINGS, IMPRESSIONS)

VOLUME = Code(SNOMED, "118565006", "Volume")
LESION = Code(SNOMED, "52988006", "Lesion")
LUNG = Code(SNOMED, "39607008", "Lung")
RIGHT_LUNG = Code(SNOMED, "3341006", "Right lung")
LEFT_LUNG = Code(SNOMED, "44029006", "Left lung")
YES = Code(SNOMED, "373066001", "Yes")
NO = Code(SNOMED, "373067005", "No")

MILLILITERS = Code(UCUM, "mL", "milliliter")
PERCENT = Code(UCUM, "%", "percent")
SCORE = Code(UCUM, "{score}", "score")

STATUS = own("LQ-STATUS", "Review status of a value")
STATUSES = {
    "ai-derived": own("LQ-AI", "AI-derived, not confirmed"),
    "confirmed": own("LQ-CONFIRMED", "AI-derived, confirmed by a reader"),
    "edited": own("LQ-EDITED", "Edited by a reader"),
}
AI_VALUE = own("LQ-AI-VALUE", "Value by the algorithm, before it was edited")
REVIEWER = own("LQ-REVIEWER", "Pseudonym of who reviewed a value")
