"""Models in a file of numbers: they say the same, of others only, and of brains alike only."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion import saved_models
from nextaim_kit.studies.asd_fusion.fusion import Network
from nextaim_kit.studies.asd_fusion.models import Linear, Votes, predicted, train_all

COHORT = {"name": "cohort", "sha256": "0" * 64, "synthetic": True}
BOTH = ("function", "structure")


def fits(folder, **blocks):
    def linear(*parts):
        return Linear(parts, blocks, C=(1.0,), folds=3)

    network = Network(BOTH, folder, 3, members=2, decays=(0.01,), blocks=blocks)
    return {"joint": network, "linear": linear("function"), "early": linear(*BOTH),
            "late": Votes({part: linear(part) for part in BOTH}),
            "confounds": linear("confounds")}  # fmt: skip


@pytest.fixture(scope="module")
def parted(brains):
    """A training cohort, and one of others."""
    return brains.at(np.arange(150)), brains.at(np.arange(150, 240))


@pytest.fixture(scope="module")
def trained(parted, tmp_path_factory):
    """Models of all kinds."""
    return train_all(fits(tmp_path_factory.mktemp("nets")), parted[0])


@pytest.fixture(scope="module")
def path(parted, trained, tmp_path_factory):
    """The file of them."""
    place = tmp_path_factory.mktemp("saved") / "models.safetensors"
    saved_models.save(trained, place, brains=parted[0], trained_on=COHORT)
    return place


def test_a_model_of_a_file_says_what_it_said_when_it_was_trained(parted, trained, path):
    told, left_out = saved_models.load(path).apply(parted[1])
    assert list(told) == list(trained)
    assert left_out.empty
    for name, model in trained.items():
        want = predicted(model, parted[1])
        np.testing.assert_allclose(told[name]["logit"], want["logit"], atol=1e-6, err_msg=name)
        assert told[name]["threshold"].iloc[0] == model.threshold


@pytest.mark.parametrize(
    "blocks", [{"kind": "tangent"}, {"kind": "log", "by_site": True}, {"without_motion": True}]
)
def test_what_is_done_with_edges_sites_and_motion_is_in_the_file_too(parted, blocks, tmp_path):
    kinds = fits(tmp_path, **blocks)
    models = train_all({name: kinds[name] for name in ("linear", "early")}, parted[0])
    saved_models.save(models, tmp_path / "m.safetensors", brains=parted[0], trained_on=COHORT)
    told, _ = saved_models.load(tmp_path / "m.safetensors").apply(parted[1])
    for name, model in models.items():
        np.testing.assert_allclose(told[name]["logit"], model.logit(parted[1]), atol=1e-6)


def test_who_trained_the_models_is_left_out_by_name_and_nobody_else(brains, parted, path):
    told, left_out = saved_models.load(path).apply(brains)
    assert left_out["subject"].tolist() == parted[0].table["subject"].tolist()
    assert told["joint"]["subject"].tolist() == parted[1].table["subject"].tolist()
    with pytest.raises(DataError, match="all 150 subjects of the table trained the model"):
        saved_models.load(path).apply(parted[0])
    assert b"S149" not in path.read_bytes()


def test_who_has_no_diagnosis_is_predicted_all_the_same(parted, path):
    unknown = parted[1].table.assign(label=pd.array([None] * 90, "Int64"))
    told, _ = saved_models.load(path).apply(replace(parted[1], table=unknown))
    assert told["joint"]["y"].isna().all()
    assert told["joint"]["p"].between(0, 1).all()


def test_a_cohort_of_one_modality_is_judged_by_the_models_that_look_at_it(parted, path):
    alone = parted[1].structure[[]]
    told, _ = saved_models.load(path).apply(replace(parted[1], structure=alone))
    assert told["joint"]["logit"].notna().all()
    no_edges = np.zeros((90, 0), np.float32)
    told, _ = saved_models.load(path).apply(replace(parted[1], connectivity=no_edges))
    assert "linear" not in told
    assert told["late"]["logit"].notna().all()


def test_measures_may_stand_in_another_order(parted, path):
    turned = replace(parted[1], structure=parted[1].structure.iloc[:, ::-1])
    one, other = (saved_models.load(path).apply(b)[0]["early"] for b in (parted[1], turned))
    np.testing.assert_array_equal(one["logit"], other["logit"])


def test_other_regions_edges_or_measures_are_refused_by_name(parted, path):
    saved, other = saved_models.load(path), parted[1]
    regions = other.regions.assign(region=other.regions["region"][::-1].to_numpy())
    for change, said in (
        ({"regions": regions}, "other regions"),
        ({"edge": "partial"}, "other kind of edges"),
        ({"structure": other.structure.iloc[:, 1:]}, "other structural features"),
    ):
        with pytest.raises(DataError, match=said):
            saved.apply(replace(other, **change))


def test_a_damaged_file_and_one_of_other_sizes_are_refused(parted, trained, path, tmp_path):
    whole = path.read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("text", b"models"), ("none", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name} holds no models"):
            saved_models.load(tmp_path / name)
    less = replace(parted[0], structure=parted[0].structure.iloc[:, 1:])
    saved_models.save(trained, tmp_path / "less.safetensors", brains=less, trained_on=COHORT)
    with pytest.raises(DataError, match=r"less.safetensors holds no models"):
        saved_models.load(tmp_path / "less.safetensors")


def test_a_file_in_which_something_would_be_run_is_refused(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(pickle.dumps({"nextaim_kit": print}))
    with pytest.raises(DataError, match=r"bad.safetensors holds no models"):
        saved_models.load(tmp_path / "bad.safetensors")
