"""What tells a person by its form alone: codes, numbers, addresses, great ages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from nextaim_kit.data.privacy.folding import fold, pieces, words_of
from nextaim_kit.data.privacy.lexicon import Found
from nextaim_kit.data.privacy.suspects import known

OLDEST = 89  # ages above it are one group (45 CFR 164.514(b)(2)(i)(C))
_CAP = r"[A-ZÀ-Ý][\wÀ-ÿ'.-]*"
_LOW = r"(?:de|del|della|dei|di|da|dal|d[']|san|santa|of|the|la|le|il|degli|delle)"
_RUN = rf"(?:{_LOW}\s+|d[']|dell['])*{_CAP}(?:\s+(?:{_LOW}\s+)*{_CAP}){{0,4}}"
_FISCAL = (
    r"(?<![A-Za-z0-9])[A-Z]{3}\s?[A-Z]{3}\s?[\dLMNPQRSTUV]{2}\s?[A-EHLMPRST]\s?[\dLMNPQRSTUV]{2}"
    r"\s?[A-Z]\s?[\dLMNPQRSTUV]{3}\s?[A-Z](?![A-Za-z0-9])"
)
_PHONE = (
    r"(?<![\w.+/-])(?:"
    r"(?:\+|00)\d{1,3}[\s./-]?\(?\d{1,4}\)?(?:[\s./-]?\d{2,4}){2,4}"
    r"|3\d{2}[\s./-]?\d{3}[\s./-]?\d{3,4}|3\d{2}[\s./-]?\d{2}[\s./-]?\d{2}[\s./-]?\d{3}"
    r"|0\d{1,3}[\s./-]\d{5,8}|0\d{1,4}[\s./-]\d{3,4}[\s./-]?\d{3,4}"
    r"|\(\d{3}\)\s?\d{3}[\s.-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4}|\d{3}-\d{4}(?=\D*$)"
    r")(?![\w-]|[./]\d)"
)
_CALLED = (
    r"(?:tel(?:efono|ephone)?|cell(?:ulare)?|mobile|phone|fax|ph|interno|ext|recapito|contatto)"
    r"\.?\s*(?:n\.|no\.?|:|=)?\s*(?P<v>\+?\(?\d[\d\s()./-]{2,18}\d)"
)
_NUMBERED = (
    r"(?<!\w)(?:cartella(?:\s+(?:clinica|ambulatoriale|infermieristica))?|cart\.|nosologico|mrn|m\.r\.n\.|medical\s+record|record"
    r"|accession|acc|patient\s*id|pat\.?\s*id|pid|id\s*(?:paziente|patient|pz"
    r"|sanitario|assistito|regionale)?|cod\.?\s*(?:paz|pz|san|reg)\.|codice(?:"
    r"\s+(?:paziente"
    r"|sanitario|fiscale|regionale))?|c\.?f\.?|tessera(?:\s+sanitaria)?|team|ssn|nhs|passport"
    r"|passaporto"
    r"|carta\s+d[']identit[àa]|impegnativa|nre|ricetta|prot(?:ocollo)?\.|pratica|verbale|targat?[ao]?|(?:license|number|licence)\s*plate"
    r"|polizza|policy"
    r"|insurance|account|hospital|badge|matricola|serial|s/n|ricovero|episodio|admission|visit"
    r"|referto|exam|esame)"
    r"[\s_]*(?:number|numero|num\.?|nr\.?|no\.?|n\.?°?|#)?[\s:.#=°_-]*"
    r"(?P<v>(?=[A-Za-z./-]{0,8}\d)[A-Za-z0-9]+(?:[./ -](?=[A-Za-z]?\d)[A-Za-z0-9]+)*)"
)
_PLAIN_N = (
    r"(?<!\w)(?:n\.|nr\.?|n°|no\.|numero|number|#)\s*"
    r"(?P<v>[A-Za-z]{0,4}[-/]?\d{5,}[A-Za-z]?(?:[/-]\d+)?)"
)
_ROAD = (
    r"(?<!\w)(?:[Vv]ia|[Vv]iale|V\.le|[Pp]iazza|P\.?zza|[Pp]iazzale|[Cc]orso|C\.so|[Ll]argo"
    r"|[Vv]icolo|[Ss]trada"
    r"|[Cc]ontrada|[Ll]ocalità|[Bb]orgo|[Ll]ungo\w+|VIA|VIALE|PIAZZA|CORSO|LARGO)\s+"
    rf"(?P<road>{_RUN}|\d{{1,2}}\s+{_CAP}(?:\s+{_CAP})?)(?P<house>,?\s*(?:n\.?\s*"
    rf"|civico\s*)?\d{{1,4}}(?:\s?/?[A-Za-z](?!\w))?)?"
    rf"(?P<town>[\s,-]+\d{{5}}(?:\s+{_CAP}(?:\s+{_CAP}){{0,2}})?(?:\s*\([A-Z]{{2}}\))?)?"
)
_STREET = (
    rf"(?<!\w)\d{{1,5}}[A-Za-z]?,?\s+(?:{_CAP}\s+){{1,3}}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln"
    rf"|Drive|Court|Square|Boulevard"
    r"|Blvd|Way|Terrace|Place|Crescent|Close|Gardens|Hill"
    r"|Row)\b\.?(?:,\s*[A-Z][\w' ]{2,25})?(?:,?\s+[A-Z]{1,2}\d{1,2}[A-Z]?\s?\d[A-Z]{2}\b)?"
)
_TOWN = rf"(?<![\d.,-])\d{{5}}\s+{_CAP}(?:\s{_CAP}){{0,2}}\s*\([A-Z]{{2}}\)"
_LIVING = (
    r"(?:nat[oa]\s+(?:(?:il|nel)\s+[\w./-]{4,10}(?:\s+\w{3,9}\s+\d{4})?,?\s+)?(?:a|in)"
    r"|originari[oa]\s+(?:di|da|del)|vive\s+(?:a|ad|in)|residente\s+(?:a|in|ad)|domiciliat[oa]\s+(?:a|in|ad)|abita(?:nte)?"
    r"\s+(?:a|in|ad)"
    r"|proveniente\s+da|presso|c/o|(?:sindac[oa]|parroco|comune|paese|frazione|provincia|citt[àa])"
    r"\s+di|(?:was\s+)?born\s+in|resid(?:es|ing|ent)\s+(?:in|at|of)|lives\s+(?:in"
    r"|at)|living\s+in)\s+"
    rf"(?P<v>{_RUN}(?:\s*\([A-Za-z]{{2}}\))?)"
)
_SMALL_TOWN = (
    r"(?:nat[oa]\s+ad?|residente\s+(?:ad?|in)|domiciliat[oa]\s+(?:ad?|in)|abita\s+ad?|vive\s+ad?"
    r"|originari[oa]\s+d[ia]|born\s+in|lives\s+in)\s+"
    r"(?P<v>(?:(?:san|santa|pieve|borgo|castel|monte|villa)\s+)?(?P<w>[a-zà-ÿ]{4,})"
    r"(?:\s+(?:di|d'|del|della|sul|in|al)\s+[a-zà-ÿ]{4,}(?=\s*[,.;(\n]|$))?)(?!\w)"
)
_HOUSE = (
    r"(?<!\w)(?P<k>[Oo]spedale|[Oo]spedali|Policlinico|Clinica|Casa\s+di\s+[Cc]ura|Istituto|Azienda"
    r"\s+Ospedaliera|Presidio|A\.?S\.?L\.?"
    r"|ASST|AOU|A\.O\.U?\.?|IRCCS|RSA|Hospital\s+of|Poliambulatorio|Università(?:\s+degli"
    r"\s+[Ss]tudi)?\s+di|University\s+of)\s+"
    rf"(?P<v>(?:di\s+|of\s+)?{_RUN})"
)
_HOSPITAL = (
    rf"(?P<v>{_CAP}(?:\s+{_CAP}){{0,3}}(?:'s)?)"
    r"\s+(?:Hospital|Medical\s+Cent(?:er|re)|Infirmary|Clinic|University)\b"
)
_AGE = (
    r"(?<![\w.,/])(?P<v>1[0-2]\d|9\d)(?=\s*-?\s*(?:anni\b|aa\b|a\.\b|enne\b|years?\b|yrs?\b"
    r"|y/?o\b|y\.o\.|year-old|-year-old))"
    r"|(?:(?<=\bage )|(?<=\bage: )|(?<=\baged )|(?<=\bet[àa] )|(?<=\bet[àa]: )|(?<=\beta' )"
    r"|(?<=\banni )|(?<=\banni: ))(?P<w>1[0-2]\d|9\d)\b(?!\s*(?:%|mm|mesi|months))"
)
_SAFE_BEFORE = re.compile(
    r"(?:NCT|PMID:?|PMC|doi:?|10\.\d{4,9}/\S*|ISRCTN|arXiv:?|ISBN|ISSN|LOINC|SNOMED)\s*$", re.I
)
_FORMS: list[tuple[str, str, str, int]] = [  # kind, mark, form, flags
    ("contact", "[contact]", r"(?<![\w.+-])[\w.+'-]+@[\w-]+(?:\.[\w-]+)+", 0),
    (
        "contact",
        "[contact]",
        r"(?:https?|ftp)://(?!(?:dx\.)?doi\.org/|arxiv\.org/)\S+|www\.\S+",
        re.I,
    ),
    (
        "contact",
        "[contact]",
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])",
        0,
    ),
    ("code", "[code]", _FISCAL, re.I),
    (
        "code",
        "[code]",
        r"(?<!\w)(?=[A-Z]{2}\d{2}(?:[A-Z\s]{0,2}\d){8})[A-Z]{2}\d{2}(?:\s?[\dA-Z]{4}){2,7}"
        r"(?:\s?[\dA-Z]{1,3})?(?!\w)",
        0,
    ),
    ("contact", "[contact]", r"(?<![\w.+-])[A-Za-z][\w.+'-]{2,}@[A-Za-z][\w-]{2,}(?!\w)", 0),
    (
        "date",
        "[date]",
        r"(?<![\w/.])\d{1,2}(?:[./-](?:X?I{1,3}|I[VX]|VI{0,3}|X)[./-](?:\d{4}|\d{2})(?!\w)"
        r"|/\d{1,2}(?=\s*(?:u\.?\s?s|c\.?\s?a|p\.?\s?v)\.))",
        0,
    ),
    ("date", "[date]", r"(?<!\w)[Cc]lasse\s+(?:di\s+)?(?P<v>(?:19|20)\d\d)(?!\w)", 0),
    (
        "date",
        "[date of birth]",
        r"(?<!\w)(?:nat[oaie]|classe|born)\s+(?:nel(?:l'anno)?|in)\s+(?P<v>(?:19|20)\d\d)(?!\w)",
        re.I,
    ),
    ("code", "[code]", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", 0),
    ("contact", "[contact]", _CALLED, re.I),
    ("contact", "[contact]", _PHONE, 0),
    ("number", "[number]", _NUMBERED, re.I),
    ("number", "[number]", _PLAIN_N, re.I),
    ("number", "[number]", r"(?<![\w.,/-])\d{8,}(?![\w-]|[.,/]\d)", 0),
    ("place", "[place]", _STREET, 0),
    ("place", "[place]", _TOWN, 0),
    ("place", "[place]", _LIVING, 0),
    ("place", "[place]", _HOUSE, 0),
    ("place", "[place]", _HOSPITAL, 0),
]
_PATTERNS = [(kind, mark, re.compile(form, flags)) for kind, mark, form, flags in _FORMS]
_ROADS, _AGES = re.compile(_ROAD), re.compile(_AGE, re.IGNORECASE)
_SMALL_TOWNS = re.compile(_SMALL_TOWN)
_UIDS = re.compile(r"(?<![\w.])[0-2](?:\.\d+){5,}(?![\w.]*\w)")


def find_patterns(text: str, uid: Callable[[str], str]) -> Iterator[Found]:
    """Codes, numbers, addresses and great ages of a text.

    Parameters
    ----------
    text : str
    uid : callable
        Gives a UID's pseudonym.
    """
    for kind, mark, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            span = match.span("v") if "v" in pattern.groupindex else match.span()
            if _SAFE_BEFORE.search(text[max(0, span[0] - 40) : span[0]]):
                continue
            if kind == "place" and "v" in pattern.groupindex and not _is_place(text[slice(*span)]):
                continue
            yield Found(*span, kind, mark)
    for match in _SMALL_TOWNS.finditer(text):
        if _is_place(match["w"]) and not known(match["w"]):
            yield Found(*match.span("v"), "place", "[place]")
    for match in _ROADS.finditer(text):
        if match["house"] or match["town"] or _is_place(match["road"]):
            yield Found(*match.span(), "place", "[place]")
    for match in _AGES.finditer(text):
        name = "v" if match["v"] else "w"
        yield Found(*match.span(name), "age", f"{OLDEST + 1}+")
    for match in _UIDS.finditer(text):
        yield Found(*match.span(), "uid", uid(match[0]))


def _is_place(text: str) -> bool:
    """Whether a run of words holds one that no report needs: "via Seldinger" has none."""
    known = words_of("vocabulary") | words_of("eponyms")
    return any(
        p.folded.isalpha() and len(p.folded) > 2 and fold(p.text) not in known for p in pieces(text)
    )
