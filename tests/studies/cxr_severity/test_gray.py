"""Inverted films are found by rule and by network, and a folder is corrected without harm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train
from nextaim_kit.studies.cxr_severity.cohorts import load_films
from nextaim_kit.studies.cxr_severity.gray import (
    Encodings,
    classifier,
    decide,
    framed,
    load_prepared,
    predict,
    prepare,
    rule,
    save_corrected,
    stored_inverted,
)
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Prepared synthetic films, all as they should be."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("films")))
    table = make_twin(48, size=128)
    found, problems = load_prepared(table)
    patch.undo()
    assert problems.empty
    found[stored_inverted(table)] *= -1
    return found


@pytest.fixture(scope="module")
def net(films, tmp_path_factory):
    parts = Encodings(films[:36], augment=True), Encodings(films[36:])
    task = Task(classifier, nn.BCEWithLogitsLoss(), *parts)
    return train(task, Recipe(8, 16, 2e-3), folder=tmp_path_factory.mktemp("net")).net


class Dark(nn.Module):
    """Calls a film inverted whose middle is darker than its sides."""

    def forward(self, x):
        return (
            5
            * (x[:, :, 10:30, 8:16].mean((1, 2, 3)) - x[:, :, 10:30, 22:28].mean((1, 2, 3)))[
                :, None
            ]
        )


def chest(inverted=False):
    film = np.full((200, 160), 60, np.uint8)
    film[:, 60:100] = 200
    film[::7, ::5] += 3
    return 255 - film if inverted else film


def test_a_prepared_film_has_mean_0_spread_1_and_turns_with_its_film():
    small = prepare(chest())
    assert small.shape == (50, 50)
    assert small.mean() == pytest.approx(0, abs=1e-5)
    assert small.std() == pytest.approx(1, abs=1e-5)
    assert prepare(chest(inverted=True)) == pytest.approx(-small, abs=1e-4)


def test_gain_and_offset_of_a_film_do_not_matter():
    assert prepare(chest().astype(float) * 13 + 500) == pytest.approx(prepare(chest()), abs=1e-4)


def test_the_rule_is_right_on_synthetic_films(films):
    assert (rule(films) < 0).mean() > 0.9
    assert rule(-films) == pytest.approx(-rule(films))


def test_the_network_learns_it_too(films, net):
    held_out = films[36:]
    right = np.r_[predict(net, held_out) < 0.5, predict(net, -held_out) >= 0.5]
    assert right.mean() >= 0.9


def test_each_film_is_there_twice_and_the_second_is_inverted(films):
    data = Encodings(films[:3])
    assert len(data) == 6
    (one, no), (other, yes) = data[2], data[3]
    assert torch.equal(one, -other)
    assert (no.item(), yes.item()) == (0, 1)


def test_augmentation_keeps_the_encoding(films):
    torch.manual_seed(0)
    data = Encodings(films[:20], augment=True)
    pictures = np.stack([data[k][0][0].numpy() for k in range(40)])
    assert ((rule(pictures) > 0) == (np.arange(40) % 2)).mean() > 0.9


def test_a_frame_covers_the_border_and_nothing_else(films):
    found = framed(films[:2], np.array([0, 1]), 5)
    assert np.unique(found[0, :5]).tolist() == [3]
    assert np.unique(found[1, :, -5:]).tolist() == [-3]
    assert (found[:, 5:-5, 5:-5] == films[:2, 5:-5, 5:-5]).all()
    assert (framed(films[:2], np.array([0, 1]), 0) == films[:2]).all()


@pytest.fixture
def folder(tmp_path, save_dicom):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(chest()).save(folder / "right.png")
    Image.fromarray(chest(inverted=True)).save(folder / "wrong.png")
    Image.fromarray(chest(inverted=True).astype(np.uint16) * 200).save(folder / "deep.png")
    save_dicom(folder / "said.dcm", chest(inverted=True), "MONOCHROME1")
    save_dicom(folder / "lied.dcm", chest(inverted=True), "MONOCHROME2")
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


def loaded(spec):
    return load_films(str(spec), twin=lambda: pytest.fail("not asked for"))[0]


def test_each_film_is_decided_by_header_and_picture(folder):
    found = decide(Dark(), loaded(folder)).set_index("subject")
    assert found["turned"].to_dict() == {
        "deep": True, "lied": True, "right": False, "said": True, "torn": False, "wrong": True
    }  # fmt: skip
    assert "stored as MONOCHROME2, but shown so it is inverted" in found.loc["lied", "note"]
    assert "cannot be read" in found.loc["torn", "note"]


def test_films_are_written_with_bones_bright_as_a_cohort_and_left_as_they_were(folder, tmp_path):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    table = loaded(folder).assign(truth_inverted=True)
    save_corrected(table, decide(Dark(), table), tmp_path / "out", synthetic=False)
    again = loaded(tmp_path / "out").set_index("subject")
    assert again.index.tolist() == ["deep", "lied", "right", "said", "wrong"]
    assert "truth_inverted" not in again
    for path in again["image"]:
        corrected = read_film(path).pixels
        assert corrected[:, 70:90].mean() > corrected[:, 20:50].mean()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_depth_and_values_of_a_film_are_kept_when_it_is_turned(folder, tmp_path):
    table = loaded(folder)
    save_corrected(table, decide(Dark(), table), tmp_path / "out", synthetic=False)
    images = tmp_path / "out" / "image"
    assert (np.asarray(Image.open(images / "wrong.png")) == chest()).all()
    assert (images / "right.png").read_bytes() == (folder / "right.png").read_bytes()
    assert np.asarray(Image.open(images / "deep.png")).dtype == np.uint16


def test_masks_of_a_film_go_along_with_it(folder, tmp_path):
    lungs = (chest() < 100).astype(np.uint8)
    Image.fromarray(lungs).save(tmp_path / "lungs.png")
    table = loaded(folder).assign(lungs=str(tmp_path / "lungs.png"))
    save_corrected(table, decide(Dark(), table), tmp_path / "out", synthetic=False)
    again = loaded(tmp_path / "out")
    assert (np.asarray(Image.open(again["lungs"][0])) == lungs).all()


def test_a_header_is_honored_before_a_film_is_prepared(folder, listed):
    said, lied = load_prepared(listed([folder / "said.dcm", folder / "lied.dcm"]))[0]
    assert said == pytest.approx(prepare(chest()), abs=1e-4)
    assert lied == pytest.approx(-prepare(chest()), abs=1e-4)


def test_a_film_that_cannot_be_read_is_named(folder, listed):
    films, failures = load_prepared(listed([folder / "right.png", folder / "torn.png"]))
    assert failures["subject"].tolist() == ["1"]
    assert "torn.png" in failures["problem"][0]
    assert not films[1].any()
    assert films[0].any()


def test_what_is_known_of_the_encoding_must_be_0_or_1(folder):
    table = loaded(folder)
    assert not stored_inverted(table).any()
    known = table.assign(turned=[0, 1, 0, 0, 1, 1])
    assert stored_inverted(known, "turned").tolist() == [False, True, False, False, True, True]
    with pytest.raises(RequestError, match="no column upside"):
        stored_inverted(table, "upside")
    with pytest.raises(DataError, match="deep"):
        stored_inverted(table.assign(turned="perhaps"), "turned")


def test_a_folder_without_a_table_is_a_cohort_of_its_films(tmp_path):
    Image.fromarray(chest()).save(tmp_path / "b.png")
    Image.fromarray(chest()).save(tmp_path / "a.png")
    table, synthetic = load_films(str(tmp_path), twin=lambda: pytest.fail("not asked for"))
    assert table["subject"].tolist() == ["a", "b"]
    assert not synthetic


def test_real_films_are_told_by_the_rule(real, listed):
    folder = real / "cxr_severity" / "images"
    pictures, failures = load_prepared(listed(sorted(folder.iterdir())))
    assert failures.empty
    assert (rule(pictures) < 0).mean() > 0.94


class Wrong(nn.Module):
    """A network that is sure of the opposite."""

    def forward(self, x):
        return -Dark()(x)


def test_nothing_is_turned_where_network_and_rule_disagree(folder):
    found = decide(Wrong(), loaded(folder)).set_index("subject")
    assert not found["inverted"].any()
    assert found.loc["right", "note"].startswith("the network calls it inverted (1.00), the rule")
    assert found.loc["wrong", "note"].startswith("the network calls it right (0.00), the rule")


def test_real_films_in_bars_are_told_by_the_rule_as_without(real):
    films = [read_film(p).shown for p in sorted((real / "cxr_severity" / "images").iterdir())[::6]]
    bars = ((90, 90), (0, 0)), ((0, 0), (150, 0)), ((40, 40), (40, 40))
    bare = rule(np.stack([prepare(film) for film in films]))
    for wide in bars:
        for gray in (np.min, np.max):
            padded = [np.pad(film, wide, constant_values=gray(film)) for film in films]
            assert rule(np.stack([prepare(f) for f in padded])) == pytest.approx(bare, abs=0.1)


def test_a_film_of_fractions_keeps_its_grays_when_it_is_turned(tmp_path):
    Image.fromarray(chest(inverted=True) / np.float32(255)).save(tmp_path / "f.tif")
    table = loaded(tmp_path)
    save_corrected(table, decide(Dark(), table), tmp_path / "out", synthetic=False)
    saved = read_film(tmp_path / "out" / "image" / "f.png").pixels
    assert np.corrcoef(saved.ravel(), chest().ravel())[0, 1] > 0.9999


class Unsure(nn.Module):
    """A network that has learned nothing."""

    def forward(self, x):
        return 0.24 + 0 * x.mean((1, 2, 3))[:, None]


def test_a_film_stays_as_it_is_where_the_network_is_not_sure(folder, tmp_path):
    found = decide(Unsure(), loaded(folder)).set_index("subject")
    assert found["turned"].to_dict() == {
        "deep": False, "lied": False, "right": False, "said": True, "torn": False, "wrong": False
    }  # fmt: skip
    assert found.loc["right", "note"] == "not sure (0.56): look at it"
