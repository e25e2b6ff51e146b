"""Counts of levels against pyradiomics' C code, and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from radiomics import cMatrices

from nextaim_kit.studies.ct_radiomics import matrices


def region(seed, shape, levels, density=0.7, first=1):
    random = np.random.default_rng(seed)
    inside = random.random(shape) < density
    inside.flat[0] = True
    return (random.integers(first, first + levels, shape) * inside).astype(np.int32)


REGIONS = {
    "a few levels": region(0, (6, 7, 8), 4),
    "full, to the borders": region(1, (5, 4, 9), 3, density=1),
    "sparse": region(2, (7, 6, 5), 5, density=0.15),
    "one level": region(3, (4, 5, 6), 1),
    "levels that are missing": region(4, (5, 6, 5), 3) * 7,
    "more than 255 levels": region(5, (6, 6, 6), 40, first=300),
    "more than 65,535 levels": region(6, (3, 4, 3), 3, first=1) * 23000,
    "one slice": region(7, (1, 9, 8), 3),
    "one slice on its side": region(8, (9, 8, 1), 3),
    "one voxel": region(9, (1, 1, 1), 1),
}
SMALL = {name: r for name, r in REGIONS.items() if r.max() < 1000}
anywhere = pytest.mark.parametrize("name", SMALL)
flat = pytest.mark.parametrize("planar", [None, 0, 1, 2])


def by_offset(found, angles, offsets, shape):
    """C code's matrices by offset; it leaves out those longer than the region, and turns some."""
    result = {}
    for matrix, angle in zip(np.moveaxis(found, -1, 0), angles, strict=True):
        result[tuple(angle)] = matrix
        result[tuple(-angle)] = matrix.T
    return [result.get(tuple(offset)) for offset in offsets]


def c_code(name, levels, *between, planar, distances=None):
    """Matrices as pyradiomics' C code has them, without the axis of its batches."""
    given = [levels, levels > 0]
    given += [] if distances is None else [np.array(distances)]
    given += [*between, planar is not None, planar or 0]
    return getattr(cMatrices, f"calculate_{name}")(*given)


@pytest.fixture(params=["machine code", "plain"], autouse=True)
def way(request, monkeypatch):
    """Count by machine code, and as where there is none."""
    if request.param == "plain":
        monkeypatch.setattr(matrices, "kernel", lambda *_: None)
        monkeypatch.setattr(matrices, "_zone_links", lambda _: None)
    return request.param


@flat
@pytest.mark.parametrize("distances", [(1,), (1, 2), (3,)])
@anywhere
def test_pairs_are_counted_as_the_c_code_counts_them(name, distances, planar):
    levels = SMALL[name]
    offsets = matrices.directions(distances, planar)
    ours = matrices.cooccurrence(levels, offsets)
    if not pairs_exist(levels.shape, distances, planar):
        assert ours.sum() == 0
        return
    found, angles = c_code("glcm", levels, levels.max(), planar=planar, distances=distances)
    expected = by_offset(found[0], angles, offsets, levels.shape)
    for matrix, theirs in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(matrix, 0 if theirs is None else theirs)


def pairs_exist(shape, distances, planar):
    free = [n for axis, n in enumerate(shape) if axis != planar]
    return max(free) > min(distances)


@flat
@anywhere
def test_runs_are_counted_as_the_c_code_counts_them(name, planar):
    levels = SMALL[name]
    offsets = matrices.directions(planar=planar)
    ours = matrices.run_lengths(levels, offsets)
    weights = np.arange(1, ours.shape[2] + 1)
    assert (ours @ weights).tolist() == [np.bincount(levels.ravel())[1:].tolist()] * len(offsets)
    if not pairs_exist(levels.shape, (1,), planar):
        assert ours[..., 1:].sum() == 0
        return
    found, angles = c_code("glrlm", levels, levels.max(), max(levels.shape), planar=planar)
    theirs = {tuple(s * a): m for m, a in zip(np.moveaxis(found[0], -1, 0), angles, strict=True)
              for s in (1, -1)}  # fmt: skip
    for matrix, offset in zip(ours, offsets, strict=True):
        expected = theirs.get(tuple(offset))
        # It empties a direction in which no line holds two voxels.
        if expected is not None and expected.any():
            np.testing.assert_array_equal(matrix, expected[:, : ours.shape[2]])
            assert not expected[:, ours.shape[2] :].any()
        else:
            assert matrix[:, 1:].sum() == 0


@flat
@anywhere
def test_zones_are_counted_as_the_c_code_counts_them(name, planar):
    levels = SMALL[name]
    counts, sizes = matrices.zones(levels, planar)
    assert (counts @ sizes).tolist() == np.bincount(levels.ravel())[1:].tolist()
    if pairs_exist(levels.shape, (1,), planar):
        found = c_code("glszm", levels, levels.max(), int((levels > 0).sum()) + 1, planar=planar)
        there = np.flatnonzero(found[0].sum(axis=0))
        np.testing.assert_array_equal(sizes, there + 1)
        np.testing.assert_array_equal(counts, found[0][:, there])


@flat
@pytest.mark.parametrize(("distances", "alpha"), [((1,), 0), ((1,), 1), ((1, 2), 2)])
@anywhere
def test_dependence_is_counted_as_the_c_code_counts_it(name, distances, alpha, planar):
    levels = SMALL[name]
    ours = matrices.dependence(levels, matrices.directions(distances, planar), alpha)
    assert ours.sum() == (levels > 0).sum()
    if pairs_exist(levels.shape, distances, planar):
        found = c_code("gldm", levels, levels.max(), alpha, planar=planar, distances=distances)
        width = min(ours.shape[1], found.shape[2])
        np.testing.assert_array_equal(ours[:, :width], found[0][:, :width])
        assert ours[:, width:].sum() == found[0][:, width:].sum() == 0


@flat
@pytest.mark.parametrize("distances", [(1,), (1, 2)])
@anywhere
def test_tone_is_summed_as_the_c_code_sums_it(name, distances, planar):
    levels = SMALL[name]
    offsets = matrices.directions(distances, planar)
    counts, alone, differences = matrices.neighborhood_tone(levels, offsets)
    assert counts.tolist() == np.bincount(levels.ravel())[1:].tolist()
    assert (alone <= counts).all()
    if pairs_exist(levels.shape, distances, planar):
        found = c_code("ngtdm", levels, levels.max(), planar=planar, distances=distances)
        np.testing.assert_array_equal(counts, found[0][:, 0])
        np.testing.assert_allclose(differences, found[0][:, 1], rtol=1e-13)


def test_a_voxel_without_neighbors_is_alone_and_adds_no_difference():
    levels = np.zeros((1, 1, 5), np.int32)
    levels[0, 0, [0, 2, 3]] = 2, 1, 4
    counts, alone, differences = matrices.neighborhood_tone(levels, matrices.directions())
    assert counts.tolist() == [1, 1, 0, 1]
    assert alone.tolist() == [0, 1, 0, 0]
    assert differences.tolist() == [3, 0, 0, 3]


def test_directions_are_one_of_each_opposite_pair():
    offsets = matrices.directions((1, 2))
    assert offsets.shape == (13 + 49, 3)
    both = {tuple(o) for o in offsets} | {tuple(-o) for o in offsets}
    assert len(both) == 5**3 - 1
    assert len(matrices.directions(planar=1)) == 4
    assert not matrices.directions((1, 2), planar=1)[:, 1].any()


def test_a_row_of_three_equal_voxels_is_one_run_and_one_zone():
    levels = np.array([[[2, 2, 2, 0, 1]]])
    along = matrices.run_lengths(levels, np.array([[0, 0, 1]]))
    assert np.argwhere(along).tolist() == [[0, 0, 0], [0, 1, 2]]
    counts, sizes = matrices.zones(levels)
    assert sizes.tolist() == [1, 3]
    assert counts.tolist() == [[1, 0], [0, 1]]
