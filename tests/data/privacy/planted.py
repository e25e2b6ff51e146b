"""A folder of a made-up ward: identities planted in every place, and look-alikes that must stay.

The names are in no list of the package; each planted text is looked for, as bytes and decoded, in
whatever comes out.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SR, RT = UID("1.2.840.10008.5.1.4.1.1.88.33"), UID("1.2.840.10008.5.1.4.1.1.481.3")
PDF = UID("1.2.840.10008.5.1.4.1.1.104.1")


@dataclass
class Planted:
    """Where identities were put, by what tells them, and what has to be there afterwards."""

    folder: Path
    gone: dict[str, str] = field(default_factory=dict)  # where it was planted: the text
    stays: dict[str, str] = field(default_factory=dict)


def base(uid: str, kind: UID = CTImageStorage) -> Dataset:
    """A small CT slice, as plain as the standard lets it be."""
    data = Dataset()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "OSPQUAVALLE"
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID, data.SOPInstanceUID = kind, uid
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.3.12.2.1107.5.1.4.7", f"{uid}.1"
    data.StudyDate, data.StudyTime, data.Modality = "20190312", "101500", "CT"
    data.SeriesDate, data.AcquisitionDateTime = "20190312", "20190312101501.5+0100"
    data.PatientName, data.PatientID = "Zanfregàn^Oldrada Maria", "QV-0083471"
    data.PatientBirthDate, data.PatientSex, data.PatientAge = "19260504", "F", "092Y"
    data.PatientSize, data.PatientWeight = "1.61", "58"
    data.Rows = data.Columns = 64
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.PixelData = np.arange(64 * 64, dtype="<u2").tobytes()
    return data


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99QV", meaning
    return item


def _save(data: Dataset, path: Path, preamble: bytes = b"\0" * 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.preamble = preamble.ljust(128, b"\0")
    data.save_as(path, enforce_file_format=True)


def _headers(made: Planted) -> None:
    data, gone, stays = base("1.3.12.2.1107.5.1.4.7.1"), made.gone, made.stays
    gone |= {
        "PatientName": "Zanfreg",
        "given": "Oldrada",
        "PatientID": "QV-0083471",
        "birth": "19260504",
        "meta AE title": "OSPQUAVALLE",
        "study date": "20190312",
        "age": "092Y",
    }
    texts = {
        "OtherPatientIDs": "SSN7714820",
        "AccessionNumber": "ACC5512093",
        "InstitutionName": "Ospedale Quavallesca",
        "InstitutionAddress": "Via dei Frassinelli 12, 27999 Quavalle",
        "ReferringPhysicianName": "Brughetti^Ansovino",
        "PerformingPhysicianName": "Tarquezzi^Ildebranda",
        "OperatorsName": "Mezzalupo^Gisberto",
        "PatientAddress": "Contrada Pozzoneri 7",
        "PatientTelephoneNumbers": "0382 771122",
        "PatientMotherBirthName": "Scarnafiggi^Ebe",
        "StationName": "QVSCAN03",
        "DeviceSerialNumber": "SN8812-77",
        "StudyID": "ST99812",
        "PatientComments": "figlia: Genziana 347 9981123",
        "AdditionalPatientHistory": "Seguita dal Dott. Pruneddu; cartella n. 2018/44121",
        "Occupation": "sindaca di Quavalle",
        "RequestingPhysician": "Lanzafuoco^Peppe",
        "MilitaryRank": "Colonnello Zazzera",
        "CurrentPatientLocation": "letto 4 Quavallesca",
        "StudyDescription": "TC torace Zanfregan",
        "ProtocolName": "TORACE oldrada",
        "ImageComments": "rif. zanfregan oldrada maria",
        "SeriesDescription": "Torace per Vermigliotti Anselma",
        "PatientReligiousPreference": "valdese",
        "EthnicGroup": "Ladina",
    }
    for keyword, text in texts.items():
        setattr(data, keyword, text)
    gone |= {
        "other id": "SSN7714820",
        "accession": "ACC5512093",
        "institution": "Quavallesca",
        "street": "Frassinelli",
        "town": "Quavalle",
        "referring": "Brughetti",
        "performing": "Tarquezzi",
        "operator": "Mezzalupo",
        "address": "Pozzoneri",
        "phone": "771122",
        "mother": "Scarnafiggi",
        "station": "QVSCAN03",
        "serial": "SN8812-77",
        "study id": "ST99812",
        "daughter": "Genziana",
        "mobile": "9981123",
        "doctor in history": "Pruneddu",
        "record": "44121",
        "requesting": "Lanzafuoco",
        "rank": "Zazzera",
        "unheard name": "Vermigliotti",
        "unheard given": "Anselma",
        "religion": "valdese",
    }
    inner = Dataset()
    inner.PatientName, inner.PatientID = "Corbezzolo^Fiammetta", "QV-0099999"
    inner.CodeMeaning = "visita del Dott. Squarcialupi"
    outer = code("1", "Esame richiesto da Tamburlani Evaristo")
    outer.ReferencedPatientSequence = Sequence([inner])
    data.ProcedureCodeSequence = Sequence([outer])
    data.AnatomicRegionSequence = Sequence([code("2", "Polmone destro")])
    block = data.private_block(0x0029, "ACME Zirconello", create=True)
    block.add_new(0x01, "LO", "Pz Zirconello Amaranta")
    block.add_new(0x02, "UN", b"Raw Bistolfi ")
    data.add_new(0x60000010, "US", 64)
    data.add_new(0x60004000, "LT", "overlay di Cantalamessa")
    data.add_new(0xFFFCFFFC, "OB", b"coda Ramengoni")
    data.PixelData += b"dopo i pixel Galvagnoz"
    gone |= {
        "nested name": "Corbezzolo",
        "nested id": "QV-0099999",
        "nested meaning": "Squarcialupi",
        "code meaning": "Tamburlani",
        "private creator": "Zirconello",
        "private text": "Amaranta",
        "private bytes": "Bistolfi",
        "overlay": "Cantalamessa",
        "padding": "Ramengoni",
        "after pixels": "Galvagnoz",
        "preamble": "Preambolini",
    }
    _save(
        data, made.folder / "QV-0083471_ZANFREGAN" / "zanfregan_0001.dcm", b"copia di Preambolini"
    )
    stays["code"] = "Polmone destro"


def _lookalikes(made: Planted) -> None:
    """Descriptors that only look like names, dates and numbers, one instance each."""
    texts = [
        "Linfoma di Hodgkin",
        "Parkinson disease",
        "Kerley B lines",
        "T1 SE AX",
        "L4/L5 disc",
        "frattura di Colles",
        "Fleischner follow-up",
        "Brixia score 12",
        "GTV_1",
        "Torace 1.0 B70f",
        "AX T2 FLAIR PROPELLER",
        "CT 120 kV 3 mm",
        "12/15 segmenti",
        "Bosniak IIF cyst",
        "Gleason 3+4",
        "Crohn disease",
        "tumore di Pancoast",
        "angolo di Cobb 23",
        "circolo di Willis",
        "Swan-Ganz",
        "t1_mprage_sag_p2_iso",
        "Lung_L",
        "PA e LAT",
        "mdc Omnipaque 350",
        "quinta costa sinistra",
        "morbo di Paget",
    ]
    for number, text in enumerate(texts):
        data = base(f"1.3.12.2.1107.5.1.4.7.9.{number + 1}")
        data.SeriesDescription = text
        data.Manufacturer, data.ConvolutionKernel, data.BodyPartExamined = (
            "SIEMENS",
            "B70f",
            "CHEST",
        )
        _save(data, made.folder / "QV-0083471_ZANFREGAN" / f"lookalike_{number}.dcm")
        made.stays[f"descriptor {text}"] = text
    made.stays |= {"kernel": "B70f", "maker": "SIEMENS", "part": "CHEST"}


def _objects(made: Planted) -> None:
    report = base("1.3.12.2.1107.5.1.4.7.20", SR)
    del report.PixelData, report.Rows, report.Columns
    report.Modality, report.VerifyingObserverSequence = "SR", Sequence([Dataset()])
    report.VerifyingObserverSequence[0].VerifyingObserverName = "Ferrazzoli^Uguccione"
    person, text = Dataset(), Dataset()
    person.RelationshipType, person.ValueType, person.PersonName = (
        "CONTAINS",
        "PNAME",
        "Bracciforte^Mafalda",
    )
    person.ConceptNameCodeSequence = Sequence([code("3", "Observer")])
    text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
    text.TextValue = (
        "Confronto con il 12/03/2018. Morbo di Crohn noto. La sig.ra Zanfregàn, nata il"
        " 4 maggio 1926, vive a Quavalle."
    )
    text.ContentSequence = Sequence([Dataset()])
    text.ContentSequence[0].ValueType = "TEXT"
    text.ContentSequence[0].TextValue = "Refertato da: Dott.ssa Ornella Guidoboni, tel. 0382 445566"
    report.ContentSequence = Sequence([person, text])
    _save(report, made.folder / "sr.dcm")
    made.gone |= {
        "SR verifier": "Ferrazzoli",
        "SR person": "Bracciforte",
        "SR date": "12/03/2018",
        "SR nested": "Guidoboni",
        "SR birth": "maggio 1926",
        "SR phone": "445566",
    }
    made.stays["SR text"] = "Morbo di Crohn noto"
    plan = base("1.3.12.2.1107.5.1.4.7.21", RT)
    del plan.PixelData, plan.Rows, plan.Columns
    plan.Modality, plan.StructureSetLabel = "RTSTRUCT", "RS Zanfregan"
    names = ["GTV Passalacquetti", "Heart", "PTV56", "Lung_R"]
    plan.StructureSetROISequence = Sequence([Dataset() for _ in names])
    for number, (item, name) in enumerate(zip(plan.StructureSetROISequence, names, strict=True), 1):
        item.ROINumber, item.ROIName = number, name
    _save(plan, made.folder / "rt.dcm")
    made.gone["ROI"] = "Passalacquetti"
    made.stays |= {"ROI heart": "Heart", "ROI PTV": "PTV56", "ROI lung": "Lung_R"}
    letter = base("1.3.12.2.1107.5.1.4.7.22", PDF)
    letter.EncapsulatedDocument, letter.DocumentTitle = b"%PDF-1.4 Mirabellozzi", "Lettera"
    _save(letter, made.folder / "letter.dcm")
    made.gone["PDF"] = "Mirabellozzi"


def _written_pixels(made: Planted) -> None:
    picture = Image.new("L", (256, 256), 20)
    ImageDraw.Draw(picture).text(
        (2, 2), "ZANFREGAN OLDRADA", fill=250, font=ImageFont.load_default(14)
    )
    ImageDraw.Draw(picture).text((230, 120), "R", fill=250, font=ImageFont.load_default(18))
    data = base("1.3.12.2.1107.5.1.4.7.30")
    data.Rows = data.Columns = 256
    data.PixelData = (np.asarray(picture).astype("<u2") * 16).tobytes()
    data.BurnedInAnnotation = "YES"
    _save(data, made.folder / "burnt.dcm")
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Sbarigiallo")
    picture.save(made.folder / "foto_oldrada.png", pnginfo=info)
    made.gone |= {"PNG metadata": "Sbarigiallo"}


def _sidecars(made: Planted) -> None:
    header = bytearray(352)
    header[0:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, 4, 4, 4, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([4, 16], "<i2").tobytes()
    header[108:112] = np.array([384], "<f4").tobytes()
    header[148:168] = b"scan of Tramontozzi "
    header[228:240] = b"aux_Belardin"
    header[344:348] = b"n+1\0"
    header[348] = 1
    extension = (32).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"nota per Cinquegrani    "
    raw = bytes(header) + extension + np.arange(64, dtype="<i2").tobytes() + b"Codazziani"
    place = made.folder / "sub-QV0083471" / "anat"
    place.mkdir(parents=True)
    (place / "sub-QV0083471_T1w.nii.gz").write_bytes(gzip.compress(raw))
    sidecar = {
        "Modality": "MR",
        "Manufacturer": "Siemens",
        "PatientName": "ZANFREGAN^OLDRADA",
        "PatientID": "QV-0083471",
        "PatientBirthDate": "1926-05-04",
        "PatientSex": "F",
        "AcquisitionDateTime": "2019-03-12T10:15:00",
        "EchoTime": 0.003,
        "InstitutionName": "Quavallesca",
        "SeriesDescription": "t1_mprage_sag",
        "Operator": "Trovarelli G.",
        "Note": "revisionato con il Prof. Eustorgio Maltinti",
        "SequenceVariant": "SK_SP",
    }
    (place / "sub-QV0083471_T1w.json").write_text(json.dumps(sidecar), encoding="utf-8")
    nrrd = b"NRRD0005\n# by Occhiverdi\ntype: short\ndimension: 1\nsizes: 4\nencoding: raw\n"
    nrrd += b"endian: little\ncontent: Belforti scan\npatient:=Solimanto\n"
    nrrd += b"Segment0_Name:=Heart\n\n" + bytes(8)
    (made.folder / "mask.nrrd").write_bytes(nrrd)
    made.gone |= {
        "NIfTI descrip": "Tramontozzi",
        "NIfTI aux": "Belardin",
        "NIfTI extension": "Cinquegrani",
        "NIfTI tail": "Codazziani",
        "JSON date": "2019-03-12",
        "JSON operator": "Trovarelli",
        "JSON note": "Maltinti",
        "JSON given": "Eustorgio",
        "NRRD comment": "Occhiverdi",
        "NRRD content": "Belforti",
        "NRRD pair": "Solimanto",
        "BIDS file name": "QV0083471",
    }
    made.stays |= {
        "JSON sequence": "t1_mprage_sag",
        "JSON variant": "SK_SP",
        "segment": "Segment0_Name:=Heart",
    }


REPORT = """Referto TC torace del 12 marzo 2019
Paziente: ZANFREGAN Oldrada Maria, nata a Quavalle il 04/05/1926, CF ZNFLRD26E44G999X,
residente in Via dei Frassinelli 12.
Anni 92. Gentile collega Dott.
Bencistà, la signora Zanfregan, di 92 anni, accompagnata dalla figlia Genziana,
è nota per linfoma di Hodgkin.
Versamento in 3/4 dei segmenti, lesione di 12 x 8 mm in L4. Linee B di Kerley.
Non segni di Westermark. Score di Brixia 7.
Frattura della quinta costa. Morbo di Parkinson. Classificazione di Bosniak.
Somministrato Omnipaque 350 per via endovenosa.
Trasferita da Roccafluvione. Contatti: o.zanfregan@posta.example, +39 0382 998877.
MRN 00083471. Z.O. ha firmato.
Sig. lesione dubbia. T1 iperintensa, 1.5 T, 120 kV, B70f. DOI 10.1148/radiol.2020200432.
Stadio T2N1M0.
Firmato digitalmente da Pierfortunato Squillaciotti
"""
LETTER = """Dear Dr. Thistlebrook,
Mrs Oldrada Zanfregan (DOB 4 May 1926) was seen on March 12, 2019 at St. Wolbert Hospital.
She lives at 14 Larkmead Road, Quavalle.
History of Hodgkin lymphoma and Crohn disease; Fleischner criteria apply.
Seen with her husband Ermolao. Phone (555) 123-9876.
Reviewed by Hepzibah Quillfeather. Record number 8834-22. Swan-Ganz catheter in place.
Colles fracture. Gleason 3+4=7.
The 94-year-old uncle has Paget disease. Nodule of 8 mm in the lingula, 10/15 slices.
BI-RADS 4. Circle of Willis normal.
"""


def _reports(made: Planted) -> None:
    (made.folder / "referto.txt").write_text(REPORT, encoding="utf-8")
    (made.folder / "letter.txt").write_text(LETTER, encoding="latin-1")
    page = "<html><head><meta name='author' content='Rondinozzi'></head>"
    page += "<body><p>Visita del Dr. D&rsquo;Orsognini.</p></body></html>"
    (made.folder / "page.html").write_text(page, encoding="utf-8")
    made.gone |= {
        "report name": "ZANFREGAN",
        "fiscal code": "ZNFLRD26E44G999X",
        "report birth": "04/05/1926",
        "colleague": "Bencist",
        "report date": "12 marzo 2019",
        "place": "Roccafluvione",
        "mail": "zanfregan@posta",
        "report phone": "998877",
        "report number": "00083471",
        "signer": "Squillaciotti",
        "signer given": "Pierfortunato",
        "great age": "92 anni",
        "letter to": "Thistlebrook",
        "letter birth": "4 May 1926",
        "letter date": "March 12, 2019",
        "letter place": "Wolbert",
        "letter street": "Larkmead",
        "husband": "Ermolao",
        "letter phone": "123-9876",
        "reviewer": "Quillfeather",
        "reviewer given": "Hepzibah",
        "letter record": "8834-22",
        "uncle": "94-year",
        "HTML meta": "Rondinozzi",
        "HTML text": "Orsognini",
        "initials": "Z.O.",
    }
    for text in (
        "linfoma di Hodgkin",
        "3/4 dei segmenti",
        "12 x 8 mm in L4",
        "Linee B di Kerley",
        "segni di Westermark",
        "Score di Brixia 7",
        "quinta costa",
        "Morbo di Parkinson",
        "Classificazione di Bosniak",
        "Omnipaque 350 per via endovenosa",
        "Sig. lesione dubbia",
        "T1 iperintensa, 1.5 T, 120 kV, B70f",
        "10.1148/radiol.2020200432",
        "T2N1M0",
        "Hodgkin lymphoma",
        "Crohn disease",
        "Fleischner criteria",
        "Swan-Ganz catheter",
        "Colles fracture",
        "Gleason 3+4=7",
        "Paget disease",
        "10/15 slices",
        "BI-RADS 4",
        "Circle of Willis",
        "8 mm in the lingula",
    ):
        made.stays[f"report {text}"] = text


def _tables(made: Planted) -> None:
    rows = [
        "patient_id;cognome;nome;data_nascita;eta;sesso;citta;stadio;note;data_esame",
        "QV-0083471;Zanfregan;Oldrada;04/05/1926;92;F;Quavalle;T2N1;"
        "Hodgkin in remissione, vista con Malfatori Bice;12/03/2019",
        "QV-0083472;Pestalozzini;Gervaso;11/12/1950;68;M;Borgolavezzo;T1N0;"
        "score di Pavia 3/4;2019-05-06",
        "QV-0083473;Smargiassi;Tecla;01/02/1961;58;F;Quavalle;T3N0;Gleason 7, L5/S1;06.06.2019",
    ]
    (made.folder / "pazienti.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    made.gone |= {
        "table surname": "Pestalozzini",
        "table given": "Gervaso",
        "table birth": "11/12/1950",
        "table id": "QV-0083472",
        "table city": "Borgolavezzo",
        "table note": "Malfatori",
        "table date": "2019-05-06",
        "table date dots": "06.06.2019",
        "table third": "Smargiassi",
    }
    made.stays |= {
        "table stage": "T2N1",
        "table remission": "Hodgkin in remissione",
        "table score": "score di Pavia 3/4",
        "table level": "Gleason 7, L5/S1",
    }


def plant(folder: Path, *, only_dicom: bool = False) -> Planted:
    """Make the folder, with all that is planted in it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Planted(folder)
    dicom = (_headers, _lookalikes, _objects)
    for part in dicom if only_dicom else (*dicom, _written_pixels, _sidecars, _reports, _tables):
        part(made)
    return made


def everything(folder: Path) -> str:
    """All that a folder says: paths, bytes as three encodings have them, unpacked where packed."""
    parts = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        parts += [
            str(path.relative_to(folder)),
            raw.decode("utf-8", "replace"),
            raw.decode("latin-1"),
        ]
    return "\n".join(parts)
