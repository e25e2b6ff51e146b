"""The project's own files agree with each other, and with what is installed."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import nextaim_kit

PROJECT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "monai", "transformers", "radiomics", "shap"}


LOCKS = [PROJECT / "requirements.lock", PROJECT / "requirements-dev.lock"]
GPU_LOCK = PROJECT / "requirements-gpu.lock"


def locked_lines():
    cuda = [path for path in [GPU_LOCK] if find_spec("triton")]  # make TORCH=gpu
    return [line for path in LOCKS + cuda for line in path.read_text().splitlines() if "==" in line]


def pins():
    pairs = (line.split()[0].split("==") for line in locked_lines())
    return {canonicalize_name(name): pin for name, pin in pairs}


@pytest.fixture
def packages():
    """What `make lint` asks of the packages."""
    path = PROJECT / ".ci" / "packages.py"
    spec = spec_from_file_location("packages", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.mark.parametrize("path", sorted(PROJECT.glob("requirements*.lock")), ids=lambda p: p.name)
def test_a_lock_is_sorted_exact_and_hashed_without_local_tags(path):
    lines = path.read_text().splitlines()[1:]
    assert lines == sorted(lines, key=str.upper)
    exact = r"[\w.-]+==[\w.!]+( --hash=sha256:[0-9a-f]{64})+"
    assert all(re.fullmatch(exact, line) for line in lines)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_names_all_that_its_packages_need_so_that_pip_has_nothing_to_resolve(python):
    locked = pins()
    where = {"extra": "", "python_version": python, "python_full_version": f"{python}.7"}
    for name in locked:
        for need in map(Requirement, requires(name) or []):
            if not need.marker or need.marker.evaluate(where):
                pin = locked.get(canonicalize_name(need.name))
                assert pin, f"{name} needs {need}, which is not in requirements.lock"
                assert need.specifier.contains(pin, prereleases=True), f"{name} needs {need}"


def test_a_package_without_hash_of_another_version_missing_or_unknown_is_named(packages):
    marked = "a==1 --hash=sha256:" + "0" * 64
    found = packages.disagreements([marked, "b==2", "c==3"], {"a": "1", "b": "3", "d": "4"})
    assert found == [
        "b==2 has no hash",
        "c==3 has no hash",
        "b: 2 is locked, 3 is here",
        "c: 3 is locked, nothing is here",
        "d: nothing is locked, 4 is here",
    ]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("MIT", False),
        ("Apache-2.0 AND BSD-3-Clause", False),
        ("GPL-3.0-only OR MIT", False),
        ("MPL-2.0", False),
        ("AGPL-3.0-only", True),
        ("MIT AND GPL-2.0-or-later", True),
        ("BSD License; GNU General Public License (GPL)", True),
        ("LGPL-2.1-only", True),
        ("NVIDIA Proprietary Software", True),
        ("", True),
    ],
)
def test_a_license_that_binds_what_uses_it_or_is_not_known_is_refused(packages, text, refused):
    assert packages.refused(text) is refused


def test_what_is_installed_is_what_is_locked():
    found = {name: version(name).partition("+")[0] for name in pins()}
    assert found == pins()


def test_the_conda_environments_have_a_python_of_the_kit_and_leave_the_rest_to_the_script():
    for path in ("environment.yml", "binder/environment.yml"):
        text = (PROJECT / path).read_text()
        versions = [d for d in yaml.safe_load(text)["dependencies"] if "=" in d]
        assert versions == ["python=3.13"], path
        assert SpecifierSet(PYPROJECT["requires-python"]).contains("3.13")
    assert "binder/install" in text or "postBuild" in text


def test_the_citation_and_the_changelog_have_this_version():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == nextaim_kit.__version__ == version("nextaim_kit")
    assert f"## [{nextaim_kit.__version__}]" in (PROJECT / "CHANGELOG.md").read_text()


def test_every_package_that_the_kit_imports_is_declared():
    own = {canonicalize_name(r.name) for r in declared("deep", "dask", "keyring")}
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


@pytest.mark.parametrize(
    "module", ["nextaim_kit", "nextaim_kit.cli", "nextaim_kit.commands", "nextaim_kit.launcher"]
)
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


@pytest.mark.parametrize(
    ("page", "table"),
    [("docs/memory_and_speed.md", "radiomics.md"), ("README.md", "radiomics_summary.md")],
)
def test_a_page_shows_the_benchmark_that_was_measured(project, page, table):
    text = (project / page).read_text()
    shown = text.partition("<!-- benchmark -->")[2].partition("<!-- /benchmark -->")[0]
    assert shown.strip() == (project / "benchmarks/results" / table).read_text().strip()


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
