"""Write notebooks/glossary.md, link its terms where a notebook first uses them, and its neighbors.

The source is `notebooks/glossary.yaml`. `--write` sets glossary and links anew, as often as one
likes; without it, what is not up to date is named, and nothing is changed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nextaim_kit.yaml_text import parse_yaml

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
HEAD = """\
# Glossary

The field's words as the notebooks use them, with the Italian term and one reference each.
In a notebook a word is linked where it is first used: the mouse over it shows what it means.

This page is made from `glossary.yaml` by `python .ci/words.py --write`.
"""
FROM = "where-numbers-come-from"
TAGS = {
    "pub": "stands in a publication of the group or of others, which is named beside it",
    "slides": "stands in slides of a project talk only, without a paper that could be checked",
    "code": "was read in the authors' public code",
    "calc": "was computed from other published numbers",
    "recall": "was quoted from memory and not checked against a source",
    "guess": "is not said anywhere and was inferred by us; it is a choice that you may change",
}
# The definition of a link that was set here, the last line that was, and what is no prose.
SET = re.compile(r'^\[([^\]\n]+)\]: (?:\.\./)?glossary\.md#\S+ ".*"\n?', re.M)
NEIGHBORS = re.compile(r"\n*^.*Next: .*\[the start page\]\(\.\./start_here\.ipynb\)\.$", re.M)
NO_PROSE = re.compile(
    r"^ *```[\s\S]*?^ *```|`[^`]+`|\$\$[\s\S]+?\$\$|\$[^$\n]+\$|^#.*$|^ *\|.*$"
    r"|!?\[[^\]]*\]\([^)]*\)|<[^>\n]+>|https?://\S+|doi:\S+",
    re.M,
)
ABBREVIATION = re.compile(r"(?<![\w/-])[A-Za-z0-9]*[A-Z]{2,}[A-Za-z0-9]*(?:-\w+)*")


class Word(NamedTuple):
    """A term of the glossary."""

    term: str
    italian: str
    text: str
    source: str
    also: tuple[str, ...]
    only: tuple[str, ...]  # studies or notebooks; empty: everywhere

    @property
    def anchor(self) -> str:
        """Its place in the glossary."""
        return re.sub(r"\W+", "-", self.term.lower()).strip("-")

    @property
    def hover(self) -> str:
        """Its first sentence, and the Italian term."""
        first = re.split(r"(?<=[.!?]) (?=[A-Z0-9])", self.text)[0]
        return first if self.italian == self.term else f"{first} Italian: {self.italian}."

    @property
    def spellings(self) -> tuple[str, ...]:
        """All forms that are looked for."""
        return (self.term, *self.also)

    def fits(self, notebook: str) -> bool:
        """Whether the word has this meaning in a notebook, named as "study/stage"."""
        return not self.only or notebook in self.only or notebook.partition("/")[0] in self.only


def read_words() -> list[Word]:
    """The glossary's source, in the order of the alphabet."""
    entries = parse_yaml((NOTEBOOKS / "glossary.yaml").read_text(encoding="utf-8")).items()
    words = [
        Word(name, e["it"], e["is"], e["see"], tuple(e.get("also", ())), tuple(e.get("only", ())))
        for name, e in entries
    ]
    return sorted(words, key=lambda word: word.term.casefold())


def page(words: Sequence[Word]) -> str:
    """The glossary as Markdown."""
    italian = sorted(words, key=lambda word: word.italian.casefold())
    tags = (f"- **[{tag}]** {meaning}." for tag, meaning in TAGS.items())
    return "\n".join([
        HEAD,
        "**English:** " + " · ".join(f"[{w.term}](#{w.anchor})" for w in words), "",
        "**Italiano:** " + " · ".join(f"[{w.italian}](#{w.anchor})" for w in italian), "",
        f'<a id="{FROM}"></a>', "", "## Where numbers come from", "",
        "A published number that a notebook names has a tag:", "", *tags, "",
        "## Words", "", *map(_entry, words),
    ])  # fmt: skip


def _entry(word: Word) -> str:
    name, _, address = word.source.rpartition(", ")
    also = f" · also: {', '.join(word.also)}" if word.also else ""
    return (
        f'<a id="{word.anchor}"></a>**{word.term}** · *{word.italian}*{also}  \n'
        f"{word.text} ([{name}](<{address}>))\n"
    )


def plain(source: str) -> str:
    """The text of a cell without the links that were set here."""
    labels = [match[1] for match in SET.finditer(source)]
    text = SET.sub("", source).rstrip("\n") if labels else source
    text = NEIGHBORS.sub("", text)
    for label in labels:
        told = re.escape(label).replace(r"\ ", r"\s+")
        text = re.sub(rf"\[([^\[\]]+)\]\[{told}\]", r"\1", text)
        text = re.sub(rf"\[({told})\](?![(\[:])", r"\1", text)
    return text


def linked(texts: Sequence[str], words: Sequence[Word], notebook: str, last: str = "") -> list[str]:
    """The cells of a notebook, each word and tag linked at its first use; `last` ends the text."""
    place = {form: word for word in words if word.fits(notebook) for form in word.spellings}
    forms = "|".join(map(_pattern, sorted(place, key=len, reverse=True)))
    pattern = re.compile(rf"\[(?P<tag>{'|'.join(TAGS)})\]|(?<![\w-])(?:{forms})(?![\w-])")
    folded = {_folded(form): word for form, word in place.items()}
    done: set[str] = set()
    bare = [plain(text) for text in texts]
    bare[-1] += f"\n\n{last}" if last else ""
    return [_linked_cell(text, pattern, folded, done) for text in bare]


def _linked_cell(text: str, pattern: re.Pattern, words: dict[str, Word], done: set[str]) -> str:
    parts, notes, end = [], [], 0
    for match in pattern.finditer(NO_PROSE.sub(lambda m: "\0" * len(m[0]), text)):
        found = " ".join(match[0].split())
        if tag := match["tag"]:
            key, label, shown = match[0], f"tag {tag}", f"[[{tag}][tag {tag}]]"
            anchor, hover = FROM, f"What stands here {TAGS[tag]}."
        else:
            singular = (_folded(form) for form in (found, found[:-1], found[:-2]))
            word = next(words[form] for form in singular if form in words)
            key, label, anchor, hover = word.term, found, word.anchor, word.hover
            shown = f"[{match[0]}]"
            if re.match(r"[(\[:]", text[match.end() :]):  # it would be taken for another link
                shown += f"[{label}]"
        if key in done:
            continue
        done.add(key)
        parts += [text[end : match.start()], shown]
        notes.append(f'[{label}]: ../glossary.md#{anchor} "{hover}"')
        end = match.end()
    whole = "".join(parts) + text[end:]
    return "\n\n".join([whole.rstrip("\n"), "\n".join(notes)]) if notes else whole


def _pattern(form: str) -> str:
    first = form[0]
    begin = f"[{first.upper()}{first}]" if form.islower() and first.isalpha() else re.escape(first)
    many = "(?:s|es)?" if form[-1].isalpha() else ""
    return begin + re.escape(form[1:]).replace(r"\ ", r"\s+") + many


def _folded(form: str) -> str:
    """Small where only the first letter may be a capital."""
    return form.lower() if form[1:].islower() or form.islower() else form


def notebooks() -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Name, place and content of every notebook of a study."""
    for path in sorted(NOTEBOOKS.glob("*/[0-9]*_*.ipynb")):
        name = f"{path.parent.name}/{path.stem.partition('_')[2]}"
        yield name, path, json.loads(path.read_text(encoding="utf-8"))


def neighbors(path: Path) -> str:
    """A line that leads to the study's notebooks before and after this one."""
    row = [None, *sorted(path.parent.glob("[0-9]*_*.ipynb")), None]
    before, after = row[row.index(path) - 1], row[row.index(path) + 1]
    back = f"Before this: {_link(before)}. " if before else ""
    on = f"{_link(after)}, or " if after else ""
    return f"{back}Next: {on}another one from [the start page](../start_here.ipynb)."


def _link(path: Path) -> str:
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
    title = "".join(first).partition("\n")[0].removeprefix("# ")
    return f"[{title}]({path.name})"


def prose(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The Markdown cells."""
    return [cell for cell in document["cells"] if cell["cell_type"] == "markdown"]


def unexplained(texts: Sequence[str], words: Sequence[Word], notebook: str) -> list[str]:
    """Abbreviations that the glossary lacks and the notebook does not spell out at first use."""
    known = {form for word in words if word.fits(notebook) for form in word.spellings}
    text = "\n".join(NO_PROSE.sub(" ", plain(text)) for text in texts)
    found: dict[str, re.Match] = {}
    for match in ABBREVIATION.finditer(text):
        found.setdefault(re.sub(r"(?<=[A-Z])s$", "", match[0]), match)
    return [
        name
        for name, match in found.items()
        if not {name, name.partition("-")[0]} & known
        and not re.match(r"s?\*{0,2} \(|\)", text[match.end() :])  # XY (spelled out), (XY)
    ]


def stale() -> dict[Path, str]:
    """What each file should hold, for those that hold something else."""
    words = read_words()
    wanted = {NOTEBOOKS / "glossary.md": page(words)}
    for name, path, document in notebooks():
        cells = prose(document)
        texts = ["".join(cell["source"]) for cell in cells]
        for cell, text in zip(cells, linked(texts, words, name, neighbors(path)), strict=True):
            cell["source"] = text.splitlines(keepends=True)
        wanted[path] = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return {
        path: text
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write or name what is not up to date; 1 where something is and stays so."""
    late = stale()
    for path, text in late.items():
        print(path.relative_to(NOTEBOOKS.parent))
        if "--write" in sys.argv:
            path.write_text(text, encoding="utf-8")
    return bool(late) and "--write" not in sys.argv


if __name__ == "__main__":
    sys.exit(main())
