"""Text without identity: whatever was found, of whichever kind, is replaced in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nextaim_kit.data.privacy.dates import Move, find_dates
from nextaim_kit.data.privacy.folding import mended, straight
from nextaim_kit.data.privacy.headers import suspects_of
from nextaim_kit.data.privacy.lexicon import Found, Lexicon
from nextaim_kit.data.privacy.patterns import find_patterns
from nextaim_kit.data.privacy.secret import Key
from nextaim_kit.data.privacy.suspects import find_suspects

_MARKS = {"name": "[name]", "place": "[place]", "id": "[number]", "date": "[date]"}


class Scrubber:
    """Takes identity out of text, with the key and what was learned of the people.

    Parameters
    ----------
    key : Key
    lexicon : Lexicon

    Attributes
    ----------
    counts : Counter
        How many findings of each kind were replaced, for the log.
    """

    def __init__(self, key: Key, lexicon: Lexicon) -> None:
        self.key, self.lexicon = key, lexicon
        self.counts: Counter[str] = Counter()

    def move(self, patient: str) -> Move:
        """What moves a patient's dates; nothing for who is not known."""
        return (lambda day: self.key.moved(day, patient)) if patient else None

    def text(self, text: str, patient: str = "", *, short: bool = False) -> str:
        """A text without names, numbers, addresses, and with its dates moved.

        Parameters
        ----------
        text : str
        patient : str
            Whose text it is, as in his or her images; else dates are taken out.
        short : bool
            A descriptor, such as that of a series: each long word that is not known goes.
        """
        text = mended(text)
        return self._replaced(text, self.findings(text, patient, short=short))

    def findings(self, text: str, patient: str = "", *, short: bool = False) -> list[Found]:
        """What would be replaced in a text; places may overlap."""
        if not any(one.isalnum() for one in text):
            return []
        text = straight(text)
        found = list(find_dates(text, self.lexicon.births, self.move(patient)))
        found += self._known(self.lexicon.find(text))
        found += find_patterns(text, self.key.uid)
        return found + list(find_suspects(text, short=short))

    def key_text(self, key: str, kinds: tuple[str, ...] = ("name", "id", "place")) -> str:
        """A key, a column's name, a device's: without what was learned of people, else as it is."""
        found = [one for one in self.lexicon.find(key) if one.kind in kinds]
        return self._replaced(key, self._known(found))

    def column(self, name: str) -> str:
        """The name of a column without people, numbers, dates; terms and features stay."""
        spaced = straight(mended(name))
        found = self._known(self.lexicon.find(spaced))
        found += find_dates(spaced.replace("_", " "), self.lexicon.births, None)
        found += find_patterns(spaced, self.key.uid)
        return self._replaced(spaced, found + suspects_of(spaced))

    def name(self, name: str, patient: str = "") -> str:
        """A file's or a folder's name without identity; whose it is stays told by the pseudonym."""
        name = straight(mended(name))
        found = self._known(self.lexicon.find(name, in_name=True), in_name=True)
        found += find_dates(name.replace("_", " "), self.lexicon.births, self.move(patient))
        found += find_patterns(name, self.key.uid)
        found += find_suspects(name.replace("_", " "), short=True)
        return self._replaced(name, found).replace("[", "").replace("]", "")

    def _known(self, found: Iterable[Found], *, in_name: bool = False) -> list[Found]:
        """Findings of the lexicon, with what takes their place: a patient's own number, or name."""
        said = []
        for one in found:
            own = self.key.pseudonym(one.instead) if one.instead else ""
            pseudonym = own if own and (one.kind == "id" or in_name) else ""
            said.append(one._replace(instead=pseudonym or _MARKS.get(one.kind, "[removed]")))
        return said

    def _replaced(self, text: str, found: list[Found]) -> str:
        parts, at = [], 0
        for one in joined(found):
            self.counts[one.kind] += 1
            mark = one.instead or _MARKS.get(one.kind, "[removed]")
            parts += [text[at : one.start], mark]
            at = one.end
        return "".join([*parts, text[at:]])


def joined(found: list[Found]) -> list[Found]:
    """Findings one after the other: those that overlap are one, of the longest's kind."""
    rows: list[Found] = []
    longest = 0
    for one in sorted(found, key=lambda f: (f.start, -f.end, f.kind)):
        if rows and one.start < rows[-1].end:
            last = rows[-1]
            keeps = last if longest >= one.end - one.start else one
            longest = max(longest, one.end - one.start)
            rows[-1] = keeps._replace(start=last.start, end=max(last.end, one.end))
            continue
        longest = one.end - one.start
        rows.append(one)
    return _side_by_side(rows)


def _side_by_side(rows: list[Found]) -> list[Found]:
    """Names with nothing but a gap between them are told by one mark."""
    out: list[Found] = []
    for one in rows:
        near = out and one.kind == out[-1].kind == "name" and one.start - out[-1].end <= 1
        same = near and one.instead == out[-1].instead
        if same:
            out[-1] = out[-1]._replace(end=one.end)
        else:
            out.append(one)
    return out
