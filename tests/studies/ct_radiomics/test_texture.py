"""Texture of any small region against pyradiomics' own classes, under all of its settings."""

from __future__ import annotations

import logging
import math
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from radiomics import glcm, gldm, glrlm, glszm, ngtdm
from scipy import stats

from nextaim_kit.studies.ct_radiomics import compiled, cooccurrence, matrices
from nextaim_kit.studies.ct_radiomics import texture as texture_of
from nextaim_kit.studies.ct_radiomics.engine import extract
from nextaim_kit.studies.ct_radiomics.firstorder import first_order
from nextaim_kit.studies.ct_radiomics.texture import discretize, texture

CLASSES = {
    "glcm": glcm.RadiomicsGLCM, "glrlm": glrlm.RadiomicsGLRLM, "glszm": glszm.RadiomicsGLSZM,
    "gldm": gldm.RadiomicsGLDM, "ngtdm": ngtdm.RadiomicsNGTDM,
}  # fmt: skip
SPACING = (2.5, 0.8, 0.7)


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("radiomics").setLevel(logging.CRITICAL)


def reference(values, mask, chosen, name):
    """Features of one of pyradiomics' classes."""
    image, marked = (sitk.GetImageFromArray(a) for a in (values, mask.astype(np.uint8)))
    for part in (image, marked):
        part.SetSpacing(SPACING[::-1])
    features = CLASSES[name](image, marked, **chosen)
    features.enableAllFeatures()
    return {f: float(np.real(v)) for f, v in features.execute().items()}


def compare(values, mask, chosen):
    levels = discretize(values[mask], mask, SPACING, chosen)
    for name in CLASSES:
        theirs = reference(values, mask, chosen, name)
        ours = texture(levels, chosen, (name,))
        assert list(ours) == sorted(f"{name}_{feature}" for feature in theirs)
        if math.isnan(theirs.get("JointEnergy", theirs.get("ShortRunEmphasis", 0))):
            assert all(map(math.isnan, ours.values()))  # no two voxels in any direction
            continue
        for feature, value in theirs.items():
            assert ours[f"{name}_{feature}"] == pytest.approx(value, rel=1e-9, abs=1e-9), feature


CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "binCount": st.integers(2, 40),
        "distances": st.sampled_from([[1, 2], [2]]),
        "force2D": st.just(True),
        "force2Ddimension": st.integers(0, 2),
        "gldm_a": st.integers(1, 3),
        "symmetricalGLCM": st.booleans(),
        "weightingNorm": st.sampled_from(["manhattan", "euclidean", "infinity", "no_weighting"]),
    },
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:radiomics.*")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**20),
    size=st.tuples(*[st.integers(3, 9)] * 3),
    density=st.floats(0.4, 1.0),
    spread=st.sampled_from([20, 60, 200, 2000]),
    chosen=CHOICES,
)
def test_any_small_region_has_pyradiomics_texture_under_any_settings(
    seed, size, density, spread, chosen
):
    random = np.random.default_rng(seed)
    mask = random.random(size) < density
    mask.flat[[0, -1]] = True
    values = np.rint(random.normal(-300, spread, size))
    values.flat[0] = values.flat[-1] + 1
    compare(values, mask, {"binWidth": 25, **chosen})


@pytest.mark.filterwarnings("ignore::RuntimeWarning:radiomics.*")
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_pyradiomics_texture(tissue, axis):
    values = tissue((1, 14, 15)).astype(float)
    compare(np.moveaxis(values, 0, axis), np.ones_like(np.moveaxis(values, 0, axis), bool), {})


def test_levels_in_two_clusters_far_apart_have_pyradiomics_texture(tissue):
    values = tissue((6, 8, 9)).astype(float)
    values[:, 4:] += 8000  # 350 levels, of which a few occur
    compare(values, np.ones(values.shape, bool), {"gldm_a": 2})


def test_one_level_has_the_texture_of_pyradiomics(tissue):
    values = tissue((4, 6, 5)) % 3 + 100.0
    compare(values, np.ones(values.shape, bool), {})


def test_many_levels_are_worked_on_in_parts_with_the_same_values(tissue, monkeypatch):
    values = tissue((8, 9, 10)).astype(float)
    levels = discretize(values.ravel(), np.ones(values.shape, bool), SPACING, {"binWidth": 5})
    whole = texture(levels, {}, ("glcm",))
    monkeypatch.setattr(cooccurrence, "_BLOCK", 1)
    assert texture(levels, {}, ("glcm",)) == pytest.approx(whole, rel=1e-14)


def test_features_that_are_left_out_are_not_there(tissue):
    values = tissue((5, 6, 7)).astype(float)
    levels = discretize(values.ravel(), np.ones(values.shape, bool), SPACING, {})
    found = texture(levels, {}, ("ngtdm", "glcm"), without=("glcm_MCC", "ngtdm_Busyness"))
    assert len(found) == 23 + 4
    assert not {"glcm_MCC", "ngtdm_Busyness"} & set(found)


def test_without_machine_code_the_values_are_the_same(tissue, monkeypatch):
    values = tissue((7, 8, 9)).astype(float)
    mask = np.random.default_rng(0).random(values.shape) < 0.8
    by_machine = texture(discretize(values[mask], mask, SPACING, {}), {}, tuple(CLASSES))
    monkeypatch.setattr(matrices, "kernel", lambda *_: None)
    monkeypatch.setattr(matrices, "_zone_links", lambda _: None)
    plainly = texture(discretize(values[mask], mask, SPACING, {}), {}, tuple(CLASSES))
    assert plainly == pytest.approx(by_machine, rel=1e-13)


@pytest.mark.parametrize("threads", [2, 5])
def test_several_threads_give_the_same_values_to_the_last_bit(tissue, monkeypatch, threads):
    values = tissue((20, 30, 31))
    levels = discretize(values.ravel(), np.ones(values.shape, bool), SPACING, {})
    alone = texture(levels, {}, tuple(CLASSES))
    used = set()

    def pool(number):
        used.add(number)
        return ThreadPoolExecutor(number)

    monkeypatch.setattr(texture_of, "thread_count", lambda: threads)
    monkeypatch.setattr(texture_of, "_LARGE", 1)
    monkeypatch.setattr(texture_of, "ThreadPoolExecutor", pool)
    together = texture(levels, {}, tuple(CLASSES))
    assert list(together.items()) == list(alone.items())
    assert used == {threads}


def test_a_kernel_that_cannot_be_compiled_is_said_and_done_without(monkeypatch):
    monkeypatch.setattr(compiled.kernels, "zone_links", lambda touching: touching.no_such_thing())
    with pytest.warns(UserWarning, match="without machine code"):
        assert compiled.kernel.__wrapped__("zone_links") is None


def test_where_the_package_cannot_be_written_machine_code_is_kept_in_the_cache(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled.os, "access", lambda *_: False)
    assert compiled.kernel.__wrapped__("zone_links") is not None
    kept = [file.name for file in tmp_path.rglob("*.nbc")]
    assert any("zone_links" in name for name in kept)


def test_a_cache_that_others_may_write_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled.os, "access", lambda *_: False)
    (tmp_path / "compiled").mkdir()
    (tmp_path / "compiled").chmod(0o777)
    with pytest.warns(UserWarning, match="others may write"):
        assert compiled.kernel.__wrapped__("zone_links") is not None
    assert not list((tmp_path / "compiled").rglob("*zone_links*.nbi"))


def measured(levels):
    """Processor seconds of all matrices, the shortest of five."""
    seconds = []
    for _ in range(5):
        start = time.process_time()
        for count in (matrices.cooccurrence, matrices.run_lengths, matrices.dependence):
            count(levels, matrices.directions())
        matrices.zones(levels)
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_eight_times_the_voxels_take_nearer_eight_times_as_long_than_sixteen(tissue):
    small, large = (tissue((n, n, n)) // 100 + 30 for n in (40, 80))
    measured(small)
    assert measured(large) < 16 * measured(small)


def traced_peak(work):
    """Bytes of Python and NumPy at the most, beside what was there before."""
    work()  # what is compiled and cached
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_texture_needs_less_memory_than_its_region(tissue):
    values = tissue((60, 120, 120))
    levels = discretize(values.ravel(), np.ones(values.shape, bool), SPACING, {})
    assert traced_peak(lambda: texture(levels, {}, without=("glcm_MCC",))) < 0.8 * values.nbytes


def test_all_features_need_one_and_a_half_times_the_bytes_of_a_regions_box(volume, tissue):
    values = tissue((80, 200, 200))
    mask = np.zeros(values.shape, np.uint8)
    mask[:, 30:-30, :55] = mask[:, 50:, -55:] = mask[0, 0, 0] = 1  # 40 % of its box, as lungs are
    image, region = volume(values), volume(mask)
    assert traced_peak(lambda: extract(image, region)) < 1.5 * values.nbytes


def test_values_that_are_all_different_are_summed_as_those_that_repeat():
    values = np.random.default_rng(2).normal(40, 200, 50_000)
    values[:30_000] = np.rint(values[:30_000])
    distinct, counts = np.unique(values, return_counts=True)
    rest = (np.array([values.size]), 2.0, 100.0)
    single = first_order(np.sort(values), None, *rest)
    assert first_order(distinct, counts, *rest) == pytest.approx(single)
    assert single["Kurtosis"] == pytest.approx(stats.kurtosis(values, fisher=False))
    assert single["Median"] == np.median(values)


@pytest.mark.parametrize("counts", [None, np.array([1, 1])])
def test_two_voxels_have_no_robust_deviation_but_all_else(counts):
    found = first_order(np.array([-300.0, 20.0]), counts, np.array([1, 1]), 1.0)
    assert [name for name, value in found.items() if np.isnan(value)] == [
        "RobustMeanAbsoluteDeviation"
    ]
    assert found["Median"] == found["Mean"] == -140
