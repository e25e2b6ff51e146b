"""T1 laid upon diffusion and template: within half a millimeter, and of one person only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import placing
from nextaim_kit.studies.thalamus_tractography.accuracy import placing_errors
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, prepare
from nextaim_kit.studies.thalamus_tractography.series import read_map, read_series
from nextaim_kit.studies.thalamus_tractography.truth import read_truth
from nextaim_kit.studies.thalamus_tractography.twin import template

RESTING = {"edge": 3.0, "motion": 0.0, "distortion": 0.0, "eddy": 0.0}
STEPS = Steps(denoise=False, distortion=False, motion="none")


@pytest.fixture(scope="module")
def prepared(made):
    """Rows of two people, and the first one's series."""
    rows = [made(site, **RESTING) for site in ("north", "south")]
    return rows, placing.Diffusion.of(prepare(read_series(rows[0]), None, STEPS))


def test_t1_is_laid_upon_diffusion_and_the_template_upon_both(prepared):
    (row, _), diffusion = prepared
    head = placing.place_t1(row, diffusion, template())
    off = placing_errors(head, read_truth(row["truth"]))
    assert off["t1_to_dwi"] < 0.8
    assert off["before"] > 2
    assert max(off["ac"], off["pc"]) < 6  # people differ from the template
    assert head.alike > 1.5 * placing.ALIKE
    assert np.linalg.det(head.box_to_t1[:3, :3]) == pytest.approx(1)


def test_the_t1_of_another_person_is_refused(prepared):
    (_, other), diffusion = prepared
    with pytest.raises(DataError, match=r"(?s)do not fit together.*0\.25 or more"):
        placing.place_t1(other, diffusion)


def test_voxels_too_coarse_to_tell_people_apart_are_said_to_be(made):
    row = made(**RESTING | {"edge": 5.0})
    diffusion = placing.Diffusion.of(prepare(read_series(row), None, STEPS))
    head = placing.place_t1(row, diffusion, template())
    assert any("was not checked" in note for note in head.diffusion.notes)


def test_commissures_that_a_person_has_read_are_taken():
    read = {"AC": np.array([1.0, 2, 3]), "PC": np.array([1.0, -23, 3])}
    head = placing.PlacedHead("P1", np.zeros((2, 2, 2)), np.eye(4), None, np.eye(4), np.eye(4), 1.0)
    assert head.frame.length == pytest.approx(26.2, abs=0.1)
    assert replace(head, read=read).frame.length == 25


@pytest.mark.parametrize("ac", ["1 2", "here", ""])
def test_commissures_that_are_no_places_are_refused(ac):
    row = {"subject": "P1", "ac": ac, "pc": "1, -23, 3"}
    with pytest.raises(DataError, match="AC and PC of P1 are no places"):
        placing.commissures(row)
    assert placing.commissures({"subject": "P1"}) == {}


@pytest.mark.parametrize("row", [{"kind": "peaks", "t1": "a"}, {"kind": "series", "t1": ""}])
def test_a_plan_needs_t1_and_a_series(row):
    with pytest.raises(DataError, match=r"P1 cannot be planned"):
        placing.place_head({"subject": "P1", **row})


def test_likeness_does_not_depend_on_the_order_of_axes(prepared):
    (row, _), diffusion = prepared
    t1, affine = read_map(row["t1"])
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = t1.shape[0] - 1
    one = placing.likeness(t1, affine, diffusion, np.eye(4))
    assert placing.likeness(t1[::-1], affine @ flip, diffusion, np.eye(4)) == pytest.approx(one)


def test_a_mask_of_the_thalamus_is_taken_where_there_is_one(prepared):
    (row, _), diffusion = prepared
    found = placing.given_thalamus(row, "left", diffusion)
    assert (found == (read_truth(row["truth"]).thalamus == 1)).all()
    with pytest.raises(DataError, match=r"(?s)P1 comes without a mask of the left.*thalamus_left"):
        placing.given_thalamus({"subject": "P1"}, "left", diffusion)
