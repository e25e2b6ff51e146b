"""The project's own files agree with each other, and with what is installed."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nextaim_kit

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "monai", "transformers", "radiomics", "shap"}


def pins():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pin for name, pin in pairs}


def declared(*extras):
    texts = list(PYPROJECT["dependencies"])
    for extra in extras:
        texts += PYPROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def tracked():
    """Files of git, or those of the folder where there is no git."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("left out: the project is not a git repository here")
    return [PROJECT / name for name in done.stdout.split("\0") if name]


def notebooks() -> list[Path]:
    """Without JupyterLab's own copies of those that were opened."""
    found = (PROJECT / "notebooks").rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def test_every_direct_dependency_is_locked_within_its_bound():
    locked = pins()
    for requirement in declared("dev", "deep", "dask", "site"):
        pin = locked.get(canonicalize_name(requirement.name))
        assert pin, f"{requirement.name} is not in requirements.lock"
        assert requirement.specifier.contains(pin, prereleases=True), requirement


def test_the_lock_is_sorted_and_exact_without_local_tags():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()[1:]
    assert lines == sorted(lines, key=str.upper)
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)


def test_the_lock_names_all_that_its_packages_need_so_that_pip_has_nothing_to_resolve():
    locked = pins()
    for name in locked:
        for need in map(Requirement, requires(name) or []):
            if not need.marker or need.marker.evaluate({"extra": ""}):
                pin = locked.get(canonicalize_name(need.name))
                assert pin, f"{name} needs {need}, which is not in requirements.lock"
                assert need.specifier.contains(pin, prereleases=True), f"{name} needs {need}"


def test_what_is_installed_is_what_is_locked():
    found = {name: version(name).partition("+")[0] for name in pins()}
    assert found == pins()


def test_the_conda_environment_has_the_lock_s_versions_and_the_lock():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    python, *pinned = sorted(
        (d.split("=") for d in plain if "=" in d), key=lambda d: d[0] != "python"
    )
    assert f">={python[1]}" in PYPROJECT["requires-python"]
    assert {"numpy", "setuptools"} <= {name for name, _ in pinned}
    assert dict(pinned).items() <= pins().items()


def test_the_citation_and_the_changelog_have_this_version():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == nextaim_kit.__version__ == version("nextaim_kit")
    assert f"## [{nextaim_kit.__version__}]" in (PROJECT / "CHANGELOG.md").read_text()


def test_every_package_that_the_kit_imports_is_declared():
    own = {canonicalize_name(r.name) for r in declared("deep", "dask")}
    owners = packages_distributions()
    known = set(sys.stdlib_module_names) | {"nextaim_kit"}
    names = {n for path in (PROJECT / "nextaim_kit").rglob("*.py") for n in imported(path)} - known
    undeclared = {n for n in names if not own & set(map(canonicalize_name, owners.get(n, [n])))}
    assert not undeclared


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("module", ["nextaim_kit", "nextaim_kit.cli"])
def test_an_entry_module_loads_nothing_heavy(module):
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_a_function_has_at_most_eight_parameters():
    for path in (PROJECT / "nextaim_kit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                assert len([a for a in given if a.arg != "self"]) <= 8, f"{path.name}: {node.name}"


def test_the_layers_of_the_package_are_kept():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_guide_shows_the_benchmark_that_was_measured(project):
    guide = (project / "docs/memory_and_speed.md").read_text()
    shown = guide.partition("<!-- benchmark -->")[2].partition("<!-- /benchmark -->")[0]
    assert shown.strip() == (project / "benchmarks/results/radiomics.md").read_text().strip()


def test_a_test_is_left_to_the_rest_by_its_own_file_alone(project):
    # By its text tests/conftest.py tells which files `make test-rest` has to import.
    for path in (project / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        marked = "pytest.mark.rest" in text
        assert not marked or path.name.startswith("test_"), path
        assert "add_marker(" not in text or path.name == "test_repository.py", path


def test_no_file_is_larger_than_a_megabyte():
    large = [path.name for path in tracked() if path.is_file() and path.stat().st_size > 2**20]
    assert not large


def test_notebooks_hold_no_outputs():
    for path in notebooks():
        cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        assert not any(c["outputs"] or c["execution_count"] for c in cells), path.name


def test_a_study_that_is_too_long_needs_a_reason_in_contributing(tmp_path):
    study = tmp_path / "nextaim_kit" / "studies" / "long"
    study.mkdir(parents=True)
    (study / "a.py").write_text('"""Doc\n\nstring."""\n\n# why\n' + "x = 1\n" * 1501)
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "lines.py"
    script.write_text((PROJECT / ".ci" / "lines.py").read_text())

    def run(reasons):
        (tmp_path / "CONTRIBUTING.md").write_text(reasons)
        return subprocess.run([sys.executable, str(script)], capture_output=True, text=True)

    silent = run("| `longer` | reason |")
    assert silent.returncode == 1
    assert "studies/long has 1,501 lines of code" in silent.stdout
    assert run("| `long` | reason |").returncode == 0


def test_a_notebook_imports_public_rooms_and_no_other_study():
    rooms = {"data", "errors", "files", "launcher", "learn", "memory", "progress", "report", "runs"}
    for path in notebooks():
        for name in kit_imports(path):
            room, _, rest = name.removeprefix("nextaim_kit.").partition(".")
            assert room in rooms | {"show", "studies", "twins"}, f"{path.name} imports {name}"
            study = rest.partition(".")[0] if room == "studies" else path.parent.name
            assert study == path.parent.name, f"{path.name} imports another study: {name}"


def kit_imports(path: Path) -> set[str]:
    """Modules of the kit that a notebook's code imports."""
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    nodes = [n for c in cells for n in ast.walk(ast.parse("".join(c["source"])))]
    found = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    for node in (n for n in nodes if isinstance(n, ast.ImportFrom)):
        whole = str(node.module)
        package = whole in ("nextaim_kit", "nextaim_kit.studies")
        found |= {f"{whole}.{alias.name}" for alias in node.names} if package else {whole}
    return {name for name in found if name.partition(".")[0] == "nextaim_kit"}
