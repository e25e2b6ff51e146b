"""What the networks learn from: the right voxels, drawn by chance that repeats, nobody lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch.nn.functional import max_pool3d

from nextaim_kit.data.cache import space
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.networks import preparing
from nextaim_kit.studies.ct_lungquant.networks.items import BoxItems, Patches, fill, rounded
from nextaim_kit.studies.ct_lungquant.networks.nets import BOX_GRID, normalized
from nextaim_kit.studies.ct_lungquant.networks.preparing import box_of, widened
from nextaim_kit.studies.ct_lungquant.twin import make_twin

SPACING = (8.0, 8.0, 8.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("twin")))
        return make_twin(12, size=(64, 48, 40), workers=1)


@pytest.fixture
def cases(cohort):
    found, _, failed, mended = preparing.prepare(cohort, SPACING)
    assert failed.empty
    assert mended.empty
    return found


def test_lungs_and_lesions_keep_their_volume_at_the_networks_spacing(cohort, cases):
    for row, case in zip(cohort.itertuples(), cases, strict=True):
        lungs, ill = (np.asarray(case.store[name][...]) for name in ("lungs", "lesions"))
        voxel = np.prod(SPACING) / 1000
        assert (lungs == 1).sum() * voxel == pytest.approx(row.truth_right_ml, rel=0.05)
        assert (lungs == 2).sum() * voxel == pytest.approx(row.truth_left_ml, rel=0.05)
        assert not ill[lungs == 0].any()
        share = 100 * ill.sum() / (lungs > 0).sum()
        assert share == pytest.approx(row.truth_involvement, abs=4)


def test_air_tissue_and_place_are_those_of_the_ct(cases):
    case = cases[0]
    hu, lungs = (np.asarray(case.store[name][...]) for name in ("hu", "lungs"))
    assert hu.dtype == np.int16
    assert np.median(hu[lungs > 0]) < -300 < np.median(hu[tuple(n // 2 for n in hu.shape)])
    x = np.nonzero(lungs == 1)[2].mean(), np.nonzero(lungs == 2)[2].mean()
    assert x[0] < x[1]  # the patient's right comes first along x


def test_a_prepared_ct_is_read_again_and_not_made_again(cohort, cases, monkeypatch):
    monkeypatch.setattr(preparing, "read_ct", None)
    again, *_ = preparing.prepare(cohort, SPACING)
    assert np.array_equal(again[3].store["hu"][...], cases[3].store["hu"][...])


def altered(cohort, tmp_path, row, column, change):
    image = sitk.ReadImage(cohort[column][row])
    path = tmp_path / f"{column}.nii.gz"
    sitk.WriteImage(change(image), str(path))
    table = cohort.copy()
    table.loc[row, column] = str(path)
    return table


def test_lesions_outside_the_lungs_are_said_and_left_aside(cohort, tmp_path):
    table = altered(cohort, tmp_path, 2, "lesions", lambda mask: sitk.Maximum(mask, 1))
    cases, kept, failed, problems = preparing.prepare(table, SPACING)
    assert failed.empty
    assert len(cases) == len(kept) == len(cohort)
    assert problems["subject"].tolist() == [cohort["subject"][2]]
    assert "% of the lesions' mask lies outside the lungs" in problems["problem"][0]
    lungs, ill = (np.asarray(cases[2].store[name][...]) for name in ("lungs", "lesions"))
    assert np.array_equal(ill > 0, lungs > 0)


def test_a_mask_with_1_for_the_left_lung_is_turned_and_said(cohort, cases, tmp_path):
    table = altered(cohort, tmp_path, 1, "lungs", lambda m: sitk.ChangeLabel(m, {1: 2, 2: 1}))
    found, _, failed, problems = preparing.prepare(table, SPACING)
    assert failed.empty
    assert problems["subject"].tolist() == [cohort["subject"][1]]
    assert "1 marks the left lung" in problems["problem"][0]
    assert np.array_equal(found[1].store["lungs"][...], cases[1].store["lungs"][...])


def test_a_mask_of_another_grid_loses_its_subject_only(cohort, tmp_path):
    table = altered(cohort, tmp_path, 0, "lungs", lambda mask: mask[1:])
    cases, kept, problems, _ = preparing.prepare(table, SPACING)
    assert kept["subject"].tolist() == cohort["subject"][1:].tolist()
    assert len(cases) == len(kept)
    assert "mask and image differ in size" in problems["problem"][0]


def test_an_empty_mask_of_lungs_is_named(cohort, tmp_path):
    table = altered(cohort, tmp_path, 0, "lungs", lambda mask: mask * 0)
    _, _, problems, _ = preparing.prepare(table, SPACING)
    assert "marks no lung" in problems["problem"][0]


def test_a_cohort_may_call_its_lesions_mask(cohort, tmp_path):
    table = cohort[["subject", "image", "lungs", "lesions"]].rename(columns={"lesions": "mask"})
    table.to_csv(tmp_path / "cohort.csv", index=False)
    found = preparing.load_masked(str(tmp_path / "cohort.csv"), lambda: cohort)
    assert found["lesions"].tolist() == cohort["lesions"].tolist()


def test_a_cohort_without_lesions_is_refused_by_the_column(cohort, tmp_path):
    cohort[["subject", "image", "lungs"]].to_csv(tmp_path / "cohort.csv", index=False)
    with pytest.raises(DataError, match="no column 'lesions'"):
        preparing.load_masked(str(tmp_path / "cohort.csv"), lambda: cohort)


@pytest.mark.parametrize("what", ["lungs", "sides", "lesions"])
def test_a_patch_holds_the_mask_that_belongs_to_its_voxels(cases, what):
    patch = (48, 32, 48)
    hu, mask = Patches(cases, what, patch)[1]
    assert hu.shape == mask.shape == (1, *patch)
    assert set(mask.unique().tolist()) <= {0, 1, 2}
    inside = hu[mask > 0].median()
    assert inside < -0.2 if what != "lesions" else inside > -0.9


def test_what_is_no_lung_can_be_hidden_from_the_network(cases):
    shown, _ = Patches(cases, "lesions", (48, 32, 48), inside=True)[0]
    whole, mask = Patches(cases, "lungs", (48, 32, 48))[0]
    assert torch.equal(shown[mask > 0], whole[mask > 0])
    far = max_pool3d(mask, 5, 1, 2) == 0
    assert (shown[far] == -1).all()
    assert (whole[far] > -0.5).any()


def test_larger_voxels_show_more_of_the_chest_with_lungs_of_the_same_size(cases):
    near = Patches(cases, "lungs", (64, 48, 64))[0]
    far = Patches(cases, "lungs", (32, 32, 32), scale=2)[0]
    assert far[0].shape == (1, 32, 32, 32)
    assert 8 * far[1].sum() == pytest.approx(float(near[1].sum()), rel=0.05)


def test_the_same_chance_draws_the_same_patch_and_another_one_another(cases):
    items = Patches(cases, "lesions", (32, 32, 32), augment=True)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(items[4])
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not torch.equal(drawn[0][0], drawn[2][0])


def test_right_and_left_are_never_mirrored(cases):
    items = Patches(cases, "sides", (48, 32, 48), augment=True)
    for seed in range(8):
        torch.manual_seed(seed)
        _, mask = items[seed % len(cases)]
        right, left = (torch.nonzero(mask[0] == side)[:, 2].float().mean() for side in (1, 2))
        assert right < left


def test_the_box_of_a_scan_that_ends_elsewhere_is_still_around_the_lungs(cases):
    plain, varied = BoxItems(cases), BoxItems(cases, augment=True)
    torch.manual_seed(0)
    for k in range(4):
        (whole, box), (part, moved) = plain[k], varied[k]
        assert whole.shape == part.shape == (1, *BOX_GRID)
        assert ((box[:3] < box[3:]) & (moved[:3] < moved[3:])).all()
        assert ((moved >= 0) & (moved <= 1)).all()
        # The share of the scan that the lungs fill can only grow when ends are cut off.
        assert (moved[3:] - moved[:3] >= box[3:] - box[:3] - 1e-6).all()


def test_a_box_ends_where_its_mask_does_and_grows_within_the_volume():
    mask = np.zeros((10, 12, 14), bool)
    mask[2:5, 3:9, 0:14] = True
    box = box_of(mask)
    assert box == (slice(2, 5), slice(3, 9), slice(0, 14))
    assert widened(box, 0.5, mask.shape) == (slice(0, 7), slice(0, 12), slice(0, 14))


def test_a_small_part_lies_in_the_middle_of_its_patch():
    part = torch.arange(8.0).reshape(1, 2, 2, 2)
    filled = fill(part, (4, 2, 5), -9)
    assert torch.equal(filled[:, 1:3, :, 1:3], part)
    assert (filled == -9).sum() == 40 - 8


def test_patches_are_rounded_up_to_what_the_networks_can_halve():
    assert rounded((200, 150, 100)) == (112, 160, 208)


def test_hu_become_numbers_around_zero():
    assert torch.allclose(normalized(torch.tensor([-3000, -1000, -350, 300, 3000])),
                          torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))  # fmt: skip


def test_what_is_kept_is_smaller_than_the_cts(cohort, cases):
    raw = sum(Path(path).stat().st_size for path in cohort["image"])
    assert 0 < sum(entry.bytes for entry in space.held()) < raw


def test_cts_of_the_first_cohort_are_not_tested_on_by_name_nor_by_content(cohort, cases):
    others = cohort.head(4).assign(subject=["new-1", "new-2", cases[5].subject, "new-3"])
    others.loc[[0, 2], "image"] = cohort.loc[[10, 11], "image"].to_numpy()  # others than the first
    others.loc[[0, 2], ["lungs", "lesions"]] = cohort.loc[[10, 11], ["lungs", "lesions"]].to_numpy()
    kept, left_out = preparing.never_seen(others, SPACING, cases[:10])
    assert kept["subject"].tolist() == ["new-1"]
    assert left_out["subject"].tolist() == ["new-2", cases[5].subject, "new-3"]
    assert left_out["problem"].str.contains("in the first cohort too").all()
    with pytest.raises(DataError, match=r"no CT of the other cohort(.|\n)*first cohort too"):
        preparing.never_seen(cohort.head(3), SPACING, cases)
