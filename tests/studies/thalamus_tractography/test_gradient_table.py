"""Gradient tables: read in either convention, and refused where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.gradient_table import (
    GradientTable,
    from_fsl,
    read_gradients,
    require_shells,
    to_fsl,
    write_gradients,
)
from nextaim_kit.studies.thalamus_tractography.phantom.scanner import gradient_table

RAS = np.diag([2.0, 2, 2, 1])
LAS = np.diag([-2.0, 2, 2, 1])
TURNED = np.eye(4)
TURNED[:3, :3] = Rotation.from_euler("xyz", [20, 10, -15], degrees=True).as_matrix() * 2
BVALS, VECTORS = gradient_table("clinical")


@pytest.fixture
def table(tmp_path):
    """A function that writes b-values and vectors as text, and reads them."""

    def read(bvals=BVALS, vectors=VECTORS.T, affine=LAS, volumes=35, **options):
        np.savetxt(tmp_path / "a.bval", np.atleast_2d(bvals))
        np.savetxt(tmp_path / "a.bvec", vectors)
        paths = tmp_path / "a.bval", tmp_path / "a.bvec"
        return read_gradients(*paths, affine, volumes=volumes, **options)

    return read


@pytest.mark.parametrize("affine", [RAS, LAS, TURNED, TURNED @ np.diag([-1, 1, 1, 1])])
def test_what_is_written_for_a_file_is_read_as_it_was(tmp_path, affine):
    paths = tmp_path / "a.bval", tmp_path / "a.bvec"
    write_gradients(GradientTable(BVALS, VECTORS), affine, *paths)
    found = read_gradients(*paths, affine, volumes=len(BVALS))
    assert np.abs(found.directions - VECTORS).max() < 2e-6
    assert found.warnings == ()


def test_the_first_of_fsls_axes_goes_to_the_left_in_either_order():
    assert from_fsl([[1, 0, 0]], RAS)[0] == pytest.approx([-1, 0, 0])
    assert from_fsl([[1, 0, 0]], LAS)[0] == pytest.approx([-1, 0, 0])


def test_on_a_turned_grid_directions_turn_with_it():
    there = to_fsl(VECTORS, TURNED)
    assert np.abs(there - VECTORS).max() > 0.2
    assert np.abs(from_fsl(there, TURNED) - VECTORS).max() < 1e-12


def test_b_values_in_other_units_are_refused_with_the_factor(table):
    with pytest.raises(DataError, match=r"found: +1 at most(.|\n)*multiply them by 1000"):
        table(BVALS / 1000)


def test_vectors_of_a_scanner_are_taken_as_they_are(table):
    assert np.allclose(table(affine=TURNED, convention="scanner").directions, VECTORS)


def test_vectors_in_columns_are_turned_and_told(table):
    found = table(vectors=VECTORS)
    assert np.allclose(found.directions, table().directions)
    assert "columns" in found.warnings[0]


def test_other_counts_are_refused(table):
    with pytest.raises(DataError, match=r"(?s)a.bval does not belong.*35 values"):
        table(volumes=34)
    with pytest.raises(DataError, match=r"(?s)a.bvec does not belong.*34 vectors"):
        table(vectors=VECTORS.T[:, 1:])
    with pytest.raises(DataError, match="a table of 2 x 35"):
        table(vectors=VECTORS.T[:2])


def test_vectors_of_another_length_become_units_and_are_told(table):
    found = table(vectors=0.7 * VECTORS.T)
    assert np.allclose(np.linalg.norm(found.directions[~found.b0], axis=1), 1)
    assert "0.7 to 0.7 long" in found.warnings[0]


def test_a_direction_without_weighting_is_ignored_and_told(table):
    vectors = VECTORS.T.copy()
    vectors[:, 0] = [1, 0, 0]
    found = table(vectors=vectors)
    assert not found.directions[0].any()
    assert "have a direction: ignored" in found.warnings[0]


def test_weighting_without_a_direction_is_refused(table):
    vectors = VECTORS.T.copy()
    vectors[:, 5] = np.nan
    with pytest.raises(DataError, match="the first volume 5"):
        table(vectors=vectors)


def test_a_series_without_b0_is_told(table):
    some = BVALS > 0
    found = table(BVALS[some], VECTORS[some].T, volumes=32)
    assert "no volume without weighting" in found.warnings[0]


def test_fewer_than_six_directions_are_refused(table):
    some = np.r_[0:6]
    with pytest.raises(DataError, match=r"(?s)too few directions.*found: +5"):
        table(BVALS[some], VECTORS[some].T, volumes=6)
    twice = np.r_[0:4, 1:4]  # the same three again
    with pytest.raises(DataError, match=r"found: +3"):
        table(BVALS[twice], VECTORS[twice].T, volumes=7)


def test_one_shell_is_refused_where_two_are_needed():
    with pytest.raises(DataError, match=r"(?s)more shells.*b = 1000"):
        require_shells(GradientTable(BVALS, VECTORS), 2, "this")
    three = GradientTable(*gradient_table("three_shells"))
    require_shells(three, 3, "this")
    assert three.shells == [1000, 2000, 3000]


def test_a_missing_or_torn_table_is_named(tmp_path):
    (tmp_path / "a.bval").write_text("0 1000 x")
    with pytest.raises(DataError, match="no table of numbers"):
        read_gradients(tmp_path / "a.bval", tmp_path / "a.bvec", RAS, volumes=3)
    with pytest.raises(DataError, match=r"b.bval is missing"):
        read_gradients(tmp_path / "b.bval", tmp_path / "a.bvec", RAS, volumes=3)
