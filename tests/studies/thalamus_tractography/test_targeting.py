"""Boxes, baselines and networks, from twins to a file and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import baselines, cases, comparison, targeting
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors
from nextaim_kit.studies.thalamus_tractography.training import (
    INPUTS,
    Training,
    UNet,
    map_loss,
    seen,
)

HOW = cases.streamlines("directions", 4)
COHORT = {"name": "synthetic", "sha256": None, "synthetic": True}


@pytest.fixture(scope="module")
def row(made):
    """A box of the twin beside the head that is tracked."""
    boxes, heads = (pd.DataFrame([made(**scan)]) for scan in ({"extent": "box"}, {"edge": 5.0}))
    return cases.with_heads(boxes, heads).iloc[0].to_dict()


@pytest.fixture(scope="module")
def case(row):
    return cases.read_case(row, how=HOW)


def drawn(seed=0, center=(18, 28, 22)):
    """A case without files: an ellipsoid with maps that follow its place."""
    rng = np.random.default_rng(seed)
    places = np.moveaxis(np.indices(BOX_SHAPE), 0, -1) - np.array(center)
    mask = ((places / np.array([7, 12, 7])) ** 2).sum(-1) < 1
    shares = np.stack([np.clip(0.5 + places[..., k % 3] / 24, 0, 1) for k in range(6)], -1)
    maps = (shares * mask[..., None]).astype(np.float32)
    elements = 1e-3 * rng.random((*BOX_SHAPE, 6)).astype(np.float32)
    t1 = mask + 0.05 * rng.random(BOX_SHAPE).astype(np.float32)
    points = {"AC": np.array([0, 2.0, -4]), "PC": np.array([0, -25.0, -2])}
    return cases.Case(f"s{seed}", "x", "left", t1, Tensors(elements), mask, maps, maps, points)


def networks(form="tensor"):
    torch.manual_seed(0)
    return targeting.Networks(UNet(1, 1, (4, 8)), (UNet(INPUTS[form], 6, (4, 8)),), form)


def test_a_box_has_the_labels_of_the_head_that_was_tracked(row, case):
    assert case.labels.shape == case.truth.shape == (*BOX_SHAPE, len(TARGETS))
    assert not case.labels[~case.thalamus].any()
    found = comparison.agreement_of(case.labels, case)
    assert found > 0.3  # 4 streamlines a voxel of 5 mm
    assert cases.read_case(row, how=None).labels is None


def test_a_right_thalamus_is_a_case_of_its_own(made):
    right = cases.read_case(made(extent="right_box"), how=None, side="right")
    assert right.side == "right"
    assert 3000 < right.thalamus.sum() < 12000
    frontal, occipital = (right.truth[..., TARGETS.index(k)] for k in ("frontal", "occipital"))
    places = [comparison.target_point(one) for one in (frontal, occipital)]
    assert places[0][1] > places[1][1]  # farther in front
    assert all(-26 < at[0] < 0 for at in places)  # seen in the mirror


def test_a_row_without_what_is_needed_says_what(row):
    with pytest.raises(DataError, match="no T1"):
        cases.read_case({**row, "t1": ""}, how=HOW)
    with pytest.raises(DataError, match="no mask of the left thalamus"):
        cases.read_case({**row, "truth": ""}, how=HOW)
    alone = {k: v for k, v in row.items() if not k.startswith(cases.HEAD)}
    with pytest.raises(DataError, match="no maps of connectivity"):
        cases.read_case(alone, how=HOW)
    with pytest.raises(DataError, match="does not hold the box around the right"):
        cases.read_case(row, how=HOW, side="right")


def test_a_cohort_of_which_nobody_can_be_read_says_why():
    table = pd.DataFrame([{"subject": "s1", "site": "x", "t1": ""}])
    found, failures = cases.read_cases(table, HOW, workers=1, least=0)
    assert not found
    assert failures["problem"].str.contains("there is no T1").all()
    with pytest.raises(DataError, match=r"(?s)no subject can be looked at.*there is no T1"):
        cases.read_cases(table, HOW, workers=1)


def test_maps_of_another_number_of_targets_are_refused(row, tmp_path):
    import nibabel

    path = tmp_path / "maps.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 5), np.float32), np.eye(4)), path)
    with pytest.raises(DataError, match="not those of the six targets"):
        cases.labels_of({**row, "maps": str(path)}, HOW)


def test_parts_hold_every_subject_once_and_the_seed_decides_them():
    people = [drawn(k) for k in range(10)]
    parts = cases.divided(people, seed=1)
    assert [len(part) for part in parts] == [5, 1, 4]
    assert sorted(c.subject for part in parts for c in part) == [c.subject for c in people]
    again = cases.divided(people, seed=1)
    assert [c.subject for c in again[2]] == [c.subject for c in parts[2]]
    with pytest.raises(DataError, match="too few subjects"):
        cases.divided(people[:2], seed=1)


def test_an_atlas_of_equal_subjects_is_theirs_wherever_the_thalamus_lies():
    people = [drawn(k, center) for k, center in enumerate([(18, 28, 22), (16, 30, 24)])]
    atlas = baselines.Atlas.of(people)
    other = drawn(5, (20, 26, 21))
    found = atlas.maps_in(other.thalamus)
    assert comparison.agreement_of(found, other) > 0.98
    assert not found[~other.thalamus].any()
    assert not atlas.maps_in(np.zeros(BOX_SHAPE, bool)).any()


def test_coordinates_follow_the_line_from_pc_to_ac():
    case = drawn()
    fixed = baselines.Coordinates.of([case], comparison.AIMED)
    wanted = comparison.target_point(case.labels[..., comparison.AIMED])
    np.testing.assert_allclose(fixed.at(case.points), wanted, atol=1e-6)
    shift = np.array([1.0, 2, 3])
    moved = fixed.at({name: at + shift for name, at in case.points.items()})
    np.testing.assert_allclose(moved, wanted + shift, atol=1e-6)


def test_the_loss_looks_at_the_thalamus_alone():
    target = torch.rand(2, 7, 4, 5, 6).round()
    logits = torch.randn(2, 6, 4, 5, 6)
    far = torch.where(target[:, -1:] > 0, logits, 100 * torch.randn_like(logits))
    assert map_loss(far, target) == pytest.approx(map_loss(logits, target).item(), abs=1e-6)
    assert map_loss(logits, 0 * target) == 0


@pytest.mark.parametrize("form", ["tensor", "published", "mask"])
def test_every_form_is_learned_and_gives_six_maps_in_the_thalamus(form, tmp_path, capsys):
    people = [drawn(k) for k in range(3)]
    fitted = Training((4, 8), 2, 2).maps(people[:2], people[2:], tmp_path / form, form=form)
    assert len(fitted.history) == 2
    nets = replace(networks(form), maps=(fitted.net,))
    found = targeting.maps_in(people[0].thalamus, people[0].tensors, nets)
    assert found.shape == (*BOX_SHAPE, 6)
    assert (found > 0)[people[0].thalamus].all()
    assert not found[~people[0].thalamus].any()


def test_the_same_seed_gives_the_same_network_though_boxes_are_changed_by_chance(tmp_path, capsys):
    people, how = [drawn(k) for k in range(2)], Training((4, 8), 1, 1, seed=3)
    one, two = (how.thalamus(people, people, tmp_path / name).net for name in "ab")
    for mine, other in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_nothing_that_is_no_thalamus_has_maps():
    case = drawn()
    for mask in (np.zeros(BOX_SHAPE, bool), np.ones(BOX_SHAPE, bool)):
        assert not targeting.maps_in(mask, case.tensors, networks()).any()
    found = targeting.predict(case.t1, case.tensors, networks(), "right")
    assert found.thalamus.shape == BOX_SHAPE
    assert found.side == "right"
    parts = np.zeros((8, 8, 8), bool)
    parts[:2, :2, :2], parts[5:, 5:, 5:] = True, True
    assert targeting.largest(parts).sum() == 27


def test_networks_come_back_from_their_file_and_name_whom_they_know(tmp_path):
    nets, path = networks("published"), tmp_path / "networks.safetensors"
    nets = replace(nets, maps=tuple(UNet(11, 1, (4, 8)).eval() for _ in range(6)))
    targeting.save_networks(nets, path, cohort=COHORT, subjects=["north-001"])
    found, known = targeting.load_networks(path)
    case = drawn()
    for one, two in zip(*(targeting.predict(case.t1, case.tensors, n).maps for n in (nets, found)),
                        strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, two)
    assert known.seen.among(["north-002", "north-001"]) == ["north-001"]


def test_a_file_of_other_networks_is_refused(tmp_path):
    path = tmp_path / "networks.safetensors"
    nets = replace(networks(), maps=(UNet(8, 2, (4, 8)),))
    targeting.save_networks(nets, path, cohort=COHORT, subjects=[])
    with pytest.raises(DataError, match="holds other networks"):
        targeting.load_networks(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="networks"):
        targeting.load_networks(path)


def test_a_mirrored_head_gives_mirrored_maps():
    """The raw series and its b-vectors mirrored, fitted again, and seen from the other side."""
    from nextaim_kit.studies.thalamus_tractography.channels import boxed_tensors
    from nextaim_kit.studies.thalamus_tractography.definitions import box_affine
    from nextaim_kit.studies.thalamus_tractography.phantom.scanner import gradient_table
    from nextaim_kit.studies.thalamus_tractography.tensor import fit_tensors

    bvals, vectors = gradient_table("clinical")
    values = 100 * np.exp(-np.random.default_rng(0).random((*BOX_SHAPE, len(bvals))))
    inside = np.zeros(BOX_SHAPE, bool)
    inside[8:30, 10:40, 10:36] = True
    turn = np.diag([-1.0, 1, 1])
    left = fit_tensors(values, bvals, vectors, inside)
    right = fit_tensors(values[::-1], bvals, vectors @ turn, inside[::-1])
    one = boxed_tensors(left, box_affine("left"), np.eye(4), "left")
    other = boxed_tensors(right, box_affine("right"), np.eye(4), "right")
    np.testing.assert_allclose(one.elements, other.elements, atol=1e-9)
    found = [targeting.maps_in(inside, tensors, networks()) for tensors in (one, other)]
    np.testing.assert_allclose(*found, atol=1e-5)
    assert seen(one, inside, "tensor").shape == (INPUTS["tensor"], *BOX_SHAPE)
