import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from pydicom import dcmread

from nextaim_kit.data.addresses import PULLED, read_address
from nextaim_kit.data.archives import cleaning, dicomweb
from nextaim_kit.data.archives.connection import ArchiveDown, Refused
from nextaim_kit.data.archives.ledger import LEDGER
from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.errors import DataError, RequestError
from tests.data.archives import stand_in
from tests.data.archives.stand_in import StandIn, instance

pytestmark = pytest.mark.filterwarnings("ignore:The value length", "ignore:The pixel data is")


def images(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in images(folder)
    }


def test_what_is_pulled_is_what_deidentify_makes_of_the_same_files(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number, content in enumerate(ward.files):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(content)
    done = pulled(ward)
    deidentify(tmp_path / "in", tmp_path / "beside", tmp_path / "key")
    assert (done.fresh, done.missing, done.grew) == (12, 0, False)
    assert hashes(tmp_path / "out") == hashes(tmp_path / "beside")


def test_no_identity_is_on_the_disk_at_any_time(
    ward: StandIn, pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def looked(given: int) -> None:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        told.extend(path for path in files if b"Zanfregan" in path.read_bytes())

    ward.each = looked
    ward.page = 2
    pulled(ward)
    looked(0)
    assert ward.given == 12
    assert told == []
    assert audit(tmp_path / "out", ["Zanfregan", "Oldrada", "QV-4400"]) == []


def test_names_that_another_series_tells_are_found_in_a_description(pulled, tmp_path: Path) -> None:
    files = [instance(0, 0), instance(1, 0, SeriesDescription="zanfregana torace")]
    with stand_in.serving(StandIn(files)) as archive:
        pulled(archive)
    said = {dcmread(path).get("SeriesDescription") for path in images(tmp_path / "out")}
    assert said == {None, "[name] torace"}


def test_an_instances_own_header_is_known_where_the_archive_tells_no_metadata(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    ward.files = [instance(0, 0, StudyDescription="zanfregana torace")]
    ward.without = {"metadata"}
    pulled(ward)
    assert dcmread(images(tmp_path / "out")[0]).StudyDescription == "[name] torace"


def test_an_archive_that_goes_down_is_gone_on_from_nothing_lost_or_twice(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    for there in (2, 3, 7):
        ward.given, ward.closed_after = 0, there - len(images(tmp_path / "out"))
        with pytest.raises(ArchiveDown, match="does not answer"):
            pulled(ward)
        assert len(images(tmp_path / "out")) == there
        assert not (tmp_path / "out" / PULLED).exists()
    ward.closed_after = None
    done = pulled(ward)
    assert (done.fresh, len(done.arrived)) == (5, 12)
    pulled(ward, out="whole")
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")


def test_an_expired_token_is_told_and_gone_on_from(
    ward: StandIn, pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTAIM_ARCHIVE_TOKEN", stand_in.TOKEN)
    ward.closed_after, ward.closing = 6, "expired"
    with pytest.raises(Refused, match="unknown, wrong or expired"):
        pulled(ward)
    ward.closed_after = None
    assert pulled(ward).fresh == 6


def test_a_wrong_password_is_refused_and_not_repeated(
    ward: StandIn, pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTAIM_ARCHIVE_PASSWORD", "wr0ng")
    with pytest.raises(Refused, match="does not let this user in") as error:
        pulled(ward)
    assert "wr0ng" not in str(error.value)
    assert "Zanfregan" not in str(error.value)


def test_half_a_series_is_asked_for_again_instance_by_instance(ward: StandIn, pulled) -> None:
    ward.cut = 1
    done = pulled(ward)
    assert (done.fresh, done.missing) == (12, 0)


def test_what_never_comes_whole_is_counted_and_the_others_are_there(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    ward.cut = 5  # the first series as a whole, and each of its slices
    done = pulled(ward)
    assert (done.fresh, done.missing) == (8, 4)
    assert not (tmp_path / "out" / PULLED).exists()
    assert pulled(ward).missing == 0


@pytest.mark.parametrize(
    "how", [{"page": 3}, {"page": 3, "repeats": True}, {"deaf": {"offset"}}, {"busy": 2}]
)
def test_pages_repeats_and_a_busy_archive_change_nothing(
    ward: StandIn, pulled, how: dict, tmp_path: Path
) -> None:
    for name, value in how.items():
        setattr(ward, name, value)
    assert pulled(ward).fresh == 12
    assert len(images(tmp_path / "out")) == 12


def test_what_grows_during_the_pull_comes_too(ward: StandIn, pulled) -> None:
    def scan(given: int) -> None:
        if given == 6:
            ward.files.append(instance(1, 4))

    ward.each = scan
    done = pulled(ward)
    assert (done.fresh, done.grew, done.offer.instances) == (13, False, 13)


def test_an_archive_that_never_rests_is_not_called_whole(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    ward.each = lambda given: ward.files.append(instance(7, given))
    assert pulled(ward).grew
    assert not (tmp_path / "out" / PULLED).exists()


def test_a_filter_that_the_archive_is_deaf_to_is_kept_here(ward: StandIn, pulled) -> None:
    ward.deaf = {"PatientID"}
    done = pulled(ward, "?PatientID=QV-44001")
    assert (done.fresh, done.offer.studies, done.offer.others) == (4, 1, 2)
    record = json.loads((done.folder / PULLED).read_text())
    assert "QV-44001" not in (done.folder / LEDGER).read_text() + json.dumps(record)


def test_nothing_that_matches_is_refused(ward: StandIn, pulled) -> None:
    with pytest.raises(RequestError, match="nothing of this"):
        pulled(ward, "?StudyDescription=Cranio")


def test_a_damaged_instance_is_left_out_by_its_new_uid_and_the_others_come(
    ward: StandIn, pulled
) -> None:
    ward.files[0] = instance(0, 0, BurnedInAnnotation="YES")
    done = pulled(ward)
    (left,) = done.left_out
    assert done.fresh == 12
    assert "writing, and none was found" in left.left_out
    assert left.item.startswith("2.25.")
    assert pulled(ward).fresh == 0


def test_one_too_large_for_memory_is_left_out_and_the_others_come(
    ward: StandIn, pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.files[0] = instance(0, 0, ImageComments="x" * 9000)
    most = len(ward.files[0]) - 1000
    monkeypatch.setattr(dicomweb, "largest", lambda: most)
    done = pulled(ward)
    assert [one.left_out for one in done.left_out] == ["larger than memory bears"]
    assert len(done.arrived) == 12


def test_another_key_or_none_is_refused_for_a_folder_that_is_begun(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    pulled(ward)
    with pytest.raises(RequestError, match="with which out was begun, is not there"):
        pulled(ward, key="lost")
    assert not (tmp_path / "lost").exists()
    pulled(ward, out="other", key="wrong")
    with pytest.raises(RequestError, match="pulled with another key"):
        pulled(ward, key="wrong")


def test_a_folder_of_something_else_is_refused(ward: StandIn, pulled, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="holds something else"):
        pulled(ward)


def test_a_full_disk_ends_it_with_its_reason_and_it_goes_on_when_there_is_room(
    ward: StandIn, pulled, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, calls = os.replace, []

    def full(a: Path, b: Path) -> None:
        calls.append(b)
        if len([one for one in calls if str(one).endswith(".dcm")]) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DataError, match="No space left") as error:
            pulled(ward)
    assert "free space" in str(error.value)
    assert len(images(tmp_path / "out")) == 5
    assert pulled(ward).fresh == 7


def test_a_file_that_was_changed_or_never_noted_comes_again(
    ward: StandIn, pulled, tmp_path: Path
) -> None:
    pulled(ward)
    right = hashes(tmp_path / "out")
    first, second = images(tmp_path / "out")[:2]
    first.write_bytes(first.read_bytes()[:-2] + b"zz")
    ledger = tmp_path / "out" / LEDGER
    lines = [one for one in ledger.read_text().splitlines() if second.name not in one]
    ledger.write_text("\n".join(lines) + '\n{"item": "2.25.')  # and a line that was cut off
    assert pulled(ward).fresh == 2
    assert hashes(tmp_path / "out") == right


def test_processes_give_the_same_files_as_one(
    ward: StandIn, pulled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(ward)
    monkeypatch.setattr(cleaning, "_WORTH", 1)
    monkeypatch.setattr(cleaning, "process_count", lambda: 2)
    pulled(ward, out="processes")
    assert hashes(tmp_path / "processes") == hashes(tmp_path / "out")


def test_a_cohort_is_read_by_its_address_once_it_is_pulled(ward: StandIn, pulled) -> None:
    spec = ward.address + "?StudyDescription=Torace"
    with pytest.raises(DataError, match="not on this machine") as error:
        load_cohort(spec, columns=("image",))
    assert f"nextaim data pull '{spec}'" in str(error.value)
    folder = read_address(spec).folder()
    pulled(ward, "?StudyDescription=Torace", out=str(folder))
    cohort = load_cohort(spec, columns=("image",))
    assert len(cohort) == 3
    assert all(name.startswith("P") for name in cohort["subject"])


def test_an_address_that_names_a_patient_is_no_cohort(ward: StandIn) -> None:
    with pytest.raises(RequestError, match="names a patient") as error:
        load_cohort(ward.address + "?PatientID=QV-44001", columns=("image",))
    assert "QV-44001" not in str(error.value)


def test_an_archive_that_sends_elsewhere_is_not_followed(ward: StandIn, pulled) -> None:
    with stand_in.serving(StandIn()) as other:
        ward.elsewhere = f"http://127.0.0.1:{other.port}/dicom-web/studies"
        with pytest.raises(RequestError, match="sends elsewhere"):
            pulled(ward)
        assert other.asked == []
