"""The recipes keep the rules of what reads them, and name no version that the lock does not."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

PROJECT = Path(__file__).resolve().parents[2]
BINDER = PROJECT / "binder"
DOCKERFILE = (BINDER / "hub" / "Dockerfile").read_text()
APPTAINER = (BINDER / "hub" / "nextaim.def").read_text()
SCRIPTS = ["install", "postBuild", "start"]


def commands(path):
    """Lines of a script without comments and blank ones."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_binder_s_python_is_pinned_and_fits_the_kit():
    (python,) = (d for d in environment() if d.startswith("python="))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert python.count("=") == 1
    assert SpecifierSet(project["requires-python"]).contains(python.partition("=")[2])


def environment():
    dependencies = yaml.safe_load((BINDER / "environment.yml").read_text())["dependencies"]
    assert all(isinstance(d, str) for d in dependencies)  # no pip section: a second list
    return dependencies


def test_there_is_one_list_of_versions():
    assert [d for d in environment() if "=" in d] == ["python=3.13"]
    for path in [*BINDER.glob("*"), *(BINDER / "hub").glob("*")]:
        if path.is_file():
            assert not re.findall(r"^[^#\n]*\w==\d.*", path.read_text(), re.MULTILINE), path.name
    assert "--require-hashes" in (BINDER / "install").read_text()


@pytest.mark.parametrize("recipe", [BINDER / "postBuild", DOCKERFILE, APPTAINER])
def test_every_recipe_installs_by_the_one_script(recipe):
    text = recipe.read_text() if isinstance(recipe, Path) else recipe
    assert "binder/install" in text
    assert "pip install" not in text


@pytest.fixture
def install(tmp_path):
    """The script with a lock of small planted wheels; pip looks at them, and puts nothing in."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder" / "install").write_text((BINDER / "install").read_text())
    (tmp_path / "requirements.lock").write_text("".join(map(partial(plant, wheels), NAMES)))
    only_pip = 'case "$*" in *compileall*|*editable*) exit;; esac'
    (tmp_path / "python").write_text(f'#!/bin/sh\n{only_pip}\nexec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_DRY_RUN": "1"}
    own |= {"PIP_FIND_LINKS": str(wheels), "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run():
        command = ["sh", tmp_path / "binder" / "install"]
        return subprocess.run(command, env=os.environ | own, capture_output=True, text=True)

    return wheels, run


NAMES = ["numpy", "setuptools", "pyradiomics", "torch", "one", "two", "three"]


def plant(wheels, name):
    """Write a wheel without content; gives its line of the lock."""
    local = "+cpu" if name == "torch" else ""
    path = wheels / f"{name}-9.9{local}-py3-none-any.whl"
    about = f"{name}-9.9{local}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9{local}\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return f"{name}==9.9 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_files_whose_hashes_are_in_the_lock_are_taken_and_a_changed_byte_is_refused(install):
    wheels, run = install
    done = run()
    assert done.returncode == 0, done.stderr
    path = wheels / "two-9.9-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    done = run()
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "two==9.9" in done.stderr


def test_only_the_build_for_processors_is_taken_where_no_other_was_asked_for(install):
    wheels, run = install
    (wheels / "torch-9.9+cpu-py3-none-any.whl").rename(wheels / "torch-9.9-py3-none-any.whl")
    done = run()
    assert done.returncode != 0
    assert "torch==9.9+cpu" in done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_executed_and_stops_at_the_first_error(name):
    path = BINDER / name
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!")
    assert re.match(r"set -eu?o? ?", commands(path)[0])
    subprocess.run(["bash", "-n", path], check=True)


def test_a_failing_step_fails_the_build(tmp_path):
    (tmp_path / "binder").mkdir()
    (tmp_path / "binder" / "postBuild").write_text((BINDER / "postBuild").read_text())
    (tmp_path / "binder" / "install").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "binder" / "install").chmod(0o755)
    assert subprocess.run(["bash", "binder/postBuild"], cwd=tmp_path).returncode == 3


def test_start_hands_over_to_the_server_with_its_words_whole():
    assert commands(BINDER / "start")[-1] == 'exec "$@"'
    words = [BINDER / "start", "printf", "%s|", "a b", "c"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "a b|c|"


def test_what_start_promises_the_doctor_understands():
    words = [BINDER / "start", "printenv", "NEXTAIM_EXPECTS"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "cpu\n"


def test_apt_txt_names_packages_one_a_line():
    lines = (BINDER / "apt.txt").read_text().splitlines()
    assert lines
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line) for line in lines)


@pytest.mark.parametrize("recipe", [DOCKERFILE, APPTAINER])
def test_an_image_holds_all_that_an_installation_reads(recipe):
    build = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for name in build["targets"]["sdist"]["include"]:
        assert re.search(rf"\b{re.escape(name)}\b", recipe), name
    assert "pyproject.toml" in recipe


def test_the_image_keeps_the_conventions_of_docker_stacks():
    users = re.findall(r"^USER (.+)", DOCKERFILE, re.MULTILINE)
    assert users[0] == "root"
    assert users[-1] == "${NB_UID}"
    assert 'fix-permissions "${CONDA_DIR}"' in DOCKERFILE
    assert 'fix-permissions "/home/${NB_USER}"' in DOCKERFILE
    assert "before-notebook.d/" in DOCKERFILE


@pytest.fixture
def home(tmp_path):
    """A home, and what starts a server in it: gives where the hook says that notebooks are."""
    shipped = tmp_path / "kit" / "notebooks" / "one.ipynb"
    shipped.parent.mkdir(parents=True)
    shipped.write_text("as shipped")
    hook = (BINDER / "hub" / "before-notebook.sh").read_text()
    hook = hook.replace("/opt/nextaim_kit", str(tmp_path / "kit"))
    folder = tmp_path / "home"
    folder.mkdir()

    def start(flags="-euc", path=os.environ["PATH"]):
        words = ["bash", flags, f'{hook}\necho "${{NEXTAIM_NOTEBOOKS:-}}"']
        done = subprocess.run(
            words, env={"HOME": str(folder), "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return folder, shipped, start


def test_a_new_home_gets_the_notebooks_and_what_is_changed_there_stays(home):
    folder, _, start = home
    copy = folder / "nextaim_kit" / "one.ipynb"
    cut = folder / ".nextaim_kit.partial" / "cut short"
    cut.mkdir(parents=True)
    for written in ("as shipped", "changed by the user"):
        assert start() == str(copy.parent)
        assert copy.read_text() == written
        assert [path.name for path in folder.iterdir()] == ["nextaim_kit"]
        copy.write_text("changed by the user")


def test_a_newer_image_brings_its_notebooks_and_the_user_s_own_go_aside(home):
    folder, shipped, start = home
    start()
    (folder / "nextaim_kit" / "one.ipynb").write_text("changed by the user")
    shipped.write_text("newer")
    start()
    assert (folder / "nextaim_kit" / "one.ipynb").read_text() == "newer"
    (aside,) = folder.glob("nextaim_kit.*/one.ipynb")
    assert aside.read_text() == "changed by the user"


@pytest.mark.parametrize("flags", ["-euc", "-uc"])
def test_a_home_that_is_full_gets_half_a_copy_no_name_and_the_server_starts(home, tmp_path, flags):
    folder, _, start = home
    full = tmp_path / "bin" / "cp"
    full.parent.mkdir()
    full.write_text('#!/bin/sh\nmkdir "$3"\nexit 1\n')
    full.chmod(0o755)
    assert start(flags, f"{full.parent}:{os.environ['PATH']}") == ""
    assert not (folder / "nextaim_kit").exists()
    assert start() == str(folder / "nextaim_kit")
