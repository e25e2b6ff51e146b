import pytest

from nextaim_kit.data.addresses import is_address, read_address
from nextaim_kit.errors import RequestError


def test_an_address_says_archive_project_and_filters() -> None:
    web = read_address("dicomweb+https://PACS.example.org:8042/dicom-web/?StudyDescription=CT%20*")
    xnat = read_address("xnat+https://xnat.example.org/app/COVID_1")
    assert (web.url, web.host) == (
        "https://pacs.example.org:8042/dicom-web",
        "pacs.example.org:8042",
    )
    assert web.filters == (("StudyDescription", "CT *"),)
    assert (xnat.url, xnat.project) == ("https://xnat.example.org/app", "COVID_1")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("dicomweb+https://ada:s3cret@example.org/web", "user, a password or a fragment"),
        ("dicomweb+https://example.org/web#s3cret", "user, a password or a fragment"),
        ("dicomweb+http://example.org/s3cret", "in the clear"),
        ("dicomweb+https:///web?PatientID=s3cret", "without a host"),
        ("dicomweb+https://example.org:s3cret/web", "cannot be read"),
        ("dicomweb+https://example.org/web?PatientId=s3cret", "did you mean PatientID"),
        ("dicomweb+https://example.org/web?PatientID=s3cret&PatientID=x", "twice"),
        ("dicomweb+https://example.org/web?Modality=", "without a value"),
        ("xnat+https://example.org/", "without a project"),
        ("xnat+https://example.org/P?Modality=CT", "no query for XNAT"),
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(spec: str, why: str) -> None:
    assert is_address(spec)
    with pytest.raises(RequestError, match=why.replace("?", r"\?")) as error:
        read_address(spec)
    assert "s3cret" not in str(error.value)


def test_what_names_a_patient_is_neither_shown_nor_in_a_folders_name() -> None:
    address = read_address("dicomweb+https://example.org/web?PatientID=QV-1&Modality=CT")
    assert address.shown == "dicomweb+https://example.org/web?Modality=CT&PatientID=…"
    with pytest.raises(RequestError, match="nextaim data pull ADDRESS OUT"):
        address.folder()


def test_a_folder_is_the_addresss_own_whatever_the_order_of_its_filters() -> None:
    one = read_address("dicomweb+https://example.org/web?Modality=CT&StudyDate=2020-")
    same = read_address("dicomweb+https://EXAMPLE.org/web/?StudyDate=2020-&Modality=CT")
    other = read_address("dicomweb+https://example.org/web?Modality=MR&StudyDate=2020-")
    assert one.folder() == same.folder() != other.folder()


def test_a_path_is_no_address() -> None:
    assert not is_address("/data/dicomweb")
    assert not is_address("synthetic")
