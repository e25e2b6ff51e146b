"""Directions of fibers: peaks found again, tensors and deconvolution of a still head."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography import orientations
from nextaim_kit.studies.thalamus_tractography.accuracy import angles, direction_error
from nextaim_kit.studies.thalamus_tractography.diffusion import Steps, prepare
from nextaim_kit.studies.thalamus_tractography.fading import fading
from nextaim_kit.studies.thalamus_tractography.reference import noisy_peaks
from nextaim_kit.studies.thalamus_tractography.series import read_series
from nextaim_kit.studies.thalamus_tractography.tracking import Walk


@pytest.fixture(scope="module")
def prepared(still):
    return prepare(read_series(still[0]), None, Steps(False, False, "none", False))


def test_the_likeliest_direction_is_the_longest_peak_s_in_the_grid_s_own_axes():
    rng = np.random.default_rng(0)
    peaks = rng.normal(size=(3, 3, 3, 2, 3))
    peaks[..., 0, :] *= 3 / np.linalg.norm(peaks[..., 0, :], axis=-1, keepdims=True)
    turned = np.eye(4)
    turned[:2, :2] = [[0, -2], [2, 0]]  # the first axis goes to the front
    found = orientations.of_peaks(peaks, np.ones((3, 3, 3), bool), turned)
    likeliest = orientations.sphere().vertices[found.values.argmax(1)]
    along = likeliest @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]).T
    assert np.median(angles(along, peaks[..., 0, :].reshape(-1, 3) / 3)) < 9


def test_many_voxels_are_deconvolved_at_once_as_dipy_does_one_after_another(prepared):
    from dipy.core.gradients import gradient_table
    from dipy.reconst.csdeconv import ConstrainedSphericalDeconvModel

    bvals = prepared.series.bvals
    table = gradient_table(bvals, bvecs=prepared.series.voxel_directions, b0_threshold=50)
    response = (np.array([1.4e-3, 3e-4, 3e-4]), 300.0)
    model = ConstrainedSphericalDeconvModel(table, response, sh_order_max=6)
    signal = prepared.data[orientations.solid(prepared)][::200]
    found = orientations.deconvolved(model, signal[:, bvals >= 50])
    assert found == pytest.approx(model.fit(signal).shm_coeff, abs=1e-6)


@pytest.mark.parametrize("of", [orientations.of_tensors, orientations.of_deconvolution])
def test_without_noise_directions_are_true_as_far_as_200_of_them_go(prepared, still, of):
    assert direction_error(of(prepared), still[1]) < 8


def test_of_several_shells_the_one_with_most_volumes_is_taken():
    bvals = np.array([0, 5, 1000, 995, 2000, 2005, 1995])
    assert orientations.one_shell(bvals).tolist() == [True, True, False, False, True, True, True]


def test_fewer_arrive_the_farther_the_cut_and_the_smaller_the_cortex(still):
    truth = still[1]
    peaks = noisy_peaks(truth, 8.0, np.random.default_rng(0))
    along = orientations.of_peaks(peaks, truth.tissue >= 2, truth.affine)
    table = fading(truth, along, "occipital", Walk(20), distances=(5, 45), sizes=(1.0, 0.125))
    near, far, whole, part = table["mean"]
    assert near > far
    assert whole > part
    assert table["true"][0] > 0.8
