"""Films come to the networks with even contrast, masks at their sizes; what is not fit is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from nextaim_kit.studies.cxr_severity.preprocessing import (
    Frame,
    at_size,
    even,
    film_part,
    jitter,
    load_even,
    load_masks,
    lungs_only,
)

FILM = np.add.outer(np.linspace(30, 200, 96), 40 * np.sin(np.arange(80) / 9)).clip(0, 255)


def save(path, values):
    Image.fromarray(values).save(path)
    return path


def masks_of(paths, *args, **options):
    """Masks at paths, and by subject, which is a number, why one cannot be used."""
    numbers = [*map(str, range(len(paths)))]
    masks = pd.DataFrame({"subject": numbers, "mask": [*map(str, paths)]})
    found, failures = load_masks(masks, "mask", *args, **options)
    return found, dict(zip(failures["subject"].astype(int), failures["problem"], strict=True))


def whole(rows, columns):
    return Frame((rows, columns), (slice(0, rows), slice(0, columns)))


def test_an_even_film_has_mean_0_and_spread_1_whatever_its_gain_and_offset():
    seen = even(FILM, 48)
    assert seen.shape == (48, 48)
    assert seen.mean() == pytest.approx(0, abs=1e-5)
    assert seen.std() == pytest.approx(1, abs=1e-5)
    assert even(FILM * 13 + 500, 48) == pytest.approx(seen, abs=1e-4)


def test_metal_stays_brighter_than_all_else_and_a_speck_does_not():
    film = np.random.default_rng(0).normal(100, 10, (200, 200))
    metal = np.zeros(film.shape, bool)
    metal[20:32, 50:60] = True  # 0.3 % of the film
    seen = even(np.where(metal, 400, film), 200)
    assert seen[metal].min() > seen[~metal].max() + 5
    film[:4, :4] = 400  # 0.04 %
    assert even(film, 200).max() < 4


def test_a_film_that_cannot_be_used_is_named_and_loses_no_other(tmp_path, listed):
    film = FILM.astype(np.uint8)
    gray = np.repeat(film[..., None], 4, axis=2)
    color, clear = gray[..., :3].copy(), gray
    color[:20, :20, 0] = 255
    files = [
        save(tmp_path / "good.png", film),
        save(tmp_path / "color.png", color),
        save(tmp_path / "clear.png", clear),
        save(tmp_path / "small.png", film[:20, :20]),
        tmp_path / "torn.png",
        str(tmp_path / "none.png"),
        save(tmp_path / "good.tif", film[:64]),
    ]
    files[4].write_bytes(files[0].read_bytes()[:60])
    films, frames, failures = load_even(listed(files), 40)
    problems = dict(zip(failures["subject"].astype(int), failures["problem"], strict=True))
    reasons = {1: "color.png is a color picture", 2: "clear.png has a part that is transparent",
               3: "small.png is too small", 4: "torn.png cannot be read",
               5: "none.png is not there"}  # fmt: skip
    assert {k: reason in problems[k] for k, reason in reasons.items()} == dict.fromkeys(reasons, 1)
    assert len(problems) == len(reasons)
    assert not films[1:6].any()
    assert [frame.shape for frame in frames] == [(96, 80), *[(0, 0)] * 5, (64, 80)]
    assert films[0] == pytest.approx(even(film, 40), abs=1e-6)
    assert films[6] == pytest.approx(even(film[:64], 40), abs=1e-6)


def test_a_film_of_sixteen_bits_looks_like_the_same_of_eight(tmp_path, listed):
    deep = np.rint(FILM * 257).astype(np.uint16)
    paths = [
        save(tmp_path / "16.png", deep),
        save(tmp_path / "8.png", (deep >> 8).astype(np.uint8)),
    ]
    (one, other), _, failures = load_even(listed(paths), 40)
    assert failures.empty
    assert one == pytest.approx(other, abs=1 / FILM.std())  # one step of 255
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9999


def test_a_film_known_to_be_inverted_is_turned_as_its_header_would(tmp_path, save_dicom, listed):
    film = FILM.astype(np.uint8)
    paths = [
        save(tmp_path / "right.png", film),
        save(tmp_path / "wrong.png", 255 - film),
        save_dicom(tmp_path / "said.dcm", 255 - film, "MONOCHROME1"),
        save_dicom(tmp_path / "lied.dcm", film, "MONOCHROME1"),
    ]
    stored, _, _ = load_even(listed(paths[:2]), 40)
    assert np.corrcoef(stored[0].ravel(), stored[1].ravel())[0, 1] < -0.999
    seen, _, failures = load_even(listed(paths), 40, inverted=[False, True, False, True])
    assert failures.empty
    for other in seen[1:]:
        assert other == pytest.approx(seen[0], abs=1e-4)


def test_a_mask_that_cannot_be_used_is_named(tmp_path):
    mask = np.zeros((96, 80), np.uint8)
    files = ["", save(tmp_path / "empty.png", mask), tmp_path / "none.png"]
    mask[10:40, 5:70] = 2
    files += [save(tmp_path / "small.png", mask[:48]), save(tmp_path / "good.png", mask)]
    masks, problems = masks_of(files, [whole(96, 80)] * 5)
    reasons = ["no mask given", "mask empty.png is empty", "mask none.png cannot be read",
               "expected: 80 by 96 pixels found: 80 by 48"]  # fmt: skip
    assert sorted(problems) == [0, 1, 2, 3]
    assert all(reason in problems[k] for k, reason in enumerate(reasons))
    assert [found.sum() for found in masks] == [0, 0, 0, 0, 30 * 65]
    np.testing.assert_array_equal(masks[4], mask > 0)


def test_of_values_that_are_sums_of_powers_of_two_those_asked_for_count(tmp_path):
    values = np.repeat(np.arange(8, dtype=np.uint8)[None], 4, axis=0)
    paths, frames = [save(tmp_path / "m.png", values)] * 2, [whole(*values.shape)] * 2
    assert masks_of(paths, frames, bits=6)[0][0][0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert masks_of(paths, frames, bits=1)[0][1][0].tolist() == [0, 1] * 4
    _, problems = masks_of(paths, frames, bits=8)
    assert sorted(problems) == [0, 1]
    assert "m.png is empty" in problems[0]


def test_masks_are_stretched_as_their_films_are():
    left = np.zeros((96, 80), bool)
    left[:, :40] = True
    top = np.zeros((30, 64), bool)
    top[:10] = True
    small = at_size([left, top, np.zeros((0, 0), bool)], 32)
    assert small.shape == (3, 32, 32)
    assert small[0, :, :16].all()
    assert not small[0, :, 16:].any()
    assert small[1].mean(axis=1).round().sum() == pytest.approx(32 / 3, abs=1)
    assert not small[2].any()


def test_jitter_moves_mirrors_and_varies_contrast_as_torch_s_seed_decides():
    film = torch.from_numpy(even(FILM, 32).copy())
    before = film.clone()
    found = []
    for seed in (0, 0, *range(1, 20)):
        torch.manual_seed(seed)
        found.append(jitter(film, shift=3))
    assert torch.equal(film, before)
    assert torch.equal(found[0], found[1])
    assert len({tuple(one.flatten().tolist()) for one in found}) == 20
    for one in found:
        assert one.shape == film.shape
        power = float(one.max().log() / film.max().log())
        assert 0.6 <= power <= 1.4


def test_what_leaves_a_shifted_film_does_not_come_in_on_the_other_side():
    film = torch.zeros(32, 32)
    film[:4] = 1.0  # the apices' side only
    for seed in range(20):
        torch.manual_seed(seed)
        assert jitter(film, shift=3)[-4:].max() == 0


FILM_IN_BARS = {
    "none": ((0, 0), (0, 0), 0),
    "letterbox": ((30, 30), (0, 0), 0),
    "pillars": ((0, 0), (25, 25), 0),
    "one side": ((0, 0), (40, 0), 0),
    "white frame": ((12, 12), (9, 9), 255),
}


@pytest.mark.parametrize("bars", FILM_IN_BARS)
@pytest.mark.parametrize("scale", [1, 12])
def test_bars_are_cut_off_and_nothing_else(bars, scale):
    rows, columns, gray = FILM_IN_BARS[bars]
    noise = np.random.default_rng(0).normal(0, 12, FILM.shape)
    film = np.kron(np.clip(FILM + noise, 20, 230), np.ones((scale, scale)))
    wide = [(scale * a, scale * b) for a, b in (rows, columns)]
    padded = np.pad(film, wide, constant_values=gray)
    found = padded[film_part(padded)]
    assert found.shape == pytest.approx(film.shape, abs=2 * scale if scale > 1 else 0)
    framed = np.pad(padded, 10 * scale, constant_values=255)  # a frame in a frame
    assert framed[film_part(framed)].shape == pytest.approx(film.shape, abs=2 * scale)


def test_a_mask_is_cut_as_its_film_is_and_put_back_where_it_was(tmp_path, listed):
    noise = np.random.default_rng(0).normal(0, 12, FILM.shape)
    film = np.pad(np.clip(FILM + noise, 20, 230), ((30, 10), (0, 0))).astype(np.uint8)
    mask = np.zeros(film.shape, np.uint8)
    mask[50:90, 10:70] = 1
    paths = [save(tmp_path / "f.png", film), save(tmp_path / "m.png", mask)]
    seen, (frame,), _ = load_even(listed(paths[:1]), 40)
    cut = masks_of(paths[1:], [frame])[0][0]
    assert cut.shape == frame.seen == FILM.shape
    np.testing.assert_array_equal(frame.back(cut), mask > 0)
    bare = even(np.clip(FILM + noise, 20, 230).astype(np.uint8), 40)
    assert seen[0] == pytest.approx(bare, abs=1e-4)


def test_a_film_of_almost_one_gray_is_left_whole():
    film = np.full((200, 200), 30.0)
    film[90:100, 90:100] = 200
    assert film[film_part(film)].shape == (200, 200)


def test_lungs_alone_have_mean_0_and_spread_1_whatever_lies_beside_them():
    rng = np.random.default_rng(0)
    films = rng.normal(size=(2, 32, 32)).astype(np.float32)
    lungs = np.zeros((2, 32, 32), bool)
    lungs[0, 8:20, 4:12] = True
    found = lungs_only(films, lungs)
    assert found[0][lungs[0]].mean() == pytest.approx(0, abs=1e-6)
    assert found[0][lungs[0]].std() == pytest.approx(1, abs=1e-5)
    assert not found[~lungs].any()
    other = np.where(lungs, 3 * films - 2, 50).astype(np.float32)
    assert lungs_only(other, lungs) == pytest.approx(found, abs=1e-4)
