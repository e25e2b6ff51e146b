"""Codes of reports: systems, sections, units, and what every template says of a review.

LOINC's are those that DICOM names as titles and headings of imaging reports (PS3.16, CID 7000 and
7001) and those of HL7 Italy's radiology report, SNOMED CT's and DCM's those of PS3.16. What no
standard is known to have a code for stands in an `OwnSystem` of the template.
"""

from __future__ import annotations

from dataclasses import dataclass

KIT_URL = "http://example.org/nextaim-kit"  # example.org: reserved for what has no home yet
_STATUSES = {
    "ai-derived": ("AI", "AI-derived, not confirmed"),
    "confirmed": ("CONFIRMED", "AI-derived, confirmed by a reader"),
    "edited": ("EDITED", "Edited by a reader"),
}
STATUSES = tuple(_STATUSES)


@dataclass(frozen=True)
class System:
    """A code system: as DICOM names it (a coding scheme designator) and as FHIR does (a URI)."""

    scheme: str
    uri: str


@dataclass(frozen=True)
class Code:
    """A concept: its value in a system, and how it is displayed."""

    system: System
    value: str
    display: str

    @property
    def scheme(self) -> str:
        """The system as DICOM names it."""
        return self.system.scheme

    @property
    def uri(self) -> str:
        """The system as FHIR names it."""
        return self.system.uri


@dataclass(frozen=True)
class OwnSystem(System):
    """A template's own code system: what it is of, and how its codes begin.

    Beside the template's codes it has those of a review. DICOM allows a code 16 characters, and 64
    to display it.
    """

    name: str
    prefix: str

    @property
    def status(self) -> Code:
        """Name of a value's review status."""
        return self._code("STATUS", "Review status of a value")

    @property
    def statuses(self) -> dict[str, Code]:
        """Codes of the review statuses."""
        return {name: self._code(*of) for name, of in _STATUSES.items()}

    @property
    def ai_value(self) -> Code:
        """Name of the algorithm's value beside an edited one."""
        return self._code("AI-VALUE", "Value by the algorithm, before it was edited")

    @property
    def reviewer(self) -> Code:
        """Name of a reviewer's pseudonym."""
        return self._code("REVIEWER", "Pseudonym of who reviewed a value")

    @property
    def absent(self) -> Code:
        """What stands for a value that was not measured."""
        return self._code("ABSENT", "Not assessed")

    def _code(self, end: str, display: str) -> Code:
        return Code(self, f"{self.prefix}-{end}", display)


LOINC = System("LN", "http://loinc.org")
SNOMED = System("SCT", "http://snomed.info/sct")
DCM = System("DCM", "http://dicom.nema.org/resources/ontology/DCM")
UCUM = System("UCUM", "http://unitsofmeasure.org")

PROCEDURE = Code(LOINC, "55111-9", "Current Procedure Descriptions")
FINDINGS = Code(LOINC, "59776-5", "Findings")
IMPRESSIONS = Code(LOINC, "19005-8", "Impressions")
SECTIONS = (PROCEDURE, FINDINGS, IMPRESSIONS)

# A radiology report in prose, and its sections in the order of HL7 Italy's (CDA 2 and FHIR).
RADIOLOGY_REPORT = Code(LOINC, "68604-8", "Radiology Diagnostic study note")
OBSERVED = Code(LOINC, "18782-3", "Radiology Study observation (narrative)")
CONCLUSIONS = Code(LOINC, "55110-1", "Conclusions")
PROSE = (
    Code(LOINC, "18785-6", "Indications for Procedure"),
    Code(LOINC, "11329-0", "History"),
    Code(LOINC, "48765-2", "Allergies and adverse reactions Document"),
    Code(LOINC, "55114-3", "Prior Procedure Descriptions"),
    PROCEDURE,
    OBSERVED,
    CONCLUSIONS,
    Code(LOINC, "55107-7", "Addendum"),
    Code(LOINC, "55109-3", "Complications"),
    Code(LOINC, "18783-1", "Recommendations"),
)

VOLUME = Code(SNOMED, "118565006", "Volume")
LESION = Code(SNOMED, "52988006", "Lesion")
UNKNOWN = Code(
    System("", "http://terminology.hl7.org/CodeSystem/data-absent-reason"), "unknown", "Unknown"
)
YES = Code(SNOMED, "373066001", "Yes")
NO = Code(SNOMED, "373067005", "No")

MILLILITERS = Code(UCUM, "mL", "milliliter")
MILLIMETERS = Code(UCUM, "mm", "millimeter")
PERCENT = Code(UCUM, "%", "percent")
SCORE = Code(UCUM, "{score}", "score")


def status_words(status: str) -> str:
    """A review status in words."""
    return _STATUSES[status][1]
