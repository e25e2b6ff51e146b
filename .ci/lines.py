"""Print lines of code by room; fail where a study is too long and CONTRIBUTING.md says not why.

A line of code is one that is neither blank nor a comment nor part of a docstring.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
STUDY = 1500  # lines


def lines_of(path: Path) -> int:
    """Lines of code in a file."""
    text = path.read_text(encoding="utf-8")
    docs: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        holds = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if holds and ast.get_docstring(node, clean=False) is not None:
            docs.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    numbered = enumerate(map(str.strip, text.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and k not in docs for k, line in numbered)


def by_room(package: Path) -> Counter[str]:
    """Lines by folder of the package; each study is a room, a lone module is `(alone)`."""
    found: Counter[str] = Counter()
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        deep = 2 if parts[0] == "studies" else 1
        found["/".join(parts[:deep]) if len(parts) > deep else "(alone)"] += lines_of(path)
    return found


def main() -> int:
    """Print the table; 1 where a study is too long without a reason."""
    rooms = by_room(PROJECT / "nextaim_kit")
    for room, count in sorted(rooms.items()):
        print(f"    {room:24} {count:6,}")
    print(f"    {'all':24} {rooms.total():6,}")
    reasons = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    long = {r: n for r, n in rooms.items() if r.startswith("studies/") and n > STUDY}
    silent = [r for r in long if not re.search(rf"^\| `{r.partition('/')[2]}` \|", reasons, re.M)]
    for room in silent:
        print(
            f"{room} has {long[room]:,} lines of code, over {STUDY:,}: CONTRIBUTING.md says no why"
        )
    return len(silent) > 0


if __name__ == "__main__":
    sys.exit(main())
