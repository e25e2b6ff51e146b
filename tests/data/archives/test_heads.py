"""Heads that arrive: nothing of one is on the disk with its face, whatever happens meanwhile."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import dcmread

from nextaim_kit.data.addresses import PULLED, read_address
from nextaim_kit.data.archives import arriving
from nextaim_kit.data.archives.ledger import Arrived, Ledger
from nextaim_kit.data.archives.pull import Pulled, pull, reach
from nextaim_kit.data.privacy import faces
from nextaim_kit.data.privacy.defacing import Cut
from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.data.privacy.profile import Profile
from tests.data.archives.stand_in import StandIn, instance, serving
from tests.data.privacy.phantom import EDGE, head

pytestmark = pytest.mark.filterwarnings("ignore:The value length")
CHEST = 4  # slices of another patient's, in each archive here


def slices(values: NDArray, said: str = "RM encefalo") -> list[bytes]:
    """A series of CT of patient 1, every EDGE mm."""
    rows, columns = values.shape[1:]
    return [
        instance(
            1, number, StudyDescription=said, Rows=rows, Columns=columns,
            PixelSpacing=[EDGE, EDGE], SliceThickness=EDGE, RescaleSlope=1, RescaleIntercept=-1024,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, number * EDGE],
            PixelData=(plane + 1024).clip(0, 4095).astype("<u2").tobytes(),
        )
        for number, plane in enumerate(values)
    ]  # fmt: skip


def volume(out: Path) -> NDArray:
    """Pixels of the head, from below."""
    found = [dcmread(path) for path in sorted(out.rglob("*.dcm"))]
    found = [data for data in found if "ImagePositionPatient" in data]
    found.sort(key=lambda data: data.ImagePositionPatient[2])
    return np.stack([data.pixel_array for data in found])


def hashes(out: Path) -> dict[str, str]:
    files = sorted(out.rglob("*.dcm"))
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def ward() -> Iterator[StandIn]:
    """A head, of which a quarter is a face, and a chest."""
    archive = StandIn([instance(0, number) for number in range(CHEST)])
    values = np.full((12, 16, 16), 700, np.int16)
    values[:, -1] = -1000  # air
    archive.files += slices(values)
    with serving(archive):
        yield archive


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> None:
    """The face lies before the fourth row, one row further back for each slice beyond eight."""

    def found(image: sitk.Image, *, ct: bool) -> Cut:
        assert ct
        row = 3.5 + max(0, image.GetDepth() - 8)
        return Cut(np.array([0, -1.0, 0]), -row * EDGE)

    monkeypatch.setattr(faces, "plane_of", found)


def has_faces(out: Path) -> list[bool]:
    """Of each image of the head, whether something stands where the face was."""
    return [bool((dcmread(p).pixel_array[:4] > 24).any()) for p in heads(out)]


def heads(out: Path) -> list[Path]:
    return [p for p in sorted(out.rglob("[!.]*.dcm")) if "ImagePositionPatient" in dcmread(p)]


@pytest.mark.rest
def test_a_head_comes_as_deidentify_leaves_it_its_brain_untouched(pulled, tmp_path: Path) -> None:
    values, brain, face = head(ct=True)
    archive = StandIn(slices(values))
    (tmp_path / "in").mkdir()
    for number, content in enumerate(archive.files):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(content)
    with serving(archive):
        done = pulled(archive)
    deidentify(tmp_path / "in", tmp_path / "beside", tmp_path / "key")
    before, after = (values + 1024).clip(0, 4095), volume(done.folder)
    assert np.array_equal(after[brain], before[brain])
    assert (np.abs(after[face].astype(int) - 24) < 40).mean() > 0.95  # air
    assert hashes(done.folder) == hashes(tmp_path / "beside")


@pytest.mark.usefixtures("plane")
def test_no_face_is_on_the_disk_at_any_time(ward: StandIn, pulled, tmp_path: Path) -> None:
    seen: list[bool] = []
    ward.each = lambda _: seen.extend(has_faces(tmp_path / "out"))
    done = pulled(ward)
    record = json.loads((done.folder / PULLED).read_text())
    assert (done.fresh, len(heads(done.folder)), any(seen)) == (CHEST + 12, 12, False)
    assert not any(has_faces(done.folder))
    assert (record["without_its_face"], record["may_show_a_face"]) == (12, 0)
    data = dcmread(heads(done.folder)[0])
    assert "113102" in {item.CodeValue for item in data.DeidentificationMethodCodeSequence}


@pytest.mark.usefixtures("plane")
@pytest.mark.parametrize("at", [CHEST + 1, CHEST + 7])
def test_a_pull_killed_within_a_head_goes_on_to_the_same_files(
    ward: StandIn, pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    right = hashes(pulled(ward, out="whole").folder)
    add = Ledger.add

    def killed(ledger: Ledger, line: Arrived) -> None:
        if len(ledger.fresh) == at:
            raise KeyboardInterrupt
        add(ledger, line)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            pulled(ward)
    assert not any(has_faces(tmp_path / "out"))
    done = pulled(ward)
    assert (done.missing, done.left_out, len(done.arrived)) == (0, [], CHEST + 12)
    assert hashes(done.folder) == right
    assert pulled(ward).fresh == 0


@pytest.mark.usefixtures("plane")
def test_a_head_that_grows_is_cut_anew_as_a_whole(ward: StandIn, pulled) -> None:
    rest = ward.files[-4:]
    del ward.files[-4:]

    def scan(given: int) -> None:
        if given == CHEST + 8:
            ward.files.extend(rest)

    ward.each = scan
    done = pulled(ward)
    first = [int((one > 24).argmax(0)[0]) for one in volume(done.folder)]
    assert (done.missing, len(done.arrived)) == (0, CHEST + 12)
    assert first == [8] * 12  # rows before, by the plane of all twelve


@pytest.mark.usefixtures("plane")
def test_of_a_head_that_does_not_come_whole_nothing_comes(ward: StandIn, pulled) -> None:
    def leave(given: int) -> None:
        ward.cut = int(given >= CHEST + 11) * 2

    ward.each = leave
    done = pulled(ward)
    assert (done.fresh, done.missing, heads(done.folder)) == (CHEST, 12, [])
    ward.each = None
    ward.cut = 0
    assert (pulled(ward).missing, len(heads(done.folder))) == (0, 12)


def test_a_head_too_long_to_be_held_is_left_out_and_the_others_come(
    ward: StandIn, pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "_MOST", 5000)
    done = pulled(ward)
    assert len(done.left_out) == 12
    assert {one.left_out for one in done.left_out} == {arriving._TOO_LONG}
    assert (heads(done.folder), len(hashes(done.folder))) == ([], CHEST)


def test_a_head_without_a_brain_is_left_out_by_its_new_uids(ward: StandIn, pulled) -> None:
    ward.files[CHEST:] = slices(np.full((12, 40, 40), 700, np.int16))
    done = pulled(ward)
    assert len(done.left_out) == 12
    assert all("its brain is not found" in one.left_out for one in done.left_out)
    assert heads(done.folder) == []


def test_faces_stay_where_asked(ward: StandIn, tmp_path: Path) -> None:
    place = read_address(ward.address)
    done: Pulled = pull(
        reach(place), place.shown, tmp_path / "out", tmp_path / "key", Profile(faces=True)
    )
    assert all(has_faces(done.folder))
    assert sum(one.head for one in done.arrived) == 12


def test_a_section_of_a_head_within_a_chest_is_left_out_where_headers_are_not_told(
    ward: StandIn, pulled
) -> None:
    ward.without = {"metadata"}
    ward.files = [instance(0, 0), instance(0, 1, StudyDescription="RM encefalo"), instance(0, 2)]
    done = pulled(ward)
    assert len(hashes(done.folder)) == 2
    assert ["a section of a head" in one.left_out for one in done.left_out] == [True]
