"""What is kept of each CT: a picture, masks on its grid, and paths that a table can hold."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from PIL import Image

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.ct_lungquant.pictures import Keeper, caption, class_borders
from nextaim_kit.studies.ct_lungquant.quantification import Software, quantify


def test_every_ct_leaves_a_picture_and_masks_where_asked(twin_of, tmp_path):
    table = twin_of().head(2).assign(subject=["a/b", "c"])
    values, _ = quantify(table, also=Keeper(tmp_path, masks=True))
    assert values["picture"].tolist() == ["qc/a%2Fb.png", "qc/c.png"]
    for path in values["picture"]:
        assert Image.open(tmp_path / path).width > 800
    for row, image in zip(values.itertuples(), table["image"], strict=True):
        lungs, lesions = (sitk.ReadImage(str(tmp_path / p)) for p in (row.lungs, row.lesions))
        ml = np.prod(lungs.GetSpacing()) / 1000
        assert (sitk.GetArrayFromImage(lungs) == 1).sum() * ml == row.right_ml
        assert (sitk.GetArrayFromImage(lesions) > 0).sum() * ml == row.lesions_ml
        assert lungs.GetSize() == sitk.DICOMOrient(sitk.ReadImage(image), "LPS").GetSize()


def test_without_masks_there_are_pictures_only(twin_of, tmp_path):
    values, _ = quantify(twin_of().head(1), also=Keeper(tmp_path))
    assert "lungs" not in values
    assert [path.name for path in tmp_path.iterdir()] == ["qc"]


def test_a_caption_says_what_matters_and_that_there_are_doubts(twin_of):
    values = Software()(twin_of()["image"][1]).values
    line = caption("P1", values)
    assert line.startswith(f"P1: R {values['right_ml']:.0f} ml, L {values['left_ml']:.0f} ml")
    assert line.endswith("(see warnings)")
    assert not caption("P1", values | {"warnings": ""}).endswith(")")


def test_patients_in_another_class_are_counted():
    figure = class_borders([1, 10, 30], [6, 12, 31], quantity="share", unit="%")
    assert "2 in the same class, 1 in another" in alt_of(figure)
