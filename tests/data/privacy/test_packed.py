import zipfile
from pathlib import Path

import pytest

from nextaim_kit.data.privacy.deidentify import LOG, Report, deidentify
from tests.data.privacy.planted import base, everything

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
ODF = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"


def _zip(path: Path, **files: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("DOT", "."), text)
    return path


def _run(tmp_path: Path) -> Report:
    return deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")


def test_an_archive_is_cleaned_as_a_folder_those_within_it_too(tmp_path: Path) -> None:
    data = base("1.2.3.4")
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    inner = _zip(tmp_path / "x.zip", noteDOTtxt="Rivista Oldrada Zanfregan.").read_bytes()
    _zip(
        tmp_path / "in" / "ZANFREGAN.zip", imagesDOTzip=inner,
        studio__aDOTdcm=(tmp_path / "a.dcm").read_bytes(),
    )  # fmt: skip
    report = _run(tmp_path)
    assert report.left_out == []
    assert (report.written["DICOM"], report.written["report"]) == (1, 1)
    assert "zanfreg" not in everything(tmp_path / "out").casefold()
    assert not list((tmp_path / "out").rglob("*.zip"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.dcm", "in", "key", "out", "x.zip"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"..__evilDOTtxt": "x"}, "leads elsewhere"),
        ({"aDOTtxt": b"0" * (2 << 20) * 4}, "less than any image"),
        ({"aDOTtxt": "x", "ADOTtxt": "y"}, "two files of one name"),
    ],
)
def test_an_archive_that_does_harm_is_left_out(
    tmp_path: Path, files: dict[str, str | bytes], why: str
) -> None:
    _zip(tmp_path / "in" / "a.zip", **files)
    report = _run(tmp_path)
    assert why in report.left_out[0][1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOG]
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_damaged_archive_and_one_that_lies_too_deep_are_left_out(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "0.zip", aDOTtxt="Torace nella norma.").read_bytes()
    for number in range(1, 4):
        inner = _zip(tmp_path / f"{number}.zip", innerDOTzip=inner).read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "deep.zip").write_bytes(inner)
    (tmp_path / "in" / "broken.zip").write_bytes(b"PK\x03\x04" + b"x" * 90)
    why = dict(_run(tmp_path).left_out)
    assert "damaged" in why["broken.zip"]
    assert any("it lies in 3 others" in text for text in why.values())


def test_text_of_a_document_is_cleaned_and_nothing_else_of_it_kept(tmp_path: Path) -> None:
    body = f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>Morbo di Crohn. Visita della</w:t>'
    body += "<w:tab/><w:t>sig.ra Bicelli</w:t></w:r></w:p><w:p><w:t>Torace regolare.</w:t></w:p>"
    body += "</w:body></w:document>"
    note = f'<w:comments xmlns:w="{WORD}"><w:p><w:t>Dott. Zurlini</w:t></w:p></w:comments>'
    core = "<cp:coreProperties><dc:creator>Autrichini</dc:creator></cp:coreProperties>"
    _zip(tmp_path / "in" / "a.docx", word__documentDOTxml=body, word__commentsDOTxml=note,
         docProps__coreDOTxml=core)  # fmt: skip
    odf = f'<o xmlns:text="{ODF}"><text:p>Firmato: <text:span>Dott. Gavazzeni</text:span>'
    odf += " ok</text:p></o>"
    _zip(tmp_path / "in" / "b.odt", contentDOTxml=odf)
    report = _run(tmp_path)
    assert report.left_out == []
    first, second = ((tmp_path / "out" / f"{n}.txt").read_text() for n in "ab")
    assert first.splitlines() == [
        "Morbo di Crohn. Visita della sig.ra [name]",
        "Torace regolare.",
        "Dott. [name]",
    ]
    assert second == "Firmato: Dott. [name] ok\n"


def test_a_document_with_entities_that_swell_is_left_out(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><d>&b;</d>'
    _zip(tmp_path / "in" / "a.docx", word__documentDOTxml=bomb)
    assert "no whole document" in _run(tmp_path).left_out[0][1]
