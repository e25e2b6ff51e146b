"""Names that no header told of: after titles and labels, or capitals that are no known word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from nextaim_kit.data.privacy.drugs import as_drug
from nextaim_kit.data.privacy.folding import Piece, camel_parts, pieces, words, words_of
from nextaim_kit.data.privacy.lexicon import Found, as_term, written_as_name

_TITLE = re.compile(
    r"(?<![\w])(?:"
    r"(?i:dott\.?\s?ssa|dr\.?\s?ssa|d\.?ssa|dott(?:oressa|ore|or)?|prof(?:\.?\s?ssa|essoressa|essore|essor)?"
    r"|sig\.?\s?ra|sig\.?\s?na|sig\.?re"
    r"|signor[aei]?|signorina|sigg|avv|mrs|professor|doctor|suor|don)\b\.?"
    r"|[Ss]ig\.|Sig\b|SIG\.|Dr\b\.?|dr\b\.?|DR\.|Mr\b\.?|mr\.|Ms\b\.?|Miss\b|Hr\.|Herrn?\b|Frau\b|Ing\.|Rag\.|Geom\."
    r")"
)
_LABEL = re.compile(
    r"(?<!\w)(?i:pazient[ei]|paz\.|pz\.?(?:te)?|patient(?:'s)?(?:\s+name)?|pt\.?|nome(?:\s+e\s+cognome"
    r"|\s+paziente)?|cognome(?:\s+e\s+nome)?"
    r"|(?:first|last|full|family|given|sur)?\s?name|nominativo|intestatario|medico(?:"
    r"\s+(?:refertante|curante|richiedente|radiologo|prescrittore|di\s+base))?"
    r"|radiologo|radiologist|refertante|referring(?:\s+physician)?|physician|operatore|operator"
    r"|tecnico(?:\s+di\s+radiologia)?|tsrm"
    r"|technologist|technician|infermier[ea]|nurse|specializzando|attending|resident|consultant"
    r"|surgeon|chirurgo|primario"
    r"|(?:firmat[oa]|refertat[oa]|eseguit[oa]|validat[oa]|richiest[oa]|inviat[oa]|visitat[oa]"
    r"|valutat[oa]|discuss[oa]|dettat[oa]|redatt[oa])"
    r"(?:\s+(?:digitalmente|elettronicamente))?\s+(?:da|dal|dalla|con|al|a)"
    r"|(?:signed|reported|dictated|read|verified|reviewed|approved|performed|referred|requested"
    r"|seen|interpreted|transcribed|discussed)"
    r"(?:\s+electronically)?\s+(?:by|with)"
    r"|figli[oa]\s+di|mogli?e|marito|coniuge|madre|padre|sorella|fratello|figli[oa]|nipote"
    r"|cugin[oa]|badante|caregiver"
    r"|wife|husband|mother|father|sister|brother|son|daughter|spouse|neighbou?r|partner|cc"
    r"|f\.to(?:\s+dr\.?)?|md(?=:)|alla\s+c\.?a\.?|att\.ne)"
    r"(?P<colon>\s*[:=]\s*|\s*[(,]\s*|\s+)"
)
_ENTITLED = re.compile(
    r"[ .]{1,2}(?:[A-Z]\.\s?)?(?P<v>[A-ZÀ-Ý](?:[a-zà-ÿ]{2,}|[A-ZÀ-Ý]{2,}))(?!\w)"
)
_PARTICLE = words("""
    de del della dei di da dal dalla degli delle la lo le van von der den el al d o mac mc san
""")
_PERSON_DOES = words("""
    riferisce lamenta presenta giunge accede ha rifiuta nato nata anni viene si reports
    complains presented presents has was denies is underwent received anno
""")
_LONG_CAPITALS, _DESCRIPTOR, _RUN = 7, 5, 4  # letters; letters; words of a name at most
# How terms are formed, long words in small letters: no list holds all of them.
_TERM = re.compile(
    r".{4,}(?:zion[ei]|sion[ei]|ment[oie]|metri[ac]|grafi[ac]|[aeio]gram[am]?[ai]?|scopi[ac]"
    r"|tomi[ae]|pati[ae]|ectasi[ae]?s?|osis|itis|emia"
    r"|uria|ografic[aoi]|logic[aoi]|tion|tions|ment|ments|ness|graphy|scopy|tomy|pathy|esis|able"
    r"|ible|ically|ated|ating|ized|izing"
    r"|ular[ei]?|oral[ei]?|abil[ei]|ibil[ei]|ivamente|almente|ita|[ai]t[oaie]|ut[oaie]|[ae]ndo|[aei]re|ality|ility)$"
)
# What a patient does or is, in small letters: "patient developed", "paziente collaborante".
_VERBAL = re.compile(r".{3,}(?:ed|ing|ly|ous|ive|ic|al|s|ante|ente|[aei]nti|bile|os[oaie]|ic[oa])$")
_STOPS = re.compile(r"\s*(?:[,:]|$)")  # behind a name that begins a line: "Rossi, TC torace"
_ENDINGS = ("i", "e", "a", "o", "s", "es", "ed", "ing", "ly", "mente", "'s")


def known(word: str) -> bool:
    """Whether a folded word is one that reports use, in any of its usual endings."""
    vocabulary = words_of("vocabulary")
    mark = len(set(word)) == 1  # XXXX, where somebody took a word out
    if word in vocabulary or word in words_of("eponyms") or len(word) < 3 or mark:
        return True
    return len(word) > 4 and any(
        word.endswith(end) and word[: -len(end)] in _stems() for end in _ENDINGS
    )


@cache
def _stems() -> frozenset[str]:
    words = {word for word in words_of("vocabulary") if len(word) > 4}
    return frozenset(words | {word[:-1] for word in words if word[-1] in "aeio"})


def find_suspects(text: str, *, short: bool = False) -> Iterator[Found]:
    """Words that are most likely names.

    Parameters
    ----------
    text : str
    short : bool
        A descriptor, such as a series' description: there any long word that is not known goes.
    """
    row = pieces(text)
    yield from _after_marks(text, row)
    for at, piece in enumerate(row):
        if not piece.folded.isalpha():
            continue
        if _given(row, at) or _after_initial(text, row, at) or _suspect(text, row, at, short):
            yield Found(piece.start, piece.end, "name")
            yield from _beside(text, row, at)


def _after_marks(text: str, row: list[Piece]) -> Iterator[Found]:
    """The words after a title, such as Dr, or a label, such as Patient."""
    starts = {piece.start: number for number, piece in enumerate(row)}
    for pattern in (_TITLE, _LABEL):
        for match in pattern.finditer(text):
            label = pattern is _LABEL
            if not label and (entitled := _entitled(text, match)):
                yield entitled
            strong = not label or any(mark in match["colon"] for mark in ":=")
            after = (
                match.end()
                + len(text[match.end() :])
                - len(text[match.end() :].lstrip(" .:\r\n\t"))
            )
            if after in starts:
                yield from _name_from(text, row, starts[after], strong)


def _name_from(text: str, row: list[Piece], at: int, strong: bool) -> Iterator[Found]:
    first = at
    last = None
    while at < len(row) and at - first < _RUN + 2:
        piece = row[at]
        gap = text[row[at - 1].end : piece.start] if at > first else ""
        if gap.strip(" .'-^,_\r\n") or ("." in gap and len(row[at - 1].text) > 2):
            break
        if "," in gap and not (strong and at - first == 1):
            break
        if not piece.folded.isalpha():
            break
        small = at > first and row[at - 1].text.islower() and last == at - 1
        told = _may_be_name(piece, strong, at == first or small)
        if not told and not (strong and _is_part(text, row, at, first)):
            break
        if piece.folded not in _PARTICLE or (piece.text[0].isupper() and len(piece.text) > 1):
            last = at
        at += 1
    if last is not None:
        yield Found(row[first].start, row[last].end, "name")


def _entitled(text: str, title: re.Match[str]) -> Found | None:
    """What a title stands before, on its line: a name, whatever else it means ("Dott. Aprile").

    Where all is in capitals only a title that is cut short tells: "DOTT. APRILE".
    """
    after = _ENTITLED.match(text, title.end())
    if after is None or (after["v"].isupper() and title[0].isupper() and title[0][-1] != "."):
        return None
    return Found(*after.span("v"), "name")


def _is_part(text: str, row: list[Piece], at: int, first: int) -> bool:
    """Whether an initial, what follows one, or a word beside a given name is part of a name."""
    if len(row[at].text) == 1 and text[row[at].end : row[at].end + 1] == ".":
        return True
    follows = at == first + 1 and len(row[first].text) == 1 and not known(row[at].folded)
    return follows or _of_a_pair(text, row, at)


def _of_a_pair(text: str, row: list[Piece], at: int) -> bool:
    """Whether an ordinary word with a capital stands beside a given name: "Colonna Vittoria"."""
    pairs = [(at, at + 1), (at - 1, at)]
    for low, high in pairs:
        if low < 0 or high >= len(row) or text[row[low].end : row[high].start] not in (" ", "\n"):
            continue
        other = row[high if low == at else low]
        alike = row[at].text.istitle() == other.text.istitle() and other.text[0].isupper()
        if alike and row[at].text[0].isupper() and other.folded in _names():
            return True
    return False


@cache
def _names() -> frozenset[str]:
    return words_of("given_names") | _WORDS_THAT_ARE_NAMES


def _may_be_name(piece: Piece, strong: bool, first: bool) -> bool:
    if piece.folded in _PARTICLE:
        return True
    capital = piece.text[0].isupper()
    if strong and capital and len(piece.text) == 1:
        return True  # an initial
    ordinary = known(piece.folded) and piece.folded not in words_of("given_names")
    if ordinary:
        surname = piece.folded in _WORDS_THAT_ARE_NAMES or piece.folded in words_of("eponyms")
        return strong and surname and capital
    told = not (_TERM.match(piece.folded) or _VERBAL.match(piece.folded))
    return capital or ((first or strong) and told)


def _given(row: list[Piece], at: int) -> bool:
    """Whether a capital is a given name and no word."""
    folded = row[at].folded
    given = folded in words_of("given_names") and folded not in words_of("vocabulary")
    return given and row[at].text[0].isupper() and not as_term(row, at)


def _after_initial(text: str, row: list[Piece], at: int) -> bool:
    """Whether a surname that is also a word or a term follows an initial; "M. Crohn" is morbus."""
    if at == 0 or len(row[at - 1].text) != 1 or not row[at].text[0].isupper():
        return False
    dotted = text[row[at - 1].end : row[at].start] in (".", ". ")
    return dotted and row[at - 1].text.isupper() and row[at - 1].text != "M" and _surname(row, at)


def _surname(row: list[Piece], at: int) -> bool:
    """Whether a word may be a surname although it is known as another."""
    folded = row[at].folded
    term = folded in words_of("eponyms") and not as_term(row, at)
    return term or folded in _WORDS_THAT_ARE_NAMES


def _suspect(text: str, row: list[Piece], at: int, short: bool) -> bool:
    piece = row[at]
    if all(known(part.folded) for part in camel_parts(piece)) or as_if_term(row, at):
        return False
    if _TERM.match(piece.folded) and not written_as_name(piece, text):
        return False
    if as_drug(text, piece):
        return False
    if short:
        beside_digit = _touches_digit(text, piece)
        return len(piece.folded) >= (_LONG_CAPITALS if beside_digit else _DESCRIPTOR) or (
            piece.text.istitle() and len(piece.folded) > 2 and _neighbor_unknown(text, row, at)
        )
    if piece.text.isupper():
        return len(piece.folded) >= _LONG_CAPITALS or (
            len(piece.folded) > 3 and _neighbor_unknown(text, row, at)
        )
    if not piece.text[0].isupper():
        return False
    if written_as_name(piece, text) or any(one.isupper() for one in piece.text[1:]):
        return True
    if len(row) > 1 and len(piece.folded) > 3 and _STOPS.match(text, piece.end):
        return True
    return _neighbor_unknown(text, row, at) or (
        at + 1 < len(row) and row[at + 1].folded in _PERSON_DOES
    )


def as_if_term(row: list[Piece], at: int) -> bool:
    """Whether an unknown capital stands where eponyms do: "segno di Xy", "Xy's disease"."""
    return as_term([*row[:at], row[at]._replace(folded="hodgkin"), *row[at + 1 :]], at)


def _touches_digit(text: str, piece: Piece) -> bool:
    return (
        text[piece.end : piece.end + 1].isdigit()
        or text[max(0, piece.start - 1) : piece.start].isdigit()
    )


def _neighbor_unknown(text: str, row: list[Piece], at: int) -> bool:
    """Whether a capital stands right beside another that is a given name or no known word."""
    for other in (at - 1, at + 1):
        if not 0 <= other < len(row):
            continue
        low, high = sorted((at, other))
        gap = text[row[low].end : row[high].start]
        one = row[other]
        if gap.strip(" .,'-^_") or ("." in gap and len(row[low].text) > 2):
            continue
        if not one.folded.isalpha() or not one.text[0].isupper() or len(one.folded) < 2:
            continue
        if one.folded in words_of("given_names") or not known(one.folded):
            return True
    return False


def _beside(text: str, row: list[Piece], at: int) -> Iterator[Found]:
    """What belongs to a name found: a given name, a surname that is also a word, an initial."""
    for step in (-1, 1):
        other = at + step
        if not 0 <= other < len(row):
            continue
        one, low, high = row[other], *sorted((at, other))
        gap = text[row[low].end : row[high].start]
        if gap not in (" ", ", ", "-", "'", "_", "^", ". ", "."):
            continue
        if one.text[0].isupper() and (_belongs(one, text) or _surname(row, other)):
            yield Found(one.start, one.end, "name")


def _belongs(one: Piece, text: str) -> bool:
    initial = len(one.text) == 1 and text[one.end : one.end + 1] == "."
    return initial or one.folded in _names() or one.folded in _PARTICLE


_WORDS_THAT_ARE_NAMES = words("""
    costa gentile testa sala bianco bianchi young green brown hall white gray grasso carbone
    fiore monti serena rosa chiara franco rose mark frank king baker hunter long small short
    wood stone field rivers banks cross church page bell cook cooper mason miller turner
    walker ward marsh lane park mori neri rossi verdi moro bruno leone conti fontana ferri
    pace villa riva serra valle monte campo marino greco vitale felice guerra smith jones
    angela pavia milano toronto bianca alba stella viola gioia celeste luna gemma perla letizia
    grazia pia marina diana maggio aprile
""")
