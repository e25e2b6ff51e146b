"""Feature tables: what is read, what is mended with a word, what is refused by name."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.cohort.features import column_use, load_table
from nextaim_kit.data.datasets.fetch import where
from nextaim_kit.errors import DataError, RequestError

F, G = "original_glcm_F", "original_glcm_G"
ROWS = {
    "subject": ["01", "02", "03", "04"],
    "site": ["Pisa", "Pavia", "Pisa", "Pavia"],
    "label": [0, 1, 1, 0],
    "original_firstorder_Mean": [1.5, -2.0, 3.0, 0.25],
}


@pytest.fixture
def table(tmp_path):
    def write(text=None, **columns):
        path = tmp_path / "features.csv"
        if text is None:
            pd.DataFrame(ROWS | columns).to_csv(path, index=False)
        else:
            path.write_text(text, encoding="utf-8-sig")
        return str(path)

    return write


def test_a_plain_table_is_read_with_its_types(table):
    loaded = load_table(table(provenance_version="3.0.1", image="a.nii"))
    assert list(loaded) == list(ROWS)
    assert loaded["subject"].tolist() == ROWS["subject"]
    assert loaded["label"].dtype == "Int64"
    assert loaded["original_firstorder_Mean"].tolist() == ROWS["original_firstorder_Mean"]


def test_parquet_reads_as_csv_does(table, tmp_path):
    pd.DataFrame(ROWS).to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(load_table(str(tmp_path / "t.parquet")), load_table(table()))


def test_a_byte_order_mark_thousands_and_words_for_nothing_are_read(table):
    text = f'subject,site,{F},{G}\na,x,"1,234.5",nan\nb,x,"-12,345,678",NA\nc,x,1e3,\nd,x,0,7\n'
    loaded = load_table(table(text))
    assert loaded[F].tolist() == [1234.5, -12345678.0, 1000.0, 0.0]
    assert loaded[G].isna().tolist() == [True, True, True, False]
    assert loaded["label"].isna().all()
    assert loaded.attrs["problems"] == []


def test_spreadsheet_errors_and_infinite_values_become_missing_and_are_told(table):
    loaded = load_table(table(f"subject,site,{F}\na,x,#NAME?\nb,x,inf\nc,x,1\n"))
    assert loaded[F].isna().tolist() == [True, True, False]
    assert [p["subject"] for p in loaded.attrs["problems"]] == ["a", "b"]


def test_features_of_text_are_named_with_value_and_subject(table):
    path = table(**{F: ["", "red", "", ""], G: ["1", "2", "3", "x"]})
    with pytest.raises(DataError, match=r"2 feature columns.*\n.*\n.*F: 'red' \(subject 02\)"):
        load_table(path)


def test_commas_and_points_of_decimals_in_one_table_are_refused(table):
    with pytest.raises(DataError, match="decimal points"):
        load_table(table(**{G: ["0,5", "1,25", "2", "3"]}))


def test_a_comma_that_may_mark_thousands_or_decimals_is_refused(table):
    text = f'subject,site,{F}\na,x,"1,234"\nb,x,"2,001"\n'
    with pytest.raises(DataError, match="comma in 1,234 may mark thousands or decimals"):
        load_table(table(text))


def test_decimal_commas_are_read_where_one_is_clear(table):
    loaded = load_table(table(f"subject;site;{F}\na;x;1,234\nb;x;0,5\nc;x;1.050,25\n"))
    assert loaded[F].tolist() == [1.234, 0.5, 1050.25]


def test_what_is_no_feature_is_named_and_not_used(table):
    loaded = load_table(table(death=ROWS["label"], age=70, scanner="GE", **{F: [1, 2, 3, 4]}))
    assert list(loaded.columns[3:]) == ["original_firstorder_Mean", F]
    use = column_use(loaded).set_index("column")
    assert set(use.index[use["use"] == "left out"]) == {"death", "age", "scanner"}
    assert use.loc["death", "note"] == "named like an outcome"


def test_features_without_a_known_naming_are_asked_for(table):
    text = "subject,site,deep_1,deep_2,age\na,x,1,2,3\nb,x,3,4,5\n"
    with pytest.raises(DataError, match=r"no column is named as a feature(.|\n)*feature_columns"):
        load_table(table(text))
    assert list(load_table(table(text), feature_columns=["deep_*"]).columns[3:]) == [
        "deep_1",
        "deep_2",
    ]


def test_neither_site_nor_label_can_be_a_feature(table):
    with pytest.raises(RequestError, match="are no features"):
        load_table(table(), feature_columns=["label"])
    assert "label" not in load_table(table(), feature_columns=["*"]).columns[3:]


def test_columns_of_other_names_are_read_as_names_and_labels(table):
    text = f"ID,hospital,dead,{F}\n007,NA,1,2.5\n008,x,0,3.5\n"
    loaded = load_table(
        table(text), subject_column="ID", site_column="hospital", label_column="dead"
    )
    assert loaded["subject"].tolist() == ["007", "008"]
    assert loaded["site"].tolist() == ["NA", "x"]
    assert loaded["label"].tolist() == [1, 0]


def test_a_misspelt_label_is_not_lost_without_a_word(table):
    with pytest.raises(DataError, match=r"no column 'label'(.|\n)*did you mean 'Label'"):
        load_table(table(f"subject,site,Label,{F}\na,x,1,2\n"))


def test_values_that_would_overflow_and_columns_without_any_are_given_up(table):
    loaded = load_table(table(**{F: [1e300, 1, 2, 3], G: [None] * 4}))
    assert loaded[F].isna().tolist() == [True, False, False, False]
    assert column_use(loaded).iloc[0].tolist() == [G, "left out", "empty"]


def test_a_second_table_that_contradicts_itself_is_refused(table, tmp_path):
    sites = pd.DataFrame({"subject": ["01", "01", "02"], "kernel": ["soft", "sharp", "soft"]})
    sites.to_csv(tmp_path / "sites.csv", index=False)
    with pytest.raises(DataError, match=r"1 subjects have several values(.|\n)*01"):
        load_table(table(), site_table=tmp_path / "sites.csv", site_column="kernel")


def test_a_misspelt_subject_column_is_named(table):
    with pytest.raises(DataError, match="did you mean 'subject'"):
        load_table(table(), subject_column="subjct")


def test_a_missing_site_column_is_named_with_the_near_miss(table):
    with pytest.raises(DataError, match=r"no column 'site'.*(\n.*)*did you mean 'sites'"):
        load_table(table(f"subject,sites,{F}\na,x,1\n"))


def test_without_a_column_of_sites_all_are_of_one(table):
    assert load_table(table(f"subject,{F}\na,1\n"))["site"].tolist() == ["unknown"]


def test_a_repeated_subject_is_named(table):
    with pytest.raises(DataError, match=r"occur more than once(.|\n)*01"):
        load_table(table(subject=["01", "01", "03", "04"]))


def test_sites_may_come_from_a_second_table(table, tmp_path):
    sites = pd.DataFrame({"subject": ["01", "02", "03"], "kernel": ["soft", "sharp", "soft"]})
    sites.to_csv(tmp_path / "sites.csv", index=False)
    loaded = load_table(table(), site_table=tmp_path / "sites.csv", site_column="kernel")
    assert loaded["site"].tolist() == ["soft", "sharp", "soft"]
    assert [p["subject"] for p in loaded.attrs["problems"]] == ["04"]


def test_small_sites_are_left_out_and_told(table):
    loaded = load_table(table(site=["A", "A", "A", "B"]), min_site_size=2)
    assert loaded["subject"].tolist() == ["01", "02", "03"]
    assert loaded.attrs["problems"][0]["subject"] == "04"


def test_a_table_without_features_is_refused(table):
    with pytest.raises(DataError, match="no column is named as a feature"):
        load_table(table("subject,site,label\na,x,1\n"))


def test_a_data_set_of_images_is_no_feature_table(table):
    where("ibsi_sts").mkdir(parents=True)
    (where("ibsi_sts") / "x").touch()
    with pytest.raises(RequestError, match="not a feature table"):
        load_table("ibsi_sts")


@pytest.fixture
def radiogenomics(real):
    source = real / "ct_radiomics" / "nsclc_radiogenomics_captk"
    shutil.copytree(source, where("nsclc_radiogenomics"))


def test_the_radiogenomics_table_has_its_kernels_and_outcome(radiogenomics):
    loaded = load_table("nsclc_radiogenomics")
    assert loaded["site"].value_counts().to_dict() == {"sharp kernel": 102, "smooth kernel": 90}
    assert loaded["label"].value_counts().to_dict() == {0: 151, 1: 41}
    assert loaded.shape == (192, 105)
    assert loaded.iloc[:, 3:].isna().sum().sum() == 8
    told = {p["subject"] for p in loaded.attrs["problems"]}
    assert {"AMC-005", "R01-114", "R01-159"} <= told


def test_the_radiogenomics_table_gives_another_site_by_name(radiogenomics):
    loaded = load_table("nsclc_radiogenomics", site_column="ConvolutionKernel", min_site_size=30)
    assert set(loaded["site"]) == {"LUNG", "STANDARD", "B45f", "BONEPLUS"}


def test_the_kernel_can_be_told_from_the_raw_features(radiogenomics):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    loaded = load_table("nsclc_radiogenomics")
    model = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=3000)
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    sharp = loaded["site"] == "sharp kernel"
    auc = cross_val_score(model, loaded.iloc[:, 3:], sharp, cv=folds, scoring="roc_auc")
    assert np.mean(auc) == pytest.approx(0.95, abs=0.02)
