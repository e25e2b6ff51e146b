"""A Slurm for the tests of batch runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import absent
from tests.runs.sweep.engines.slurm import Slurm, missing


@pytest.fixture(scope="package")  # not session: another process would wait until this one ends
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    """A Slurm that runs, the only one on this machine."""
    if lacking := missing():
        absent(
            "Slurm (slurmctld, slurmd, munged; Debian: apt-get install slurm-wlm munge), "
            f"or root's rights to start it: {', '.join(lacking)}"
        )
    with Slurm(tmp_path_factory.mktemp("slurm")) as started:
        yield started
