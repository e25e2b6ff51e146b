"""Made-up people: a name, a date of birth, a fiscal code that follows from them."""

from __future__ import annotations

from random import Random

from nextaim_kit.studies.report_structuring.schema import read_words
from nextaim_kit.studies.report_structuring.writing.numerals import DAYS

_MONTHS = "ABCDEHLMPRST"
_ODD = dict(zip(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6,
     8, 12, 14, 16, 10, 22, 25, 24, 23), strict=True,
))  # fmt: skip


def identity(rng: Random, language: str) -> str:
    """A person as some reports wrongly name one."""
    people, sex = read_words("phrases/people"), rng.choice("MF")
    name, surname = rng.choice(people[sex]), rng.choice(people["surnames"])
    day, month, year = rng.choice(DAYS), rng.randint(1, 12), rng.randint(1930, 1990)
    code = fiscal_code(surname, name, (day, month, year), sex, rng.choice(people["places"]))
    born = f"{day:02d}/{month:02d}/{year}"
    if language == "it":
        title, born_on = ("Sig.", "nato") if sex == "M" else ("Sig.ra", "nata")
        return f"{title} {name} {surname}, {born_on} il {born}, C.F. {code}"
    return f"{'Mr' if sex == 'M' else 'Mrs'} {name} {surname}, born {born}, tax code {code}"


def fiscal_code(surname: str, name: str, born: tuple[int, int, int], sex: str, place: str) -> str:
    """The Italian fiscal code of a person.

    Examples
    --------
    >>> fiscal_code("Rossi", "Mario", (1, 1, 1980), "M", "H501")
    'RSSMRA80A01H501U'
    """
    day, month, year = born
    letters = [c for c in name.upper() if c.isalpha() and c not in "AEIOU"]
    first = "".join([letters[0], *letters[2:4]]) if len(letters) > 3 else _three(name)
    body = f"{_three(surname)}{first}{year % 100:02d}{_MONTHS[month - 1]}"
    body += f"{day + (40 if sex == 'F' else 0):02d}{place}"
    even = sum(int(c, 36) - (10 if c.isalpha() else 0) for c in body[1::2])
    return body + chr(65 + (sum(_ODD[c] for c in body[::2]) + even) % 26)


def _three(word: str) -> str:
    letters = [c for c in word.upper() if c.isalpha()]
    consonants = [c for c in letters if c not in "AEIOU"]
    vowels = [c for c in letters if c in "AEIOU"]
    return "".join([*consonants, *vowels, "X", "X"][:3])
