"""A twin's patients stay the same whoever is with them, with labels of any kind or none."""

from __future__ import annotations

from functools import partial

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.files import write_text
from nextaim_kit.twins.twin import Twin


def twin(counts, seed=1, shift=0.0, end="\n", **more) -> Twin:
    def draw(who, rng, *, shift):  # nested: sent to other processes by value
        return {"truth_height": rng.normal() + shift}, who.subject

    def write(drawn, rng, paths, *, end):
        write_text(paths["note"], f"{drawn} {rng.normal()}{end}")

    parts = partial(draw, shift=shift), partial(write, end=end)
    return Twin("toy", counts, *parts, {"note": ".txt"}, seed, **more)


def quiet(done, total, subject):
    pass


def test_a_patient_is_the_same_in_a_smaller_twin_and_in_another_process():
    whole = twin({"A": (4, 6), "B": (5, 5)})
    few = whole.patients(8).set_index("subject")
    assert few.groupby(["site", "label"]).size().eq(2).all()
    assert few.equals(whole.patients(20).set_index("subject").loc[few.index])
    made = whole.make(8, workers=1, progress=quiet).set_index("subject")
    again = twin({"A": (4, 6), "B": (5, 5)}, end="\n\n").make(20, workers=2, progress=quiet)
    for subject, path in again.set_index("subject")["note"][few.index].items():
        with open(path) as one, open(made["note"][subject]) as other:
            assert one.read() == other.read() + "\n"


def test_files_are_made_once_and_anew_with_other_options_or_another_seed():
    calls = []
    counts = {"A": (2, 2)}
    for other in ({}, {}, {"shift": 1.0}, {"end": ""}, {"seed": 2}):
        twin(counts, **other).make(4, workers=1, progress=lambda *a: calls.append(a[2]))
    assert len(calls) == 4 * 4
    assert len({twin(counts, **other).folder for other in ({}, {"end": ""}, {"seed": 2})}) == 3


def test_labels_may_be_names_or_none_and_a_site_may_have_one_patient():
    named = twin({"A": (1, 0, 2), "B": (0, 1, 0)}, labels=("adi", "asd", "td"), least=1)
    table = named.patients(4)
    assert table[["subject", "label"]].to_numpy().tolist() == [
        ["A-001", "adi"], ["A-003", "td"], ["A-006", "td"], ["B-002", "asd"]
    ]  # fmt: skip
    plain = twin({"A": (1,), "B": (3,)}, labels=(None,), least=1).patients(2)
    assert plain.columns.tolist() == ["subject", "site", "truth_height"]
    assert plain["subject"].tolist() == ["A-001", "B-001"]


def test_more_or_fewer_patients_than_there_can_be_are_refused():
    for n in (3, 9):
        with pytest.raises(RequestError, match=f"expected: 4 to 8\n.*{n}"):
            twin({"A": (4, 4)}).roster(n)
