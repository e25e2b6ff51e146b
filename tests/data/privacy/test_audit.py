import base64
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from rich.console import Console
from typer.testing import CliRunner

from nextaim_kit.commands import app
from nextaim_kit.data.privacy import audit as audit_module
from nextaim_kit.data.privacy import audit_readers, audit_rules
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.errors import RequestError
from nextaim_kit.terminal.privacy import look_at
from tests.data.privacy.planted import base as instance
from tests.data.privacy.planted import plant

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
    data = instance("1.2.3")
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


def _picture(author: str) -> str:
    info, raw = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("Author", author)
    Image.new("L", (4, 4)).save(raw, format="PNG", pnginfo=info)
    return base64.b64encode(raw.getvalue()).decode()


def test_a_name_is_found_in_what_lies_within_pages_and_notebooks(tmp_path: Path) -> None:
    picture = _picture("Dr. Brughetti")
    output = {"output_type": "display_data", "data": {"image/png": picture}}
    cell = {"cell_type": "code", "source": [], "outputs": [output]}
    drawn = '{"cells": [{"outputs": [{"data": {"text/html": ["<b>Dr. Brughetti</b>"]}}]}]}'
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "b.html").write_text(f'<img src="data:image/png;base64,{picture}">')
    (tmp_path / "c.html").write_text('<script>var cases = [{"who": "Dr. Brughetti"}]</script>')
    (tmp_path / "d.ipynb").write_text(drawn)
    assert {one.file for one in audit(tmp_path)} == {"a.ipynb", "b.html", "c.html", "d.ipynb"}


def test_a_picture_within_a_page_is_no_code_of_a_person(tmp_path: Path) -> None:
    letters = "RSSMRA80A01H501U" * 4  # would be a fiscal code, were it text
    (tmp_path / "a.html").write_text(f'<img alt="x" src="data:font/woff2;base64,{letters}">')
    assert audit(tmp_path) == []


def test_no_more_files_than_asked_are_looked_at(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}.txt").write_text("Gentile Dott. Brughetti,")
    assert [one.file for one in audit(tmp_path, most=2)] == ["00.txt", "10.txt"]


@pytest.mark.parametrize(("told", "lines"), [("true", 1), ("unknown", 0)])
def test_a_data_set_told_to_be_de_identified_is_looked_at_as_it_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, lines: int
) -> None:
    manifest = SimpleNamespace(deidentified=True if told == "true" else told)
    monkeypatch.setattr("nextaim_kit.data.datasets.fetch.where", lambda _: tmp_path)
    monkeypatch.setattr("nextaim_kit.data.datasets.manifest.load_manifest", lambda _: manifest)
    (tmp_path / "a.txt").write_text("Gentile Dott. Brughetti,")
    out = io.StringIO()
    look_at(Console(file=out, width=200), "some")
    assert out.getvalue().count("identity is left in 1 places") == lines


def test_weights_spell_nothing_and_a_name_among_bytes_is_found(tmp_path: Path) -> None:
    noise = bytes(np.random.default_rng(0).integers(0, 256, 1 << 16, np.uint8))
    (tmp_path / "a.bin").write_bytes(noise + b"\0a@b.cd\0x}y@z.it{\0")
    (tmp_path / "b.bin").write_bytes(noise + b"\0Gentile Dott. Brughetti\0" + noise)
    assert {one.file for one in audit(tmp_path)} == {"b.bin"}


def test_an_array_of_names_is_found_and_one_of_numbers_says_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "numbers.npz", pairs=rng.normal(size=200_000), ids=np.arange(9))
    assert audit(tmp_path, ["Bistolfi"]) == []
    np.savez(tmp_path / "who.npz", who=np.array(["Bistolfi Carla", "x"]))
    np.save(tmp_path / "letters.npy", np.frombuffer(b"of Bistolfi Carla", np.uint8))
    found = {one.file for one in audit(tmp_path, ["Bistolfi"])}
    assert found == {"who.npz", "letters.npy"}


@pytest.mark.parametrize("column", ["name", "paziente", "Patient", "nominativo"])
def test_a_column_of_persons_is_identity_and_one_of_methods_is_not(
    tmp_path: Path, column: str
) -> None:
    (tmp_path / "people.csv").write_text(f"{column},age\nMaria Bianchi,67\nRossi Giuseppe,71\n")
    (tmp_path / "results.csv").write_text(f"{column},auc\nlogistic regression,0.7\nn10,0.8\n")
    found = {(one.file, one.what, one.verdict) for one in audit(tmp_path)}
    assert ("people.csv", "a column of persons' names", "identity") in found
    assert "results.csv" not in {file for file, *_ in found}


@pytest.mark.parametrize("column", ["born", "bday", "year_of_birth", "Geburtsdatum", "when"])
def test_births_are_looked_at_by_their_column_s_name_or_by_their_years(
    tmp_path: Path, column: str
) -> None:
    (tmp_path / "born.csv").write_text(f"code,{column}\nA1,1951-09-03\nA2,1924-07-10\n")
    (tmp_path / "seen.csv").write_text("code,visit\nA1,2016-09-03\nA2,2003-07-10\n")
    assert {one.file for one in audit(tmp_path)} == {"born.csv"}


def test_a_chart_number_is_found_alone_but_not_in_the_random_digits_of_a_uid(
    tmp_path: Path,
) -> None:
    (tmp_path / "by_chance.txt").write_text("2.25.288005229432653510736637669204412180687\n")
    (tmp_path / "charts.txt").write_text("44121\n")
    (tmp_path / "uid.txt").write_text("1.2.840.113619.44121.7\n")
    found = {one.file for one in audit(tmp_path, ["44121"]) if "looked for" in one.what}
    assert found == {"charts.txt", "uid.txt"}
