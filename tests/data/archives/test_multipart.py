import tracemalloc
from collections.abc import Iterator

import pytest

from nextaim_kit.data.archives.multipart import Cut, TooLarge, boundary_of, packed, parts


def message(bodies: list[bytes], length: bool) -> bytes:
    head = [f"\r\nContent-Length: {len(one)}".encode() if length else b"" for one in bodies]
    rows = [
        b"--zz\r\nContent-Type: a/b" + h + b"\r\n\r\n" + b + b"\r\n"
        for h, b in zip(head, bodies, strict=True)
    ]
    return b"".join(rows) + b"--zz--"


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_parts_come_whole_however_they_are_cut_into_chunks(size: int, length: bool) -> None:
    bodies = [b"", b"\r\n", b"--z\r\n--", b"one\r\n-", bytes(range(256))]
    whole = b"a preamble\r\n" + message(bodies, length)
    chunks = (whole[at : at + size] for at in range(0, len(whole), size))
    assert list(parts(chunks, b"zz", 1000)) == bodies


def test_a_message_without_its_end_is_told_after_its_whole_parts() -> None:
    whole = message([b"one", b"two"], length=False)
    for end in range(len(whole) - 1):
        found = []
        with pytest.raises(Cut):
            found.extend(parts([whole[:end]], b"zz", 1000))
        assert b"two"[:2] not in found


def test_a_part_that_says_another_length_is_refused() -> None:
    wrong = message([b"three"], length=True).replace(b"Length: 5", b"Length: 3")
    with pytest.raises(Cut, match="longer than it says"):
        list(parts([wrong], b"zz", 1000))


@pytest.mark.parametrize("length", [True, False])
def test_a_part_of_more_bytes_than_may_be_held_is_refused(length: bool) -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        yield b"--zz" + (b"\r\nContent-Length: 90000" if length else b"") + b"\r\n\r\n"
        for number in range(100):
            taken.append(number)
            yield b"x" * 1000

    with pytest.raises(TooLarge):
        list(parts(chunks(), b"zz", 5000))
    assert len(taken) < 10


def test_ten_thousand_instances_take_the_memory_of_a_few() -> None:
    body = bytes(50_000)

    def chunks() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b"--zz\r\n\r\n"
            yield body
            yield b"\r\n"
        yield b"--zz--"

    tracemalloc.start()
    count = sum(len(one) == len(body) for one in parts(chunks(), b"zz", 10**6))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 10 * len(body)


def test_what_is_packed_is_read_again() -> None:
    kind, body = packed(b"a DICOM file\r\n--")
    assert list(parts([body], boundary_of(kind), 1000)) == [b"a DICOM file\r\n--"]


def test_an_answer_of_another_type_has_no_parts() -> None:
    with pytest.raises(Cut, match="no parts"):
        boundary_of("text/html")
