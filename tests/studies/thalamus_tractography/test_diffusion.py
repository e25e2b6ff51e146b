"""A whole preparation against the truth of a small head."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import accuracy, fibers
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, brain_mask, prepare
from nextaim_kit.studies.thalamus_tractography.series import read_reversed, read_series
from nextaim_kit.studies.thalamus_tractography.truth import read_truth


@pytest.fixture(scope="module")
def head(made):
    row = made(edge=5.0)
    series = read_series(row)
    return row, series, read_reversed(row, series), read_truth(row["truth"])


@pytest.fixture(scope="module")
def found(head):
    return fibers.fibers_of(head[0], whole=head[0]["subject"])


def test_preparation_brings_directions_and_fa_nearer_to_the_truth(found):
    first, last = found.steps.iloc[0], found.steps.iloc[-1]
    assert last["angle"] < 0.8 * first["angle"]
    assert last["fa"] < 0.9 * first["fa"]
    assert last["md"] < first["md"]


def test_field_and_motion_are_found_and_the_brain_is_the_brain(found):
    told = found.against_truth
    assert told["field_mm"] < 0.3 * told["field_before_mm"]
    assert told["motion_mm"] < 0.6 * told["motion_before_mm"]
    assert told["dice_brain"] > 0.95


def test_a_still_head_without_noise_has_the_true_tensors(still):
    row, truth = still
    series = read_series(row)
    made = prepare(series, None, Steps(denoise=False, distortion=False, motion="none"))
    found = accuracy.errors(made.tensors, truth)
    assert found["angle"] < 0.5
    assert found["fa"] < 0.01


def test_raw_series_and_table_mirrored_and_fitted_again_give_mirrored_maps(head):
    from dataclasses import replace

    _, series, _, _ = head
    mirror, values = np.diag([-1.0, 1, 1]), series.values[::-1]
    affine = series.affine.copy()
    affine[0, 3] = -(affine[0, 3] + affine[0, 0] * (len(values) - 1))
    table = replace(series.table, directions=series.directions @ mirror)
    other = replace(series, values=values, affine=affine, table=table)
    still = Steps(denoise=False, distortion=False, motion="none")
    left, right = (prepare(s, None, still).tensors for s in (series, other))
    wanted = left.turned(mirror).elements[::-1]
    np.testing.assert_allclose(right.elements, wanted, atol=1e-6)


def test_what_is_not_done_is_said(head):
    assert "distortion was not corrected" in prepare(head[1]).notes[-1]


def test_more_noise_makes_larger_errors_and_higher_fa(head):
    _, series, _, truth = head
    mask = brain_mask(series.b0)
    more = accuracy.with_noise(series, 60.0, np.random.default_rng(0))
    few, many = (
        accuracy.errors(fibers.fit_tensors(s.values, s.bvals, s.directions, mask), truth)
        for s in (series, more)
    )
    assert many["angle"] > few["angle"]
    assert many["fa_bias"] > few["fa_bias"]


def test_an_image_without_a_brain_is_refused():
    with pytest.raises(DataError, match="no brain was found"):
        brain_mask(np.zeros((12, 12, 12), np.float32))
