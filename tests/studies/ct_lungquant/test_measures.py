"""What is counted in masks: volumes, sides, kind, place, on the CT's own voxels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit.studies.ct_lungquant import explain
from nextaim_kit.studies.ct_lungquant.measures import (
    Found,
    Maps,
    between,
    blank_mask,
    measure,
)
from nextaim_kit.studies.ct_lungquant.resampling import coarse
from nextaim_kit.studies.ct_lungquant.scans import Scan

SHAPE = (40, 40, 60)  # z, y, x; voxels of 2 mm


def image(values, spacing=(2.0, 2.0, 2.0)):
    made = sitk.GetImageFromArray(values)
    made.SetSpacing(spacing)
    return made


def block(*spans):
    mask = np.zeros(SHAPE, np.float32)
    mask[tuple(slice(*s) for s in spans)] = 1
    return mask


RIGHT = block((5, 35), (5, 35), (5, 25))
LEFT = block((5, 35), (5, 35), (35, 55))
ILL = block((5, 15), (5, 35), (5, 25))  # the lowest third of the right lung


def found(ill=ILL, dense=None, **options):
    hu = np.full(SHAPE, -850, np.int16)
    hu[ill > 0] = -500
    if dense is not None:
        hu[dense > 0] = 20
    maps = Maps(image(RIGHT), image(LEFT), image(ill))
    return measure(Scan(image(hu)), maps, **options)


def test_volumes_and_involvement_are_those_of_the_masks():
    values = found().values
    lung = 30 * 30 * 20 * 8 / 1000
    assert values["right_ml"] == values["left_ml"] == pytest.approx(lung)
    assert values["lesions_ml"] == values["lesions_right_ml"] == pytest.approx(lung / 3)
    assert values["involvement"] == pytest.approx(100 / 6)
    assert values["involvement_right"] == pytest.approx(100 / 3)
    assert (values["involvement_left"], values["ct_ss"]) == (0, 2)


def test_place_and_kind_are_those_of_the_lesions():
    values = found().values
    assert (values["left"], values["upper"], values["bilateral"]) == (0, 0, False)
    assert (values["ground_glass"], values["consolidation"], values["type"]) == (
        1,
        0,
        "ground glass",
    )
    assert values["complete"]


def test_a_dense_half_is_half_consolidation_and_the_limit_moves_it():
    half = block((5, 10), (5, 35), (5, 25))
    assert found(dense=half).values["consolidation"] == pytest.approx(0.5)
    assert found(dense=half).values["type"] == "consolidation"
    assert found(dense=half, consolidated_hu=100).values["consolidation"] == 0
    assert found(dense=half, consolidated_hu=-600).values["consolidation"] == 1


def test_without_lesions_there_is_no_kind_and_no_place():
    values = found(ill=np.zeros(SHAPE, np.float32)).values
    assert (values["involvement"], values["type"], values["bilateral"]) == (0, "none", False)
    assert np.isnan(
        [values[name] for name in ("left", "upper", "peripheral", "consolidation")]
    ).all()


def test_lesions_outside_the_lungs_do_not_count():
    outside = block((5, 35), (5, 35), (25, 35))
    assert found(ill=outside).values["lesions_ml"] == 0


def test_a_core_is_not_peripheral_and_a_rim_is():
    shape = (80, 80, 120)
    lung = [np.zeros(shape, np.float32) for _ in range(2)]
    lung[0][5:75, 5:75, 5:55], lung[1][5:75, 5:75, 65:115] = 1, 1
    core, rim = (np.zeros(shape, np.float32) for _ in range(2))
    core[35:45, 35:45, 25:35], rim[35:45, 35:45, 5:9] = 1, 1
    hu = image(np.full(shape, -850, np.int16))
    for ill, expected in ((core, 0), (rim, 1)):
        maps = Maps(*(image(part) for part in (*lung, ill)))
        assert measure(Scan(hu), maps).values["peripheral"] == expected


def test_maps_on_a_coarser_grid_keep_the_volume():
    smooth = [coarse(image(part), (4.0, 4.0, 4.0)) for part in (RIGHT, LEFT, ILL)]
    hu = np.where(RIGHT + LEFT > 0, -850, 40).astype(np.int16)
    values = measure(Scan(image(hu)), Maps(*smooth)).values
    assert values["right_ml"] == pytest.approx(30 * 30 * 20 * 8 / 1000, rel=0.05)


def test_lungs_at_a_face_of_the_scan_are_not_complete():
    wide = block((5, 35), (5, 35), (35, 60))
    maps = Maps(image(RIGHT), image(wide), image(ILL))
    assert not measure(Scan(image(np.full(SHAPE, -850, np.int16))), maps).values["complete"]


@pytest.mark.parametrize(
    ("spans", "ends"),
    [
        (((5, 35), (5, 35), (5, 55)), []),
        (((0, 35), (5, 40), (5, 60)), ["below", "behind", "at the left"]),
        (((5, 40), (0, 35), (0, 55)), ["above", "in front", "at the right"]),
    ],
)
def test_ends_that_the_lungs_reach_are_named_and_their_box_holds_them(spans, ends):
    lungs = block(*spans).astype(np.uint8)
    one = Found(Scan(image(lungs)), lungs, lungs, {})
    assert one.cut_ends == ends
    assert one.box == tuple(slice(*s) for s in spans)


def test_a_tip_at_the_end_of_the_scan_cuts_no_lung_and_no_lung_has_no_end():
    lungs = block((5, 35), (5, 35), (5, 55)).astype(np.uint8)
    lungs[35:, 20, 20] = 1
    assert not Found(Scan(image(lungs)), lungs, lungs, {}).cut_ends
    none = np.zeros(SHAPE, np.uint8)
    assert not Found(Scan(image(none)), none, none, {}).cut_ends
    assert none[Found(Scan(image(none)), none, none, {}).box].size == 0


def test_what_lies_between_the_lungs_is_neither_lung_nor_wall():
    gap = between(RIGHT > 0, LEFT > 0)
    assert gap[10, 10].nonzero()[0].tolist() == list(range(25, 35))
    assert not gap[:5].any()


def test_the_profile_and_the_histogram_add_up_to_the_values():
    one = found(dense=block((5, 10), (5, 35), (5, 25)))
    profile, counts = explain.profile(one), explain.by_hu(one)
    assert profile["lungs_ml"].sum() == pytest.approx(one.values["lungs_ml"])
    assert profile["lesions_ml"].sum() == pytest.approx(one.values["lesions_ml"])
    assert profile["height"].iloc[-1] == 58
    assert sum(counts["consolidation"]) == pytest.approx(one.values["lesions_ml"] / 2)
    assert sum(map(sum, counts.values())) == pytest.approx(one.values["lungs_ml"])


def test_the_way_to_the_nearest_border_is_counted():
    assert explain.to_border([0, 5, 30, 49, 100]).tolist() == [5, 0, 5, 1, 25]


def test_a_blank_mask_takes_memory_only_where_it_is_written():
    def held():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = held()
    mask = blank_mask((400, 512, 512))
    mask[:, 200:240] = 1  # 8 MB of 105
    assert held() - before < 20e6
    assert (mask[7, 199:241].min(axis=1) == [0, *[1] * 40, 0]).all()
    assert not mask[:, :200].any()
