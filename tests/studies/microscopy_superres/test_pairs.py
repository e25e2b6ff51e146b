"""Folders of pairs: read right, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres import pairs
from nextaim_kit.studies.microscopy_superres.pairs import (
    load_pairs,
    never_seen,
    pairs_in,
    pixel_of,
    read_pair,
)


@pytest.fixture
def pair(lines):
    fine, wide = lines(48)
    return 255 * fine, wide


def read(folder, wide="a_wf.tif", fine="a_storm.tif", **more):
    row = {"subject": "a", "widefield": str(folder / wide), "storm": str(folder / fine)} | more
    return read_pair(row)


def test_a_folder_s_pairs_are_found_by_the_words_in_their_names(folder, pair):
    fine, wide = pair
    path = folder(cell_1_wf=wide, cell_1_storm=fine, cell_2_WF=wide.T, cell_2_gt=fine.T, notes=wide)
    table, left = pairs_in(path)
    assert table["subject"].tolist() == ["cell_1", "cell_2"]
    assert left == [{"subject": "notes.tif", "problem": "its name does not say what it is"}]


def test_folders_and_numbers_name_pairs_too(folder, pair):
    path = folder(wf1=pair[1], storm1=pair[0])
    for name, image in (("lr", pair[1]), ("hr", pair[0])):
        (path / name).mkdir()
        Image.fromarray(image.astype(np.uint16)).save(path / name / "7.tif")
    assert sorted(pairs_in(path)[0]["subject"]) == ["1", "7"]


def test_a_cut_of_the_widefield_image_belongs_to_the_storm_of_its_name(folder, pair):
    table, left = pairs_in(folder(a_wf_crop=pair[1], a_storm=pair[0], b_storm=pair[0]))
    assert table["subject"].tolist() == ["a_crop"]
    assert left == [{"subject": "b_storm.tif", "problem": "no widefield image of that name"}]


def test_folders_of_structured_illumination_are_pairs_by_their_names(tmp_path, pair):
    for name in ("HE_X2/HE_00", "HE_X2/HE_01", "LE_X2/LE_00", "HER/Sample_1", "LER/1", "LER/2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pair[1].astype(np.uint16)).save(tmp_path / f"{name}.tif")
    table, left = pairs_in(tmp_path)
    assert table["subject"].tolist() == ["HE"]
    assert table.loc[0, ["widefield", "storm"]].tolist() == [
        str(tmp_path / "HE_X2"), str(tmp_path / "HER" / "Sample_1.tif")
    ]  # fmt: skip
    assert "LER holds 2 pictures" in left[0]["problem"]


def test_hdf5_beside_a_widefield_image_is_refused_with_what_mends_it(folder, pair):
    path = folder(a_wf=pair[1])
    (path / "a_locs.hdf5").write_bytes(b"HDF")
    table, _ = pairs_in(path)
    with pytest.raises(DataError, match="HDF5") as refused:
        read(path, table["widefield"][0], table["storm"][0], pixel_nm=100.0)
    assert "export it as CSV" in str(refused.value.mend)


def test_values_scale_and_gray_levels_are_those_of_the_files(folder, pair):
    fine, wide = pair[0], np.rint(pair[1] / 4)
    seen = read(folder(a_wf=wide, a_storm=fine))
    np.testing.assert_array_equal(seen.widefield, wide)
    np.testing.assert_allclose(seen.storm, fine / 255, atol=1e-6)
    assert (seen.scale, np.isnan(seen.pixel_nm)) == (4, True)
    assert "12 bits or less" in "; ".join(seen.said)


def test_equal_channels_are_gray_and_unequal_ones_refused(folder, pair, tmp_path):
    path = folder(a_wf=pair[1])
    gray = pair[0].astype(np.uint8)
    Image.fromarray(np.stack([gray] * 3, -1)).save(path / "a_storm.png")
    np.testing.assert_allclose(read(path, fine="a_storm.png").storm, pair[0] / 255, atol=1e-6)
    Image.fromarray(np.stack([gray, gray // 2, gray * 0], -1)).save(path / "a_storm.png")
    with pytest.raises(DataError, match="color picture"):
        read(path, fine="a_storm.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, w: (f, w * 0 + 7), "one gray all over"),
        (lambda f, w: (f, np.where(w > w.min(), 999, w)), "saturated"),
        (lambda f, w: (w, f), "fewer pixels than the widefield"),
        (lambda f, w: (f[:150], w), "fields are unequal"),
    ],
)
def test_what_cannot_be_a_pair_is_refused(folder, pair, change, message):
    fine, wide = change(*pair)
    with pytest.raises(DataError, match=message):
        read(folder(a_wf=wide, a_storm=fine))


def test_a_swapped_pair_of_equal_size_is_told(folder, pair):
    fine, wide = pair
    coarse = np.kron(wide, np.ones((4, 4)))
    with pytest.raises(DataError, match="sharper than the STORM"):
        read(folder(a_wf=fine, a_storm=coarse))
    assert read(folder(a_wf=coarse, a_storm=fine)).scale == 1


def test_a_scale_that_is_no_whole_number_is_resampled_and_said(folder, pair):
    fine, wide = pair
    seen = read(folder(a_wf=wide[:45, :45], a_storm=fine[:160, :160]))
    assert (seen.scale, seen.storm.shape) == (4, (180, 180))
    assert "3.556 times as fine: resampled" in "; ".join(seen.said)


def test_nan_and_a_stack_are_refused(folder, pair):
    path, wide = folder(a_storm=pair[0]), pair[1]
    Image.fromarray(np.where(wide == wide.max(), np.nan, wide).astype(np.float32)).save(
        path / "a_wf.tif"
    )
    with pytest.raises(DataError, match="no numbers"):
        read(path)
    frames = [Image.fromarray(wide.astype(np.uint16)) for _ in range(3)]
    frames[0].save(path / "a_wf.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="a stack of pictures"):
        read(path)


def test_a_folder_of_frames_counts_by_its_mean(folder, pair, tmp_path):
    path = folder(a_storm=pair[0])
    (path / "frames").mkdir()
    for k in range(2):
        Image.fromarray((pair[1] + k).astype(np.uint16)).save(path / "frames" / f"{k}.tif")
    seen = read(path, wide="frames")
    np.testing.assert_allclose(seen.widefield, pair[1] + 0.5)
    assert "mean of 2 frames" in "; ".join(seen.said)


@pytest.mark.parametrize(
    ("text", "density", "unit", "expected"),
    [
        ("ImageJ=1.5\nunit=micron\n", 10.0, 1, 100.0),
        ("ImageJ=1.5\nunit=nm\n", 0.02, 1, 50.0),
        ("ImageJ=1.5\nunit=\\u00B5m\n", 10.0, 1, 100.0),
        ('<OME><Pixels PhysicalSizeX="0.065"/></OME>', 0, 1, 65.0),
        ('<OME><Pixels PhysicalSizeX="80" PhysicalSizeXUnit="nm"/></OME>', 0, 1, 80.0),
        ("", 1e5, 3, 100.0),
        ("", 300.0, 2, None),
        ("ImageJ=1.5\nunit=inch\n", 72.0, 1, None),
    ],
)
def test_the_size_of_a_pixel_is_taken_from_ome_and_imagej_alone(
    tmp_path, pair, text, density, unit, expected
):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[296] = text, unit
    if density:
        tags[282] = TiffImagePlugin.IFDRational(density)
    Image.fromarray(pair[1].astype(np.uint16)).save(tmp_path / "a.tif", tiffinfo=tags)
    found = pixel_of(tmp_path / "a.tif")
    assert np.isnan(found) if expected is None else found == pytest.approx(expected)


def test_storm_of_16_bits_is_scaled_by_its_brightest_pixels_and_that_is_said(folder, pair):
    fine = 20.0 * pair[0]
    fine[0, 0] = 60000  # one hot pixel
    seen = read(folder(a_wf=pair[1], a_storm=fine))
    assert np.median(seen.storm[pair[0] > 0]) == pytest.approx(1)
    assert "gray levels over 5100" in "; ".join(seen.said)


def test_ome_tiff_is_read_with_its_micrometers(tmp_path, pair):
    tifffile = pytest.importorskip("tifffile")
    size = {"axes": "YX", "PhysicalSizeX": 0.108, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", pair[1].astype(np.uint16), ome=True, metadata=size)
    assert pixel_of(tmp_path / "a.ome.tif") == pytest.approx(108)


def test_a_table_of_localizations_stands_for_storm(folder, pair):
    path = folder(a_wf=pair[1])
    xy = np.argwhere(pair[0] > 0)[:, ::-1] * 25.0 + 12.5
    rows = "\n".join(f"{x},{y},10" for x, y in xy)
    (path / "a_locs.csv").write_text("x [nm],y [nm],uncertainty [nm]\n" + rows)
    seen = load_pairs(str(path), pixel_nm=100.0, workers=1)
    image = next(iter(seen)).storm
    assert image.shape == pair[0].shape
    assert image[pair[0] > 0].mean() > 10 * image[pair[0] == 0].mean()
    with pytest.raises(DataError, match="known size"):
        load_pairs(str(path), workers=1)


def test_one_sick_pair_does_not_lose_the_others(folder, pair):
    fine, wide = pair
    path = folder(a_wf=wide, a_storm=fine, b_wf=wide * 0 + 9, b_storm=fine)
    seen = load_pairs(str(path), workers=1)
    assert seen.table["subject"].tolist() == ["a"]
    assert "one gray" in seen.left_out.set_index("subject")["problem"]["b"]


def test_pairs_of_one_field_are_told_by_their_content(folder, lines):
    (fine, wide), (other, second) = lines(96), lines(96, seed=5)
    path = folder(a_wf=wide, a_storm=255 * fine, c_wf=second, c_storm=255 * other,
                  b_wf=wide[20:, 10:], b_storm=255 * fine[80:, 40:])  # fmt: skip
    fields = load_pairs(str(path), workers=1).table.set_index("subject")["field"]
    assert fields["a"] == fields["b"] != fields["c"]


def test_a_field_of_the_first_cohort_is_not_in_the_external_one(folder, lines, tmp_path):
    (fine, wide), (other, second) = lines(96), lines(96, seed=5)
    path = folder(a_wf=wide, a_storm=255 * fine, c_wf=second, c_storm=255 * other)
    first = load_pairs(str(path), workers=1)
    again = never_seen(first, first.only(["a"]))
    assert again.table["subject"].tolist() == ["c"]
    assert "first cohort" in again.left_out["problem"].iloc[-1]
    with pytest.raises(DataError, match="holds no pair"):
        never_seen(first, first)


def test_nothing_that_is_a_pair_is_said_with_the_reason(folder, pair):
    with pytest.raises(DataError, match="does not say what it is"):
        load_pairs(str(folder(picture=pair[1])))


def test_sharpness_knows_the_finer_image(pair):
    fine, wide = pair
    assert pairs._sharpness(fine) > 2 * pairs._sharpness(np.kron(wide, np.ones((4, 4))))
