"""Say where locks, hashes and what is installed here do not agree, and whose license is not free.

Every package of requirements.lock and -dev.lock has to have a permissive license, or one that
binds changes of its own files alone (MPL). What the packages say themselves is read: SPDX
expressions, else classifiers, else the old field. Those of -gpu.lock have NVIDIA's own terms.
"""

import re
import sys
from importlib.metadata import distributions, metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FREE = re.compile(
    r"\b(MIT|0?BSD|BSL-1\.0|Apache|ISC|PSF|Python Software Foundation|CNRI-Python|Zlib|zlib|CC0"
    r"|MPL|Mozilla Public License|HPND|Unlicense|Public Domain|LLVM-exception)\b"
)
BOUND = re.compile(r"\bA?L?GPL|General Public License|Affero|Commercial|Proprietary", re.I)
# What their files say where the packages' own words do not, or do not say which of them counts.
READ = {
    "axe-playwright-python": "MIT AND MPL-2.0",  # LICENSE; axe-core's own
    "conda-inject": "MIT",  # LICENSE
    "docutils": "Public Domain AND BSD",  # COPYING: the GPL is that of an Emacs mode, not packaged
    "jupyterhub-idle-culler": "BSD",  # COPYING.md
    "pyrage": "MIT",  # LICENSE
    "snakemake-executor-plugin-htcondor": "MIT",  # LICENSE
    "snakemake-interface-common": "MIT",  # LICENSE
    "snakemake-interface-logger-plugins": "MIT",  # LICENSE
    "snakemake-interface-report-plugins": "MIT",  # LICENSE
    "snakemake-interface-scheduler-plugins": "MIT",  # LICENSE
    "snakemake-interface-storage-plugins": "MIT",  # LICENSE
    "text-unidecode": "Artistic",  # one's choice: Artistic or GPL
}


def said(name: str) -> str:
    """What a package says of its license."""
    known = metadata(name)
    classes = [c for c in known.get_all("Classifier") or [] if c.startswith("License ::")]
    named = "; ".join(c.split(" :: ")[-1] for c in classes if not c.endswith("OSI Approved"))
    first = (known.get("License") or "").strip().partition("\n")[0]
    return READ.get(name) or known.get("License-Expression") or named or first


def refused(text: str) -> bool:
    """Whether some part of these words is not free, or none is known."""
    parts = [re.split(r"\bOR\b", part) for part in re.split(r"\bAND\b|;", text)]
    good = [
        any(FREE.search(one) or "Artistic" in one for one in part if not BOUND.search(one))
        for part in parts
    ]
    return not all(good)


def disagreements(lock: list[str], installed: dict[str, str]) -> list[str]:
    """Lines without a hash, and packages that are here in another version, missing or unknown."""
    pins = dict(line.split()[0].split("==") for line in lock)
    bare = [f"{line} has no hash" for line in lock if not re.search(r" --hash=sha256:\w{64}", line)]
    names = sorted({*pins, *installed})
    return bare + [
        f"{name}: {pins.get(name, 'nothing')} is locked, {installed.get(name, 'nothing')} is here"
        for name in names
        if pins.get(name) != installed.get(name)
    ]


def locked(name: str) -> list[str]:
    """Lines of a lock."""
    return [line for line in (PROJECT / name).read_text().splitlines() if "==" in line]


def main() -> int:
    """Print what does not agree and each license that is refused; the exit code."""
    lines, cuda = [*locked("requirements.lock"), *locked("requirements-dev.lock")], []
    here = {d.name: d.version.partition("+")[0] for d in distributions()}
    here = {n: here[n] for n in sorted(here) if n not in ("pip", "nextaim_kit")}
    if "triton" in here:  # make TORCH=gpu
        cuda = locked("requirements-gpu.lock")
    wrong = disagreements(lines + cuda, here)
    told = {n: said(n) for n in here if not any(line.startswith(f"{n}==") for line in cuda)}
    wrong += [
        f"{n}: is {text or 'nothing'!r} permissive?" for n, text in told.items() if refused(text)
    ]
    good = f"{len(here)} packages as locked and hashed, {len(told)} with permissive licenses"
    print("\n".join(wrong) or good)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
