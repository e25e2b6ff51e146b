"""`make` on a machine that cannot hold the environment: one clear line, exit code 2."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def make(tmp_path):
    """Run `make` in a copy of what it reads, without an environment; gives code and messages."""
    locks = (path.name for path in PROJECT.glob("requirements*.lock"))
    (tmp_path / "binder").mkdir()
    for name in ("Makefile", "pyproject.toml", "binder/install", *locks):
        shutil.copy(PROJECT / name, tmp_path / name)

    def run(*words, **variables):
        # Inside `make test` the outer make would speak through these.
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        command = ["make", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=plain | variables, capture_output=True, text=True
        )
        assert not (tmp_path / ".venv").exists()
        return done.returncode, done.stdout, done.stderr.strip().splitlines()

    return run


@pytest.fixture
def python(tmp_path):
    """Plant an interpreter that runs this code first."""

    def plant(code):
        path = tmp_path / "planted"
        start = f'exec {sys.executable} -c "{code}\n$code" "$@"'
        path.write_text(f'#!/bin/sh\nshift; code="$1"; shift\n{start}\n')
        path.chmod(0o755)
        return f"PYTHON={path}"

    return plant


def refused(done, words):
    code, _, messages = done
    return code == 2 and len(messages) == 1 and words in messages[0]


@pytest.mark.parametrize("version", ["(3, 9, 2)", "(3, 14, 0)"])
def test_a_python_that_does_not_fit_is_refused_in_one_line(make, python, version):
    planted = python(f"import sys; sys.version_info = {version}")
    found = version.strip("()").replace(", ", ".")
    words = f"Python 3.11, 3.12 or 3.13 is needed, but {planted[7:]} is {found}"
    assert refused(make("test", planted), words)


def test_a_missing_python_is_refused_in_one_line(make):
    assert refused(make("run", "PYTHON=no-such-python"), "no-such-python is not found")


def test_a_python_without_venv_is_refused_in_one_line(make, python):
    planted = python("import sys; sys.modules['ensurepip'] = None")
    assert refused(make("lint", planted), "install its venv module")


def test_a_missing_compiler_is_refused_in_one_line(make):
    done = make("lab", f"PYTHON={sys.executable}", CC="/no/such/gcc")
    assert refused(done, "a C compiler is needed")


def test_missing_headers_are_refused_in_one_line(make, python):
    # A broken get_paths also breaks ensurepip, which must load first.
    planted = python(
        "import ensurepip, venv, sysconfig as s; s.get_paths = lambda: {'include': '/nowhere'}"
    )
    assert refused(make("bench", planted), "headers")


def test_make_alone_says_what_there_is(make):
    code, said, _ = make()
    targets = {line.split()[0] for line in said.splitlines()}
    assert code == 0
    assert {"run", "test", "lint", "lab", "hub", "bench", "clean"} <= targets
