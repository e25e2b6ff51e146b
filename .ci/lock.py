"""Write requirements*.lock: what is installed here, and the hashes of all that pip may take for it.

    make lock

For Linux x86-64 and every Python of the kit, uv asks the package index for the file that fits: a
wheel, or the source where there is none. `requirements.lock` has what a run needs, -dev.lock what
tests, pages and the trial hub need besides, -gpu.lock the libraries of torch's build with CUDA.
Hashes of torch's builds that the index does not have are kept while the version is the same.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, requires
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as plain

PROJECT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11.7", "3.12.1", "3.13.0")
HEAD = "# {what}. Linux x86-64, Python 3.11 to 3.13. Made by: make lock\n"
RUN, DEV, GPU = "requirements.lock", "requirements-dev.lock", "requirements-gpu.lock"


def installed() -> dict[str, str]:
    """Names as their packages spell them, and versions without a build's local tag."""
    found = {d.name: d.version.partition("+")[0] for d in distributions()}
    return {name: v for name, v in found.items() if plain(name) not in ("pip", "nextaim-kit")}


def closure(texts: list[str]) -> set[str]:
    """Plain names of these requirements and of all that they need here."""
    here = {plain(name) for name in installed()}  # what was left out on purpose stays so
    queue, known = [Requirement(text) for text in texts], set()
    while queue:
        need = queue.pop()
        extras = frozenset({"", *need.extras})
        if plain(need.name) not in here or (plain(need.name), extras) in known:
            continue
        known.add((plain(need.name), extras))
        further = map(Requirement, requires(need.name) or [])
        queue += [r for r in further if not r.marker or marked(r.marker, extras)]
    return {name for name, _ in known}


def marked(marker: Marker, extras: frozenset[str]) -> bool:
    """Whether it is true for one of these extras."""
    return any(marker.evaluate({"extra": extra}) for extra in extras)


def resolved(pins: list[str], python: str, *options: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of the files that pip would take, by plain name."""
    command = ["uv", "pip", "compile", "-", "--quiet", "--format", "pylock.toml"]
    command += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_28", *options]
    command[0] = str(Path(sys.executable).parent / "uv")
    text = subprocess.run(
        command,
        input="\n".join(pins), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {}
    for package in tomllib.loads(text)["packages"]:
        files = package.get("wheels") or [package["sdist"]]
        hashes = [file["hashes"]["sha256"] for file in files]
        found[plain(package["name"])] = (package["version"], hashes)
    return found


def lines(names: dict[str, str], kept: dict[str, list[str]], *options: str) -> list[str]:
    """A line for each package: name, version, and a hash for each file of any Python."""
    pins = [f"{name}=={version}" for name, version in names.items()]
    every = [resolved(pins, python, *options) for python in PYTHONS]
    out = []
    for name in sorted({n for found in every for n in found}):
        (version,) = {found[name][0] for found in every if name in found}
        spelled = next((n for n in names if plain(n) == name), name)
        hashes = [h for found in every if name in found for h in found[name][1]]
        hashes += kept.get(f"{spelled}=={version}", [])
        marks = "".join(f" --hash=sha256:{h}" for h in dict.fromkeys(hashes))
        out.append(f"{spelled}=={version}{marks}")
    return sorted(out, key=str.upper)


def main() -> None:
    """Write the three files."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    build = [*project["build-system"]["requires"], "setuptools", "numpy"]
    needed = closure([*project["project"]["dependencies"], *extras["deep"], *build])
    found = installed()
    run = {n: v for n, v in found.items() if plain(n) in needed}
    dev = {n: v for n, v in found.items() if n not in run}
    torch = {n: v for n, v in found.items() if plain(n) in closure(["torch"])}
    before = (PROJECT / RUN).read_text().splitlines() if (PROJECT / RUN).exists() else []
    kept = {line.split()[0]: re.findall(r"sha256:(\w+)", line) for line in before if "==" in line}
    kept = {pin: hashes for pin, hashes in kept.items() if pin.startswith("torch==")}
    ours = {plain(name) for name in found}
    cuda = [line for line in lines(torch, {}) if plain(line.partition("==")[0]) not in ours]
    for name, what, content in (
        (RUN, "What a run needs, as it was tested together", lines(run, kept, "--no-deps")),
        (DEV, "What tests, pages and the trial hub need besides", lines(dev, {}, "--no-deps")),
        (GPU, "What torch's build with CUDA needs besides", cuda),
    ):
        (PROJECT / name).write_text(HEAD.format(what=what) + "\n".join(content) + "\n")
        print(f"{name}: {len(content)} packages")


if __name__ == "__main__":
    main()
