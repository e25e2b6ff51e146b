import json
import sys
from importlib.metadata import version

import pytest

from nextaim_kit import doctor
from nextaim_kit.machine import limits
from nextaim_kit.machine.gpu import Gpu
from nextaim_kit.show.viewers import available


@pytest.fixture
def locked(tmp_path):
    """Write a lock file of these lines."""

    def write(*lines):
        path = tmp_path / "requirements.lock"
        path.write_text("# versions\n" + "\n".join(lines) + "\n")
        return path

    return write


def test_a_fit_machine_has_a_finding_for_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.gpu, "find_gpu", Gpu)
    found = doctor.examine(tmp_path / "runs")
    names = {f.name for f in found}
    assert {"Python", "packages", "kernel", "processor", "memory", "shared memory"} < names
    assert {"runs folder", "cache folder", "data folder", "GPU", "viewer: niivue"} < names
    assert all(f.mend for f in found if f.verdict != "ok")


@pytest.mark.parametrize("found", [(3, 10, 9), (3, 14, 0), (2, 7, 18)])
def test_a_python_that_does_not_fit_fails(found):
    finding = doctor.python(found)
    assert finding.verdict == "fail"
    assert "3.11, 3.12 or 3.13 is needed" in finding.detail


def test_versions_as_locked_are_fine(locked):
    lock = locked(
        f"pytest=={version('pytest')}", f"numpy=={version('numpy')} --hash=sha256:ab  # why"
    )
    assert doctor.packages(lock) == doctor.Finding("packages", "ok", "2 as locked")


def test_another_version_is_named(locked):
    finding = doctor.packages(locked("numpy==1.0"))
    assert finding.verdict == "warn"
    assert finding.detail == f"numpy is {version('numpy')}, not 1.0"


def test_a_missing_package_fails_and_is_named(locked):
    finding = doctor.packages(locked("no-such-package==1.0"))
    assert (finding.verdict, finding.detail) == ("fail", "no-such-package 1.0 is missing")


def test_many_differences_are_counted(locked):
    finding = doctor.packages(locked(*(f"no-such-package-{i}==1.0" for i in range(8))))
    assert finding.detail.endswith("and 3 more")


def test_a_missing_lock_is_said(tmp_path):
    assert doctor.packages(tmp_path / "requirements.lock").verdict == "warn"


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """Plant a kernel named python3 with this first word of its command."""

    def plant(command):
        folder = tmp_path / "kernels" / "python3"
        folder.mkdir(parents=True)
        spec = {"argv": [command, "-m", "ipykernel_launcher"], "display_name": "Python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    return plant


@pytest.mark.parametrize("command", ["python", sys.executable])
def test_a_kernel_of_this_environment_is_fine(kernels, command):
    kernels(command)
    assert doctor.kernel().verdict == "ok"


def test_a_kernel_of_another_interpreter_fails(kernels):
    kernels("/opt/other/bin/python")
    finding = doctor.kernel()
    assert finding.verdict == "fail"
    assert "/opt/other/bin/python" in finding.detail


@pytest.mark.parametrize(("gib", "verdict"), [(0.5, "fail"), (2, "warn"), (8, "ok")])
def test_memory_is_judged_by_what_is_free(monkeypatch, gib, verdict):
    monkeypatch.setattr(limits, "memory_available", lambda root: int(gib * 2**30))
    assert doctor.memory().verdict == verdict


def test_little_shared_memory_is_a_warning(tmp_path):
    finding = doctor.shared_memory(tmp_path)
    assert finding.verdict == "warn"
    assert "--shm-size" in finding.mend


def test_a_writable_folder_is_fine_and_nothing_stays_in_it(tmp_path):
    assert doctor.folder("runs folder", tmp_path, need=1).verdict == "ok"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_yet_is_judged_but_not_made(tmp_path):
    assert doctor.folder("runs folder", tmp_path / "a" / "b", need=1).verdict == "ok"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_fails_with_the_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    finding = doctor.folder("cache folder", tmp_path / "file" / "cache")
    assert finding.verdict == "fail"
    assert "NEXTAIM_CACHE" in finding.mend


def test_a_full_disk_is_a_warning(tmp_path):
    finding = doctor.folder("data folder", tmp_path, need=2**62)
    assert finding.verdict == "warn"
    assert "NEXTAIM_DATA" in finding.mend


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (Gpu(), "ok", "none"),
        (Gpu(problem="no room"), "warn", "no room"),
        (Gpu("mig", "A100 MIG 1g.5gb", 5 * 2**30, 4 * 2**30), "ok", "MIG slice A100"),
        (Gpu("gpu", "A100", 40 * 2**30, 39 * 2**30), "ok", "39.0 of 40.0 GiB free"),
    ],
)
def test_the_gpu_found_is_said(monkeypatch, found, verdict, words):
    monkeypatch.setattr(doctor.gpu, "find_gpu", lambda: found)
    monkeypatch.delenv("NEXTAIM_EXPECTS", raising=False)
    (finding,) = doctor.graphics()
    assert finding.verdict == verdict
    assert words in finding.detail


A_SLICE = Gpu("mig", "NVIDIA A100 80GB PCIe MIG 1g.10gb", 10_300_000_000, 10_200_000_000)
SMALL = Gpu("mig", "NVIDIA A100-PCIE-40GB MIG 1g.5gb", 5_100_000_000, 5_000_000_000)
T4 = Gpu("gpu", "Tesla T4", 15_800_000_000, 15_600_000_000)


@pytest.mark.parametrize(
    ("expected", "found", "verdict", "words", "mend"),
    [
        ("1g.10gb", A_SLICE, "ok", "1g.10gb", ""),
        ("1g.10gb", Gpu(), "fail", "no GPU can be used", "start it with the same profile"),
        ("1g.10gb", SMALL, "fail", "MIG slice NVIDIA A100-PCIE-40GB MIG 1g.5gb", "smaller batches"),
        ("1g.10gb", T4, "warn", "GPU Tesla T4 came, 14.7 GiB", "compare no times"),
        ("2g.20gb", A_SLICE, "fail", "9.6 GiB", "another card"),
        ("T4", T4, "ok", "T4", ""),
        ("cpu", Gpu(), "ok", "no GPU", ""),
        ("cpu", T4, "warn", "no GPU, but GPU Tesla T4 is seen", "given to others"),
    ],
)
def test_the_gpu_found_is_compared_with_the_profile_s(
    monkeypatch, expected, found, verdict, words, mend
):
    monkeypatch.setattr(doctor.gpu, "find_gpu", lambda: found)
    monkeypatch.setenv("NEXTAIM_EXPECTS", expected)
    _, finding = doctor.graphics()
    assert finding.verdict == verdict
    assert words in finding.detail
    assert mend in finding.mend


def test_a_viewer_that_is_not_installed_is_a_warning(monkeypatch):
    monkeypatch.setattr(available, "find_spec", lambda name: None)
    verdicts = [f.verdict for f in doctor.viewers()]
    assert verdicts == ["ok", "warn", "warn", "warn"]
