"""Public tables and folders of films become one cohort; what is left out is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.data.cohort.loading import problems
from nextaim_kit.errors import DataError
from nextaim_kit.studies.cxr_severity.cohorts import doubtful, given, load_films, usable
from nextaim_kit.studies.cxr_severity.preprocessing import load_even, load_masks

GRAY = (np.arange(64 * 48).reshape(64, 48) % 251).astype(np.uint8)


@pytest.fixture
def films(tmp_path):
    """Write films of the given names, and a table if there is a text for it."""

    def write(*names, text="", table="cohort.csv"):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(GRAY).save(tmp_path / name)
        if text:
            (tmp_path / table).write_text(text)
        return load(tmp_path)

    return write


def load(spec):
    table, synthetic = load_films(str(spec), twin=lambda: pytest.fail("not asked for"))
    assert not synthetic
    return table


def said(table):
    return dict(problems(table).itertuples(index=False, name=None))


def test_the_table_of_aiforcovid_is_read_as_it_is(films):
    text = "ImageFile,Hospital,Age,Sex,Prognosis\nP_1.png,A,71,1,SEVERE\nP_2.png,B,,0,MILD\n"
    table = films("images/P_1.png", "images/P_2.png", "images/P_3.png",
                  text=text + "P_3.png,B,55,0,LIEVE\n")  # fmt: skip
    assert table["subject"].tolist() == table["patient"].tolist() == ["P_1", "P_2", "P_3"]
    assert table["site"].tolist() == ["A", "B", "B"]
    assert table["label"].tolist() == [1, 0, 0]
    assert table["Age"].fillna(-1).tolist() == [71, -1, 55]
    assert table.attrs["renamed"] == {"ImageFile": "image", "Hospital": "site"}
    assert said(table) == {}


def test_the_table_of_covid_chestxray_is_read_as_it_is(films):
    text = (
        "patientid,filename,location,age,sex,temperature,pO2_saturation,leukocyte_count,severity\n"
        '2,a.png,"Pisa, Italy",65,M,38.5,88,4.5,severe\n2,b.png,,65,M,,,,mild\n'
        "4,c.png,Milan,40,F,37,97,6,unknown\n"
    )
    table = films("a.png", "b.png", "c.png", text=text)
    assert table["patient"].tolist() == ["2", "2", "4"]
    assert table["site"].tolist() == ["Pisa, Italy", "unknown", "Milan"]
    assert table["Sex"].tolist() == [1, 1, 0]
    first = table.loc[0, ["Age", "Temp_C", "SaO2", "WBC"]]
    assert first.tolist() == [65, 38.5, 88, 4.5]


@pytest.mark.parametrize("column", ["severity", "Prognosis"])
def test_an_unknown_outcome_stays_missing_and_a_strange_one_is_named(films, column):
    names = [f"{k}.png" for k in "abcde"]
    words = ["Severe ", "mild", "unknown", "", "NA"]
    rows = "\n".join(f"{name},{word}" for name, word in zip(names, words, strict=True))
    table = films(*names, text=f"image,{column}\n{rows}")
    assert table["label"].fillna(-1).tolist() == [1, 0, -1, -1, -1]
    with pytest.raises(DataError, match=f"{column} has an outcome that is not known: critical\n"):
        films("f.png", text=f"image,{column}\n{rows}\nf.png,critical")


def test_lateral_films_are_named_and_left_out(films):
    views = dict(zip("abcdef", ["PA", "L", "lateral", "", " LL ", "AP Supine"], strict=True))
    text = "image,view\n" + "\n".join(f"{k}.png,{view}" for k, view in views.items())
    names = [f"{k}.png" for k in views]
    table = films(*names, text=text)
    assert table["subject"].tolist() == ["a", "d", "f"]
    assert said(table) == dict.fromkeys("bce", "a lateral film")
    with pytest.raises(DataError, match="no frontal film can be used"):
        films(text="image,view\nb.png,L\nc.png,lateral\n")


def test_a_film_without_a_row_and_a_row_without_a_film_are_named(films):
    table = films("a.png", "b.png", "extra.png", text="image,patient\na.png,p\nb.png,\ngone.png,p")
    assert table[["subject", "patient"]].to_numpy().tolist() == [["a", "p"], ["b", "b"]]
    assert said(table) == {
        "gone": "image gone.png is missing",
        "extra": "a film without a row in the table",
    }
    with pytest.raises(DataError, match=r"no subject that can be used(.|\n)*gone.png is missing"):
        films(text="image\ngone.png")


def test_folders_of_films_and_masks_are_a_cohort(films):
    table = films("images/a.png", "images/b.png", "masks/a.png", "masks/z.png", "lesions/b.png",
                  text="subject,patient\na,P7\n", table="patients.csv")  # fmt: skip
    assert table[["subject", "patient"]].to_numpy().tolist() == [["a", "P7"], ["b", "b"]]
    assert [path[-11:] for path in given(table, "mask")] == ["masks/a.png", ""]
    assert [path[-13:] for path in given(table, "lesions")] == ["", "lesions/b.png"]
    assert given(table, "lungs") == ["", ""]
    assert table["label"].isna().all()
    assert said(table) == {"z": "in masks, but no film of that name"}


def test_masks_in_a_folder_beside_the_films_are_no_films(films):
    table = films("a.png", "b.png", "masks/a.png", "masks/b_mask.png", "ward/c.png")
    assert table["subject"].tolist() == ["a", "b", "c"]
    assert [path[-6:] for path in given(table, "mask")] == ["/a.png", "sk.png", ""]


def failed(**problems):
    return pd.DataFrame([*problems.items()], columns=["subject", "problem"])


def test_rows_with_a_problem_are_named_by_the_first_and_some_row_must_be_left():
    table = pd.DataFrame({"subject": ["a", "b", "c"]})
    table.attrs["problems"] = [{"subject": "x", "problem": "a lateral film"}]
    keep = usable(table, failed(c="torn"), failed(c="no mask", a="empty mask"))
    assert keep.tolist() == [False, True, False]
    assert said(table) == {"x": "a lateral film", "a": "empty mask", "c": "torn"}
    with pytest.raises(DataError, match=r"no film of the cohort can be used(.|\n)*b: no mask"):
        usable(table, failed(a="torn", b="no mask", c="torn"))


def test_films_of_a_twin_or_of_a_table_made_from_one_are_synthetic(films, tmp_path):
    films("a.png", text="image\na.png")
    twin = pd.DataFrame({"subject": ["a"], "image": [str(tmp_path / "a.png")]})
    table, synthetic = load_films("synthetic", twin=lambda: twin)
    assert synthetic
    assert table["patient"].tolist() == ["a"]
    (tmp_path / "cohort.csv").write_text("image,provenance_synthetic\na.png,True")
    assert load_films(str(tmp_path), twin=lambda: pytest.fail("not asked for"))[1]


def test_a_folder_named_synthetic_is_not_the_twin(films, tmp_path, monkeypatch):
    films("synthetic/real.png", "twin.png")
    monkeypatch.chdir(tmp_path)
    twin = pd.DataFrame({"subject": ["t"], "image": [str(tmp_path / "twin.png")]})
    assert load_films("synthetic", twin=lambda: twin)[0]["subject"].tolist() == ["t"]


def test_a_patient_has_one_name_whoever_else_is_in_the_table(films):
    names = [
        films("a.png", "b.png", text=f"image,patientid\na.png,007\nb.png,{other}").loc[0, "patient"]
        for other in ("8", "", "P9")
    ]
    assert names == ["007"] * 3


def test_a_mask_beside_its_film_is_no_film_without_a_row(films):
    table = films("a.png", "a_mask.png", text="image,mask\na.png,a_mask.png")
    assert said(table) == {}


def test_the_real_cohort_is_read(real):
    table = load(real / "cxr_severity")
    assert (len(table), table["patient"].nunique()) == (138, 84)
    counts = table["label"].fillna(-1).value_counts()
    assert counts.to_dict() == {1: 67, 0: 41, -1: 30}
    assert said(table) == {}


@pytest.mark.parametrize(("name", "count"), [("lung_masks", 55), ("lesion_masks", 36)])
def test_the_real_films_with_masks_are_read(real, name, count):
    table = load(real / "cxr_severity" / name)
    assert (len(table), table["patient"].nunique()) == (count, 34)
    _, shapes, bad = load_even(table, 32)
    masks, unmarked = load_masks(table, "mask", shapes)
    assert bad.empty
    assert unmarked.empty
    assert said(table) == {}
    assert all(0.002 < mask.mean() < 0.7 for mask in masks)


def test_films_of_which_something_strange_is_said_are_listed():
    table = pd.DataFrame({"subject": ["a", "b", "c"], "doubts": ["", "upside down?", None]})
    assert doubtful(table).to_dict("records") == [{"subject": "b", "doubts": "upside down?"}]


@pytest.mark.parametrize(("view", "problem"), [("L", "a lateral film"), ("Axial", "a slice of a")])
def test_what_is_no_frontal_film_is_named_and_left_out(films, view, problem):
    table = films("a.png", "b.png", text=f"image,view\na.png,PA\nb.png,{view}\n")
    assert table["subject"].tolist() == ["a"]
    assert problem in said(table)["b"]


def test_masks_among_the_films_of_a_flat_folder_are_theirs_and_no_films(films):
    table = films("a.png", "a_lungs.png", "a_lesions.png", "b_film.png", "b-mask.png", "c_mask.png")
    assert table["subject"].tolist() == ["a", "b_film", "c_mask"]
    ends = {c: [path.rpartition("/")[2] for path in given(table, c)] for c in ("lungs", "mask")}
    assert ends == {"lungs": ["a_lungs.png", "", ""], "mask": ["", "b-mask.png", ""]}
    table = films("a.png", "a_lungs.png", "b.png", "b_mask.png", text="image\na.png")
    assert sorted(said(table)) == ["b", "b_film", "c_mask"]  # the latter two are those of before


def test_a_mask_may_have_an_ending_after_its_films_name(films):
    table = films("images/a.png", "images/b.png", "masks/a_mask.png", "masks/b.png")
    assert [path.rpartition("/")[2] for path in table["mask"]] == ["a_mask.png", "b.png"]
    assert said(table) == {}
