"""Tables of localizations, as programs write them, and what is drawn from them."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.microscopy_superres.localizations import read_localizations, render

THUNDERSTORM = '"id","frame","x [nm]","y [nm]","uncertainty [nm]"\n1,1,150,250,9\n2,3,1050,20,11\n'
PICASSO = "frame,x,y,photons,lpx,lpy\n0,1.5,2.5,900,0.09,0.1\n"


@pytest.fixture
def written(tmp_path):
    def write(text, name="table.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_thunderstorm_is_read_in_nm(written):
    table = read_localizations(written(THUNDERSTORM))
    assert table["x"].tolist() == [150, 1050]
    assert table["precision"].tolist() == [9, 11]
    assert table.attrs["said"] == []


def test_picasso_s_pixels_become_nm_where_their_size_is_known(written):
    table = read_localizations(written(PICASSO), pixel_nm=100.0)
    assert table.loc[0, ["x", "y", "precision"]].tolist() == pytest.approx([150, 250, 9])
    with pytest.raises(DataError, match="are in pixels, whose size is not known"):
        read_localizations(written(PICASSO))


def test_rows_that_are_no_places_are_left_out_and_said(written):
    table = read_localizations(written(THUNDERSTORM + "3,4,NaN,5,9\n4,4,1,2,-1\n"))
    assert len(table) == 2
    assert "2 of 4 rows" in table.attrs["said"][0]


def test_an_unknown_precision_is_taken_and_said(written):
    table = read_localizations(written("x [nm];y [nm]\n1;2\n"))
    assert table["precision"].tolist() == [15]
    assert "names no precision" in table.attrs["said"][0]


def test_columns_that_are_not_known_and_hdf5_are_refused(written):
    with pytest.raises(DataError, match="columns that are not known"):
        read_localizations(written("xpos,ypos\n1,2\n"))
    with pytest.raises(DataError, match="HDF5"):
        read_localizations(written("", "locs.hdf5"))
    with pytest.raises(DataError, match="no row"):
        read_localizations(written("x [nm],y [nm]\na,b\n"))


def test_a_spot_is_drawn_where_it_is_and_as_wide_as_its_precision():
    image = render(np.array([[405.0, 205.0]]), np.array([30.0]), (80, 80), 10.0)
    rows, columns = (image.sum(axis) for axis in (1, 0))
    assert (rows.argmax(), columns.argmax()) == (20, 40)
    at = np.arange(80)
    assert np.sqrt((columns * (at - 40) ** 2).sum()) == pytest.approx(3, rel=0.05)
    assert image.sum() == pytest.approx(1, rel=1e-4)


def test_drawing_keeps_the_number_of_localizations():
    rng = np.random.default_rng(0)
    xy, precision = rng.uniform(200, 800, (500, 2)), rng.uniform(5, 25, 500)
    for how in ("gaussian", "histogram"):
        assert render(xy, precision, (100, 100), 10.0, how).sum() == pytest.approx(500, rel=1e-3)
    with pytest.raises(RequestError, match="no such rendering"):
        render(xy, precision, (9, 9), 10.0, "dots")
    assert render(xy[:0], precision[:0], (9, 9), 10.0).sum() == 0
