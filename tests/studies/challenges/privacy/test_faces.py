"""What defacing leaves as it was, what it changes, and who is still recognized."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.data.privacy.heads import NoBrain
from nextaim_kit.errors import RequestError
from nextaim_kit.studies.challenges.privacy import linking, loading
from nextaim_kit.studies.challenges.privacy.faces import DefacedHead
from nextaim_kit.studies.challenges.privacy.loading import head_visits
from nextaim_kit.studies.challenges.privacy.made_heads import scan


@pytest.fixture(scope="module")
def visits():
    return head_visits(4, 1, seed=1)


def test_no_voxel_of_the_brain_changes_and_the_face_is_gone(visits):
    (one,) = visits.shared
    brain, face = one.scanned.brain, one.scanned.face
    assert np.array_equal(one.clean.values[brain], one.scanned.values[brain])
    assert (one.clean.values[face] == one.scanned.values.min()).mean() > 0.9


def test_what_is_measured_on_the_whole_image_changes_and_what_within_the_brain_does_not(visits):
    changed = visits.shared[0].changed()
    assert changed["brain voxels"] == changed["brain mean"] == 0
    assert changed["brain mean, z-scored"] > 10
    assert -50 < changed["head volume"] < -10


def test_the_brain_is_found_again_where_it_was(visits):
    again = visits.shared[0].found_again()
    assert again["overlap"] > 0.95
    assert again["shift"] < 3
    assert abs(again["volume"]) < 5


def test_a_person_is_recognized_by_the_face_and_defaced_by_the_crown_alone(visits):
    known, (one,), _ = visits
    faces = [head.seen("face") for head in known]
    with_it, table = linking.recognized([one.scanned.seen("face")], faces)
    without, other = linking.recognized([one.clean.seen("face")], faces)
    crowns = [head.seen("crown") for head in known]
    assert with_it[0] == linking.recognized([one.clean.seen("crown")], crowns)[0][0] == 1
    assert other.min() > 3 * table[0, 0]
    assert without[0] >= 1


def test_a_person_has_one_face_whatever_the_pose_and_another_than_the_next():
    same = np.nanmean(np.abs(scan(3, 0).seen("face") - scan(3, 5).seen("face")))
    other = np.nanmean(np.abs(scan(3, 0).seen("face") - scan(4, 0).seen("face")))
    assert same < 3 < other


def test_a_portrait_is_dark_where_there_is_nothing_and_bright_where_the_surface_faces_front():
    picture = scan(0, 0).portrait()
    assert picture[0, 0] == 0
    assert picture.max() > 0.95


def test_places_count_those_that_are_nearer_and_share_ties():
    flat = [np.full((2, 2), depth) for depth in (1.0, 4.0, 4.0)]
    place, table = linking.recognized([flat[0], flat[2]], flat)
    assert place.tolist() == [1, 1.5]
    assert table[0].tolist() == [0, 3, 3]


def test_surfaces_that_share_nothing_are_infinitely_different():
    nothing, some = np.full((2, 2), np.nan), np.ones((2, 2))
    assert linking.recognized([nothing], [some])[1].tolist() == [[np.inf]]


def test_more_shared_heads_than_people_are_refused():
    with pytest.raises(RequestError, match="more heads are shared"):
        head_visits(2, 3, seed=0)


def test_a_head_whose_brain_is_not_found_is_named_and_the_others_keep_their_partners(monkeypatch):
    def half(scanned):
        if np.array_equal(scanned.values, scan(0, 1, seed=1).values):
            raise NoBrain("the template does not fit")
        return DefacedHead(scanned, scanned, None)

    monkeypatch.setattr(loading, "deface", half)
    found = head_visits(4, 3, seed=1)
    assert found.failures["subject"].tolist() == ["head 1"]
    faces = [[one.seen("face") for one in heads] for heads in (found.known, [
        head.scanned for head in found.shared
    ])]  # fmt: skip
    assert len(found.known) == 3
    assert linking.recognized(faces[1], faces[0])[0].tolist() == [1, 1]
