"""Tables of phenotypes and of FreeSurfer as others write them are read right, or refused."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.phenotypes import completed, read_who, same_name

HASHED = "18281983803382534746"
ABIDE_II = (
    "SITE_ID,SUB_ID,NDAR_GUID,DX_GROUP,AGE_AT_SCAN ,SEX,FIQ,EYE_STATUS_AT_SCAN\n"
    "ABIDEII-KKI_1,29273,x,2,9.5,1,-9999,1\nABIDEII-KKI_1,29274,,1,12.25,2,110,2\n"
)


@pytest.fixture
def read(tmp_path):
    """Write a table of the given text, and read it."""

    def written(text, name="phenotypes.csv"):
        (tmp_path / name).write_text(text)
        return read_who(tmp_path / name)

    return written


def test_the_table_of_abide_ii_is_read_as_it_is(read):
    table, problems, said = read(ABIDE_II)
    table = completed(table)
    assert table["subject"].tolist() == ["29273", "29274"]
    assert table["site"].unique().tolist() == ["ABIDEII-KKI_1"]
    assert table["label"].tolist() == [0, 1]
    assert table["age"].tolist() == [9.5, 12.25]
    assert table["sex"].tolist() == ["M", "F"]
    assert table["fiq"].isna().tolist() == [True, False]
    assert table["eyes"].tolist() == ["open", "closed"]
    assert table["institution"].unique().tolist() == ["KKI"]
    assert said == (
        "DX_GROUP: 1 = autism, 2 = typical development (ABIDE's code); "
        "1 columns not used: NDAR_GUID"
    )
    assert problems == []


@pytest.mark.parametrize(
    ("name", "same"),
    [("0050003", "50003"), ("sub-0050003", "50003"), ("SUB-50003", "50003"), ("50003.0", "50003"),
     (50003, "50003"), (HASHED, HASHED), ("0", "0"), ("A01", "A01"), ("a.0", "a.0")],
)  # fmt: skip
def test_a_subject_has_one_name_whatever_surrounds_it(name, same):
    assert same_name(name) == same


@pytest.mark.parametrize("column", ["SUB_ID", "Sub_ID", "subid", "Participant_ID", "SUBJECT"])
def test_names_of_many_digits_lose_none_in_whatever_column(read, column):
    names = [HASHED, "98281983803382534746", "0050003"]
    table, _, _ = read(f"{column},DX_GROUP\n" + "".join(f"{n},1\n" for n in names))
    assert table["subject"].tolist() == [*names[:2], "50003"]


def test_names_that_a_spreadsheet_has_rounded_are_refused(tmp_path, read):
    with pytest.raises(DataError, match=r"names have lost digits(.|\n)*1.82819838033825E\+19"):
        read("SUB_ID,DX_GROUP\n1.82819838033825E+19,1\n")
    whole = pd.DataFrame({"SUB_ID": [float(HASHED), 2.0], "DX_GROUP": [1, 2]})
    whole.to_excel(tmp_path / "t.xlsx", index=False)
    with pytest.raises(DataError, match="names have lost digits"):
        read_who(tmp_path / "t.xlsx")


def test_rows_without_a_name_are_counted_and_subjects_of_two_rows_named_with_their_sites(read):
    text = "SUB_ID,SITE_ID,DX_GROUP\n1,NYU,1\n01,UM_1,1\n2,NYU,2\n,NYU,2\n3,NYU,2\n3,NYU,2\n"
    table, problems, _ = read(text)
    assert table["subject"].tolist() == ["2"]
    assert {row["subject"]: row["problem"] for row in problems} == {
        "1": "2 rows, of the sites NYU, UM_1: none is used",
        "3": "2 rows, of the sites NYU: none is used",
        "phenotypes.csv": "1 rows without a subject's name are not used",
    }


@pytest.mark.parametrize(
    ("column", "cells", "labels", "said"),
    [
        ("DX_GROUP", "1 2 1", [1, 0, 1], "ABIDE's code"),
        ("DX_GROUP", "2 2 2", [0, 0, 0], "ABIDE's code"),
        ("dx_group", "1.0 2.0 -9999", [1, 0, -1], "ABIDE's code"),
        ("DX_GROUP", "1 0 #", [1, 0, -1], "1 = autism, 0 = typical"),
        ("label", "1 0 n/a", [1, 0, -1], "1 = autism, 0 = typical"),
        ("DX", "ASD TD Control", [1, 0, 0], "by words"),
        ("diagnosis", "Autism HC -9999.0", [1, 0, -1], "by words"),
    ],
)
def test_a_diagnosis_is_read_by_the_code_it_is_in_and_that_is_said(
    read, column, cells, labels, said
):
    rows = "".join(f"{k},{cell}\n" for k, cell in enumerate(cells.split()))
    table, _, told = read(f"SUB_ID,{column}\n{rows}")
    assert table["label"].fillna(-1).tolist() == labels
    assert said in told


@pytest.mark.parametrize(
    ("column", "cells"),
    [("label", "1 2"), ("diagnosis", "1 2"), ("dx", "2 2"), ("DX_GROUP", "0 1 2"),
     ("DX_GROUP", "1 3"), ("DX_GROUP", "ASD Aspergers"), ("asd", "yes no")],
)  # fmt: skip
def test_a_diagnosis_of_unknown_code_is_refused(read, column, cells):
    rows = "".join(f"{k},{cell}\n" for k, cell in enumerate(cells.split()))
    with pytest.raises(DataError, match=rf"phenotypes.csv: the diagnosis {column} cannot be read"):
        read(f"SUB_ID,{column}\n{rows}")


@pytest.mark.parametrize("nothing", ["-9999", "-9999.0", "", "n/a", "#", "NaN", "."])
def test_what_is_not_known_is_missing_in_every_column(read, nothing):
    n = nothing
    table, _, _ = read(f"SUB_ID,SITE_ID,DX_GROUP,AGE_AT_SCAN,SEX,CSF\n1,{n},{n},{n},{n},{n}\n"
                       "2,UM_1,1,9.5,1,800.5\n")  # fmt: skip
    whole = completed(table)
    assert whole.loc[0, ["site", "sex"]].tolist() == ["unknown", ""]
    assert whole.loc[0, ["label", "age"]].isna().all()
    assert table["CSF"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("SEX", "0", "SEX has other codes(.|\n)*1 = M, 2 = F(.|\n)*found:    0"),
        ("Gender", "boy", "Gender has other codes"),
        ("EYE_STATUS_AT_SCAN", "3", "other codes"),
        ("AGE_AT_SCAN", "-1", "AGE_AT_SCAN has 1 cells that are no such numbers(.|\n)*from 0"),
        ("AGE_AT_SCAN", "inf", "no such numbers"),
        ("FIQ", "about 100", "no such numbers(.|\n)*about 100"),
        ("func_mean_fd", "0.1.2", "no such numbers"),
        ("CSF", "inf", "CSF has 1 cells"),
        ("Left-Hippocampus", "4,012", "4,012"),
    ],
)
def test_cells_that_cannot_be_are_refused(read, column, cell, said):
    with pytest.raises(DataError, match=said):
        read(f'SUB_ID,DX_GROUP,{column}\n1,1,"{cell}"\n2,2,1\n')


def test_decimal_commas_are_read(read):
    table, _, _ = read("SUB_ID;SITE_ID;DX_GROUP;AGE_AT_SCAN\n50003;PITT;1;24,45\n50004;PITT;2;9\n")
    assert table["age"].tolist() == [24.45, 9.0]
    with pytest.raises(DataError, match="no such numbers"):
        read("SUB_ID;DX_GROUP;AGE_AT_SCAN;FIQ\n50003;1;24,45;100.5\n")


def test_sites_and_files_stay_what_they_are_called(read):
    table, _, _ = read("subject,SITE_ID,FILE_ID,SEX,DX_GROUP\n1,3,Pitt_0050003,1,1\n"
                       "2,,no_filename,1,2\n")  # fmt: skip
    assert table["site"].fillna("").tolist() == ["3", ""]
    assert table["file"].fillna("").tolist() == ["Pitt_0050003", ""]
    assert completed(table)["sex"].tolist() == ["M", "M"]


def test_sites_of_one_institution_are_known_and_those_of_others_are_not_merged(read):
    names = {"UCLA_1": "UCLA", "ABIDEII-UCLA_Long": "UCLA", "UM_2": "UM", "MAX_MUN": "MAX_MUN",
             "ABIDEII-KUL_3": "LEUVEN", "LEUVEN_2": "LEUVEN", "ABIDEII-TCD_1": "TRINITY",
             "ABIDEII-U_MIA_1": "U_MIA", "Site_1": "Site_1", "Site_2": "Site_2",
             "3": "3"}  # fmt: skip
    rows = "".join(f"{k},{name},1\n" for k, name in enumerate(names))
    table, _, _ = read("SUB_ID,SITE_ID,DX_GROUP\n" + rows)
    assert completed(table)["institution"].tolist() == list(names.values())


@pytest.mark.parametrize("name", ["lh.aparc.csv", "aparc_lh.txt"])
def test_a_table_of_aparcstats2table_is_read(read, name):
    text = (
        "lh.aparc.thickness\tlh_bankssts_thickness\tlh_MeanThickness_thickness\twm-lh-x\teTIV\n"
        f"0050003\t2.5\t2.6\t7\t1500000\n{HASHED}\t0.0\t2.4\t7\t1400000.5\n"
    )
    table, problems, said = read(text, name)
    assert table["subject"].tolist() == ["50003", HASHED]
    assert table["eTIV"].tolist() == [1500000, 1400000.5]
    assert table["lh_bankssts_thickness"].isna().tolist() == [False, True]
    assert said == (
        "1 columns not used: wm-lh-x; 1 cells not above 0 taken as missing: lh_bankssts_thickness"
    )
    assert problems == []


def test_volumes_of_asegstats2table_may_be_0_and_its_means_are_no_volumes(read):
    head, rows = "Left-vessel\tBrain-Stem\tCSF", "1\t0.0\t2e4\t-1\n"
    table, _, said = read(f"Measure:volume\t{head}\n{rows}", "aseg.tsv")
    assert table.iloc[0].tolist()[:3] == ["1", 0, 2e4]
    assert "1 cells not above 0 taken as missing: CSF" in said
    means, _, _ = read(f"Measure:mean\t{head}\n1\t0.0\t80\t40\n", "means.tsv")
    assert means.columns.tolist()[1:] == ["Left-vessel_mean", "Brain-Stem_mean", "CSF_mean"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("who,DX_GROUP\n1,1\n", "does not say whose rows(.|\n)*SUB_ID|sub_id"),
        ("SUB_ID,DX_GROUP\n1\n", "row 2 has 1 cells"),
        ("SUB_ID,DX_GROUP,DX_GROUP\n1,1,1\n", "several columns of one name"),
    ],
)
def test_damaged_tables_are_refused_with_the_reason(read, text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_the_public_phenotypes_of_abide_are_read(real):
    table, problems, said = read_who(real / "asd_fusion" / "abide_pcp_phenotypic.csv")
    assert (len(table), table["site"].nunique(), problems) == (1112, 20, [])
    assert table["label"].value_counts().to_dict() == {1: 539, 0: 573}
    assert table["sex"].value_counts().to_dict() == {"M": 948, "F": 164}
    assert "97 columns not used: Unnamed: 0 here, Unnamed: 0, X" in said
