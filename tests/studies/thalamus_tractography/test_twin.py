"""The twin: what it says of itself is what its images show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.thalamus_tractography.definitions import BUNDLES, TARGETS
from nextaim_kit.studies.thalamus_tractography.phantom import head
from nextaim_kit.studies.thalamus_tractography.phantom.anatomy import VIM, Waves, draw_person
from nextaim_kit.studies.thalamus_tractography.phantom.signal import tensor_of
from nextaim_kit.studies.thalamus_tractography.series import read_map, read_reversed, read_series
from nextaim_kit.studies.thalamus_tractography.truth import read_truth
from nextaim_kit.studies.thalamus_tractography.twin import Scan, twin

QUIET = {"workers": 1, "progress": lambda *_: None}
CLEAN = {"edge": 5.0, "motion": 0.0, "distortion": 0.0, "eddy": 0.0, "snr": 2000.0}


def _angle(one, other):
    cosine = np.abs((one * other).sum(-1)) / np.linalg.norm(one, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine / np.linalg.norm(other, axis=-1), 0, 1)))


def _at(values, affine, points):
    index = np.linalg.inv(affine) @ np.c_[points, np.ones(len(points))].T
    return map_coordinates(values.astype(np.float64), index[:3], order=3)


def _centers(affine, where):
    return np.argwhere(where) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("site", ["north", "south"])  # files to the right, and to the left
def test_a_tensor_fitted_to_the_files_is_the_true_one(made, site):
    row = made(site, **CLEAN)
    series, truth = read_series(row), read_truth(row["truth"])
    where = (truth.tissue == 3) & (truth.fa > 0.4)
    fitted = tensor_of(series.values[where], series.bvals, series.directions)
    full = fitted[:, [0, 1, 3, 1, 2, 4, 3, 4, 5]].reshape(-1, 3, 3)
    assert np.median(_angle(np.linalg.eigh(full)[1][..., 2], truth.principal[where])) < 1.5
    assert series.warnings == ()
    assert series.phase == "j"


def test_the_callosum_is_red_the_long_bundle_green_and_the_corticospinal_tract_blue(still):
    _, truth = still
    for axis, name in enumerate(("callosum", "longitudinal", "corticospinal")):
        where = (truth.bundles >> BUNDLES.index(name) & 1 == 1) & (truth.tissue == 3)
        points = _centers(truth.affine, where)
        core = np.abs(points[:, :2] - ((0, -5), (-37, -12), (-24, -15))[axis]) < 12
        ways = np.abs(truth.directions[where][core.all(1)])  # they cross others
        assert (ways[..., axis].max(1) > 0.7).mean() > 0.8


def test_directions_follow_the_fibers_of_a_bundle(still):
    _, truth = still
    for name in ("corticospinal", "longitudinal", "frontal"):
        line = np.concatenate([f[1:] for f in truth.fibers[name]])
        steps = np.concatenate([np.diff(f, axis=0) for f in truth.fibers[name]])
        index = np.rint((line - truth.affine[:3, 3]) / 5).astype(int)
        inside = ((index >= 0) & (index < truth.brain.shape)).all(1)
        index, steps = index[inside], steps[inside]
        alone = truth.bundles[tuple(index.T)] == 1 << BUNDLES.index(name)
        there = truth.directions[tuple(index[alone].T)][:, 0]
        kept = np.linalg.norm(there, axis=1) > 0.5
        assert np.median(_angle(there[kept], steps[alone][kept])) < 15


def test_anisotropy_is_low_in_the_thalamus_and_high_in_the_capsule(box):
    _, truth = box
    assert 0.2 < np.median(truth.fa[truth.thalamus == 1]) < 0.3
    capsule = (truth.tissue == 3) & (truth.bundles == 1 << BUNDLES.index("corticospinal"))
    assert np.median(truth.fa[capsule]) > 0.55
    assert 6e-4 < np.median(truth.md[truth.thalamus == 1]) < 9e-4


def test_shares_add_up_in_the_thalamus_and_are_mixed_at_borders(box):
    _, truth = box
    inside = truth.connectivity[truth.thalamus == 1]
    assert np.abs(inside.sum(1) - 1).max() < 2e-3  # kept in half precision
    assert not truth.connectivity[truth.thalamus == 0].any()
    assert inside.mean(0).min() > 0.02
    assert 0.1 < (inside.max(1) < 0.8).mean() < 0.6


def test_territories_move_where_the_outline_and_t1_do_not():
    rng = np.random.default_rng(5)
    left, right = draw_person(rng)
    moved = replace(left, nuclei=Waves.draw(rng, (30, 60), 2.5))
    grid = head.grid_of("box", 1.0)
    one, other = (head.tissues((side, right), grid.points, 1.0) for side in (left, moved))
    assert np.array_equal(one, other)
    thalamus = grid.points[one[:, -1] > 0.5]
    a, b = (side.shares(side.to_template(thalamus)).argmax(1) for side in (left, moved))
    assert (a != b).mean() > 0.15
    shift = np.sqrt((left.nuclei(grid.points) ** 2).mean())
    assert 2 < shift < 3.2


def test_t1_is_as_bright_in_each_territory(box):
    row, truth = box
    t1, _ = read_map(row["t1"])
    winner = np.where(truth.thalamus == 1, truth.connectivity.argmax(-1), -1)
    deep = truth.fractions.sum(-1) < 0.3
    mean = [t1[(winner == k) & deep].mean() for k in range(len(TARGETS))]
    assert np.ptp(mean) / np.mean(mean) < 0.08
    assert t1[truth.tissue == 3].mean() / np.mean(mean) > 1.15


def test_a_mirrored_person_is_the_mirror_image_vectors_too():
    person = draw_person(np.random.default_rng(6))
    left = head.build(person, head.grid_of("box", 1.0), np.random.default_rng(1))
    right = head.build(person[::-1], head.grid_of("right_box", 1.0), np.random.default_rng(1))

    def whole(known, values):
        out = np.zeros((*known.grid.shape, *values.shape[1:]), values.dtype)
        out[known.there] = values
        return out

    for name in ("tissue", "connectivity"):
        one, other = (whole(k, getattr(k, name)) for k in (left, right))
        assert np.abs(one - other[::-1]).max() < 1e-3
    one, other = (whole(k, k.medium.directions[:, 0]) for k in (left, right))
    both = (np.linalg.norm(one, axis=-1) > 0.5) & (np.linalg.norm(other[::-1], axis=-1) > 0.5)
    angle = _angle(one[both], (other[::-1] * [-1, 1, 1])[both])
    assert np.percentile(angle, 95) < 1


def test_both_sides_of_a_head_differ(made):
    truth = read_truth(made(edge=5.0, extent="head")["truth"])
    left, right = (truth.thalamus == 1), (truth.thalamus == 2)
    assert left.sum() > 20
    assert right.sum() > 20
    assert not np.array_equal(left, right[::-1])
    assert truth.connectivity[right].sum(1) == pytest.approx(1, abs=2e-3)
    assert set(np.unique(truth.parcels)) == {0, *range(1, 7), *range(11, 17)}


def test_the_dentato_rubro_thalamic_bundle_ends_where_the_target_is(box):
    _, truth = box
    ends = np.stack([line[-1] for line in truth.fibers["dentato_rubro_thalamic"]])
    assert np.abs(ends.mean(0) - truth.points["vim_left"]).max() < 1
    left, _ = draw_person(np.random.default_rng(3))
    share = left.shares(left.nucleus(VIM)[None])[0]
    assert TARGETS[share.argmax()] == "precentral"


def test_the_field_says_where_tissue_appears_in_either_series(made, still):
    row = made(**CLEAN | {"distortion": 6.0})
    truth, series = read_truth(row["truth"]), read_series(row)
    plain = read_series(still[0]).b0
    points = _centers(truth.affine, truth.brain & (np.abs(truth.field) > 2.5))
    field, expected = (_at(v, truth.affine, points) for v in (truth.field, plain))
    jacobian = 1 + _at(np.gradient(truth.field, 5.0, axis=1), truth.affine, points)
    for seen, way in ((series, 1), (read_reversed(row, series), -1)):
        moved = points + np.outer(way * field, [0, 1, 0])
        there = _at(seen.b0, truth.affine, moved) * (jacobian if way > 0 else 2 - jacobian)
        assert np.corrcoef(there, expected)[0, 1] > 0.9
        assert np.corrcoef(_at(seen.b0, truth.affine, points), expected)[0, 1] < 0.85


@pytest.mark.parametrize("kind", ["motion", "eddy"])
def test_volumes_lie_where_motion_and_eddy_currents_say(made, still, kind):
    row = made(**CLEAN | {kind: 5.0})
    truth, values = read_truth(row["truth"]), read_series(row).values
    plain = read_series(still[0]).values
    points = _centers(truth.affine, truth.brain)
    points = points[(np.abs(points - (-30, -18, 15)) < (35, 70, 50)).all(1)]  # far from the edges
    center = head.grid_of("hemisphere", 5.0).points.mean(0)
    volume = {"motion": 23, "eddy": 12}[kind]  # the last one without weighting, or any other
    moved = points @ truth.motion[volume][:3, :3].T + truth.motion[volume][:3, 3]
    moved[:, 1] += np.c_[np.ones(len(moved)), moved - center] @ truth.eddy[volume]
    expected = _at(plain[..., volume], truth.affine, points)
    there, naive = (_at(values[..., volume], truth.affine, p) for p in (moved, points))
    right, wrong = (np.corrcoef(v, expected)[0, 1] for v in (there, naive))
    assert right > 0.9
    assert 1 - right < 0.6 * (1 - wrong)


def test_t1_lies_where_its_matrix_says(made):
    row = made(edge=5.0)
    truth = read_truth(row["truth"])
    _, affine = read_map(row["t1"])
    place = _centers(affine, truth.thalamus_t1 == 1).mean(0)
    moved = truth.t1_to_dwi[:3, :3] @ place + truth.t1_to_dwi[:3, 3]
    middle = _centers(truth.affine, truth.thalamus == 1).mean(0)
    assert np.linalg.norm(moved - middle) < 1.5
    assert np.linalg.norm(place - middle) > np.linalg.norm(moved - middle)


def test_a_head_is_the_same_whatever_others_are_made_and_however_it_is_scanned(tmp_path):
    scan = Scan(edge=5.0)
    few, again = (
        twin(scan, ["south"], seed=1).make(1, folder=tmp_path / name, **QUIET) for name in "ab"
    )
    for column in ("t1", "dwi", "bval", "bvec", "reversed", "truth"):
        assert Path(few[column][0]).read_bytes() == Path(again[column][0]).read_bytes()
    other = twin(replace(scan, snr=5.0), ["north", "south"], seed=1).patients(8)
    assert set(few["atrophy"]) <= set(other["atrophy"])


def test_what_cannot_be_made_is_refused():
    with pytest.raises(RequestError, match="no such scanners"):
        twin(sites=["east"])
    with pytest.raises(RequestError, match="such a scan"):
        twin(Scan(edge=0.5))


def test_beside_a_real_subject_no_truth_is_read():
    with pytest.raises(DataError, match="no truth is known"):
        read_truth("")
