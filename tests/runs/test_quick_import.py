"""jsonschema is there at once, and checks what it would have checked."""

from __future__ import annotations

import subprocess
import sys

LINES = """\
import sys
from nextaim_kit.runs.warm.quick_import import import_jsonschema
import_jsonschema()
from jsonschema import FormatChecker
there = "rfc3987_syntax" in sys.modules, "lark" in sys.modules
says = [FormatChecker().conforms(x, "iri") for x in ("https://ex\\u00e4mple.org", "{no iri}", 5)]
print(*there, *says, "lark" in sys.modules)
"""


def test_grammars_of_jsonschema_are_compiled_when_somebody_asks_for_the_first():
    said = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False", "True", "False", "True", "True"]
