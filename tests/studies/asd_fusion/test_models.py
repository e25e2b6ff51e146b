"""Linear models of brains: alone, side by side, by vote; and nothing is fitted outside a fold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.asd_fusion.blocks import Blocks
from nextaim_kit.studies.asd_fusion.compare import alike_in_motion, only, side_by_side
from nextaim_kit.studies.asd_fusion.models import (
    Linear,
    Votes,
    another_cohort,
    cross_fit,
    institutions_out,
    predicted,
    train_all,
)

QUICK = {"C": (1.0,), "folds": 3}


def folds(brains, n=3):
    return patient_folds(brains.table, n, seed=0, by=("label", "site"))


def lacking(brains, rows, part):
    """The same without one modality of some subjects."""
    if part == "function":
        edges = brains.connectivity.copy()
        edges[rows] = np.nan
        return replace(brains, connectivity=edges)
    structure = brains.structure.copy()
    structure.iloc[rows] = np.nan
    return replace(brains, structure=structure)


def test_each_block_is_centered_and_weighs_the_same_however_many_numbers_it_has(brains):
    blocks = Blocks(["function", "structure", "confounds"]).fit(brains)
    for part, values in blocks.apart(brains).items():
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-5, err_msg=part)
        assert (values**2).sum(1).mean() == pytest.approx(1, abs=1e-4)
    assert blocks.transform(brains).shape[1] == sum(
        b.shape[1] for b in blocks.apart(brains).values()
    )


def test_a_modality_that_a_subject_lacks_is_zero_and_a_part_that_is_none_is_refused(brains):
    fitted = Blocks(["function", "structure"]).fit(brains)
    apart = fitted.apart(lacking(brains, [3], "structure"))
    assert not apart["structure"][3].any()
    assert apart["function"][3].any()
    with pytest.raises(RequestError, match="no such part"):
        Blocks(["dreams"])


def moving(brains, slope=0.5):
    """The same brains, but that whoever moves more has stronger edges."""
    motion = np.log(brains.table["motion"].to_numpy())
    return replace(brains, connectivity=brains.connectivity + np.float32(slope) * motion[:, None])


def test_without_motion_edges_no_longer_go_with_it_in_those_it_was_fitted_on(brains):
    shaken = moving(brains)
    values = Blocks(["function"], without_motion=True).fit_transform(shaken)
    motion = np.log(brains.table["motion"])
    about = (motion - motion.groupby(brains.table["site"]).transform("mean")).to_numpy()
    assert np.abs(about @ values).max() < 1e-3
    assert np.abs(about @ Blocks(["function"]).fit_transform(shaken)).max() > 1


def test_what_goes_with_motion_is_learned_of_training_subjects_alone(brains):
    train, test = brains.at(np.arange(120)), brains.at(np.arange(120, 240))
    blocks = Blocks(["function"], without_motion=True).fit(moving(train))
    one = blocks.transform(moving(test, 0.5))
    other = blocks.transform(moving(test.at(np.arange(60)), 0.5))
    np.testing.assert_allclose(one[:60], other, atol=1e-6)
    untouched = Blocks(["function"], without_motion=True).fit(train).transform(test)
    direction = np.corrcoef(one.ravel(), untouched.ravel())[0, 1]
    assert direction > 0.99  # the planted slope is gone from subjects it was not learned of


def test_a_subject_of_unknown_motion_stays_and_a_cohort_of_unknown_motion_is_refused(brains):
    motion = brains.table["motion"].copy()
    motion[3] = np.nan
    part = replace(brains, table=brains.table.assign(motion=motion))
    assert np.isfinite(Blocks(["function"], without_motion=True).fit_transform(part)).all()
    nobody = replace(brains, table=brains.table.assign(motion=np.nan))
    with pytest.raises(DataError, match="nobody's motion is known"):
        Blocks(["function"], without_motion=True).fit(nobody)


def test_a_sites_own_mean_is_that_of_training_where_it_is_known_and_its_own_where_not(brains):
    known, new = brains.at(np.arange(120)), brains.at(np.arange(120, 240))
    blocks = Blocks(["structure"], by_site=True).fit(known)
    one, alone = blocks.transform(new), blocks.transform(new.at([0]))
    np.testing.assert_allclose(one[0], alone[0], atol=1e-5)
    other = replace(new, table=new.table.assign(site="new"))
    np.testing.assert_allclose(blocks.transform(other).mean(0), one.mean(0) * 0, atol=0.05)


def test_both_modalities_tell_more_than_one_early_and_late(brains):
    fits = {"function": Linear(["function"], **QUICK), "structure": Linear(["structure"], **QUICK)}
    fits["early"] = Linear(["function", "structure"], **QUICK)
    fits["late"] = Votes({part: fits[part] for part in ("function", "structure")})
    tested = {name: cross_fit(fit, brains, folds(brains))[0] for name, fit in fits.items()}
    found = {name: auc(t["y"], t["logit"]) for name, t in tested.items()}
    assert min(found["early"], found["late"]) > max(found["function"], found["structure"]) + 0.01
    assert min(found.values()) > 0.6


def test_confounds_alone_tell_what_motion_tells(brains):
    tested, _ = cross_fit(Linear(["confounds"], **QUICK), brains, folds(brains))
    assert 0.5 < auc(tested["y"], tested["logit"]) < 0.75


def test_late_fusion_judges_who_lacks_a_modality_by_the_other_and_nobody_without_any(brains):
    fit = Votes({part: Linear([part], **QUICK) for part in ("function", "structure")})
    found = fit(lacking(brains, np.arange(40), "structure"), 0)
    said = found.logit(lacking(lacking(brains, [0, 1], "structure"), [1], "function"))
    assert np.isnan(said).nonzero()[0].tolist() == [1]


def test_who_lacks_the_modality_is_neither_trained_on_nor_judged(brains):
    fit = Linear(["structure"], **QUICK)
    some = np.arange(0, 240, 3)
    with_gaps = fit(lacking(brains, some, "structure"), 0)
    without = fit(brains.at(np.setdiff1d(np.arange(240), some)), 0)
    np.testing.assert_allclose(with_gaps.logit(brains), without.logit(brains), atol=1e-6)
    assert np.isnan(with_gaps.inner[some]).all()


def test_tested_subjects_have_no_part_in_the_fit(brains):
    train, test = folds(brains)[0]
    spoiled = brains.connectivity.copy()
    spoiled[test] += 100
    fit = Linear(["function", "structure"], **QUICK)
    one, other = (fit(b.at(train), 0) for b in (brains, replace(brains, connectivity=spoiled)))
    np.testing.assert_array_equal(one.logit(brains), other.logit(brains))


def test_the_same_seed_gives_the_same_numbers(brains):
    fit = Linear(["function"], folds=3)
    one, other = (cross_fit(fit, brains, folds(brains), seed=4)[0] for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


def test_institutions_are_left_out_whole_alone_or_in_parts(brains):
    alone = institutions_out(brains.table)
    assert list(alone) == ["H0", "H1", "H2"]
    gathered = institutions_out(brains.table, 2, seed=1)
    assert len(gathered) == 2
    for train, test in [*alone.values(), *gathered.values()]:
        apart = brains.table["institution"].iloc
        assert not set(apart[train]) & set(apart[test])


def test_models_are_compared_on_the_subjects_that_all_have_judged(brains):
    part = lacking(brains, np.arange(30), "structure")
    fits = {part: Linear([part], **QUICK) for part in ("function", "structure")}
    tested = {name: cross_fit(fit, part, folds(part))[0] for name, fit in fits.items()}
    models, differences = side_by_side(tested, n_boot=100)
    assert models["n"].tolist() == [210, 210]
    row = differences.iloc[0]
    assert row["difference"] == pytest.approx(models["value"][0] - models["value"][1], abs=1e-9)
    assert row["smallest"] == pytest.approx((row["high"] - row["low"]) * 2.8 / 3.92)
    nobody = {"a": tested["function"], "b": tested["structure"].assign(logit=np.nan)}
    with pytest.raises(DataError, match="judged by all models"):
        side_by_side(nobody)


def test_pairs_that_moved_alike_are_of_one_site_and_both_outcomes(brains):
    kept = alike_in_motion(brains)
    part = brains.table[kept]
    assert 40 < len(part) < 240
    assert (part.groupby("site")["label"].mean() == 0.5).all()
    gap = part.groupby("label")["motion"].apply(lambda m: np.log(m).mean())
    whole = brains.table.groupby("label")["motion"].apply(lambda m: np.log(m).mean())
    assert abs(gap[1] - gap[0]) < abs(whole[1] - whole[0]) / 3
    tested = {"one": pd.DataFrame({"subject": brains.table["subject"]})}
    assert len(only(tested, part["subject"])["one"]) == len(part)


def test_only_subjects_of_sites_with_both_outcomes_are_counted_within_sites(brains):
    one_sided = brains.table["site"] == "H0_1"
    table = brains.table.assign(label=brains.table["label"].mask(one_sided, 1))
    given = replace(brains, table=table)
    tested, _ = cross_fit(Linear(["function"], **QUICK), given, folds(given))
    models, _ = side_by_side({"one": tested, "other": tested}, n_boot=50)
    assert models["n"].tolist() == [240 - one_sided.sum()] * 2


def test_no_logarithm_is_taken_of_partial_correlations(brains):
    with pytest.raises(RequestError, match="cannot be made of partial correlations"):
        Blocks(["function"], kind="log").fit(replace(brains, edge="partial, shrunk"))


def test_another_cohort_has_the_features_of_both_its_diagnosed_alone_and_its_own_problems(
    brains, tmp_path, capsys
):
    first, last = brains.at(np.arange(150)), brains.at(np.arange(150, 240))
    label = last.table["label"].copy()
    label.iloc[:4] = pd.NA
    last = replace(last, table=last.table.assign(label=label), problems=[{"subject": "x"}])
    replace(last, structure=last.structure.iloc[:, 2:]).save(tmp_path / "other.parquet")
    here, there = another_cohort(first, str(tmp_path / "other.parquet"))
    assert "4 subjects of the other cohort have no diagnosis" in capsys.readouterr().out
    assert here.table["subject"].tolist() == first.table["subject"].tolist()
    assert there.table["subject"].tolist() == last.table["subject"].tolist()[4:]
    assert list(here.structure) == list(there.structure) == list(brains.structure)[2:]
    assert (here.problems, there.problems) == ([], [{"subject": "x"}])


def test_what_is_trained_on_all_says_of_others_what_an_external_split_says(brains):
    fit, n = Linear(["function"], **QUICK), 150
    once = {"external": (np.arange(n), np.arange(n, len(brains)))}
    want, _ = cross_fit(fit, brains, once, seed=3)
    found = train_all({"a": fit}, brains.at(np.arange(n)), seed=3)["a"]
    told = predicted(found, brains.at(np.arange(n, len(brains))))
    np.testing.assert_array_equal(told["logit"], want["logit"])
