"""Cohorts from tables, folders and data sets."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.data.cohort.loading import load_cohort, problems, require_labels, save_cohort
from nextaim_kit.data.cohort.patients import pseudonym
from nextaim_kit.data.images.reading import check_geometry, read_image, read_mask
from nextaim_kit.data.paths import place_of
from nextaim_kit.errors import DataError, RequestError


@pytest.fixture
def table(pairs):
    """Write a cohort.csv beside the pairs of images and masks."""

    def write(text: str = "", name: str = "cohort.csv"):
        lines = (
            "subject,image,mask\na,a_image.nii.gz,a_mask.nii.gz\nb,b_image.nii.gz,b_mask.nii.gz\n"
        )
        (pairs / name).write_text(text or lines, encoding="utf-8")
        return str(pairs / name)

    return write


def rows(*labels: object, subjects: str = "abcdefgh") -> str:
    lines = [
        f"{subject},{label},a_image.nii.gz,a_mask.nii.gz"
        for subject, label in zip(subjects, labels, strict=False)
    ]
    return "\n".join(["subject,label,image,mask", *lines])


def test_synthetic_calls_the_twin():
    twin = pd.DataFrame(
        {"subject": [1, 2], "image": "i", "mask": "m", "site": "Pisa", "label": [True, 0]}
    )
    cohort = load_cohort("synthetic", twin=lambda: twin)
    assert list(cohort.columns) == ["subject", "site", "label", "image", "mask"]
    assert list(cohort["subject"]) == ["1", "2"]
    assert list(cohort["label"]) == [1, 0]


def test_synthetic_without_a_twin_is_a_wrong_request():
    with pytest.raises(RequestError, match="no synthetic twin"):
        load_cohort("synthetic")


def test_paths_of_a_table_count_from_its_folder(table, pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cohort = load_cohort(table())
    assert list(cohort["image"]) == [str(pairs / f"{s}_image.nii.gz") for s in "ab"]
    assert list(cohort["site"]) == ["unknown", "unknown"]
    assert str(cohort["label"].dtype) == "Int64"
    assert cohort["label"].isna().all()
    assert problems(cohort).empty


def test_absolute_paths_and_other_columns_are_kept(table, pairs):
    line = f"a,71,M,{pairs}/a_image.nii.gz,{pairs}/a_mask.nii.gz"
    cohort = load_cohort(table(f"subject,age,sex,image,mask\n{line}"))
    assert cohort.loc[0, "image"] == f"{pairs}/a_image.nii.gz"
    assert cohort.loc[0, "age"] == 71
    assert cohort.loc[0, "sex"] == "M"


def test_names_are_text_even_when_they_look_like_numbers_or_nothing(table):
    files = "a_image.nii.gz,a_mask.nii.gz"
    text = f"subject,site,image,mask\n007,NA,{files}\nNA,,{files}"
    cohort = load_cohort(table(text))
    assert list(cohort["subject"]) == ["007", "NA"]
    assert list(cohort["site"]) == ["NA", "unknown"]


def test_a_table_saved_by_a_spreadsheet_is_read(table):
    cohort = load_cohort(table("\ufeff" + rows("1", "0.0", "", "NA").replace("\n", "\r\n")))
    assert list(cohort["label"].fillna(-1)) == [1, 0, -1, -1]


def test_a_parquet_table_is_the_same_cohort(table, pairs):
    pd.DataFrame(
        {"subject": ["a"], "label": [1], "image": ["a_image.nii.gz"], "mask": ["a_mask.nii.gz"]}
    ).to_parquet(pairs / "cohort.parquet")
    expected = load_cohort(table(rows(1)))
    pd.testing.assert_frame_equal(load_cohort(str(pairs / "cohort.parquet")), expected)


def test_a_cohort_can_be_stored_copied_and_joined(table, tmp_path):
    cohort = load_cohort(table(rows(1, 0) + "\nz,1,gone.nii.gz,a_mask.nii.gz"))
    cohort.to_parquet(tmp_path / "c.parquet")
    both = pd.concat([cohort, cohort.copy()])
    assert len(both) == 6
    assert list(problems(cohort)["subject"]) == ["z"]


def test_a_missing_file_is_named_and_loses_no_other_subject(table):
    cohort = load_cohort(table(rows(1, 0) + "\nz,1,gone.nii.gz,\n"))
    assert list(cohort["subject"]) == ["a", "b", "z"]
    assert list(problems(cohort)["problem"]) == ["image gone.nii.gz is missing", "no mask given"]


def test_a_table_that_names_no_file_that_is_there_is_refused(table):
    with pytest.raises(
        DataError, match=r"no subject that can be used(.|\n)*a: image x.nii is missing"
    ):
        load_cohort(table("subject,image,mask\na,x.nii,y.nii"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("subject,Image,mask", "no column 'image'(.|\n)*rename the column 'Image' to 'image'"),
        ("Subject,image,mask", "no column 'subject'(.|\n)*rename the column 'Subject'"),
        ("subject,image,masks", "rename the column 'masks' to 'mask'"),
        ("subject,image,roi", "add the column 'mask'"),
        ("subject,image,mask,Label", "no column 'label'(.|\n)*rename the column 'Label'"),
    ],
)
def test_a_wrong_column_is_refused_naming_the_near_miss(table, header, message):
    with pytest.raises(DataError, match=message):
        load_cohort(
            table(f"{header}\na,a_image.nii.gz,a_mask.nii.gz{',1' * header.count('Label')}")
        )


def test_a_row_longer_than_the_header_is_refused_and_shifts_no_column(table):
    with pytest.raises(DataError, match="row 2 has 4 cells, the header 3"):
        load_cohort(table("subject,image,mask\na,b,a_image.nii.gz,a_mask.nii.gz"))


def test_a_cohort_with_semicolons_is_read(table):
    text = "subject;image;mask;age\na;a_image.nii.gz;a_mask.nii.gz;61,5"
    assert load_cohort(table(text))["age"].tolist() == [61.5]


def test_a_repeated_subject_is_refused_by_name(table):
    with pytest.raises(DataError, match=r"1 subjects occur more than once(.|\n)*found: +b\n"):
        load_cohort(table(rows(1, 0, 1, 0, subjects="abbc")))


def test_a_row_without_a_subject_is_refused(table):
    with pytest.raises(DataError, match=r"column subject is not as agreed(.|\n)*row 2"):
        load_cohort(table(rows(1, 0, subjects="a ")))


def test_labels_other_than_0_and_1_are_refused_by_row(table):
    with pytest.raises(DataError, match=r"2 labels(.|\n)*row 2 \(subject b\): 2, row 3 .*: severe"):
        load_cohort(table(rows(1, 2, "severe")))


NAMES = ("benign", "malignant", "normal")


@pytest.mark.parametrize(
    ("classes", "given", "expected"),
    [
        (NAMES, ["malignant", " benign", "", "normal"], [1, 0, None, 2]),
        (NAMES, [2, "0.0", "", 1], [2, 0, None, 1]),
        ((3, 1, -1), [1, -1, "", "3.0"], [1, 2, None, 0]),
    ],
)
def test_names_of_classes_or_their_numbers_become_numbers_from_0(table, classes, given, expected):
    cohort = load_cohort(table(rows(*given)), classes=classes)
    assert str(cohort["label"].dtype) == "Int64"
    assert cohort["label"].astype(object).where(cohort["label"].notna(), None).tolist() == expected
    assert cohort.attrs["classes"] == list(classes)


def test_a_label_that_is_no_class_is_refused_by_row_with_the_near_miss(table):
    path = table(rows("benign", "Malignent", "3"))
    with pytest.raises(
        DataError, match=r"2 labels are neither benign nor malignant nor normal\n"
    ) as e:
        load_cohort(path, classes=NAMES)
    assert e.value.found == "row 2 (subject b): Malignent, perhaps malignant, row 3 (subject c): 3"


def test_names_and_numbers_of_classes_in_one_column_are_refused(table):
    with pytest.raises(DataError, match=r"names of classes, others numbers(.|\n)*benign and 1"):
        load_cohort(table(rows("1", "benign")), classes=NAMES)


@pytest.mark.parametrize(
    "classes", [("a",), ("a", "a "), ("a", 1), ("1", "0"), ("a", "NA"), ("a", ""), "ab", (True, 2)]
)
def test_classes_that_cannot_be_told_apart_are_a_wrong_request(table, classes):
    with pytest.raises(RequestError, match="cannot be told apart"):
        load_cohort(table(rows(1, 0)), classes=classes)


def test_a_label_may_be_any_finite_number(table):
    cohort = load_cohort(table(rows("0.5", "-3", "", "1e3")), classes=float)
    assert str(cohort["label"].dtype) == "Float64"
    assert cohort["label"].fillna(9).tolist() == [0.5, -3, 9, 1000]
    assert "classes" not in cohort.attrs
    assert str(load_cohort(table(), classes=float)["label"].dtype) == "Float64"
    with pytest.raises(DataError, match=r"3 labels are no finite numbers(.|\n)*: 0,5, .*: high, "):
        load_cohort(table(rows('"0,5"', "high", "inf")), classes=float)


def test_the_twin_of_a_study_of_several_classes_has_their_names_or_numbers():
    twin = pd.DataFrame({"subject": ["a", "b"], "label": ["normal", None]})
    cohort = load_cohort("synthetic", twin=lambda: twin, columns=(), classes=NAMES)
    assert cohort["label"].fillna(-1).tolist() == [2, -1]


def test_every_class_or_two_numbers_are_required_for_learning(table):
    path = table(rows("benign", "normal", "", "normal"))
    with pytest.raises(
        DataError, match="1 with benign, 0 with malignant, 2 with normal, 1 without"
    ):
        require_labels(load_cohort(path, classes=NAMES))
    kept = require_labels(load_cohort(path, classes=("normal", "benign")))
    assert kept["label"].tolist() == [1, 0, 0]
    with pytest.raises(DataError, match="1 different, 1 without a label"):
        require_labels(load_cohort(table(rows(7, 7, "")), classes=float))
    assert len(require_labels(load_cohort(table(rows(7, 8, "")), classes=float))) == 2


def test_a_saved_cohort_has_its_classes_by_name_again(table, tmp_path):
    for labels, classes in (("normal", "", "benign"), NAMES), ((2, "", 1), (1, 2, 3)):
        cohort = load_cohort(table(rows(*labels)), classes=classes)
        again = load_cohort(
            str(save_cohort(cohort, tmp_path, {}, synthetic=False)), columns=(), classes=classes
        )
        pd.testing.assert_series_equal(again["label"], cohort["label"])


@pytest.mark.parametrize("content", [b"", b"subject\n\xff\xfe\xfa", b'subject,image\n"a,b\n"c'])
def test_a_damaged_table_is_refused(pairs, content):
    (pairs / "cohort.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"cohort.csv"):
        load_cohort(str(pairs / "cohort.csv"))


def test_labels_of_both_classes_are_required_for_learning(table):
    with pytest.raises(DataError, match="2 with 0, 0 with 1, 1 without"):
        require_labels(load_cohort(table(rows(0, 0, ""))))
    with pytest.raises(DataError, match="0 with 0, 0 with 1, 2 without"):
        require_labels(load_cohort(table()))


def test_subjects_without_a_label_are_set_aside_by_name(table):
    kept = require_labels(load_cohort(table(rows(1, 0, "", 1))))
    assert list(kept["subject"]) == ["a", "b", "d"]
    assert problems(kept).to_dict("records") == [{"subject": "c", "problem": "no label"}]


def test_a_feature_table_is_a_cohort_without_images(table):
    cohort = load_cohort(table("subject,label,f\na,1,0.5", name="features.csv"), columns=())
    assert list(cohort.columns) == ["subject", "site", "label", "f"]


def test_an_unknown_name_is_refused_with_the_near_miss(tmp_path, data_set):
    data_set({})
    with pytest.raises(RequestError, match="did you mean synthetic"):
        load_cohort("sinthetic")
    with pytest.raises(RequestError, match="no data at"):
        load_cohort(str(tmp_path / "nowhere.csv"))
    (tmp_path / "cohort.ods").write_text("")
    with pytest.raises(RequestError, match=r"a \.ods file"):
        load_cohort(str(tmp_path / "cohort.ods"))


def test_pairs_of_a_folder_become_a_sorted_cohort(pairs):
    cohort = load_cohort(str(pairs))
    assert list(cohort["subject"]) == ["a", "b"]
    assert list(cohort["mask"]) == [str(pairs / f"{s}_mask.nii.gz") for s in "ab"]


def test_what_was_seen_in_a_folder_is_printed_and_kept(pairs, capsys):
    (pairs / "notes.txt").write_text("")
    cohort = load_cohort(str(pairs))
    assert (
        cohort.attrs["seen"]
        == "pairs: files named by subject; left out: other files: 1 (notes.txt)"
    )
    assert cohort.attrs["seen"] in capsys.readouterr().out


def test_half_pairs_are_named_and_the_rest_goes_on(pairs):
    shutil.copy(pairs / "a_mask.nii.gz", pairs / "a_seg.nii.gz")
    shutil.copy(pairs / "a_image.nii.gz", pairs / "c_image.nii.gz")
    shutil.copy(pairs / "a_mask.nii.gz", pairs / "d_label.nii.gz")
    cohort = load_cohort(str(pairs))
    assert list(cohort["subject"]) == ["b"]
    assert problems(cohort).to_dict("records") == [
        {
            "subject": "a",
            "problem": "2 masks: a_mask.nii.gz, a_seg.nii.gz; name one in a cohort.csv",
        },
        {"subject": "c", "problem": "no mask"},
        {"subject": "d", "problem": "no image"},
    ]
    assert len(load_cohort(str(pairs), columns=["image"])) == 3


def test_a_folder_with_a_table_is_that_table(pairs, table):
    table(rows(1))
    assert list(load_cohort(str(pairs))["label"]) == [1]


def test_volumes_beside_a_table_that_have_no_row_are_named(pairs, table, capsys):
    table(rows(1))
    cohort = load_cohort(str(pairs))
    said = "pairs: cohort.csv; left out: volumes: 2 (b_image.nii.gz, b_mask.nii.gz)"
    assert cohort.attrs["seen"] == said
    assert said in capsys.readouterr().out


def test_a_folder_without_subjects_is_refused(tmp_path, pairs):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no subject(.|\n)*no volume and no DICOM"):
        load_cohort(str(tmp_path / "empty"))
    for path in pairs.glob("*_mask*"):
        path.unlink()
    with pytest.raises(DataError, match="a: no mask; b: no mask"):
        load_cohort(str(pairs))


def test_dicom_subjects_are_named_by_their_folders(tmp_path, dicom_files, stored, lesion):
    slices = dicom_files.series(tmp_path / "p2" / "ct", stored)
    dicom_files.seg(tmp_path / "p2" / "seg.dcm", slices, {"lesion": lesion})
    dicom_files.series(tmp_path / "p1", stored)
    dicom_files.rtstruct(tmp_path / "p1" / "rs.dcm", {"A": [dicom_files.box(2, (2, 5), (2, 5))]})
    dicom_files.series(tmp_path / "p3", stored)
    cohort = load_cohort(str(tmp_path))
    assert list(cohort["subject"]) == ["p1", "p2"]
    assert problems(cohort).to_dict("records") == [{"subject": "p3", "problem": "no mask"}]
    for row in cohort.itertuples():
        image = read_image(row.image)
        check_geometry(image, read_mask(row.mask, like=image))
    assert "Rossi" not in cohort.to_csv()


def test_the_series_that_the_mask_was_drawn_on_is_taken(tmp_path, dicom_files, stored):
    for number in (1, 2):
        dicom_files.series(tmp_path / "p", stored + number, uid=f"1.2.3.{number}")
    path = tmp_path / "p" / "rs.dcm"
    contours = {"A": [dicom_files.box(2, (2, 5), (2, 5))]}
    dicom_files.rtstruct(path, contours)
    with pytest.raises(DataError, match="p: 2 image series"):
        load_cohort(str(tmp_path))
    dicom_files.rtstruct(path, contours, series="1.2.3.2")
    image = read_image(load_cohort(str(tmp_path)).loc[0, "image"])
    assert image.GetPixel(0, 0, 0) == int(stored[0, 0, 0]) + 2 - 1000


def test_patients_in_one_flat_folder_get_pseudonyms(tmp_path, dicom_files, stored):
    for shift, patient in enumerate(("Rossi^Anna", "Bianchi^Ugo")):
        dicom_files.series(tmp_path, stored + shift, patient=patient)
        contours = {"A": [dicom_files.box(2, (2, 5), (2, 5))]}
        dicom_files.rtstruct(tmp_path / f"rs{shift}.dcm", contours, patient=patient)
    cohort = load_cohort(str(tmp_path))
    assert list(cohort["subject"]) == sorted(pseudonym(p) for p in ("Rossi^Anna", "Bianchi^Ugo"))
    values = {read_image(path).GetPixel(0, 0, 0) for path in cohort["image"]}
    assert values == {int(stored[0, 0, 0]) - 1000, int(stored[0, 0, 0]) - 999}
    assert cohort["subject"].str.match("sub-[0-9a-f]{8}$").all()


def test_a_damaged_dicom_file_loses_no_other_subject(tmp_path, dicom_files, stored):
    for subject in ("p1", "p2"):
        dicom_files.series(tmp_path / subject, stored)
        dicom_files.rtstruct(
            tmp_path / subject / "rs.dcm", {"A": [dicom_files.box(2, (2, 5), (2, 5))]}
        )
    (tmp_path / "p1" / "rs.dcm").write_bytes(b"damaged")
    cohort = load_cohort(str(tmp_path))
    assert list(cohort["subject"]) == ["p2"]
    assert problems(cohort)["problem"].item() == "no mask; 1 damaged file: rs.dcm"


def test_the_unpacked_ibsi_phantom_is_one_subject(ibsi_dicom):
    cohort = load_cohort(str(ibsi_dicom))
    assert list(cohort["subject"]) == ["phantom"]
    image = read_image(cohort.loc[0, "image"])
    mask = read_mask(cohort.loc[0, "mask"], like=image)
    assert np.sum(np.asarray(mask.GetSize())) == 204 + 201 + 60


def test_the_four_real_sarcoma_patients_are_a_cohort(real):
    cohort = load_cohort(str(real / "ct_radiomics/ibsi_sts"))
    assert list(cohort["subject"]) == [f"STS_{n}_CT" for n in ("002", "008", "019", "024")]
    for row in cohort.itertuples():
        check_geometry(read_image(row.image), read_mask(row.mask), subject=row.subject)


@pytest.fixture
def data_set(monkeypatch, pairs):
    """Make a manifest named `tiny` with the given layout, its data in the folder of pairs."""

    def make(layout: dict, place=pairs):
        manifest = SimpleNamespace(licence="CC0-1.0", layout=layout, files=[])
        known = {"manifest_names": lambda: ["tiny"], "load_manifest": lambda name: manifest}
        monkeypatch.setitem(
            sys.modules, "nextaim_kit.data.datasets.manifest", SimpleNamespace(**known)
        )
        where = SimpleNamespace(where=lambda name: place)
        monkeypatch.setitem(sys.modules, "nextaim_kit.data.datasets.fetch", where)

    return make


def test_a_data_set_with_named_subjects_is_a_cohort(data_set, pairs):
    data_set(
        {
            "subjects": [
                {"subject": "x", "image": "a_image.nii.gz", "mask": "a_mask.nii.gz", "label": 1}
            ]
        }
    )
    cohort = load_cohort("tiny")
    assert cohort.loc[0, "image"] == str(pairs / "a_image.nii.gz")
    assert cohort.loc[0, "label"] == 1


def test_a_data_set_can_be_a_table_a_folder_or_features(data_set, table):
    data_set({"pattern": "folder-of-pairs"})
    assert list(load_cohort("tiny")["subject"]) == ["a", "b"]
    table("subject,image,mask\nq,a_image.nii.gz,a_mask.nii.gz", name="list.csv")
    data_set({"cohort": "list.csv"})
    assert list(load_cohort("tiny")["subject"]) == ["q"]
    data_set({"table": "list.csv"})
    with pytest.raises(RequestError, match="table of features without images"):
        load_cohort("tiny")


def test_a_feature_table_gets_sites_and_labels_from_the_tables_beside_it(data_set, pairs):
    (pairs / "f.csv").write_text("id,f\na,1\nb,2\nc,3\nd,4\n")
    (pairs / "s.csv").write_text("who,kernel,maker\naL,0,GE\nb,1,GE\nc,1,other\n")
    sites = {"table": "s.csv", "subject": "who", "column": "kernel", "strip": "L"}
    sites |= {"where": {"maker": ["GE"]}, "names": {"0": "smooth", "1": "sharp"}}
    data_set({"table": "f.csv", "subject": "id", "sites": sites})
    cohort = load_cohort("tiny", columns=())
    assert cohort[["subject", "site", "f"]].to_numpy().tolist() == [
        ["a", "smooth", 1],
        ["b", "sharp", 2],
    ]
    assert list(problems(cohort)["subject"]) == ["c", "d"]
    data_set({"table": "f.csv", "subject": "nobody"})
    with pytest.raises(DataError, match=r"f\.csv has no column 'nobody'"):
        load_cohort("tiny", columns=())


def test_the_real_radiogenomics_table_tells_its_kernels(real, monkeypatch):
    from nextaim_kit.data.datasets import fetch

    folder = real / "ct_radiomics/nsclc_radiogenomics_captk"
    monkeypatch.setattr(fetch, "where", lambda name: folder)
    cohort = load_cohort("nsclc_radiogenomics", columns=())
    assert set(cohort["site"]) == {"smooth kernel", "sharp kernel"}
    assert len(cohort) + len(problems(cohort)) == 206
    assert set(cohort["label"]) == {0, 1}


def test_a_data_set_that_is_not_there_says_how_to_fetch_it(data_set, tmp_path):
    data_set({"pattern": "folder-of-pairs"}, place=tmp_path / "nowhere")
    with pytest.raises(DataError, match="nextaim data fetch tiny"):
        load_cohort("tiny")
    with pytest.raises(RequestError, match="did you mean tiny"):
        load_cohort("tinny")


GRAY = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
PICTURES = [GRAY.astype(np.uint8), GRAY * 20]


def films(**columns):
    return pd.DataFrame({"subject": ["a", "b/2"], "label": [1, None], **columns})


def opened(path):
    return np.asarray(Image.open(path))


def test_a_saved_cohort_can_be_moved_and_has_the_same_pictures(tmp_path, pairs):
    given = [str(pairs / "a_mask.nii.gz"), pairs / "b_mask.nii.gz"]
    table = films(age=[71, 8.5], mask="/elsewhere/m.png", lungs="/elsewhere/l.png")
    save_cohort(table, tmp_path / "one", {"image": PICTURES, "mask": given}, synthetic=False)
    (tmp_path / "one").rename(tmp_path / "two")
    shutil.rmtree(pairs)
    cohort = load_cohort(str(tmp_path / "two"))
    assert problems(cohort).empty
    assert list(cohort["subject"]) == ["a", "b/2"]
    assert list(cohort["label"].fillna(-1)) == [1, -1]
    assert list(cohort["age"]) == [71, 8.5]
    assert "lungs" not in cohort
    for picture, path in zip(PICTURES, cohort["image"], strict=True):
        found = opened(path)
        assert found.dtype == picture.dtype
        np.testing.assert_array_equal(found, picture)
    assert "elsewhere" not in (tmp_path / "two" / "cohort.csv").read_text()


def test_what_a_subject_does_not_have_stays_empty(tmp_path):
    masks = {"lungs": [None, PICTURES[0]], "lesions": ["", None]}
    save_cohort(films(), tmp_path / "c", {"image": PICTURES, **masks}, synthetic=False)
    cohort = load_cohort(str(tmp_path / "c"), columns=("image",))
    assert cohort.loc[0, "lungs"] == ""
    np.testing.assert_array_equal(opened(cohort.loc[1, "lungs"]), PICTURES[0])
    assert list(cohort["lesions"]) == ["", ""]
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"cohort.csv", "image", "lungs"}


def test_a_cohort_s_table_is_written_last_and_not_at_all_if_a_picture_fails(tmp_path):
    there = []

    def pictures():
        there.append((tmp_path / "c" / "cohort.csv").exists())
        yield PICTURES[0]
        there.append((tmp_path / "c" / "cohort.csv").exists())
        raise DataError("the second film is damaged")

    with pytest.raises(DataError, match="second film is damaged"):
        save_cohort(films(), tmp_path / "c", {"image": pictures()}, synthetic=False)
    assert there == [False, False]
    files = [path.name for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert files == ["a.png"]


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_saved_cohort_says_whether_it_was_made_from_a_twin(tmp_path, synthetic):
    table = films(provenance_synthetic=not synthetic)
    path = save_cohort(table, tmp_path / "c", {"image": PICTURES}, synthetic=synthetic)
    assert fingerprint(str(path))["synthetic"] is synthetic
    assert list(load_cohort(str(path), columns=("image",))["provenance_synthetic"]) == (
        [synthetic] * 2
    )


def test_a_study_can_bring_the_columns_of_a_known_table_to_the_cohort_s(table, pairs):
    path = table("ImageFile,mask\na_image.nii.gz,a_mask.nii.gz")

    def adapt(found):
        return found.rename(columns={"ImageFile": "image"}).assign(subject="p", label=1)

    cohort = load_cohort(path, adapt=adapt)
    assert cohort[["subject", "image", "label"]].to_numpy().tolist() == [
        ["p", str(pairs / "a_image.nii.gz"), 1]
    ]
    with pytest.raises(DataError, match="no column 'subject'"):
        load_cohort(path)


def test_a_file_that_is_not_beside_its_table_is_sought_in_images(table, pairs):
    (pairs / "images").mkdir()
    for name in ("c_image.nii.gz", "a_image.nii.gz"):
        shutil.copy(pairs / "a_image.nii.gz", pairs / "images" / name)
    text = "subject,image,mask\n" + "\n".join(f"{s},{s}_image.nii.gz,a_mask.nii.gz" for s in "acd")
    path = table(text)
    cohort = load_cohort(path)
    below = [str(pairs / name) for name in ("a_image.nii.gz", "images/c_image.nii.gz")]
    assert list(cohort["image"]) == [*below, str(pairs / "d_image.nii.gz")]
    assert list(problems(cohort)["subject"]) == ["d"]
    before = fingerprint(path)["sha256"]
    (pairs / "images" / "c_image.nii.gz").write_bytes(b"another film")
    assert fingerprint(path)["sha256"] != before


def test_a_long_clinical_note_is_no_path_and_no_error(table, tmp_path):
    note = "Fever for five days. Opacities of both lower fields. " * 40
    for cell in (note[:900], note):
        assert place_of(cell, tmp_path) == tmp_path / cell.strip()
        header, *lines = rows(1, 0).split("\n")
        path = table("\n".join([f"{header},note", *(f"{line},{cell}" for line in lines)]))
        assert list(load_cohort(path)["note"].str.strip()) == [cell.strip()] * 2
        assert fingerprint(path)["name"] == "cohort.csv"


def test_a_note_that_begins_with_a_tilde_is_no_error(table):
    header, line = rows(1).split("\n")
    assert fingerprint(table(f"{header},note\n{line},~7 days of fever"))["sha256"]


def test_subjects_whose_names_differ_by_a_slash_keep_files_of_their_own(tmp_path):
    table = pd.DataFrame({"subject": ["b/2", "b_2"]})
    path = save_cohort(table, tmp_path / "c", {"image": PICTURES}, synthetic=False)
    for picture, found in zip(PICTURES, load_cohort(str(path), columns=["image"])["image"],
                              strict=True):  # fmt: skip
        np.testing.assert_array_equal(opened(found), picture)


def test_a_packed_volume_keeps_its_whole_suffix_and_a_folder_is_refused(tmp_path):
    volume = tmp_path / "A.2.nii.gz"
    volume.write_bytes(b"packed")
    (tmp_path / "series").mkdir()
    table = pd.DataFrame({"subject": ["P1"], "site": ["A"], "label": [1]})
    save_cohort(table, tmp_path / "c", {"image": [volume]}, synthetic=False)
    assert (tmp_path / "c" / "image" / "P1.nii.gz").read_bytes() == b"packed"
    with pytest.raises(RequestError, match="series is a folder"):
        save_cohort(table, tmp_path / "d", {"image": [tmp_path / "series"]}, synthetic=False)


def test_the_index_of_a_medium_is_no_cohort_and_its_folder_is_named(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(RequestError, match=rf"index of a medium(.|\n)*give {tmp_path}"):
        load_cohort(str(tmp_path / "DICOMDIR"), columns=("image",))
