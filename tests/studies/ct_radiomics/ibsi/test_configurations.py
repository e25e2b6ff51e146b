"""Configurations by name, and those that cannot be."""

from __future__ import annotations

import pickle

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_radiomics.extraction import Settings, by_definition
from nextaim_kit.studies.ct_radiomics.ibsi import CONFIGURATIONS, Configuration, configuration


def test_configuration_e_is_the_manuals():
    setup = configuration("E", label=2)
    assert (setup.spacing, setup.spline, setup.bin_count) == ((2, 2, 2), 3, 32)
    assert (setup.keep, setup.sigmas, setup.ivh_count) == ((-1000, 400), 3, 1000)
    assert (setup.texture, setup.label) == (("3D",), 2)


def test_a_near_miss_of_a_name_is_told():
    with pytest.raises(RequestError, match="unknown IBSI configuration 'e'") as refused:
        configuration("e")
    assert refused.value.mend == "did you mean 'E'?"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "bin_width"),
        ({"bin_width": 25, "bin_count": 32}, "bin_width"),
        ({"bin_width": 0}, "bin_width"),
        ({"bin_width": 25, "keep": (400, -500)}, "keep"),
        ({"bin_width": 25, "spline": 2}, "spline"),
        ({"bin_width": 25, "spacing": (1, -1, 1)}, "spacing"),
        ({"bin_width": 25, "sigmas": -3}, "sigmas"),
        ({"bin_width": 25, "ivh_width": 1, "ivh_count": 5}, "ivh_width"),
        ({"bin_width": 25, "texture": ("4D",)}, "texture"),
    ],
)
def test_a_configuration_out_of_bounds_is_refused_by_name(wrong, said):
    with pytest.raises(RequestError, match=f"IBSI configuration: {said} is out of bounds"):
        Configuration("mine", **wrong)


def test_configurations_that_differ_are_told_apart_where_results_are_kept():
    keys = {setup.cache_key for setup in CONFIGURATIONS.values()}
    assert len(keys) == len(CONFIGURATIONS) == 6
    assert pickle.loads(pickle.dumps(configuration("B"))) == configuration("B")


def test_the_definition_is_chosen_by_name():
    assert by_definition("pyradiomics", "C", Settings(bin_width=10)).bin_width == 10
    assert by_definition("ibsi", "D", Settings(label=3)) == configuration("D", label=3)
    with pytest.raises(RequestError, match="unknown definition 'IBSI'"):
        by_definition("IBSI", "C", Settings())


def test_settings_that_an_ibsi_configuration_would_not_heed_are_refused():
    with pytest.raises(RequestError, match="fixes bins, voxel size and filters"):
        by_definition("ibsi", "C", Settings(resample_mm=1.0))
