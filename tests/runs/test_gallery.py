"""The gallery: all results as one folder that opens anywhere and hides no failure."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from nextaim_kit import catalog
from nextaim_kit.cli import main
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.errors import DataError, KitError, RequestError, RunError
from nextaim_kit.runs import gallery
from nextaim_kit.runs.chain import Ending
from nextaim_kit.runs.gallery import public_text, require_place, write_gallery
from nextaim_kit.runs.record import runs_folder, write_record
from tests.browser import chromium, opened
from tests.conftest import WHOLE


@pytest.fixture
def ended(toy):
    """Leave runs of `toy/draw` as if made; gives how they ended."""
    number = {"metric": "mean", "value": 0.7, "tag": "pub", "where": "a paper", "notebook": "draw"}
    toy(published=[number])

    def make(outcome="complete", error: KitError | None = None) -> dict[str, Ending]:
        folder = runs_folder() / "toy/draw/abc"
        (folder / "files").mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "notebook.ipynb", "files/big.pt"):
            (folder / name).write_text(f"<title>{name}</title>")
        metric = {"name": "mean", "value": 0.8, "low": 0.7, "high": 0.9, "n": 9, "unit": ""}
        write_record(folder, WHOLE | {
            "id": "abc", "stage": "draw", "profile": "smoke", "outcome": outcome,
            "metrics": [metric | {"note": ""}] if outcome != "failed" else [], "sections": [],
            "data": [{"name": "synthetic", "sha256": None, "licence": "x", "synthetic": True}],
        })  # fmt: skip
        return {"toy/draw": Ending(folder, error)}

    return make


@pytest.fixture
def site(tmp_path, ended):
    """Write the site of such a run."""

    def make(endings=None, **how) -> Path:
        to = tmp_path / "site"
        found = ended(**how) if endings is None else endings
        write_gallery(found, catalog.studies(), to, runs_folder(), "smoke")
        return to

    return make


def links(page: Path) -> list[str]:
    found = re.findall(r'(?:href|src)="([^"]*)"', page.read_text())
    return [link for link in found if not link.startswith(("data:", "#", "https://doi.org/"))]


def test_every_link_is_relative_and_leads_into_the_site(site):
    folder = site()
    for page in (folder / "index.html", folder / "board.html"):
        assert links(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            assert target.is_relative_to(folder.resolve())
            assert target.is_file(), link


def test_a_report_and_its_notebook_are_copied_and_weights_are_not(site):
    copied = {p.relative_to(site()).as_posix() for p in site().rglob("*") if p.is_file()}
    assert copied == {
        "index.html", "board.html", "gallery.json",
        "toy/draw/report.html", "toy/draw/notebook.ipynb",
    }  # fmt: skip


def test_ours_stands_beside_the_published_and_synthetic_data_are_lettered(site):
    text = (site() / "index.html").read_text()
    assert re.search(r"0\.800.*\[0\.700, 0\.900\].*0\.70.*pub.*a paper", text, re.DOTALL)
    assert "SYNTHETIC DATA" in text


def test_a_failed_notebook_is_shown_with_its_error_and_its_report(site):
    wrong = RunError("toy/draw failed", found="<b>torn</b>", mend="see /home/ann/runs/report.html")
    folder = site(outcome="failed", error=wrong)
    text = (folder / "index.html").read_text()
    assert "1 failed" in text
    assert "&lt;b&gt;torn" in text
    assert "/home" not in text
    assert 'href="toy/draw/report.html"' in text
    assert 'href="toy/draw/report.html"' in (folder / "board.html").read_text()
    assert json.loads((folder / "gallery.json").read_text())["notebooks"] == {"toy/draw": "failed"}


def test_a_notebook_that_never_began_is_not_hidden(site):
    refused = RequestError("the profile smoke does not fit", expected="90 GB of memory")
    text = (site({"toy/draw": Ending(error=refused)}) / "index.html").read_text()
    assert "90 GB of memory" in text
    assert ">failed<" in text


def test_a_page_tells_no_folder_of_the_machine(tmp_path):
    error = RunError("cannot read /data/ward/a.nii", found="~/x/y.csv, ct/severity at 1/2")
    assert public_text(error, tmp_path) == "cannot read a.nii\ny.csv, ct/severity at 1/2"
    address = "no data at 'https://zenodo.org/records/1/files/a.zip'"
    assert public_text(RunError(address), tmp_path) == address
    runs = tmp_path / "Ward of Dr. Rossi" / "runs"
    assert public_text(RunError(f"no {runs}/ct/log.txt"), runs) == "no <runs>/ct/log.txt"


def test_an_earlier_gallery_is_replaced_whole(site):
    (site() / "left.html").write_text("old")
    folder = site()
    assert not (folder / "left.html").exists()
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".partial")] == []


def test_an_earlier_gallery_stays_where_the_new_one_cannot_be_written(site, monkeypatch):
    folder = site()
    before = (folder / "index.html").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gallery, "_copy", full)
    with pytest.raises(DataError, match="No space left"):
        site()
    assert (folder / "index.html").read_bytes() == before
    assert [p.name for p in folder.parent.iterdir() if p.name.startswith(".partial")] == []


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_no_gallery_is_never_replaced(tmp_path, kind):
    to = tmp_path / "mine"
    if kind == "folder":
        to.mkdir()
        (to / "thesis.txt").write_text("x")
    elif kind == "file":
        to.write_text("x")
    else:
        to.symlink_to(tmp_path)
    with pytest.raises(RequestError, match="not replaced"):
        require_place(to)


@pytest.mark.rest
@pytest.mark.browser
def test_it_opens_from_the_file_system_asks_for_nothing_and_fits_a_telephone(site):
    index = site() / "index.html"
    with chromium() as browser, opened(browser, index, width=360) as (page, asked):
        assert asked == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.get_by_role("link", name="Draw numbers", exact=True).click()
        assert page.title() == "report.html"
        page.go_back()
        page.get_by_role("link", name="The result board").click()
        assert page.get_by_role("heading", name="Result board").is_visible()


@pytest.mark.rest
@pytest.mark.notebook
def test_the_command_runs_every_study_and_exits_with_1_where_one_failed(toy, tmp_path, capsys):
    path = toy("assert kind == 'sum', 'torn'")
    study = yaml.safe_load((path.parent / "study.yaml").read_text())
    other = path.parent.parent / "other"
    other.mkdir()
    (other / "1_draw.ipynb").write_text(path.read_text().replace("toy/draw", "other/draw"))
    study["notebooks"]["draw"]["profiles"]["smoke"]["kind"] = "sum"
    (other / "study.yaml").write_text(yaml.safe_dump(study))
    assert main(["gallery", "--out", str(tmp_path / "g"), "--profile", "smoke"]) == 1
    assert "failed: toy/draw" in capsys.readouterr().out
    found = json.loads((tmp_path / "g" / "gallery.json").read_text())["notebooks"]
    assert found == {"other/draw": "complete", "toy/draw": "failed"}
    assert "torn" in (tmp_path / "g" / "toy/draw/report.html").read_text()
    assert str(tmp_path) not in (tmp_path / "g" / "index.html").read_text()


@pytest.mark.rest
@pytest.mark.notebook
def test_the_audit_finds_nothing_in_a_gallery_and_its_runs_and_finds_a_name_put_into_them(
    tmp_path, monkeypatch, capsys
):
    lessons = tmp_path / "notebooks" / "lessons"
    shutil.copytree(catalog.notebooks_folder() / "lessons", lessons)
    study = yaml.safe_load((lessons / "study.yaml").read_text())
    kept = {name: study["notebooks"][name] for name in ("image", "few_patients")}
    (lessons / "study.yaml").write_text(yaml.safe_dump(study | {"notebooks": kept}))
    (lessons / "3_network.ipynb").unlink()
    monkeypatch.setenv("NEXTAIM_NOTEBOOKS", str(lessons.parent))
    monkeypatch.setenv("NEXTAIM_RUNS", str(tmp_path / "made" / "runs"))
    made = tmp_path / "made"
    assert main(["gallery", "--out", str(made / "gallery"), "--profile", "smoke"]) == 0
    assert len(list(made.glob("gallery/lessons/*/report.html"))) == 2
    assert len(list(made.glob("runs/lessons/*/*/run.json"))) == 2
    assert main(["data", "audit", str(made)]) == 0

    page = made / "gallery" / "lessons" / "image" / "report.html"
    page.write_text(page.read_text().replace("</body>", "<p>Dr. Brughetti</p></body>"))
    record = next(made.glob("runs/lessons/few_patients/*/run.json"))
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"note": "Paziente: Zanfregan"}))
    capsys.readouterr()
    assert main(["data", "audit", str(made)]) == 1
    wrong = {page.relative_to(made).as_posix(), record.relative_to(made).as_posix()}
    assert {one.file for one in audit(made) if one.verdict == "identity"} == wrong
    assert "identity is left in 2 places" in " ".join(capsys.readouterr().out.split())
