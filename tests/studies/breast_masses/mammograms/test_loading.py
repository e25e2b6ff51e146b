"""Folders and tables become one cohort of mammograms; what is left out is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.breast_masses.mammograms import folders
from nextaim_kit.studies.breast_masses.mammograms.loading import (
    Mammograms,
    load_mammograms,
)

HEADER = "subject,patient,site,view,side,density,spacing,label,image,mask\n"


def load(folder):
    made = load_mammograms(folder, workers=1)
    assert not made.synthetic
    return made


def said(table):
    return dict(table[["subject", "problem"]].itertuples(index=False, name=None))


def test_the_twin_has_the_columns_of_real_cohorts(small_twin, folder, half_disc, square):
    real = load(folder(images__P1_L_CC_png=half_disc(), masks__P1_L_CC_png=square((9, 40, 30, 60))))
    for name in ("images", "lesions", "left_out", "doubts"):
        there, twin = getattr(real, name), getattr(small_twin, name)
        assert list(there) == [c for c in twin if not c.startswith("marker")]
        same = there.dtypes.astype(str) == twin.dtypes.astype(str)[list(there)]
        assert name in ("left_out", "doubts") or same.all()


def test_a_table_of_images_with_masks_is_read(folder, half_disc, square):
    rows = "a,P1,H,CC,L,3,0.2,1,a.png,m.png\nb,P1,H,MLO,R,,,0,b.png,\n"
    made = load(folder(cohort_csv=HEADER + rows, a_png=half_disc(), m_png=square((9, 40, 30, 60)),
                       b_png=half_disc(side="R", high=0.6)))  # fmt: skip
    assert made.images["label"].tolist() == [1, 0]
    assert made.images["masses"].tolist() == [1, 0]
    assert made.images["density"].fillna(0).tolist() == [3, 0]
    [mass] = made.lesions.to_dict("records")
    assert (mass["x0"], mass["y0"], mass["x1"], mass["y1"]) == (9, 40, 30, 60)
    assert mass["diameter_mm"] == pytest.approx(2 * np.sqrt(420 / np.pi) * 0.2)
    assert said(made.doubts) == {"b": "its spacing is not known: sizes in pixels"}


def test_boxes_beside_a_table_are_its_masses(folder, half_disc):
    boxes = "subject,x0,y0,x1,y1,pathology,shape,margin\na,9,40,30,60,BENIGN,oval,obscured\n"
    made = load(folder(
        cohort_csv="subject,image,spacing\na,a.png,0.1\nb,b.png,0.1\n", a_png=half_disc(),
        b_png=half_disc(high=0.55), boxes_csv=boxes + "a,40,50,50,60,MALIGNANT,,\nc,1,1,2,2,,,\n",
    ))  # fmt: skip
    assert made.lesions["label"].tolist() == [0, 1]
    assert made.images["label"].tolist()[0] == 1
    assert made.lesions[["shape", "margin"]].to_numpy().tolist() == [["oval", "obscured"], ["", ""]]
    assert made.lesions["lesion"].tolist() == ["a_1", "a_2"]
    assert said(made.left_out) == {"c": "in boxes.csv, but no image of that name"}
    assert pd.isna(made.images["label"][1])  # no mass is marked, and nothing is said of it


def test_files_alone_tell_patient_side_and_view_by_their_names(folder, half_disc, square):
    made = load(folder(
        images__P7_L_DM_CC_png=half_disc(), images__P7_R_DM_MLO_png=half_disc(side="R", high=0.6),
        images__P7_L_CM_CC_png=half_disc(high=0.52), masks__P7_L_DM_CC_png=square((9, 40, 30, 60)),
    ))  # fmt: skip
    got = made.images[["patient", "side", "view", "masses"]].to_numpy().tolist()
    assert got == [["P7", "L", "CC", 1], ["P7", "R", "MLO", 0]]
    assert "contrast-enhanced" in said(made.left_out)["P7_L_CM_CC"]
    assert made.lesions["label"].isna().all()


def test_one_sick_image_does_not_lose_the_others(folder, half_disc, square):
    of = {"a": "m.png", "b": "m.png", "c": "", "d": ""}
    rows = "".join(f"{name},,,CC,L,,,1,{name}.png,{mask}\n" for name, mask in of.items())
    made = load(folder(cohort_csv=HEADER + rows, a_png=half_disc(), m_png=square((9, 40, 30, 60)),
                       b_png=half_disc(shape=(100, 90)), d_png=half_disc()[:20, :20]))  # fmt: skip
    assert made.images["subject"].tolist() == ["a"]
    problems = said(made.left_out)
    assert "another size" in problems["b"]
    assert "c.png is missing" in problems["c"]
    assert "too small" in problems["d"]


def test_the_same_picture_under_two_names_is_used_once(folder, half_disc):
    rows = "a,P1,,CC,L,,,1,a.png,\nb,P2,,CC,L,,,0,b.tif,\n"
    where = folder(cohort_csv=HEADER + rows, a_png=half_disc(), **{"b.tif": half_disc()})
    made = load(where)
    assert made.images["subject"].tolist() == ["a"]
    assert said(made.left_out) == {"b": "the same picture as a"}


def test_of_a_picture_under_two_names_the_one_with_its_mass_is_used(folder, half_disc, square):
    rows = "a,P1,,CC,L,,,0,a.png,\nb,P2,,CC,L,,,1,b.tif,m.png\n"
    made = load(folder(cohort_csv=HEADER + rows, a_png=half_disc(), **{"b.tif": half_disc()},
                       m_png=square((9, 40, 30, 60))))  # fmt: skip
    assert made.images["subject"].tolist() == ["b"]
    assert said(made.left_out) == {"a": "the same picture as b"}


def test_a_picture_does_not_stay_as_normal_where_its_other_name_was_left_out_for_its_mask(
    folder, half_disc, square
):
    rows = "a,P1,,CC,L,,,1,a.png,m.png\nb,P2,,CC,L,,,0,b.tif,\nc,P3,,CC,L,,,0,c.png,\n"
    made = load(folder(cohort_csv=HEADER + rows, a_png=half_disc(), **{"b.tif": half_disc()},
                       c_png=half_disc(high=0.55), m_png=square(shape=(60, 60))))  # fmt: skip
    assert made.images["subject"].tolist() == ["c"]
    assert "another size" in said(made.left_out)["a"]
    assert said(made.left_out)["b"].startswith("the same picture as a, which is left out")


def test_a_tomosynthesis_stack_is_refused_by_its_content(folder, half_disc, save_dicom):
    where = folder(images__P1_L_CC_png=half_disc())
    stack = np.stack([half_disc(high=h) for h in (0.5, 0.52, 0.54)])
    save_dicom(f"{where}/images/P2_L_CC.dcm", stack.reshape(-1, 90), "MONOCHROME2", Modality="MG",
               Rows=120, NumberOfFrames=3)  # fmt: skip
    made = load(where)
    assert made.images["subject"].tolist() == ["P1_L_CC"]
    assert "stack of pictures" in said(made.left_out)["P2_L_CC"]


def test_patients_and_pictures_of_the_first_cohort_are_no_external_ones(small_twin):
    of_a = small_twin.only(small_twin.images["subject"][small_twin.images["site"] == "A"])
    assert set(of_a.lesions["site"]) == {"A"}
    left = of_a.strangers(small_twin)
    assert set(left.images["site"]) == {"B", "C"}
    assert (left.left_out["problem"] == "its patient is in the first cohort too").all()
    renamed = Mammograms(of_a.images.assign(patient="someone"), of_a.lesions)
    with pytest.raises(DataError, match="no mammogram that can be used") as error:
        of_a.strangers(renamed)
    assert "the same picture is in the first cohort" in error.value.found


def test_malignant_without_a_marked_mass_is_said(folder, half_disc):
    made = load(folder(cohort_csv=HEADER + "a,,,CC,L,,0.1,1,a.png,\n", a_png=half_disc()))
    assert said(made.doubts) == {"a": "called malignant, but no mass is marked in it"}


def test_a_column_says_that_an_image_lies_upside_down(folder, half_disc, square):
    text = "subject,image,view,spacing,turned,mask\na,a.png,CC,0.1,true,m.png\n"
    made = load(folder(cohort_csv=text, a_png=half_disc(high=0.6)[::-1],
                       m_png=square((9, 20, 30, 40))))  # fmt: skip
    assert made.images["turned"].tolist() == [True]
    assert made.lesions[["y0", "y1"]].to_numpy().tolist() == [[80, 100]]


@pytest.mark.parametrize(
    ("rows", "found"),
    [("a,,,CC,L,,,perhaps,a.png,\n", "outcome that is not known: perhaps"),
     ("a,,,CC,both,,,1,a.png,\n", "words that are not known: BOTH"),
     ("a,,,CC,L,,,1,lost.png,\n", "no mammogram that can be used|no subject that can be used")],
)  # fmt: skip
def test_a_table_that_cannot_be_understood_is_refused(folder, half_disc, rows, found):
    with pytest.raises(DataError, match=found):
        load(folder(cohort_csv=HEADER + rows, a_png=half_disc()))


def test_without_a_twin_no_synthetic_cohort_is_external(small_twin):
    with pytest.raises(DataError, match="no other cohort"):
        load_mammograms("synthetic")
    assert load_mammograms("synthetic", twin=lambda: small_twin) is small_twin
    with pytest.raises(RequestError, match="no data at"):
        load_mammograms("/no/such/folder")


def test_an_image_whose_mask_is_not_there_is_said_to_count_as_without_a_mass(tmp_path, capsys):
    table = pd.DataFrame({"subject": ["P1", "P2"], "image": ["P1.png", "P2.png"], "label": pd.NA})
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "P1.png").touch()
    marks, _ = folders._marks(table, tmp_path)
    assert [len(one) for one in marks] == [1, 0]
    assert "1 images have no mask, and count as without a mass: P2" in capsys.readouterr().out
