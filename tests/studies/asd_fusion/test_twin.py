"""The twin of ABIDE: who is in it, what can be learned from it, and what cannot."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.asd_fusion.confounds import edge_differences
from nextaim_kit.studies.asd_fusion.regions import edges, network_pairs
from nextaim_kit.studies.asd_fusion.twin import FEATURES, make_twin, write_twin

FOLDS = StratifiedKFold(10, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def twin():
    return make_twin()


@pytest.fixture(scope="module")
def labels(twin):
    return labels_of(twin)


@pytest.fixture(scope="module")
def by_function(twin, labels):
    return ridge(kernel(twin.brains.connectivity), labels, FOLDS.split(labels, labels))


def labels_of(twin):
    return twin.brains.table.label.to_numpy(int)


def kernel(values):
    centered = values - values.mean(axis=0)
    products = (centered @ centered.T).astype(float)
    return products / np.trace(products) * len(products)


def ridge(products, labels, folds, penalty=0.3):
    """Scores of kernel ridge regression for the subjects of the folds."""
    scores = np.full(len(labels), np.nan)
    for train, test in folds:
        own = products[np.ix_(train, train)]
        weights = np.linalg.solve(
            own + penalty * np.eye(len(train)), labels[train] - labels[train].mean()
        )
        scores[test] = products[np.ix_(test, train)] @ weights
    return scores


def logistic_scores(values, labels, strength):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
    return cross_val_predict(model, values, labels, cv=FOLDS, method="decision_function")


def structure_of(twin):
    """Features that vary in more than a few, standardized."""
    features = twin.brains.structure
    return StandardScaler().fit_transform(features.loc[:, (features != 0).mean() > 0.5])


def auc_of_confounds(twin):
    table = twin.brains.table.assign(motion=lambda t: np.log(t.motion))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    ready = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["site"]), (numbers, ["age", "fiq", "motion"])
    )
    model = make_pipeline(ready, LogisticRegression(C=0.3, max_iter=500))
    labels = labels_of(twin)
    return roc_auc_score(
        labels, cross_val_predict(model, table, labels, cv=FOLDS, method="decision_function")
    )


def differences(twin):
    """Cohen's d of each edge, autism minus typical development."""
    z, autism = twin.brains.connectivity, labels_of(twin) == 1
    spread = np.sqrt((z[autism].var(axis=0) + z[~autism].var(axis=0)) / 2)
    return (z[autism].mean(axis=0) - z[~autism].mean(axis=0)) / spread


def test_the_cohort_has_the_counts_ages_and_sites_that_were_asked_for(twin):
    table = twin.brains.table
    assert len(table) == 1383
    assert table.label.value_counts().to_dict() == {1: 680, 0: 703}
    assert table.subject.is_unique
    assert set(table.sex) == {"M"}
    assert table.age.between(5, 40).all()
    assert table.age.median() == pytest.approx(12.4, abs=0.5)
    sizes = table.groupby("site").size()
    assert len(sizes) == 35
    assert (sizes.min(), sizes.max()) == (10, 147)
    assert table.groupby("site").label.mean().between(0.2, 0.8).all()
    assert table.institution[table.site.str.contains("UCLA")].unique() == ["UCLA"]


def test_sites_differ_in_how_they_scan(twin):
    sites = twin.brains.table.groupby("site")[["tr", "volumes", "eyes"]].agg(["nunique", "first"])
    assert (sites.xs("nunique", axis=1, level=1) == 1).all().all()
    first = sites.xs("first", axis=1, level=1)
    assert first.tr.between(1.5, 3).all()
    assert first.volumes.between(80, 300).all()
    assert first.volumes.nunique() > 20
    assert set(first.eyes) == {"open", "closed"}


def test_motion_is_skewed_and_greater_in_autism_and_in_children(twin):
    table = twin.brains.table
    logs = np.log(table.motion)
    medians = table.groupby("label").motion.median()
    assert medians[1] / medians[0] == pytest.approx(np.exp(0.2), abs=0.1)
    assert table.motion.mean() > 1.15 * table.motion.median()
    assert np.corrcoef(logs, np.log(table.age))[0, 1] < -0.1


def test_iq_is_missing_in_a_few_and_a_little_lower_in_autism(twin):
    table = twin.brains.table
    assert table.fiq.isna().mean() == pytest.approx(0.03, abs=0.01)
    means = table.groupby("label").fiq.mean()
    assert means[1] - means[0] == pytest.approx(-4.5, abs=1.5)


def test_connectivity_is_fisher_z_of_the_upper_triangle(twin):
    z = twin.brains.connectivity
    assert z.shape == (1383, 5253)
    assert z.dtype == np.float32
    small = make_twin(70, series=True)
    series = small.series[3]
    assert series.shape == (small.brains.table.volumes[3], 103)
    expected = np.arctanh(np.corrcoef(series, rowvar=False)[edges(103)])
    np.testing.assert_allclose(small.brains.connectivity[3], expected, atol=1e-5)


def test_no_edge_tells_much_by_itself(twin):
    sizes = np.abs(edge_differences(twin.brains))
    assert sizes.max() < 0.35
    assert np.percentile(sizes, 99) == pytest.approx(0.22, abs=0.02)
    assert np.abs(differences(twin)).max() < 0.35  # nor where sites are not centered


@pytest.mark.rest
@pytest.mark.parametrize("seed", [1, 7, 42])
def test_no_edge_of_another_seed_tells_much_by_itself(seed):
    assert np.abs(edge_differences(make_twin(seed=seed).brains)).max() < 0.35


def test_what_is_planted_is_the_same_in_another_cohort():
    one, other = make_twin(70).truth.edges, make_twin(70, seed=1).truth.edges
    pd.testing.assert_frame_equal(one, other)


def test_a_volume_has_a_part_of_what_is_planted_in_its_thickness(twin):
    sizes = twin.truth.features.set_index("feature")["size"]
    assert len(sizes) == 2 * (2 * 7 + 4)
    share = sizes["lh_fusiform_volume"] / sizes["lh_fusiform_thickness"]
    assert share == pytest.approx(0.32, abs=0.03)


def test_what_is_planted_in_edges_is_there_and_nowhere_else(twin):
    found, truth = differences(twin), twin.truth.edges
    planted = np.zeros(len(found))
    planted[truth.edge] = truth["size"]
    assert len(truth) == pytest.approx(350, abs=20)
    slope = found @ planted / (planted @ planted)
    assert slope == pytest.approx(0.81, abs=0.1)  # noise and short series hide the rest
    others = np.abs(found[planted == 0]).mean()
    assert np.abs(found[truth.edge]).mean() > 3.5 * others
    within = truth.networks == "Default mode - Default mode"
    assert (truth.sign[within] == -1).all()
    assert (truth.sign[~within] == 1).all()
    assert truth.networks[~within].str.contains("attention").all()


def test_what_is_planted_in_features_is_there_in_people_of_one_age_and_site(twin, labels):
    table, names = twin.brains.table, twin.truth.features.feature
    shown = twin.brains.structure[names]
    causes = pd.get_dummies(table.site, dtype=float).assign(
        a=np.log(table.age), b=np.log(table.motion)
    )
    rest = shown - causes.to_numpy() @ np.linalg.lstsq(causes, shown, rcond=None)[0]
    found = (rest[labels == 1].mean() - rest[labels == 0].mean()) / rest.std()
    np.testing.assert_allclose(found, twin.truth.features["size"], atol=0.12)


def test_function_reaches_076_structure_066_confounds_062_and_the_oracle_far_more(
    twin, labels, by_function
):
    structural = logistic_scores(structure_of(twin), labels, 0.003)
    assert roc_auc_score(labels, by_function) == pytest.approx(0.763, abs=0.02)
    assert roc_auc_score(labels, structural) == pytest.approx(0.665, abs=0.02)
    assert auc_of_confounds(twin) == pytest.approx(0.62, abs=0.02)
    assert roc_auc_score(labels, twin.truth.subjects.severity) == pytest.approx(0.95, abs=0.01)


def test_averages_of_networks_tell_less_than_their_edges(twin, labels, by_function):
    pairs = pd.factorize(np.array(network_pairs(twin.brains.regions)))[0]
    z = twin.brains.connectivity
    means = np.stack([z[:, pairs == k].mean(axis=1) for k in range(pairs.max() + 1)], axis=1)
    averaged = roc_auc_score(labels, logistic_scores(means, labels, 0.1))
    assert averaged == pytest.approx(0.70, abs=0.02)
    assert averaged < roc_auc_score(labels, by_function) - 0.03


def stacked(twin):
    """AUC of function with structure: their scores alone, and with what modulates function."""
    labels, modulation = labels_of(twin), twin.truth.subjects.modulation.to_numpy()
    kernels = [(kernel(twin.brains.connectivity), 0.3), (kernel(structure_of(twin)), 0.1)]
    late, joint = np.zeros((2, len(labels)))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels):
        inner = list(StratifiedKFold(5, shuffle=True, random_state=1).split(train, labels[train]))
        scores = np.zeros((len(labels), 2))
        for k, (products, penalty) in enumerate(kernels):
            own = products[np.ix_(train, train)]
            scores[train, k] = ridge(own, labels[train], inner, penalty)
            scores[test, k] = ridge(products, labels, [(train, test)], penalty)[test]
        product = (scores[:, 0] - scores[train, 0].mean()) * modulation
        for values, into in ((scores, late), (np.column_stack([scores, product]), joint)):
            model = make_pipeline(StandardScaler(), LogisticRegression())
            into[test] = model.fit(values[train], labels[train]).decision_function(values[test])
    return roc_auc_score(labels, late), roc_auc_score(labels, joint)


def test_knowing_what_modulates_function_makes_a_joint_model_better_than_late_fusion(twin):
    late, joint = stacked(twin)
    assert late == pytest.approx(0.775, abs=0.02)
    assert joint - late > 0.008


def test_without_interaction_a_joint_model_is_no_better_than_late_fusion():
    late, joint = stacked(make_twin(interaction=0))
    assert joint - late < 0.004


@pytest.mark.parametrize("arm", [{"site_effect": 0}, {"motion_effect": 0}], ids=["motion", "site"])
def test_without_the_effect_no_model_beats_the_confounds(arm):
    null = make_twin(effect=0, **arm)
    labels, confounds = labels_of(null), auc_of_confounds(null)
    scores = ridge(kernel(null.brains.connectivity), labels, FOLDS.split(labels, labels))
    structural = logistic_scores(structure_of(null), labels, 0.003)
    assert roc_auc_score(labels, scores) < confounds
    assert roc_auc_score(labels, structural) < confounds
    assert not null.truth.edges["size"].any()
    if "motion_effect" in arm:
        assert roc_auc_score(labels, scores) == pytest.approx(0.5, abs=0.04)


def test_motion_raises_coupling_of_neighbors_and_lowers_it_far_apart(twin, labels):
    table, regions = twin.brains.table, twin.brains.regions
    causes = np.column_stack([np.log(table.motion), labels, np.ones(len(labels))])
    slopes = np.linalg.lstsq(causes, twin.brains.connectivity, rcond=None)[0][0]
    i, j = edges(len(regions))
    centers = regions[["x", "y", "z"]].to_numpy()
    apart = np.linalg.norm(centers[i] - centers[j], axis=1)
    assert slopes[apart < 30].mean() == pytest.approx(0.015, abs=0.01)
    assert slopes[apart > 90].mean() == pytest.approx(-0.035, abs=0.01)


def site_accuracy(values, sites):
    reduced = PCA(60, random_state=0).fit_transform(values)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return (cross_val_predict(model, reduced, sites, cv=folds) == sites).mean()


def test_the_site_can_be_told_from_function_and_from_structure(twin):
    sites = twin.brains.table.site.to_numpy()
    largest = 147 / 1383
    assert site_accuracy(twin.brains.connectivity, sites) > 2.5 * largest
    assert site_accuracy(structure_of(twin), sites) > 4 * largest


def test_connectivity_varies_in_a_few_directions(twin):
    values = np.linalg.eigvalsh(kernel(twin.brains.connectivity))[::-1]
    assert values[:10].sum() / values.sum() == pytest.approx(0.79, abs=0.05)


def test_structure_has_221_features_with_what_is_usual(twin):
    structure = twin.brains.structure
    assert list(structure) == FEATURES
    assert len(FEATURES) == 221
    assert structure.notna().all().all()
    assert (structure["5th-Ventricle"] == 0).mean() > 0.95
    thickness = structure.filter(regex="_thickness").mean(axis=1)
    assert np.corrcoef(thickness, np.log(twin.brains.table.age))[0, 1] < -0.5


def test_structure_s_names_and_sizes_are_those_of_the_real_table(twin, real):
    measured = pd.read_csv(real / "asd_fusion/ramp_anatomy.csv")
    shared = [name for name in FEATURES if name in measured]
    assert len(shared) == 221 - 68  # the real table has no cortical volumes
    always = [name for name in shared if (measured[name] > 0).mean() > 0.5]
    ratio = twin.brains.structure[always].mean() / measured[always].mean()
    assert ratio.between(0.8, 1.3).all()  # the twin's two sides are alike
    spread = twin.brains.structure[always].std() / measured[always].std()
    assert spread.median() == pytest.approx(0.96, abs=0.1)


@pytest.mark.parametrize("n", [70, 200])
def test_a_subject_is_the_same_whatever_the_number(twin, n):
    few, many = make_twin(n), twin.brains
    assert len(few.brains.table) == n
    least = 2 if n >= 140 else 1
    assert (few.brains.table.groupby(["site", "label"]).size() >= least).all()
    place = many.table.subject.isin(few.brains.table.subject).to_numpy()
    kept = many.table[place].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.brains.table, kept)
    np.testing.assert_array_equal(few.brains.connectivity, many.connectivity[place])
    np.testing.assert_array_equal(few.brains.structure, many.structure[place])


def test_another_seed_gives_other_people():
    one, other = make_twin(80).brains, make_twin(80, seed=1).brains
    assert not np.allclose(one.connectivity, other.connectivity)
    assert (one.table.subject == other.table.subject).all()


@pytest.mark.parametrize("n", [69, 1384])
def test_a_number_that_cannot_be_is_refused(n):
    with pytest.raises(RequestError, match="cannot have so many patients"):
        make_twin(n)


def test_an_unknown_atlas_is_refused():
    with pytest.raises(RequestError, match="did you mean 'harvard_oxford'"):
        make_twin(80, atlas="harvard-oxford")


@pytest.mark.parametrize(("atlas", "count"), [("seitzman", 44850), ("dosenbach", 12720)])
def test_other_atlases_have_the_effect_too(atlas, count):
    made = make_twin(80, atlas=atlas)
    assert made.brains.connectivity.shape == (80, count)
    assert set(made.truth.edges.sign) == {-1, 1}


def test_the_written_folder_has_the_layout_and_codes_of_abide(tmp_path):
    made = write_twin(tmp_path, 80)
    phenotype = pd.read_csv(tmp_path / "Phenotypic_V1_0b_preprocessed1.csv", dtype={"SUB_ID": str})
    table = made.brains.table
    assert (table.subject == phenotype.SUB_ID).all()
    assert (table.label.map({1: 1, 0: 2}) == phenotype.DX_GROUP).all()
    assert set(phenotype.SEX) == {1}
    assert (phenotype.FIQ[table.fiq.isna()] == -9999).all()
    assert (table.eyes.map({"open": 1, "closed": 2}) == phenotype.EYE_STATUS_AT_SCAN).all()
    for k in (0, 40):
        path = tmp_path / "rois_ho" / f"{phenotype.FILE_ID[k]}_rois_ho.1D"
        assert path.read_text().startswith("#1\t#2\t")
        np.testing.assert_allclose(np.loadtxt(path), made.series[k], atol=1e-4)
    structure = pd.read_csv(tmp_path / "freesurfer.csv", dtype={"subject_id": str})
    assert (structure.subject_id == table.subject).all()
    assert list(structure)[1:] == FEATURES
