"""The phantom: tissues in HU, volumes, what lies where, and that size in voxels changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, label

from nextaim_kit.twins.chest_ct.anatomy import draw_chest
from nextaim_kit.twins.chest_ct.build import draw_build
from nextaim_kit.twins.chest_ct.grid import FIELD_MM, Grid, Texture
from nextaim_kit.twins.chest_ct.lesions import Disease
from nextaim_kit.twins.chest_ct.tubes import Tubes, draw_tubes


def place(chest, mask):
    """Mean x (to the left), y (to the back), z (to the head) of a mask in mm."""
    k, row, column = np.nonzero(mask)
    return chest.grid.x[0, column].mean(), chest.grid.y[row, 0].mean(), chest.grid.z[k].mean()


def test_lungs_have_the_volume_of_grown_ups_and_the_right_one_is_larger(healthy):
    for patient in healthy:
        right, left = ((patient.chest.lungs == k).sum() for k in (1, 2))
        assert 2000 < (right + left) * patient.chest.grid.voxel_ml < 6500
        assert 1.0 < right / left < 1.4


def test_volumes_stay_plausible_over_many_bodies():
    builds = [draw_build(np.random.default_rng(k)) for k in range(300)]
    widths = [2 * (b.half + b.fat + 20) for b in builds]
    assert np.quantile(widths, 0.95) < FIELD_MM  # the body fits into the field
    assert min(b.carina - b.dome for b in builds) > 60
    assert np.std([b.half for b in builds]) > 5


def test_normal_lung_has_its_hu_with_vessels_and_without(healthy):
    for patient in healthy:
        lung = patient.hu[patient.inside]
        assert lung.mean() == pytest.approx(-850, abs=50)
        assert np.median(lung) == pytest.approx(-880, abs=20)


def test_there_is_air_around_the_body_and_a_table_below_it(healthy):
    for patient in healthy:
        hu = patient.hu
        assert (hu[:, :8, :8] == -1000).all()
        assert (hu[:, :8, -8:] == -1000).all()
        assert -600 < hu[:, -1].max() < -150


def test_tissues_have_their_hu(healthy):
    for patient in healthy:
        chest, hu = patient.chest, patient.hu
        counts, edges = np.histogram(hu, bins=np.arange(-1010, 801, 10))
        middles = (edges[1:] + edges[:-1]) / 2
        fat = (middles > -130) & (middles < -70)
        soft = (middles > 10) & (middles < 90)
        assert -120 < middles[fat][counts[fat].argmax()] < -80
        assert 20 < middles[soft][counts[soft].argmax()] < 60
        bone = (hu > 200).sum() * chest.grid.voxel_ml
        assert 350 < bone < 2500


def test_heart_and_aorta_hold_blood(healthy):
    for patient in healthy:
        chest = patient.chest
        z = int(np.abs(chest.grid.z - chest.build.carina + 60).argmin())
        row = int(np.abs(chest.grid.y[:, 0] + 30).argmin())
        column = int(np.abs(chest.grid.x[0] - 20).argmin())
        heart = patient.hu[z, row - 3 : row + 4, column - 3 : column + 4]
        assert 40 <= np.median(heart) <= 50


def test_left_is_left_back_is_back_and_up_is_up(healthy):
    for patient in healthy:
        chest, hu = patient.chest, patient.hu
        middle = place(chest, patient.inside)
        assert place(chest, chest.lungs == 1)[0] < middle[0] < place(chest, chest.lungs == 2)[0]
        spine = (hu > 200) & (np.abs(chest.grid.x[None] - chest.build.shift) < 12)
        assert place(chest, spine)[1] > middle[1] + 20
        low = slice(0, 14)  # liver on the right, fat and gas on the left
        right = hu[low, 25:50, 22:40].mean()
        assert right > hu[low, 25:50, 60:78].mean() + 20


def test_the_heart_lies_more_on_the_left(healthy):
    for patient in healthy:
        z = int(np.abs(patient.chest.grid.z - patient.chest.build.carina + 60).argmin())
        lungs = patient.chest.lungs[z]
        assert (lungs == 1).sum() > (lungs == 2).sum()


def test_the_right_half_of_the_diaphragm_is_higher(healthy):
    for patient in healthy:
        chest = patient.chest
        x = chest.grid.x[0] - chest.build.shift
        row = int(np.abs(chest.grid.y[:, 0] - 38).argmin())  # behind the heart
        columns = [int(np.abs(x - side * 0.5 * chest.build.half).argmin()) for side in (-1, 1)]
        lowest = [np.flatnonzero(chest.lungs[:, row, c]).min() for c in columns]
        assert lowest[0] >= lowest[1]


def test_each_lung_is_one_piece(healthy):
    for patient in healthy:
        for side in (1, 2):
            parts, _ = label(patient.chest.lungs == side)
            sizes = np.bincount(parts.ravel())[1:]
            assert sizes.max() / sizes.sum() > 0.995


def test_vessels_are_dense_taper_and_stay_off_the_pleura(healthy):
    chest = healthy[0].chest
    core = binary_erosion(chest.lungs > 0, iterations=6)
    rim = (chest.lungs > 0) & ~binary_erosion(chest.lungs > 0, iterations=2)
    assert chest.vessels[core].mean() > 3 * chest.vessels[rim].mean()
    assert 0.02 < chest.vessels[chest.lungs > 0].mean() / 255 < 0.09
    dense = (chest.vessels > 250) & (chest.lungs > 0) & (chest.lumens == 0) & (chest.walls == 0)
    assert np.median(healthy[0].hu[dense]) == pytest.approx(44, abs=5)


def test_airways_hold_air_from_the_trachea_to_the_lungs(healthy):
    chest = healthy[0].chest
    tubes, _ = label(chest.lumens > 80, np.ones((3, 3, 3)))
    largest = tubes == np.bincount(tubes.ravel())[1:].argmax() + 1
    assert healthy[0].hu[chest.lumens > 250].max() < -940
    assert largest[-1].any()
    assert {1, 2} <= set(np.unique(chest.lungs[largest]))


def test_no_airway_crosses_the_heart(healthy):
    for patient in healthy:
        chest = patient.chest
        below = chest.grid.z < chest.build.carina - 60
        assert not ((chest.lumens[below] > 20) & (chest.air[below] == 0)).any()


def test_ribs_lie_all_around_the_lungs(healthy):
    for patient in healthy:
        z = patient.chest.grid.shape[0] // 2
        bone, count = label(patient.hu[z] > 200)
        rows, columns = np.nonzero(bone)
        assert count >= 6
        assert rows.min() < 22 < 50 < rows.max()
        assert columns.min() < 25 < 75 < columns.max()


def test_a_patient_is_the_same_at_another_size():
    coarse, fine = (
        draw_chest(size, np.random.default_rng(3)) for size in ((80, 60, 50), (160, 120, 100))
    )
    assert coarse.build == fine.build
    for side in (1, 2):
        ml = [(c.lungs == side).sum() * c.grid.voxel_ml for c in (coarse, fine)]
        assert ml[0] == pytest.approx(ml[1], rel=0.015)
    blocks = (fine.lungs > 0).reshape(50, 2, 60, 2, 80, 2).mean(axis=(1, 3, 5))
    assert np.abs(blocks - (coarse.lungs > 0))[np.abs(blocks - 0.5) == 0.5].mean() < 0.002


def test_the_disease_leaves_the_anatomy_as_it_is(healthy, patient):
    sick = patient(0, Disease(0.4, 0.5))
    np.testing.assert_array_equal(sick.chest.lungs, healthy[0].chest.lungs)
    apart = np.abs(sick.hu - healthy[0].hu)
    assert not apart[sick.chest.air == 0].any()


def test_the_same_seed_draws_the_same_and_another_one_another():
    one, same, other = (draw_chest((40, 30, 20), np.random.default_rng(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.hu, same.hu)
    assert not np.array_equal(one.lungs, other.lungs)


def test_a_tube_has_the_volume_of_a_cylinder():
    grid = Grid.of((200, 150, 170))
    for radius in (0.8, 4.0, 12.0):
        tubes = Tubes.along([(-60, 0, -50), (60, 10, 60)], radius)
        length = np.linalg.norm(np.subtract(tubes.ends[-1], tubes.starts[0]))
        drawn = draw_tubes(grid, tubes).sum() / 255 * grid.voxel_ml * 1000
        expected = np.pi * radius**2 * length + 4 / 3 * np.pi * radius**3
        assert drawn == pytest.approx(expected, rel=0.2), radius


def test_tubes_that_leave_the_field_are_cut_there():
    grid = Grid.of((32, 24, 16))
    beyond = Tubes.along([(-500, 0, 0), (500, 0, 0)], 20.0)
    drawn = draw_tubes(grid, beyond)
    assert drawn[:, :, 0].any()
    assert drawn[:, :, -1].any()
    assert not draw_tubes(grid, Tubes.along([(900, 0, 0), (950, 0, 0)], 5.0)).any()


def test_a_texture_is_the_same_at_every_size_and_smooth():
    texture = Texture.draw(12.0, np.random.default_rng(0))
    fine, coarse = (texture.plane(Grid.of(size), 3.0) for size in ((300, 225, 16), (100, 75, 16)))
    np.testing.assert_allclose(fine[1::3, 1::3], coarse, atol=1e-4)
    assert texture.values.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(np.diff(fine, axis=1)).max() < 0.6
