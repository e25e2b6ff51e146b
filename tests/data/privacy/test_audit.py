import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from nextaim_kit.commands import app
from nextaim_kit.data.privacy import audit as audit_module
from nextaim_kit.data.privacy import audit_readers, audit_rules
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.errors import RequestError
from tests.data.privacy.planted import base, plant

pytestmark = pytest.mark.filterwarnings("ignore:The value length", "ignore:The pixel data is")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    root = tmp_path_factory.mktemp("audited")
    made = plant(root / "in")
    deidentify(root / "in", root / "out", root / "key")
    return root / "in", root / "out", list(made.gone.values())


def test_nothing_is_found_in_what_was_cleaned(folders: tuple[Path, Path, list[str]]) -> None:
    assert audit(folders[1]) == []


def test_names_given_are_looked_for_everywhere(folders: tuple[Path, Path, list[str]]) -> None:
    assert audit(folders[1], folders[2]) == []
    found = {one.file for one in audit(folders[0], ["Cinquegrani", "Bistolfi", "Belforti"])}
    assert "sub-QV0083471/anat/sub-QV0083471_T1w.nii.gz" in found
    assert "mask.nrrd" in found


def test_each_kind_of_file_with_identity_is_found(folders: tuple[Path, Path, list[str]]) -> None:
    told = {Path(one.file).suffix for one in audit(folders[0])}
    assert {".dcm", ".txt", ".html", ".csv", ".json"} <= told


def test_an_instance_nobody_stamped_has_to_be_looked_at(tmp_path: Path) -> None:
    data = base("1.2.3")
    data.PatientName = data.PatientID = data.PatientBirthDate = data.PatientAge = ""
    data.Modality = "US"
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    what = {one.what for one in audit(tmp_path) if one.verdict == "look"}
    assert what == {
        "not stamped as de-identified",
        "dates are as they were",
        "pixels that nobody looked at",
    }


@pytest.mark.parametrize(
    "text",
    [
        "Gentile Dott. Brughetti,",
        "Paziente: Zanfregan",
        "Refertato da Ansovino Brughetti",
        "nata il 4 maggio 1926",
        "scrivere a o.z@posta.example",
        "ZNFLRD26E44G999X",
        "tel. 0382 771122",
        "Via dei Frassinelli 12",
        "cartella n. 44121",
        "uomo di 94 anni",
    ],
)
def test_identity_in_a_text_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(f"Torace nella norma.\n{text}\n", encoding="utf-8")
    assert [one.verdict for one in audit(tmp_path)] == ["identity"]


@pytest.mark.parametrize(
    "text", ["Linfoma di Hodgkin", "12/15 segmenti", "85 anni", "via endovenosa", "Kerley B lines"]
)
def test_terms_of_the_field_are_no_identity(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert audit(tmp_path) == []


def test_a_name_is_found_in_a_picture_a_notebook_and_a_workbook(tmp_path: Path) -> None:
    import pandas as pd

    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Dr. Brughetti")
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    cell = {"cell_type": "markdown", "source": ["Dr. Brughetti"], "metadata": {}}
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": [cell]}))
    pd.DataFrame({"note": ["Dr. Brughetti"]}).to_excel(tmp_path / "c.xlsx", index=False)
    pd.DataFrame({"note": ["Dr. Brughetti"]}).to_parquet(tmp_path / "d.parquet")
    found = {one.file for one in audit(tmp_path, ["brughetti"]) if one.verdict == "identity"}
    assert found == {"a.png", "b.ipynb", "c.xlsx", "d.parquet"}


def test_the_audit_shares_nothing_with_the_remover() -> None:
    for module in (audit_module, audit_readers, audit_rules):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        imported = [row for row in text.splitlines() if "data.privacy" in row]
        assert all("audit_" in row for row in imported)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no folder"):
        audit(tmp_path / "none")


def test_the_command_ends_with_1_where_identity_is_left(
    folders: tuple[Path, Path, list[str]],
) -> None:
    clean = CliRunner().invoke(app, ["data", "audit", str(folders[1])])
    told = CliRunner().invoke(app, ["data", "audit", str(folders[0])])
    assert (clean.exit_code, told.exit_code) == (0, 1)
    assert "no proof" in clean.output
    assert "identity is left in" in told.output


def test_the_command_says_what_stays_personal(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("Torace nella norma.")
    result = CliRunner().invoke(
        app, ["data", "deidentify", str(tmp_path / "in"), str(tmp_path / "out")]
    )
    assert result.exit_code == 0
    assert "still personal data" in result.output
    assert (tmp_path / "de-identification.key").is_file()
