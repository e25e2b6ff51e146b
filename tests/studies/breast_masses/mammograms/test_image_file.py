"""Single files: read as they are to be shown, looked at, their masks turned into boxes."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.image_file import (
    breast_mask,
    digest_of,
    look,
    mask_parts,
    read_pixels,
    the_mask,
    wall_side,
    widest_place,
)

ROW = {"view": "CC", "side": "L", "turned": None, "spacing": None, "marks": []}


def square_mark(*box):
    return {"box": list(box)}


@pytest.fixture
def seen(tmp_path):
    """What `look` finds in pixels, and masks or boxes."""

    def see(pixels, *marks, **told):
        Image.fromarray(pixels).save(tmp_path / "image.png")
        of = []
        for k, mark in enumerate(marks):
            if isinstance(mark, np.ndarray):
                Image.fromarray(mark).save(tmp_path / f"mask{k}.png")
                mark = {"mask": str(tmp_path / f"mask{k}.png")}
            of.append(mark)
        return look(ROW | told | {"image": str(tmp_path / "image.png"), "marks": of})

    return see


@pytest.fixture
def dicom(tmp_path):
    """Write a mammogram in DICOM."""

    def write(pixels, **tags):
        header = Dataset()
        header.file_meta = pydicom.dataset.FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID, header.Modality = "1.2.840.10008.5.1.4.1.1.1.2", "MG"
        header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.Rows, header.Columns = pixels.shape[-2:]
        header.BitsAllocated = header.BitsStored = 8 * pixels.dtype.itemsize
        header.HighBit, header.PixelRepresentation = header.BitsStored - 1, 0
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        for name, value in tags.items():
            setattr(header, name, value)
        header.PixelData = pixels.tobytes()
        header.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        return str(tmp_path / "image.dcm")

    return write


def test_the_breast_is_found_without_letters_rims_and_noise(half_disc):
    pixels = half_disc().astype(float) + np.random.default_rng(0).uniform(0, 3, (120, 90))
    pixels[5:15, 70:85], pixels[:1] = 255, 255
    breast = breast_mask(pixels)
    true = half_disc() > 0
    assert (breast & true).sum() / (breast | true).sum() > 0.93
    assert not breast[5:15, 75:85].any()


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("gap", [0, 12])
def test_the_chest_wall_is_found_beside_a_black_strip_too(half_disc, side, gap):
    breast = np.pad(half_disc(side=side) > 0, ((0, 0), (gap, gap)))
    assert wall_side(breast) == side


def test_a_picture_without_a_breast_is_refused(seen, square):
    with pytest.raises(DataError, match="no breast stands out"):
        seen(square((60, 10, 75, 20)))


def test_an_inverted_picture_is_refused(seen, half_disc):
    with pytest.raises(DataError, match="background is bright"):
        seen(255 - half_disc())


def test_eight_and_sixteen_bits_look_the_same(seen, half_disc):
    few = seen(half_disc(), square_mark(30, 40, 42, 55))
    many = seen(half_disc().astype(np.uint16) * 200, square_mark(30, 40, 42, 55))
    assert few["found"] == many["found"]
    assert few["digest"] != many["digest"]
    assert np.isnan(few["spacing"])
    assert "its spacing is not known: sizes in pixels" in few["said"]


def test_a_box_is_half_open_and_has_the_diameter_of_its_ellipse(seen, half_disc, square):
    [by_mask] = seen(half_disc(), square((30, 40, 42, 49)))["found"]
    [by_box] = seen(half_disc(), square_mark(30, 40, 42, 49))["found"]
    corners = ["x0", "y0", "x1", "y1"]
    assert [by_mask[c] for c in corners] == [by_box[c] for c in corners] == [30, 40, 42, 49]
    assert by_mask["diameter"] == pytest.approx(2 * np.sqrt(108 / np.pi))
    assert by_box["diameter"] == pytest.approx(np.sqrt(108))


def test_two_parts_of_a_mask_are_two_masses_and_said(seen, half_disc, square):
    saw = seen(half_disc(), square((10, 40, 20, 50), (30, 60, 50, 80)), spacing=0.5)
    assert [one["x0"] for one in saw["found"]] == [30, 10]  # the larger first
    assert [one["part"] for one in saw["found"]] == [0, 1]
    assert saw["said"] == ["mask0.png has 2 parts: as many masses"]


def test_specks_of_a_mask_are_no_masses(seen, half_disc, square):
    saw = seen(half_disc(), square((10, 40, 40, 70), (60, 60, 61, 61)), spacing=0.5)
    assert len(saw["found"]) == 1
    assert saw["said"] == ["mask0.png: 1 specks left out"]


def test_an_empty_mask_is_an_image_without_a_mass_and_said(seen, half_disc, square):
    saw = seen(half_disc(), square(), spacing=0.5)
    assert saw["found"] == []
    assert saw["said"] == ["mask0.png is empty: an image without a mass"]


def test_a_mask_of_another_size_is_refused(seen, half_disc, square):
    with pytest.raises(DataError, match="another size") as error:
        seen(half_disc(), square((1, 1, 9, 9), shape=(119, 90)))
    assert error.value.expected == "90 by 120"
    assert error.value.found == "90 by 119"


@pytest.mark.parametrize(
    ("box", "found"),
    [((95, 10, 99, 20), "outside"), ((10, 10, 10, 20), "no area"), ((20, 10, 10, 20), "no area"),
     ((-9, -9, 0, 5), "outside")],
)  # fmt: skip
def test_a_box_that_cannot_be_is_refused(seen, half_disc, box, found):
    with pytest.raises(DataError, match=found):
        seen(half_disc(), square_mark(*box))


def test_a_box_beyond_the_border_is_clipped_and_said(seen, half_disc):
    saw = seen(half_disc(), square_mark(-5, 100, 20, 130), spacing=0.5)
    assert [saw["found"][0][c] for c in ("x0", "y0", "x1", "y1")] == [0, 100, 20, 120]
    assert "clipped" in saw["said"][0]


def test_the_side_is_held_against_what_is_seen(seen, half_disc):
    right = seen(half_disc(side="R"), spacing=0.5)
    assert right["said"] == ["called L, but the chest wall lies at the right: mirrored?"]
    assert seen(half_disc(side="R"), spacing=0.5, side="R")["said"] == []
    assert seen(half_disc(side="R"), spacing=0.5, side="")["said"] == []


def test_an_oblique_view_upside_down_is_turned_with_its_masses(seen, half_disc):
    upright = half_disc(high=0.65)
    mark = {"box": [10, 100, 20, 110]}
    above = seen(upright, mark, view="MLO", spacing=0.5)
    below = seen(upright[::-1], {"box": [10, 10, 20, 20]}, view="MLO", spacing=0.5)
    assert not above["turned"]
    assert below["turned"]
    assert (below["found"][0]["y0"], below["found"][0]["y1"]) == (100, 110)
    assert "upside down" in below["said"][0]
    assert not seen(upright[::-1], view="MLO", turned=False)["turned"]
    assert not seen(upright[::-1], view="CC")["turned"]


def test_pixels_are_read_turned_as_the_row_says(tmp_path, half_disc):
    Image.fromarray(half_disc(high=0.65)).save(tmp_path / "a.png")
    row = {"image": str(tmp_path / "a.png"), "turned": True}
    np.testing.assert_array_equal(read_pixels(row), half_disc(high=0.65)[::-1])


def test_the_widest_place_is_the_nipples_height(half_disc):
    for high in (0.35, 0.5, 0.65):
        assert widest_place(half_disc(high=high) > 0) == pytest.approx(high, abs=0.02)


def test_monochrome1_is_shown_bright_where_tissue_is_dense(dicom, half_disc):
    path = dicom(255 - half_disc(), PhotometricInterpretation="MONOCHROME1")
    saw = look(ROW | {"image": path})
    np.testing.assert_allclose(np.ptp(read_pixels({"image": path}) - half_disc()), 0)
    assert saw["rows"] == 120


def test_a_voi_lut_of_the_header_is_applied(dicom, half_disc):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 16], list(range(0, 65536, 256))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    path = dicom(half_disc(), VOILUTSequence=[table])
    np.testing.assert_array_equal(read_pixels({"image": path}), half_disc().astype(float) * 256)


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [({}, np.nan), ({"PixelSpacing": [0.07] * 2}, 0.07), ({"ImagerPixelSpacing": [0.1] * 2}, 0.1),
     ({"ImagerPixelSpacing": [0.1] * 2, "EstimatedRadiographicMagnificationFactor": "1.25"}, 0.08)],
)  # fmt: skip
def test_the_spacing_is_that_of_the_breast_where_dicom_says_it(dicom, half_disc, tags, spacing):
    saw = look(ROW | {"image": dicom(half_disc(), **tags)})
    assert saw["spacing"] == pytest.approx(spacing, nan_ok=True)


def test_a_stack_of_tomosynthesis_is_refused(dicom, half_disc):
    path = dicom(np.stack([half_disc()] * 3), NumberOfFrames=3)
    with pytest.raises(DataError, match="stack") as error:
        look(ROW | {"image": path})
    assert "3 frames" in str(error.value.found)


def test_the_mask_is_told_from_the_crop_by_its_pixels(tmp_path, half_disc, square):
    names = [str(tmp_path / f"{k}.png") for k in range(3)]
    pictures = [half_disc()[20:60, 10:40], square((10, 20, 40, 60)), half_disc()]
    for name, pixels in zip(names, pictures, strict=True):
        Image.fromarray(pixels).save(name)
    assert the_mask(names, (120, 90)) == names[1]
    with pytest.raises(DataError, match="cannot be told") as error:
        the_mask(names[:1], (120, 90))
    assert error.value.found == "0 such of 1 pictures"


def test_a_mask_of_gray_or_color_is_cut_at_half_its_brightest(tmp_path):
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[10:20, 10:30, 1], mask[20:22, 10:30, 1] = 200, 90  # blurred by JPEG, green
    Image.fromarray(mask).save(tmp_path / "m.png")
    [part], specks = mask_parts(tmp_path / "m.png", (40, 40))
    assert part.sum() == 200
    assert specks == 0


def test_a_digest_tells_pictures_by_their_pixels():
    pixels = np.arange(12.0).reshape(3, 4)
    assert digest_of(pixels) == digest_of(pixels.astype(np.uint8))
    assert digest_of(pixels) != digest_of(pixels.T) != digest_of(pixels.reshape(2, 6))
