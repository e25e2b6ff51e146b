"""Inverted films are found by rule and by network, and a folder is corrected without harm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nextaim_kit.data.films import read_film
from nextaim_kit.learn.fit import fit
from nextaim_kit.studies.cxr_severity.films import load_films
from nextaim_kit.studies.cxr_severity.gray import (
    Encodings,
    classifier,
    correct_folder,
    load_prepared,
    predict,
    prepare,
    rule,
)
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Prepared synthetic films, all as they should be."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("films")))
    table = make_twin(48, size=128)
    found, problems = load_prepared(list(table["image"]))
    patch.undo()
    assert not problems
    found[table["truth_inverted"].to_numpy(bool)] *= -1
    return found


@pytest.fixture(scope="module")
def net(films, tmp_path_factory):
    return fit(
        classifier, nn.BCEWithLogitsLoss(), Encodings(films[:36], augment=True),
        Encodings(films[36:]), folder=tmp_path_factory.mktemp("net"), epochs=8, batch_size=16,
        learning_rate=2e-3,
    ).net  # fmt: skip


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


def test_a_folder_is_corrected_by_header_and_picture_and_left_as_it_was(tmp_path, save_dicom):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(chest()).save(folder / "right.png")
    Image.fromarray(chest(inverted=True)).save(folder / "wrong.png")
    save_dicom(folder / "said.dcm", chest(inverted=True), "MONOCHROME1")
    save_dicom(folder / "lied.dcm", chest(inverted=True), "MONOCHROME2")
    (folder / "torn.png").write_bytes(b"no picture")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    found = correct_folder(Dark(), folder, tmp_path / "out").set_index("subject")
    assert found["turned"].to_dict() == {
        "lied": True, "right": False, "said": True, "torn": False, "wrong": True
    }  # fmt: skip
    assert "stored as MONOCHROME2, but shown so it is inverted" in found.loc["lied", "note"]
    assert "cannot be read" in found.loc["torn", "note"]
    for name in ("right", "wrong", "said", "lied"):
        corrected = read_film(tmp_path / "out" / f"{name}.png").pixels
        assert corrected[:, 70:90].mean() > corrected[:, 20:50].mean()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_folder_without_a_table_is_a_cohort_of_its_films(tmp_path):
    Image.fromarray(chest()).save(tmp_path / "b.png")
    Image.fromarray(chest()).save(tmp_path / "a.png")
    table, synthetic = load_films(str(tmp_path), twin=lambda: pytest.fail("not asked for"))
    assert table["subject"].tolist() == ["a", "b"]
    assert not synthetic


def test_real_films_are_told_by_the_rule(real):
    folder = real / "cxr_severity" / "images"
    pictures, problems = load_prepared(sorted(folder.iterdir()))
    assert not problems
    assert (rule(pictures) < 0).mean() > 0.94
