"""What headers say of people, learned before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import DataElement, Dataset

from nextaim_kit.data.privacy.folding import fold, pieces, words
from nextaim_kit.data.privacy.lexicon import Lexicon

_OF_PATIENT = {"PatientName", "OtherPatientNames", "PatientBirthName"}
_NUMBERS = words("""
    PatientID OtherPatientIDs AccessionNumber StudyID AdmissionID ServiceEpisodeID
    DeviceSerialNumber StationName MedicalRecordLocator InsurancePlanIdentification
    PatientTelephoneNumbers ReferringPhysicianTelephoneNumbers PersonTelephoneNumbers
    OrderCallbackPhoneNumber PlacerOrderNumberImagingServiceRequest SpecimenAccessionNumber
    FillerOrderNumberImagingServiceRequest RequestedProcedureID ScheduledProcedureStepID
    PerformedProcedureStepID ClinicalTrialSubjectID ClinicalTrialSubjectReadingID
    SpecimenIdentifier ContainerIdentifier
""")
_PHRASES = words("""
    InstitutionName InstitutionAddress PatientAddress ReferringPhysicianAddress PersonAddress
    RegionOfResidence ResponsibleOrganization HumanPerformerOrganization VerifyingOrganization
    IssuerOfPatientID ClinicalTrialSiteName ClinicalTrialCoordinatingCenterName
    ClinicalTrialSponsorName PatientInstitutionResidence CurrentPatientLocation
    CameraOwnerName
""")
# Words of a column's or a key's name, and what stands below it.
_KINDS: dict[str, str] = {
    "birth": r"birth|nascita|\bdob\b|\bnato\b|\bnata\b|\bborn\b|\bb ?day\b|\bcompleanno\b"
    r"|\bgeb(?:oren|dat\w*)?\b|geburt|naissance|nacimiento|\bgeboorte",
    "id": r"\bids?\b|\bmrn\b|\bcf\b|fiscal|codice|accession|record|cartella|nosolog|ssn|nhs"
    r"|tessera|passport|serial|matricola"
    r"|tel|phone|cell|mobile|fax|\bsubject\b|\bpatient\b|\bpaziente\b|\bpz\b|\bcode\b|station"
    r"|telefono",
    "contact": r"mail",
    "phrase": r"address|indirizzo|\bvia\b|residen|city|citta|comune|town|institution|ospedale"
    r"|hospital|\bsite name\b|clinic\b|provincia|luogo"
    r"|place|postal|zip\b|\bcap\b",
    "name": r"\bname\b|\bnome\b|surname|cognome|nominativ|physician|medico|doctor|operator"
    r"|radiolog|technician|tecnico|referr|refert"
    r"|author|autore|reader|observer|parent|madre|padre|contact person|responsabile"
    r"|\bcaregiver\b|firma",
}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W]+")


def kind_of(label: str) -> str:
    """What a column or a key holds by its name: name, id, birth, phrase, contact or nothing.

    Examples
    --------
    >>> kind_of("PatientBirthDate"), kind_of("cognome"), kind_of("spacing_mm")
    ('birth', 'name', '')
    """
    said = fold(" ".join(_WORDS.sub(" ", label).split()))
    named = re.search(_KINDS["name"], said)
    if named and not re.search(
        r"protocol|sequence|coil|series|file|manufacturer|software|column|device|scanner|model",
        said,
    ):
        return "name"
    for kind, form in _KINDS.items():
        if kind != "name" and re.search(form, said):
            return kind
    return ""


_QUASI = (
    r"\b(?:age|eta|anni|sex|sesso|gender|genere|race|ethnic\w*|etnia|height|altezza|weight|peso"
    r"|job|occupation|professione|education|istruzione|nation\w*|cittadinanza|region|regione"
    r"|marital|stato civile|religion)\b"
)


def quasi_identifier(label: str) -> bool:
    """Whether a column tells a person together with others, such as age and sex."""
    return bool(re.search(_QUASI, fold(" ".join(_WORDS.sub(" ", label).split()))))


def learn_dataset(lexicon: Lexicon, data: Dataset) -> None:
    """Learn the people of a DICOM header, nested items too; values that cannot be read are none."""
    patient = str(data.get("PatientID") or "").strip()
    if patient:
        lexicon.patients.add(patient)
    for element in _elements(data):
        _learn_element(lexicon, element, patient)


def _elements(data: Dataset) -> Iterator[DataElement]:
    for tag in sorted(data.keys()):
        try:
            element = data[tag]
        except Exception:  # whatever a damaged value raises: the cleaner removes such an element
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _elements(item)
        else:
            yield element


def _learn_element(lexicon: Lexicon, element: DataElement, patient: str) -> None:
    for value in values_of(element):
        text = str(value).strip()
        if element.VR == "PN":
            lexicon.add_name(text, patient if element.keyword in _OF_PATIENT else "")
        elif element.keyword in _NUMBERS:
            of_patient = element.keyword in ("PatientID", "OtherPatientIDs")
            lexicon.add_id(text, patient if of_patient else "")
        elif element.keyword in _PHRASES:
            lexicon.add_phrase(text)
        elif element.keyword == "PatientBirthDate":
            learn_value(lexicon, "birth", text, patient)


def values_of(element: DataElement) -> list[Any]:
    """Values of an element as a list, without empty ones."""
    value = element.value
    several = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [one for one in several if one not in (None, "", b"")]


def learn_value(lexicon: Lexicon, kind: str, text: str, patient: str) -> None:
    """Learn one value of a kind that `kind_of` gives."""
    if kind == "name":
        lexicon.add_name(text, patient)
    elif kind in ("id", "contact"):
        lexicon.add_id(text, patient)
    elif kind == "phrase":
        lexicon.add_phrase(text)
    elif kind == "birth":
        numbers = [int(piece.text) for piece in pieces(text) if piece.text.isdecimal()]
        if len(numbers) == 1 and len(text) == 8:
            numbers = [int(text[:4]), int(text[4:6]), int(text[6:])]
        if len(numbers) >= 3:
            a, b, c = numbers[:3]
            lexicon.births.update({(a, b, c)} if a > 31 else {(c, b, a), (c, a, b)})


def learn_mapping(lexicon: Lexicon, value: Any, label: str = "", patient: str = "") -> None:
    """Learn what the keys of a nested mapping say of people, as in a sidecar of BIDS."""
    if isinstance(value, Mapping):
        own = next(
            (str(v).strip() for k, v in value.items() if _is_patient_id(str(k)) and v), patient
        )
        if own:
            lexicon.patients.add(own)
        for key, inner in value.items():
            learn_mapping(lexicon, inner, str(key), own)
    elif isinstance(value, list):
        for inner in value:
            learn_mapping(lexicon, inner, label, patient)
    elif value not in (None, "") and not isinstance(value, bool) and (kind := kind_of(label)):
        learn_value(lexicon, kind, str(value), patient)


def _is_patient_id(key: str) -> bool:
    return fold(key).replace("_", "").replace(" ", "") in (
        "patientid",
        "subject",
        "subjectid",
        "paziente",
        "idpaziente",
        "pazienteid",
        "mrn",
        "patient",
        "participantid",
        "pid",
    )
