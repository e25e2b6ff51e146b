"""Folders as others have them become brains; who and what is left out is named."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.asd_fusion.brains import WHO, joined, square, upper
from nextaim_kit.studies.asd_fusion.connectivity import dead_regions, edges_of
from nextaim_kit.studies.asd_fusion.sources import load_brains
from nextaim_kit.studies.asd_fusion.twin import write_twin

REGIONS, VOLUMES = 6, 40
NAMES = ["Left V1", "Right V1", "Left M1", "Right M1", "PCC", "MPFC"]
PEOPLE = {"50003": (1, "PITT"), "50004": (2, "PITT"), "51036": (1, "NYU")}


def series(k=0, volumes=VOLUMES, regions=REGIONS):
    rng = np.random.default_rng(k)
    return (rng.normal(size=(volumes, regions)) + rng.normal(size=(volumes, 1))).round(6)


def matrix(k=0):
    return np.corrcoef(series(k).T)


def write_people(folder, people=PEOPLE, name="phenotypes.csv", files=()):
    head = "SUB_ID,SITE_ID,DX_GROUP,AGE_AT_SCAN,SEX" + (",FILE_ID" if files else "")
    rows = [
        f"{who},{site},{label},10.5,1" + (f",{files[k]}" if files else "")
        for k, (who, (label, site)) in enumerate(people.items())
    ]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([head, *rows]) + "\n")


def write_series(path, values, head=None, mark="\t", index=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [mark.join("n/a" if np.isnan(v) else repr(float(v)) for v in row) for row in values]
    if index is not None:
        rows = [f"{name}{mark}{row}" for name, row in zip(index, rows, strict=True)]
    path.write_text("\n".join([*([mark.join(head)] if head else []), *rows]) + "\n")


@pytest.fixture
def load(tmp_path):
    """Load a folder, with who is left out as a dict."""

    def loaded(spec="", **options):
        brains = load_brains(str(tmp_path / spec), **options)
        return brains, {row["subject"]: row["problem"] for row in brains.problems}

    return loaded


def assert_series_of(brains, keys, volumes=VOLUMES):
    exact = np.array([edges_of(series(k, volumes)) for k in keys])
    np.testing.assert_allclose(brains.connectivity, exact, rtol=1e-5, atol=1e-6)


def test_the_layout_of_abides_preprocessed_version_is_read(tmp_path, load, capsys):
    write_people(tmp_path, name="Phenotypic_V1_0b_preprocessed1.csv",
                 people={"50002": (1, "PITT"), **PEOPLE},
                 files=["no_filename", "Pitt_0050003", "Pitt_0050004", "NYU_0051036"])  # fmt: skip
    for k, name in enumerate(["Pitt_0050003", "Pitt_0050004", "NYU_0051036"]):
        head = [f"#{n}" for n in range(1, REGIONS + 1)]
        write_series(tmp_path / f"rois_cc200/{name}_rois_cc200.1D", series(k), head)
        labels = [f"#{n}" for n in (2001, 2002, 2101)]
        write_series(tmp_path / f"rois_ho/{name}_rois_ho.1D", series(k)[:, :3], labels)
    brains, left_out = load(atlas="cc200")
    assert_series_of(brains, range(3))
    assert brains.table.columns.tolist() == WHO
    assert brains.table["subject"].tolist() == [*PEOPLE]
    assert brains.table["label"].tolist() == [1, 0, 1]
    assert brains.table["volumes"].tolist() == [VOLUMES] * 3
    assert brains.regions["region"].tolist() == [f"region {k}" for k in range(1, REGIONS + 1)]
    assert left_out == {"50002": "no series, no matrix and no structural feature"}
    assert "3 files of other atlases" in capsys.readouterr().out
    brains, _ = load(atlas="harvard_oxford")
    assert brains.regions["region"].tolist() == ["region 2001", "region 2002", "region 2101"]
    with pytest.raises(RequestError, match=r"series of 2 atlases(.|\n)*one of cc200, ho"):
        load()


def test_the_only_atlas_of_a_folder_is_named_where_another_was_asked_for(tmp_path, load, capsys):
    write_people(tmp_path)
    write_series(tmp_path / "rois_cc200" / "Pitt_0050003.1D", series())
    assert len(load(atlas="ho")[0]) == 1
    assert "the series are of the atlas cc200" in capsys.readouterr().out


def test_several_atlases_are_read_as_one_of_all_their_regions_where_they_are_of_one_scan(
    tmp_path, load
):
    made = write_twin(tmp_path, 70, atlas="harvard_oxford+dosenbach")
    subject, other = made.brains.table["subject"][3:5]
    next((tmp_path / "rois_dosenbach160").glob(f"*{subject}*")).unlink()
    shorter = next((tmp_path / "rois_dosenbach160").glob(f"*{other}*"))
    shorter.write_text("\n".join(shorter.read_text().splitlines()[:-3]))
    read, problems = load(atlas="harvard_oxford+dosenbach")
    assert len(read.regions) == 103 + 160
    assert read.regions["region"].is_unique
    whose = pd.Index(made.brains.table["subject"]).get_indexer(
        read.table["subject"][read.functional]
    )
    expected = made.brains.connectivity[whose]
    np.testing.assert_allclose(read.connectivity[read.functional], expected, atol=1e-3)
    assert problems[subject] == "not of all atlases: harvard_oxford+dosenbach"
    assert "not series of the same volumes" in problems[other]


def test_an_atlas_beside_others_must_be_there(tmp_path, load):
    write_twin(tmp_path, 70)
    with pytest.raises(RequestError, match="'cc200'"):
        load(atlas="ho+cc200")


def test_series_of_xcp_d_are_read_and_its_other_tables_named(tmp_path, load, capsys):
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsex\tsite\tdx\nsub-0050003\t10.5\tM\tPITT\tASD\n"
        "sub-0050004\tn/a\tF\tPITT\tTD\n"
    )
    for k, who in enumerate(["sub-0050003", "sub-0050004"]):
        stem = f"{who}/func/{who}_task-rest_space-MNI152NLin2009cAsym"
        values = series(k)
        values[:, 4] = np.nan
        write_series(tmp_path / f"{stem}_atlas-Schaefer_timeseries.tsv", values, NAMES)
        write_series(tmp_path / f"{stem}_atlas-Schaefer_relmat.tsv", matrix(k), NAMES)
        write_series(tmp_path / f"{stem}_desc-confounds_timeseries.tsv", series(9), NAMES)
        (tmp_path / f"{stem}_bold.nii.gz").write_bytes(b"\x1f\x8b")
    brains, left_out = load()
    assert left_out == {}
    assert brains.table["subject"].tolist() == ["50003", "50004"]
    assert brains.table["label"].tolist() == [1, 0]
    assert brains.regions["region"].tolist() == NAMES
    assert dead_regions(brains.connectivity, REGIONS)[:, 4].all()
    assert "6 files are not read: " in capsys.readouterr().out


def test_several_sessions_or_runs_of_a_subject_are_named_and_none_is_used(tmp_path, load):
    write_people(tmp_path)
    for k, name in enumerate(["sub-50003_ses-1_timeseries", "sub-50003_ses-2_timeseries",
                              "sub-51036_run-01_bold", "UM_1_0050004_rois",
                              "Pitt_0050004_rois", "sub-99999_timeseries",
                              "50003_51036_rois"]):  # fmt: skip
        write_series(tmp_path / f"{name}.tsv", series(k))
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["51036"]
    assert_series_of(brains, [2])
    assert left_out["50003"] == (
        "several files, none is used; keep one of "
        "sub-50003_ses-1_timeseries.tsv, sub-50003_ses-2_timeseries.tsv"
    )
    assert "Pitt_0050004_rois.tsv, UM_1_0050004_rois.tsv" in left_out["50004"]
    assert left_out["sub-99999_timeseries.tsv"] == "no phenotype for this file"
    assert left_out["50003_51036_rois.tsv"] == "may be of 50003, 51036"


@pytest.mark.parametrize(
    ("head", "index", "mark"),
    [
        (None, None, " "),
        (None, None, ","),
        (NAMES, None, "\t"),
        ([str(k) for k in range(REGIONS)], None, ","),
        (["", *NAMES], range(VOLUMES), ","),
        (["", *[str(k) for k in range(REGIONS)]], range(VOLUMES), ","),
        (["time", *NAMES], [0.72 * k for k in range(VOLUMES)], "\t"),
        (NAMES, [f"v{k}" for k in range(VOLUMES)], ";"),
        (["# A B C D E F"], None, " "),
    ],
)
def test_a_header_and_a_column_of_volumes_are_no_data(tmp_path, load, head, index, mark):
    write_people(tmp_path)
    write_series(tmp_path / "0050003.csv", series(), head, mark, index)
    brains, _ = load()
    assert_series_of(brains, [0])
    assert (brains.regions["region"].tolist() == NAMES) == (head is not None and "PCC" in head)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"1 2 3\n4 5\n6 7 8 9\n", "cannot be read"),
        (b"1.5 2 3\n" * 30 + b"1 x 3\n", "cannot be read"),
        (b"1.5 2.5 3\n" * 5, "no time series of regions.*20 volumes or more"),
        (b"1,5;2,5\n1,7;2,8\n" * 20, "cannot be read"),
        (b"1.5 2.5 3\n" * 30, "0 of 3 regions have signal"),
        (b"1.5 2.5 3\n2.5 nan 4\n" * 30, "30 volumes are not finite"),
    ],
)
def test_damaged_series_are_named_and_the_others_are_read(tmp_path, load, content, said):
    write_people(tmp_path)
    (tmp_path / "Pitt_0050003_rois.1D").write_bytes(content)
    write_series(tmp_path / "Pitt_0050004_rois.1D", series())
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50004"]
    assert re.search(said, left_out["50003"])
    (tmp_path / "Pitt_0050004_rois.1D").unlink()
    with pytest.raises(DataError, match=r"nobody with a phenotype and an image(.|\n)*50003: "):
        load()


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.ones((3, 4, 5)), np.ones((30, 4), complex), np.array(["a"] * 9)]
)
def test_arrays_of_another_kind_are_named(tmp_path, load, array):
    write_people(tmp_path)
    np.save(tmp_path / "50003.npy", array)
    np.save(tmp_path / "50004.npy", series())
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50004"]
    assert "50003" in left_out


def test_a_subject_with_other_regions_is_named(tmp_path, load):
    write_people(tmp_path, PEOPLE | {"50005": (1, "PITT")})
    write_series(tmp_path / "50003.tsv", series(0), NAMES)
    write_series(tmp_path / "50004.tsv", series(1), [*NAMES[::-1]])
    write_series(tmp_path / "50005.tsv", series(2), NAMES)
    write_series(tmp_path / "51036.tsv", series(3)[:, :5], NAMES[:5])
    brains, left_out = load()
    assert_series_of(brains, [0, 2])
    assert left_out == {
        "50004": "its regions have other names, or another order than the others'",
        "51036": "its regions have another number than the others'",
    }


def test_series_with_their_regions_in_rows_are_refused(tmp_path, load):
    write_people(tmp_path)
    for k, name in enumerate(PEOPLE):
        np.save(tmp_path / f"{name}.npy", series(k, volumes=30 + k, regions=24).T)
    with pytest.raises(DataError, match=r"other regions than the rest(.|\n)*transpose"):
        load()


def test_shrinkage_of_series_is_warned_of_and_that_of_matrices_refused(tmp_path, load):
    write_people(tmp_path)
    np.save(tmp_path / "50003.npy", series())
    with pytest.warns(UserWarning, match="follows the series' length, and so the site"):
        brains, _ = load(shrink=True, measure="partial")
    np.testing.assert_allclose(
        brains.connectivity[0], edges_of(series(), measure="partial", shrink=True), rtol=1e-5
    )
    np.save(tmp_path / "50004.npy", matrix())
    _, left_out = load(measure="partial")
    assert "50004.npy holds matrices that are made already" in left_out["50004"]


def write_matrix(path, values, names=None):
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        pd.DataFrame(values, names, names).to_csv(path, header=bool(names), index=bool(names))


@pytest.mark.parametrize("names", [None, NAMES, [*range(REGIONS)]])
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
@pytest.mark.parametrize("diagonal", [1, 0, np.nan])
def test_matrices_of_correlations_become_fisher_z(tmp_path, load, suffix, diagonal, names):
    write_people(tmp_path)
    for k, who in enumerate(PEOPLE):
        values = matrix(k)
        np.fill_diagonal(values, diagonal)
        write_matrix(tmp_path / f"sub-{who}{suffix}", values, names)
    brains, left_out = load()
    assert left_out == {}
    assert_series_of(brains, range(3))


def test_matrices_of_fisher_z_stay_though_one_of_them_has_no_value_beyond_1(tmp_path, load):
    write_people(tmp_path)
    z = 1.4 * np.array([square(edges_of(series(k)), REGIONS) for k in range(3)])
    z[1] = z[1] / np.abs(z[1]).max() * 0.9
    assert np.abs(z[0]).max() > 1
    for who, values in zip(PEOPLE, z, strict=True):
        write_matrix(tmp_path / f"{who}.csv", values)
    np.testing.assert_allclose(load()[0].connectivity, upper(z), rtol=1e-6)


def test_what_is_no_matrix_of_correlations_is_named(tmp_path, load):
    write_people(tmp_path, PEOPLE | {k: (1, "NYU") for k in ("a", "b", "c", "d")})
    odd = {"50003": matrix() + np.triu(np.ones((REGIONS, REGIONS)), 1), "50004": 3 * matrix(),
           "a": matrix()[:, :4], "b": np.cov(series().T), "c": matrix(),
           "d": np.full((REGIONS, REGIONS), 1000.0) * (1 - np.eye(REGIONS))}  # fmt: skip
    for who, values in odd.items():
        write_matrix(tmp_path / f"{who}.npy", values)
    pd.DataFrame(matrix(), NAMES, NAMES[::-1]).to_csv(tmp_path / "51036.csv")
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["c"]
    said = {"50003": "not symmetric", "50004": "none of correlations", "a": "no time series",
            "b": "none of correlations", "d": "1000, which no Fisher z has",
            "51036": "rows and columns are in another order"}  # fmt: skip
    assert {who: text in left_out[who] for who, text in said.items()} == dict.fromkeys(said, True)


def test_a_region_that_is_0_in_a_matrix_is_missing(tmp_path, load):
    write_people(tmp_path)
    values = matrix()
    values[2], values[:, 2] = 0, 0
    np.save(tmp_path / "50003.npy", values)
    brains, _ = load()
    assert dead_regions(brains.connectivity, REGIONS).tolist() == [[k == 2 for k in range(6)]]


def edges(n=3):
    return np.array([edges_of(series(k)) for k in range(n)])


IDS = np.array([50003, 50004, 51036])
Z = 1.4 * edges()


@pytest.mark.parametrize(
    ("arrays", "exact"),
    [
        ({"fc": Z, "sub_id": IDS}, Z),
        ({"a": Z.astype(np.float64), "b": IDS.astype(float)}, Z),
        ({"fc": Z, "SUB_ID": np.array(["0050003", "sub-50004", "51036"])}, Z),
        ({"fc": Z, "subject": np.array([b"50003", b"0050004", b"51036"])}, Z),
        ({"fc": Z, "sub_id": IDS, "label": np.array([1, 0, 1]), "site": np.array([*"aab"])}, Z),
        ({"fc": np.round(Z / 0.0125).astype(np.int8), "step": np.float32(0.0125), "i": IDS},
         np.round(Z / 0.0125) * 0.0125),
        ({"fc": np.round(Z / 0.0125).astype(np.int8), "scale": np.array([0.0125]), "i": IDS},
         np.round(Z / 0.0125) * 0.0125),
        ({"fc": square(Z, REGIONS), "i": IDS}, Z),
        ({"fc": np.tanh(square(edges(), REGIONS)) + np.eye(REGIONS), "i": IDS}, edges()),
        ({"fc": np.tanh(edges()), "i": IDS}, edges()),
    ],
)  # fmt: skip
def test_packs_are_read_whatever_their_arrays_are_called(tmp_path, load, arrays, exact):
    write_people(tmp_path)
    np.savez(tmp_path / "pack.npz", **arrays)
    brains, left_out = load()
    assert left_out == {}
    assert brains.table["subject"].tolist() == [*PEOPLE]
    np.testing.assert_allclose(brains.connectivity, exact, rtol=1e-4, atol=1e-6)


def test_a_pack_of_nilearns_order_is_put_in_this_one_with_its_dead_regions(tmp_path, load, capsys):
    write_people(tmp_path)
    mixing = np.kron(np.eye(3), np.full((10, 10), 0.5)) + 0.7 * np.eye(30)
    values = np.random.default_rng(5).normal(size=(3, 60, 30)) @ mixing
    values[1, :, 4] = 7
    z = np.array([edges_of(one) for one in values])
    lower = np.nan_to_num(square(z, 30))[:, *np.tril_indices(30, -1)]
    np.savez(tmp_path / "pack.npz", fc=lower, i=IDS)
    np.testing.assert_allclose(load()[0].connectivity, z, atol=1e-6)
    assert "edges of the lower triangle row by row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"fc": Z}, "no pack of connectivity"),
        ({"fc": Z, "i": IDS[:2]}, "no pack of connectivity"),
        ({"fc": Z, "more": Z, "i": IDS}, "no pack of connectivity"),
        ({"fc": Z, "names": IDS, "labels": IDS}, "no pack of connectivity"),
        ({"fc": (Z * 80).astype(np.int8), "i": IDS}, "for integers their step"),
        ({"fc": Z, "i": IDS.astype(object)}, "cannot be read(.|\n)*[Oo]bject arrays"),
        ({"fc": Z[:, :14], "i": IDS}, "14 is no number of edges"),
        ({"fc": np.array([series(k) for k in range(3)]), "i": IDS}, "not symmetric"),
        ({}, "no pack of connectivity"),
    ],
)
def test_packs_of_another_kind_are_refused(tmp_path, load, arrays, said):
    write_people(tmp_path)
    np.savez(tmp_path / "pack.npz", **arrays)
    with pytest.raises(DataError, match=said):
        load()


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + b"\0" * 40, b"no pack", "half", "npy"])
def test_damaged_packs_are_refused(tmp_path, load, content):
    write_people(tmp_path)
    path = tmp_path / "pack.npz"
    np.savez(path, fc=Z, i=IDS)
    if content == "npy":
        with path.open("wb") as stream:
            np.save(stream, Z)
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(DataError, match=r"pack.npz cannot be read"):
        load()


def test_subjects_that_a_pack_has_twice_or_with_impossible_values_are_named(tmp_path, load):
    write_people(tmp_path)
    values = np.vstack([Z, Z[:1]])
    values[2, 0] = 400
    np.savez(tmp_path / "pack.npz", fc=values, i=np.array(["50003", "50004", "51036", "0050003"]))
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50004"]
    assert left_out == {
        "50003": "2 times in pack.npz: none is used",
        "51036": "values up to 400, which no Fisher z has",
    }


def test_packs_hold_what_is_made_already(tmp_path, load):
    write_people(tmp_path)
    np.savez(tmp_path / "pack.npz", fc=Z, i=IDS)
    for options in ({"measure": "partial"}, {"shrink": True}):
        with pytest.raises(RequestError, match=r"pack.npz holds matrices that are made already"):
            load(**options)
    np.savez(tmp_path / "pack2.npz", fc=Z, i=IDS)
    with pytest.raises(RequestError, match="2 packs of connectivity"):
        load()
    assert len(load("pack.npz")[0]) == 3


def test_images_without_a_phenotype_and_phenotypes_without_an_image_are_named(tmp_path, load):
    write_people(tmp_path, PEOPLE | {"50010": (2, "NYU")})
    np.savez(tmp_path / "pack.npz", fc=Z, i=np.array([50003, 50004, 60000]))
    (tmp_path / "anatomy.csv").write_text(
        "subject_id,CSF,lh_insula_area\n50003,800,2000\n51036,900,\n70000,900,1900\n"
    )
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50003", "50004", "51036"]
    assert brains.functional.tolist() == [True, True, False]
    assert brains.structural.tolist() == [True, False, True]
    assert left_out == {
        "60000": "connectivity without a phenotype",
        "70000": "no phenotype beside its other data",
        "50010": "no series, no matrix and no structural feature",
    }


def test_tables_of_freesurfer_are_joined_by_subject(tmp_path, load, capsys):
    write_people(tmp_path)
    for side in ("lh", "rh"):
        (tmp_path / f"{side}.aparc.txt").write_text(
            f"{side}.aparc.area\t{side}_insula_area\teTIV\n"
            "0050003\t2000\t1500000\n0050004\t2100\t1400000\n"
        )
    (tmp_path / "aseg.csv").write_text(
        "Measure:volume,Left-vessel,EstimatedTotalIntraCranialVol,mystery\n"
        "sub-0050003,0.0,1500000.4,3\nsub-0050004,12.5,1400000,4\n"
    )
    brains, left_out = load()
    assert brains.structure.columns.tolist() == [
        "Left-vessel", "EstimatedTotalIntraCranialVol", "lh_insula_area", "eTIV", "rh_insula_area"
    ]  # fmt: skip
    assert brains.structure["Left-vessel"].tolist() == [0, 12.5]
    assert [*left_out] == ["51036"]
    assert "aseg.csv: 2 subjects; 1 columns not used: mystery" in capsys.readouterr().out


def test_subjects_in_whose_values_tables_differ_are_named_and_not_used(tmp_path, load):
    write_people(tmp_path)
    (tmp_path / "b_again.csv").write_text(
        "SUB_ID,AGE_AT_SCAN,SEX,SITE_ID\n50003,10.52,1,PITT\n50004,12,2,PITT\n51036,,1,NYU\n"
    )
    np.savez(tmp_path / "pack.npz", fc=Z, i=IDS)
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50003", "51036"]
    assert brains.table["age"].tolist() == [10.52, 10.5]
    assert left_out == {
        "50004": "age 12.0 and 10.5, sex F and M in two tables, the second is phenotypes.csv"
    }


def test_a_subject_of_two_tables_under_two_sites_is_named(tmp_path, load):
    write_people(tmp_path, name="a.csv")
    write_people(tmp_path, {"50003": (1, "NYU"), "50009": (2, "NYU")}, name="b.csv")
    np.savez(tmp_path / "pack.npz", fc=Z, i=np.array([50003, 50009, 51036]))
    brains, left_out = load()
    assert brains.table["subject"].tolist() == ["50009", "51036"]
    assert left_out["50003"] == "site PITT and NYU in two tables, the second is b.csv"


def test_parts_of_one_table_are_one_cohort(tmp_path, load):
    write_people(tmp_path, {"50003": (1, "PITT"), "50004": (2, "PITT")}, name="PITT.csv")
    write_people(tmp_path, {"51036": (1, "NYU")}, name="NYU.csv")
    np.savez(tmp_path / "pack.npz", fc=Z, i=IDS)
    brains, left_out = load()
    assert (brains.table["site"].tolist(), left_out) == (["PITT", "PITT", "NYU"], {})


def two_cohorts(folder):
    write_people(folder)
    np.savez(folder / "pack.npz", fc=Z, i=IDS)
    (folder / "other.csv").write_text("subject_id,asd,site\nx1,1,A\nx2,0,B\n")
    (folder / "anatomy.csv").write_text("subject_id,CSF,eTIV\nx1,800,1e6\nx2,900,1e6\n")


@pytest.mark.parametrize(
    ("spec", "names"),
    [("pack.npz", [*PEOPLE]), ("phenotypes.csv", [*PEOPLE]), ("anatomy.csv", ["x1", "x2"]),
     ("other.csv", ["x1", "x2"])],
)  # fmt: skip
def test_a_file_chooses_one_of_two_cohorts(tmp_path, load, spec, names):
    two_cohorts(tmp_path)
    with pytest.raises(RequestError, match=r"2 cohorts that share no subject(.|\n)*name one file"):
        load()
    brains, left_out = load(spec)
    assert (brains.table["subject"].tolist(), left_out) == (names, {})


def test_a_file_of_one_subject_or_of_another_kind_is_no_cohort(tmp_path, load):
    write_people(tmp_path)
    np.save(tmp_path / "50003.npy", series())
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    for name in ("50003.npy", "a.pdf"):
        with pytest.raises(RequestError, match=f"{name} alone is no cohort"):
            load(name)
    assert_series_of(load("phenotypes.csv")[0], [0])


def test_a_table_of_phenotypes_without_anybody_is_refused(tmp_path, load):
    write_people(tmp_path, {})
    write_series(tmp_path / "Pitt_0050003_rois_ho.1D", series())
    with pytest.raises(DataError, match="holds nobody with a phenotype and an image"):
        load()


def test_a_pack_with_a_part_that_is_no_array_is_refused(tmp_path, load):
    write_people(tmp_path)
    np.savez(tmp_path / "pack.npz", sub_id=np.array([*PEOPLE]))
    with zipfile.ZipFile(tmp_path / "pack.npz", "a") as pack:
        pack.writestr("fc.npy", b"no array")
    with pytest.raises(DataError, match="no pack of connectivity"):
        load()


def test_a_folder_without_phenotypes_is_refused(tmp_path, load):
    np.save(tmp_path / "50003.npy", series())
    with pytest.raises(DataError, match="no table of phenotypes was found"):
        load()
    (tmp_path / "anatomy.csv").write_text("subject_id,CSF,eTIV\nx1,800,1e6\n")
    with pytest.raises(DataError, match=r"no table of phenotypes(.|\n)*found:    anatomy.csv"):
        load()
    with pytest.raises(RequestError, match="no data at"):
        load("nowhere")
    with pytest.raises(RequestError, match="twin"):
        load_brains("synthetic")


def test_centers_of_regions_give_their_networks_and_others_are_named(tmp_path, load, capsys):
    write_people(tmp_path)
    np.savez(tmp_path / "pack.npz", fc=Z, i=IDS)
    (tmp_path / "centers.csv").write_text(
        "ROI,x,y,z\n" + "".join(f"{k},{k},-60,25\n" for k in range(REGIONS))
    )
    brains, _ = load()
    assert brains.regions[["x", "y", "z"]].to_numpy().tolist()[2] == [2, -60, 25]
    assert "DefaultMode" in {*brains.regions["network"]}
    (tmp_path / "centers.csv").write_text("ROI,x,y,z\n1,1,2,3\n")
    (tmp_path / "coords.csv").write_text("ROI,x,y,z\n" + "1,a,2,\n" * REGIONS)
    assert {*load()[0].regions["network"]} == {"unknown"}
    assert "centers.csv is not of the 6 regions: not used" in capsys.readouterr().out


def test_a_folder_that_is_split_in_two_is_two_cohorts_that_join(tmp_path, load):
    for name, rows in {"one": [0, 1], "two": [2]}.items():
        write_people(tmp_path, name=f"{name}/phenotypes.csv")
        np.savez(tmp_path / name / "pack.npz", fc=Z[rows], i=IDS[rows])
    one, two = (load(name)[0] for name in ("one", "two"))
    assert (len(one), len(two), len(joined(one, two))) == (2, 1, 3)
    np.testing.assert_array_equal(joined(one, two).connectivity, Z)
    with pytest.raises(DataError, match="2 subjects are in both"):
        joined(one, one)
    with pytest.raises(RequestError, match="2 packs"):
        load()


def test_the_real_functional_cohort_is_read_with_its_dead_regions(real):
    brains = load_brains(str(real / "asd_fusion" / "abide1_cc200_fc_int8.npz"))
    assert (len(brains), brains.connectivity.shape) == (687, (687, 19900))
    assert brains.table["label"].value_counts().to_dict() == {1: 351, 0: 336}
    assert (brains.table["site"].nunique(), brains.table["institution"].nunique()) == (15, 13)
    counted = pd.read_csv(real / "asd_fusion" / "abide1_cc200_subjects.csv", dtype={"SUB_ID": str})
    counted = counted.set_index("SUB_ID")["zero_var_rois"][brains.table["subject"]]
    dead = dead_regions(brains.connectivity, 200).sum(axis=1)
    assert dead.tolist() == counted.tolist()
    assert (dead > 0).sum() == 32
    assert len(brains.problems) == 425
    assert {*brains.regions["network"]} > {"DefaultMode", "Visual"}


def test_the_real_structural_cohort_is_read(real):
    brains = load_brains(str(real / "asd_fusion" / "ramp_anatomy.csv"))
    assert (len(brains), brains.structure.shape) == (1150, (1150, 207))
    assert brains.table["subject"].str.len().max() == 20
    assert brains.table["label"].value_counts().to_dict() == {0: 601, 1: 549}
    assert (brains.table["site"].nunique(), brains.connectivity.shape[1]) == (34, 0)
    assert (int(brains.structure.isna().sum().sum()), brains.problems) == (8, [])
    with pytest.raises(RequestError, match="2 cohorts that share no subject"):
        load_brains(str(real / "asd_fusion"))
