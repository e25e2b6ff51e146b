"""What of a file's texts tells a person: by where it stands, and by how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nextaim_kit.data.privacy.audit_readers import Said

# What stands where a name or a number was: pseudonyms, hashes, marks, nothing.
_STAND_IN = re.compile(
    r"(?:P?[A-Z2-7]{10}|\[[a-z ]+\]|(?i:removed|anon\w*|unknown|none|n/?a|pseudo\w*)|[-_.*x ]*"
    r"|sub-\w{1,12})$"
)
_PERSONAL = re.compile(
    r"(?:^|\.)(?:Patient(?:ID|Address|BirthDate|BirthTime|BirthName|TelephoneNumbers"
    r"|MotherBirthName"
    r"|TelecomInformation|ReligiousPreference|InsurancePlanCodeSequence|InstitutionResidence)"
    r"|Other(?:PatientIDs|PatientNames)|AccessionNumber|AdmissionID|StudyID|MilitaryRank"
    r"|\w*Physician\w*|Operators?\w*Name|Institution(?:Name|Address)|\w*Telephone\w*"
    r"|\w*Address(?:Trial)?"
    r"|CountryOfResidence|RegionOfResidence|ResponsiblePerson\w*|MedicalRecordLocator"
    r"|OrderEnteredBy"
    r"|SourceApplicationEntityTitle|\w*AETitle|IssuerOf\w*ID)$"
)
_KEYS = re.compile(
    r"(?i)(?:^|[._ ])(?:patient[_ ]?name|(?:sur|last|first|given|family|full)[_ ]?name|cognome"
    r"|nome|codice[_ ]?fiscale|indirizzo|e-?mail"
    r"|telefono|phone|birth[_ ]?date|date[_ ]?of[_ ]?birth|data[_ ]?(?:di[_ ]?)?nascita|dob|mrn"
    r"|ssn|address|patientname|patientbirthdate"
    r"|born|b[ _-]?day|birth(?:day)?|year[ _]?of[ _]?birth|birth[ _]?year|nat[oa]|nascita"
    r"|(?:anno|luogo)[ _]di[ _]nascita|geburtsdatum|geb(?:oren)?|compleanno"
    r"|(?:date[ _](?:de[ _])?)?naissance"
    r"|institutionname|institutionaddress|operatorsname|referringphysicianname)$"
)
_WRITTEN = {
    "a person after a title": re.compile(
        r"\b(?:Dott(?:\.|\.?ssa|or|oressa)?|Prof(?:\.|essor)?|Sig(?:\.ra|nora|\.)|Dr|Mr|Mrs|Ms)\.?\s+"
        r"(?:[A-Z]\.\s*)?(?!The|This|No|Non|La|Il)[A-ZÀ-Ý][A-ZÀ-Ýa-zà-ÿ'\u2019]{2,}"
    ),
    "a patient by name": re.compile(
        r"(?i:\b(?:paziente|patient(?:'s)? name|nome e cognome|nominativo)\s*[:=]\s*)"
        r"[A-ZÀ-Ý][A-ZÀ-Ýa-zà-ÿ']{2,}"
    ),
    "who signed": re.compile(
        r"(?i:\b(?:firmato|refertato|eseguito|signed|dictated|reported|reviewed)\s+(?:\w+\s+)?"
        r"(?:da|by)\s*:?\s+)[A-ZÀ-Ý][a-zà-ÿ']+\s+[A-ZÀ-Ý][a-zà-ÿ']+"
    ),
    "a birth": re.compile(
        r"(?i)\b(?:nat[oa]\s+(?:a|il)|born\s+(?:on|in)|dob|data di nascita)\b[^\[\]]{0,30}?\d{4}"
    ),
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.(?:[\w-]+\.)*[a-z]{2,}\b"),
    "an Italian fiscal code": re.compile(
        r"(?<![\w+/=])[A-Z]{6}[0-9L-V]{2}[A-T][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z](?![\w+/=])",
        re.IGNORECASE,
    ),
    "a telephone number": re.compile(
        r"(?i:\b(?:tel|telefono|cell|phone|fax)\b\.?:?\s*)\+?[\d(][\d ()./-]{6,}"
        r"|(?<![\w.])\+\d{2}[ .-]?\d{2,4}[ .-]?\d{5,8}\b"
    ),
    "an address": re.compile(
        r"\b(?:Via|Viale|Piazza|Corso)\s+(?:[A-Z]\w+|dei|del|della|di)[\w ']{0,30},?\s+\d{1,4}\b"
        r"|\b\d{1,4}\s+[A-Z][a-z]+\s+(?:Street|Road|Avenue|Lane|Drive)\b"
    ),
    "a number of a record": re.compile(
        r"(?i)\b(?:mrn|cartella(?: clinica)?|nosologico|medical record)\W{0,3}(?:n\W{0,2})?\d{4,}"
    ),
    "an age above 89": re.compile(
        r"(?i)(?<![\w.,/+])(?:9\d|1[01]\d)(?:\s*anni\b|[- ]?years?[- ]old|[- ]?year-old|\s*y/?o\b)"
    ),
}
_VALUE = re.compile(
    r"\d{5,}|[-+]?\d+[.,]\d+(?:[eE][-+]?\d+)?|\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ][\d:.]+)?"
    r"|\d\d?[-/.]\d\d?[-/.]\d{2,4}|\d\d? [A-Za-z]{3,9}\.? \d{4}"
)
_WHO = re.compile(
    r"(?i)(?:full[ _]?)?name|pazient[ei]|patients?|nominativ[oi]|person|surname|cognome"
)
_PERSON = re.compile(r"[A-ZÀ-Ý][\w'\u2019-]+(?:[ ,^]+[A-ZÀ-Ý][\w'\u2019.-]*){1,3}")
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?=\D|$|[01]\d[0-3]\d(?!\d))")
_BEFORE = 1990  # no image of before was a file
_PACKED = 400  # characters without a space
_RISKY = ("US", "SC", "XA", "RF", "ES", "XC", "OT", "GM", "OP")


def judged(said: Said) -> Iterator[tuple[str, str]]:
    """What a text is taken for, and the verdict: identity, or look.

    Parameters
    ----------
    said : Said

    Yields
    ------
    what, verdict : str
    """
    if said.kind in ("stamp", "moved", "burnt"):
        yield from _stamps(said)
        return
    if said.kind == "first":
        yield from _column(*said.text.split("\n"))
        return
    text = said.text.strip()
    packed = len(text) > _PACKED and not re.search(r"\s", text)  # a picture within a notebook
    chance = said.kind == "bytes" and not _written(text)
    if said.kind == "UI" or not text or packed or chance:
        return
    if not _STAND_IN.match(text):
        yield from _by_place(said, text)
    for what, pattern in _WRITTEN.items():
        if pattern.search(said.text):
            yield what, "identity"


def _column(first: str, *below: str) -> Iterator[tuple[str, str]]:
    """What a column is by its first cell and the others."""
    cells = [cell.strip() for cell in below if cell.strip()]
    if _of_a_patient(first, *below):
        yield "a first row that may be a patient's", "look"
    persons = {cell for cell in cells if _PERSON.fullmatch(cell)}
    if _WHO.fullmatch(first.strip().strip("\"'")) and len(persons) > 0.6 * len(cells):
        yield "a column of persons' names", "identity"
    years = sorted(int(match[0]) for cell in cells if _VALUE.fullmatch(cell)
                   for match in [_YEAR.search(cell)] if match)  # fmt: skip
    if len(years) > 0.8 * len(cells) > 0 and years[len(years) // 2] < _BEFORE:
        yield "dates that may be births", "look"


def _of_a_patient(first: str, *below: str) -> bool:
    """Whether a date, a long number or a code like those below it stands in place of a name."""
    first = first.strip().strip("\"'")
    if _VALUE.fullmatch(first):
        return True
    forms = [re.sub(r"[A-Za-z]+", "A", re.sub(r"\d+", "1", one.strip())) for one in (first, *below)]
    coded = any(one.isdigit() for one in first) and not first.isdigit()
    return coded and bool(below) and 2 * forms[1:].count(forms[0]) >= len(below)


def _written(text: str) -> bool:
    """Whether characters among bytes are words: weights of a network spell anything by chance."""
    plain = sum(one.isalnum() or one in " .,@'_-:" for one in text)
    return len(text) > 8 and plain > 0.85 * len(text)


def _by_place(said: Said, text: str) -> Iterator[tuple[str, str]]:
    if said.kind == "PN":
        yield "a person's name", "identity"
    elif said.kind != "key" and _PERSONAL.search(said.where):
        yield "an element that is a person's", "identity"
    elif said.kind == "AS" and re.match(r"(?:09[1-9]|1\d\d)Y", text):
        yield "an age above 89", "identity"
    elif said.kind == "key" and _KEYS.search(text):
        yield "a key or column that names a person", "look"
    elif said.kind.startswith("private") and not re.fullmatch(r"[\d\s.eE+-]+", text):
        if not text.upper().startswith(("SIEMENS ", "GEMS_", "PHILIPS ")):
            yield "a private text", "look"
    elif said.where == "preamble" and not text.startswith(("II*", "MM")):
        yield "text before the data", "look"


def _stamps(said: Said) -> Iterator[tuple[str, str]]:
    if said.kind == "stamp" and said.text != "YES":
        yield "not stamped as de-identified", "look"
    elif said.kind == "moved" and said.text not in ("MODIFIED", "REMOVED"):
        yield "dates are as they were", "look"
    elif said.kind == "burnt":
        modality, _, burnt = said.text.partition(" ")
        if burnt == "YES":
            yield "writing in its pixels", "identity"
        elif burnt != "NO" and modality in _RISKY:
            yield "pixels that nobody looked at", "look"
