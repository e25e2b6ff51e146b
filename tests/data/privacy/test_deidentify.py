import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from nextaim_kit.data.privacy.deidentify import LOG, Report, deidentify
from nextaim_kit.data.privacy.profile import Profile, table
from nextaim_kit.errors import DataError, RequestError
from tests.data.privacy.planted import Planted, base, everything, plant

pytestmark = pytest.mark.filterwarnings("ignore:The value length", "ignore:The pixel data is")


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, Path, Report]:
    root = tmp_path_factory.mktemp("ward")
    made = plant(root / "in")
    return made, root / "out", deidentify(root / "in", root / "out", root / "key")


def one(ward: tuple[Planted, Path, Report], number: str) -> Dataset:
    """The instance that had a number in its description before."""
    found = [dcmread(path) for path in sorted(ward[1].rglob("*.dcm"))]
    return next(d for d in found if d.get("SeriesDescription") == number)


def test_no_planted_identity_is_left(ward: tuple[Planted, Path, Report]) -> None:
    made, out, _ = ward
    text = everything(out).casefold()
    missed = {where: said for where, said in made.gone.items() if said.casefold() in text}
    assert len(made.gone) >= 60
    assert missed == {}


def test_what_only_looks_like_identity_stays(ward: tuple[Planted, Path, Report]) -> None:
    made, out, _ = ward
    text = everything(out)
    lost = {where: said for where, said in made.stays.items() if said not in text}
    assert len(made.stays) >= 60
    assert lost == {}


def test_same_input_and_key_give_the_same_bytes(
    ward: tuple[Planted, Path, Report], tmp_path: Path
) -> None:
    made, out, _ = ward
    deidentify(made.folder, tmp_path / "again", out.parent / "key")
    assert _hashes(tmp_path / "again") == _hashes(out)


def test_another_key_gives_other_pseudonyms(
    ward: tuple[Planted, Path, Report], tmp_path: Path
) -> None:
    made, out, _ = ward
    deidentify(made.folder, tmp_path / "other", tmp_path / "key")
    assert _patients(tmp_path / "other").isdisjoint(_patients(out))


def test_pixels_without_writing_stay_byte_for_byte(ward: tuple[Planted, Path, Report]) -> None:
    before = base("1.2.3").PixelData
    assert one(ward, "Linfoma di Hodgkin").PixelData == before


def test_writing_in_pixels_is_covered_and_a_film_marker_stays(
    ward: tuple[Planted, Path, Report],
) -> None:
    data = next(d for d in map(dcmread, ward[1].rglob("*.dcm")) if d.get("Rows") == 256)
    before = dcmread(ward[0].folder / "burnt.dcm").pixel_array
    after = data.pixel_array
    assert after[:24, :180].max() < 2000 < before[:24, :180].max()
    assert np.array_equal(after[60:], before[60:])
    assert after[120:140, 230:250].max() == before[120:140, 230:250].max() > 3000
    assert data.BurnedInAnnotation == "NO"
    assert ward[2].covered == ["burnt.dcm"]


def test_output_is_stamped_with_what_was_done(ward: tuple[Planted, Path, Report]) -> None:
    data = one(ward, "Linfoma di Hodgkin")
    codes = {item.CodeValue for item in data.DeidentificationMethodCodeSequence}
    assert data.PatientIdentityRemoved == "YES"
    assert data.LongitudinalTemporalInformationModified == "MODIFIED"
    assert {"113100", "113105", "113107", "113108"} <= codes
    assert data.file_meta.get("SourceApplicationEntityTitle") is None


def test_a_patient_is_one_and_dates_move_together(ward: tuple[Planted, Path, Report]) -> None:
    _, out, _ = ward
    patients = {d.PatientID for d in map(dcmread, out.rglob("*.dcm"))}
    rows = (out / "pazienti.csv").read_text().splitlines()
    data = one(ward, "Linfoma di Hodgkin")
    day = f"{data.StudyDate[6:]}/{data.StudyDate[4:6]}/{data.StudyDate[:4]}"
    assert patients == {rows[1].split(",")[0]}
    assert rows[1].endswith(day)
    assert data.AcquisitionDateTime.startswith(data.StudyDate)
    assert data.PatientAge == "090Y"


def test_references_follow_their_instances(tmp_path: Path) -> None:
    first, second = base("1.2.3.1"), base("1.2.3.2")
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = first.SOPClassUID, "1.2.3.1"
    second.SourceImageSequence = [item]
    _save(tmp_path, first, second)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    found = {str(d.SOPInstanceUID): d for d in map(dcmread, (tmp_path / "out").rglob("*.dcm"))}
    referred = [
        d.SourceImageSequence[0].ReferencedSOPInstanceUID
        for d in found.values()
        if "SourceImageSequence" in d
    ]
    assert referred[0] in found
    assert len(found) == 2


def test_documents_in_an_envelope_are_left_out_by_name(
    ward: tuple[Planted, Path, Report],
) -> None:
    assert [name for name, _ in ward[2].left_out] == ["letter.dcm"]


def test_pixels_that_cannot_be_decoded_are_never_passed_on(tmp_path: Path) -> None:
    data = base("1.2.3.4")
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = (
        b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    )
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    _save(tmp_path, data)
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert "decoded" in report.left_out[0][1]
    assert list((tmp_path / "out").rglob("*.dcm")) == []


def test_compressed_pixels_without_writing_stay_compressed(tmp_path: Path) -> None:
    data = base("1.2.3.5")
    data.compress(RLELossless, generate_instance_uid=False)
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert after.file_meta.TransferSyntaxUID == RLELossless
    assert after.PixelData == data.PixelData


def test_comments_within_compressed_pixels_are_taken_out(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.arange(64 * 64, dtype="u1").reshape(64, 64)).save(
        picture, format="JPEG", comment=b"Zanfregan Oldrada"
    )
    data = base("1.2.3.16")
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([picture.getvalue()])
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    path = next((tmp_path / "out").rglob("*.dcm"))
    assert b"Oldrada" not in path.read_bytes()
    assert np.array_equal(dcmread(path).pixel_array, data.pixel_array)


def test_a_patients_number_goes_from_uids_numbers_and_codes(tmp_path: Path) -> None:
    data = base("1.2.3.17")
    data.PatientID = "77120035"
    data.FrameOfReferenceUID = "1.2.840.10008.77120035.1"
    data.AcquisitionNumber, data.SeriesNumber = 77120035, 4
    data.ImageType = ["ORIGINAL", "PRIMARY", "ID77120035"]
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert "77120035" not in everything(tmp_path / "out")
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert after.SeriesNumber == 4
    assert list(after.ImageType)[:2] == ["ORIGINAL", "PRIMARY"]


def test_text_behind_the_data_set_is_not_passed_on(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.18"))
    path = tmp_path / "in" / "0.dcm"
    path.write_bytes(path.read_bytes() + b"in coda: Zanfregan Oldrada, Quavalle")
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert "Quavalle" not in everything(tmp_path / "out")


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 6"])
def test_names_with_accents_go_in_each_character_set(tmp_path: Path, charset: str) -> None:
    data = base("1.2.3.19")
    data.SpecificCharacterSet = charset
    accents = charset != "ISO_IR 6"
    data.PatientName = "Zanfregàn^Oldradà" if accents else "Zanfregan^Oldrada"
    data.StudyDescription = "Torace Oldradà, più sezioni" if accents else "Torace Oldrada, sezioni"
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert "ldrad" not in str(after.StudyDescription)
    assert after.StudyDescription.endswith("più sezioni" if accents else "sezioni")


def test_a_header_that_tells_of_writing_that_is_not_found_is_left_out(tmp_path: Path) -> None:
    data = base("1.2.3.6")
    data.BurnedInAnnotation = "YES"
    _save(tmp_path, data)
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert "writing" in report.left_out[0][1]


def test_device_stays_where_asked_and_dates_go_where_not(tmp_path: Path) -> None:
    data = base("1.2.3.7")
    data.DeviceSerialNumber, data.StationName = "SN-771", "CTROOM2"
    _save(tmp_path, data)
    profile = Profile(device=True, dates=False, patient=False)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key", profile)
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert (after.DeviceSerialNumber, after.StationName) == ("SN-771", "CTROOM2")
    assert not after.StudyDate
    assert "PatientAge" not in after
    assert after.LongitudinalTemporalInformationModified == "REMOVED"


def test_known_private_numbers_stay_and_others_go(tmp_path: Path) -> None:
    data = base("1.2.3.8")
    data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    data.private_block(0x0019, "SIEMENS MR HEADER").add_new(0x08, "LO", "Zanfregan")
    data.private_block(0x0021, "ACME", create=True).add_new(0x01, "DS", "1.5")
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    private = {element.value for element in after if element.tag.is_private}
    assert private == {"SIEMENS MR HEADER", 1000}


def test_overlays_in_unused_bits_are_cleared(tmp_path: Path) -> None:
    data = base("1.2.3.9")
    plain = np.arange(64 * 64, dtype="<u2") & 0x0FFF
    data.PixelData = (plain | 0x8000).tobytes()
    data.add_new(0x60000102, "US", 15)
    _save(tmp_path, data)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    after = dcmread(next((tmp_path / "out").rglob("*.dcm")))
    assert after.PixelData == plain.tobytes()


def test_the_table_of_the_standard_is_whole() -> None:
    assert len(table()) >= 650
    assert table()[0x00100010] == ("Z", {})
    assert table()[0x00081010][1] == {"device": "K"}
    assert table()[0x0008103E] == ("X", {"descriptors": "C"})


def test_output_within_the_input_is_refused(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.10"))
    with pytest.raises(RequestError, match="lie in one another"):
        deidentify(tmp_path / "in", tmp_path / "in" / "out", tmp_path / "key")


def test_a_key_within_the_output_is_refused(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.11"))
    with pytest.raises(RequestError, match="would lie in the output"):
        deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "out" / "key")


def test_a_key_that_others_read_is_refused(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.12"))
    (tmp_path / "key").write_text("x" * 40)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(RequestError, match="others may read"):
        deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")


def test_a_new_key_is_its_owners_alone(ward: tuple[Planted, Path, Report]) -> None:
    key = ward[1].parent / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert ward[2].key_made


def test_an_output_that_is_there_is_not_touched(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.13"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(RequestError, match="there already"):
        deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path, base("1.2.3.14"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Dataset, "save_as", full)
    with pytest.raises(DataError, match="No space left"):
        deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "key"]


def test_a_file_that_is_no_dicom_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    _save(tmp_path, base("1.2.3.15"))
    (tmp_path / "in" / "broken.dcm").write_bytes(b"no DICOM at all" * 20)
    (tmp_path / "in" / "movie.avi").write_bytes(b"RIFF")
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert [name for name, _ in report.left_out] == ["broken.dcm", "movie.avi"]
    assert report.written["DICOM"] == 1


def test_what_a_link_leads_to_is_cleaned_as_if_it_lay_there_and_an_empty_table_is_named(
    tmp_path: Path,
) -> None:
    _save(tmp_path, base("1.2.3.12"))
    (tmp_path / "elsewhere.csv").write_text("PatientName,age\nRossi^Mario,61\n")
    (tmp_path / "in" / "table.csv").symlink_to(tmp_path / "elsewhere.csv")
    (tmp_path / "in" / "void.csv").touch()
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    made = tmp_path / "out" / "table.csv"
    assert not made.is_symlink()
    assert "Rossi" not in made.read_text()
    assert "61" in made.read_text()
    assert report.left_out == [("void.csv", "it is empty")]


@pytest.mark.parametrize(
    "column", ["born", "bday", "geb", "Geburtsdatum", "compleanno", "date_naissance", "when"]
)
def test_dates_of_birth_go_whatever_their_column_is_called_and_visits_stay(
    tmp_path: Path, column: str
) -> None:
    (tmp_path / "in").mkdir()
    rows = ["A1,03/09/1951,65,14/10/2016", "A2,10/07/1924,92,15/10/2003", "A3,1/1/1980,36,1/2/2009"]
    text = "\n".join([f"patient_id,{column},age,visit", *rows])
    (tmp_path / "in" / "table.csv").write_text(text)
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert report.tables[0].gone == (column,)
    found = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(found.columns) == ["patient_id", "age", "visit"]
    assert found["age"].tolist() == [65, 90, 36]


def test_the_log_says_that_it_is_still_personal(ward: tuple[Planted, Path, Report]) -> None:
    text = (ward[1] / LOG).read_text()
    assert "still personal data" in text
    assert "Zanfreg" not in text


def _save(root: Path, *instances: Dataset) -> None:
    (root / "in").mkdir(exist_ok=True)
    for number, data in enumerate(instances):
        data.save_as(root / "in" / f"{number}.dcm", enforce_file_format=True)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _patients(folder: Path) -> set[str]:
    return {dcmread(path).PatientID for path in folder.rglob("*.dcm")}


def test_tables_are_made_coarser_until_k_are_alike(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = [f"P-{n:05d},{30 + 3 * n},{'FM'[n % 2]},A" for n in range(10)]
    (tmp_path / "in" / "t.csv").write_text("\n".join(["patient_id,age,sex,arm", *rows]))
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key", Profile(k=3))
    table = report.tables[0]
    assert (table.before, table.after >= 3, 0 < table.lost < 1) == (1, True, True)
    assert json.loads((tmp_path / "out" / LOG).read_text())["tables"][0]["k"] == table.after


def test_files_that_have_one_name_without_identity_are_told_by_a_number(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("Zanfregan", "Pestalozzini"):
        (tmp_path / "in" / f"{name}.txt").write_text(f"Torace di {name}.")
        (tmp_path / "in" / f"{name}.json").write_text('{"EchoTime": 0.01}')
    Image.new("L", (9, 9)).save(tmp_path / "in" / "Zanfregan.png")
    Image.new("L", (9, 9)).save(tmp_path / "in" / "Zanfregan.jpg")
    report = deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.name != LOG)
    assert report.left_out == []
    assert names == [
        "name.json", "name.txt", "name_2.json", "name_2.png", "name_2.txt", "name_3.png",
    ]  # fmt: skip


def test_a_header_names_its_voxels_file_as_it_is_numbered(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("Pestalozzini", "Zanfregan")):
        image = sitk.GetImageFromArray(np.full((2, 2, 2), number, np.uint8))
        sitk.WriteImage(image, str(tmp_path / "in" / f"{name}.mhd"))
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    values = [sitk.GetArrayFromImage(sitk.ReadImage(str(p))).max()
              for p in sorted((tmp_path / "out").glob("*.mhd"))]  # fmt: skip
    assert values == [0, 1]


def test_sheets_that_have_one_name_without_identity_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pd.ExcelWriter(tmp_path / "in" / "t.xlsx") as book:
        for number, name in enumerate(("Zanfregan", "Pestalozzini")):
            pd.DataFrame({"stage": [number]}).to_excel(book, sheet_name=name, index=False)
    deidentify(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    cells = [path.read_text() for path in sorted((tmp_path / "out").glob("*.csv"))]
    assert cells == ["stage\n0\n", "stage\n1\n"]
