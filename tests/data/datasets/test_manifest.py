"""Manifests: that each loads, tells the truth about its files, and that a bad one is refused."""

from __future__ import annotations

import csv
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from nextaim_kit.data.datasets.manifest import load_manifest, manifest_names
from nextaim_kit.errors import DataError, RequestError

STUDIES = {
    "asd_fusion", "breast_masses", "ct_lungquant", "ct_radiomics", "cxr_severity",
    "microscopy_superres", "report_structuring", "thalamus_tractography",
}  # fmt: skip
GOOD = {
    "name": "toy",
    "title": "A toy",
    "version": "1",
    "access": "open",
    "terms": "none",
    "licence": "CC0-1.0",
    "citation": "nobody",
    "deidentified": True,
    "studies": ["ct_radiomics"],
    "files": [{"path": "a.txt", "url": "http://127.0.0.1/a.txt", "bytes": 1, "sha256": "0" * 64}],
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTAIM_MANIFESTS", str(tmp_path))

    def make(**changes):
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(GOOD | changes))

    return make


def verbatim(real):
    """Upstream files whose bytes are known: repository, commit and path to size and hash."""
    with (real / "PROVENANCE.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["how"] == "verbatim"]
    places = ("source_repo", "source_commit", "source_path")
    return {"/".join(row[p] for p in places): row for row in rows}


@pytest.mark.parametrize("name", manifest_names())
def test_every_manifest_loads_and_serves_a_known_study(name):
    manifest = load_manifest(name)
    assert manifest.studies
    assert set(manifest.studies) <= STUDIES


@pytest.mark.parametrize("name", manifest_names())
def test_every_layout_speaks_of_files_that_fetch_brings(name):
    manifest = load_manifest(name)
    brought = {file.path.removesuffix(".zip") for file in manifest.files}
    folders = {"/".join(path.split("/")[:n]) for path in brought for n in range(1, 9)}
    for subject in manifest.layout.get("subjects", []):
        paths = [subject[key] for key in ("image", "mask", "lungs") if key in subject]
        assert all(p in folders or p.split("/")[0] in brought for p in paths)


@pytest.mark.parametrize("name", manifest_names())
def test_sizes_and_hashes_are_those_of_the_upstream_files(name, real):
    known = verbatim(real)
    for file in load_manifest(name).files:
        row = known.get(unquote(urlsplit(file.url or "").path).lstrip("/"))
        if row:
            assert (file.bytes, file.sha256) == (int(row["bytes"]), row["sha256"])


def test_all_upstream_files_of_the_radiomics_images_are_in_a_manifest(real):
    listed = {
        unquote(urlsplit(file.url or "").path).lstrip("/")
        for name in manifest_names()
        for file in load_manifest(name).files
    }
    parts = ("ibsi_digital", "ibsi_sts", "nsclc", "pyradiomics/brain1", "pyradiomics/prostate")
    wanted = [
        place
        for place, row in verbatim(real).items()
        if row["file"].startswith(tuple(f"ct_radiomics/{part}" for part in parts))
    ]
    assert len(wanted) == 17
    assert set(wanted) <= listed


def test_an_unknown_name_is_refused_with_the_near_miss():
    with pytest.raises(RequestError, match="did you mean ibsi_sts"):
        load_manifest("ibsi_stss")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licens": "MIT"}, "toy.yaml: field licens"),
        ({"access": "free"}, "toy.yaml: field access"),
        ({"access": "registration"}, "how_to_get"),
        ({"name": "other"}, "field name"),
        ({"deidentified": "maybe"}, "field deidentified"),
        ({"files": [{"path": "a", "url": "ftp://x/a"}]}, r"files\.0\.url"),
        ({"files": [{"path": "a", "url": None}]}, "needs a url"),
        ({"files": [{"path": "../a", "url": "http://x/a"}]}, r"files\.0\.path"),
        ({"files": [{"path": "/a", "url": "http://x/a"}]}, r"files\.0\.path"),
        ({"files": [GOOD["files"][0] | {"sha256": "12"}]}, r"files\.0\.sha256"),
        ({"files": [GOOD["files"][0] | {"bytes": "12"}]}, r"files\.0\.bytes"),
        ({"files": GOOD["files"] * 2}, "occurs twice"),
        ({"layout": {"cohort": "c.csv", "pattern": "pairs"}}, "exclude each other"),
        ({"layout": {"tabel": "c.csv"}}, r"layout\.tabel"),
        ({"layout": {"subjects": [{"subject": "a"}]}}, r"layout\.subjects\.0\.image"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(write, changes, message):
    write(**changes)
    with pytest.raises(DataError, match=message):
        load_manifest("toy")


def test_broken_yaml_is_refused_by_name(write, tmp_path):
    (tmp_path / "toy.yaml").write_text("name: [")
    with pytest.raises(DataError, match=r"toy\.yaml cannot be read"):
        load_manifest("toy")


def test_unknown_sizes_hashes_and_licences_may_be_said_so(write):
    write(licence="unknown", deidentified="unknown", files=[{"path": "a", "url": "http://x/a"}])
    assert load_manifest("toy").files[0].sha256 is None


def test_listing_the_data_sets_imports_nothing_heavy():
    code = (
        "import sys; from nextaim_kit.data.datasets.manifest import manifest_names, load_manifest\n"
        "[load_manifest(name) for name in manifest_names()]\n"
        "assert not {'pandas', 'numpy', 'pooch', 'requests', 'SimpleITK'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", ["../b.csv", "/etc/passwd", "a/../../b.csv", "c:b.csv"])
def test_a_layout_leads_to_no_file_outside_of_the_data_set(write, path):
    column = {"table": path, "subject": "s", "column": "c"}
    subjects = [{"subject": "A", "image": path, "mask": "m.nii"}]
    for layout in ({"cohort": path}, {"table": path}, {"table": "a.csv", "sites": column},
                   {"subjects": subjects}):  # fmt: skip
        write(layout=layout)
        with pytest.raises(DataError, match="inside the data set's folder"):
            load_manifest("toy")
