from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from nextaim_kit.data.privacy.deidentify import Report, deidentify

REPORT = [
    "Referto TC torace. Morbo di Crohn noto.",
    "La sig.ra Bicelli riferisce dispnea da tre giorni.",
    "Non versamento pleurico. Firmato da Dott. Zurlini",
]


def _pdf(path: Path, *pages: str) -> Path:
    """A PDF of one font, with one stream of drawing for each page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, drawn in enumerate(pages):
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]"
            f" /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        bodies.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    raw, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(raw))
        raw += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    raw += (
        f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}".encode()
        + (
            f"trailer << /Size {len(bodies) + 1} /Root 1 0 R >>\nstartxref\n{len(raw)}\n%%EOF\n"
        ).encode()
    )
    path.write_bytes(raw)
    return path


def _lines(*lines: str) -> str:
    drawn = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
    return f"BT /F1 11 Tf 50 780 Td {drawn}ET"


def _locked(path: Path, *, user: str, owner: str) -> None:
    writer = PdfWriter(clone_from=PdfReader(path))
    writer.add_metadata({"/Author": "Autrichini"})
    writer.encrypt(user, owner, algorithm="RC4-128")
    writer.write(path)


def _run(tmp_path: Path) -> Report:
    return deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")


def test_a_report_as_pdf_becomes_its_text_without_names(tmp_path: Path) -> None:
    _pdf(tmp_path / "in" / "referto.pdf", _lines(*REPORT), _lines("Pagina due, nulla."))
    report = _run(tmp_path)
    said = (tmp_path / "out" / "referto.txt").read_text().splitlines()
    assert report.left_out == []
    assert said == [
        "Referto TC torace. Morbo di Crohn noto.",
        "La sig.ra [name] riferisce dispnea da tre giorni.",
        "Non versamento pleurico. Firmato da Dott. [name]",
        "Pagina due, nulla.",
    ]


def test_a_name_whose_letters_a_pdf_sets_apart_is_found(tmp_path: Path) -> None:
    torn = "BT /F1 11 Tf 50 780 Td [(Controllo di Zan) -900 (fregan) -400 (per dispnea)] TJ ET"
    _pdf(tmp_path / "in" / "a.pdf", torn)
    (tmp_path / "in" / "p.csv").write_text("cognome,stadio\nZanfregan,T2\nBicelli,T1\n")
    _run(tmp_path)
    said = (tmp_path / "out" / "a.txt").read_text()
    assert "Zan fregan" in PdfReader(tmp_path / "in" / "a.pdf").pages[0].extract_text()
    assert said == "Controllo di [name] per dispnea\n"


def test_a_pdf_that_opens_without_a_password_is_read_and_another_left_out(tmp_path: Path) -> None:
    for name, user in (("open", ""), ("shut", "segreto")):
        _locked(_pdf(tmp_path / "in" / f"{name}.pdf", _lines(*REPORT)), user=user, owner="capo")
    report = _run(tmp_path)
    assert [name for name, _ in report.left_out] == ["shut.pdf"]
    assert "password" in report.left_out[0][1]
    assert "Autrichini" not in (tmp_path / "out" / "open.txt").read_text()


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ((_lines(*REPORT), "0 0 100 100 re f"), "page 2 is a picture"),
        ((_lines("Xqwz vbnj kptr " * 10),), "which letters"),
    ],
)
def test_a_pdf_that_says_nothing_readable_is_left_out(
    tmp_path: Path, pages: tuple[str, ...], why: str
) -> None:
    _pdf(tmp_path / "in" / "a.pdf", *pages)
    report = _run(tmp_path)
    assert why in report.left_out[0][1]
    assert not (tmp_path / "out" / "a.txt").exists()


def test_a_damaged_pdf_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    whole = _pdf(tmp_path / "in" / "a.pdf", _lines(*REPORT)).read_bytes()
    (tmp_path / "in" / "b.pdf").write_bytes(b"%PDF-1.4\n" + whole[40:300])
    report = _run(tmp_path)
    assert [name for name, _ in report.left_out] == ["b.pdf"]
    assert (tmp_path / "out" / "a.txt").is_file()
