"""Series, maps and peaks: one order of axes, whatever the file has."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.series import (
    read_map,
    read_peaks,
    read_reversed,
    read_series,
)

FLIP = np.diag([-1.0, 1, 1, 1])


def test_a_file_to_the_left_is_the_same_series_as_one_to_the_right(written):
    plain = read_series(written())
    flipped = np.diag([-2.0, 2, 2, 1])
    flipped[0, 3] = 10
    other = read_series(written(flipped, plain.values[::-1], name="las"))
    assert np.array_equal(plain.values, other.values)
    assert np.allclose(plain.affine, other.affine)
    assert np.abs(plain.directions - other.directions).max() < 2e-6


def test_an_oblique_grid_is_told_and_its_directions_are_the_patients(written):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix() * 2
    straight, series = read_series(written()), read_series(written(affine, name="turned"))
    assert any("oblique by 20 degrees" in note for note in series.warnings)
    assert np.abs(series.directions - straight.directions).max() < 2e-6
    turned = series.directions @ affine[:3, :3] / 2
    assert np.abs(series.voxel_directions - turned).max() < 1e-6


def test_volumes_without_any_signal_are_left_out_with_their_directions_and_told(written):
    values = np.random.default_rng(0).uniform(1, 2, (6, 5, 4, 35))
    whole = read_series(written(values=values))
    values[..., [5, 20]] = 0
    series = read_series(written(values=values, name="lost"))
    kept = np.delete(np.arange(35), [5, 20])
    assert np.array_equal(series.values, whole.values[..., kept])
    assert np.array_equal(series.directions, whole.directions[kept])
    assert any(
        "2 of 35 volumes hold no signal and are left out: 5, 20," in n for n in series.warnings
    )
    with pytest.raises(DataError, match="is empty"):
        read_series(written(values=0 * values, name="black"))


def test_a_qform_unlike_the_sform_is_told(written):
    shifted = np.diag([2.0, 2, 2, 1])
    shifted[1, 3] = 9
    series = read_series(written(qform=shifted))
    assert any("sform and qform lie up to 9 mm apart" in note for note in series.warnings)


def test_a_sheared_grid_is_refused(written):
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 1] = 0.2
    with pytest.raises(DataError, match="sheared"):
        read_series(written(affine))


def test_voxels_without_a_value_are_none_and_told_or_refused(written):
    values = np.ones((6, 5, 4, 35))
    values[0, 0, 0] = np.nan
    series = read_series(written(values=values))
    assert series.values[0, 0, 0].max() == 0
    assert any("% of the values are NaN" in note for note in series.warnings)
    values[:4] = np.nan
    with pytest.raises(DataError, match="hardly any values"):
        read_series(written(values=values))


def test_several_volumes_are_no_map_and_one_is_no_series(written, tmp_path):
    row = written()
    with pytest.raises(DataError, match=r"has 4 axes"):
        read_map(row["dwi"])
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 5, 4), np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"(?s)has 3 axes"):
        read_series(row | {"dwi": str(tmp_path / "a.nii")})


def test_too_few_shells_are_refused(written):
    with pytest.raises(DataError, match="more shells"):
        read_series(written(), shells=2)


@pytest.mark.parametrize(
    ("says", "sign", "phase"),
    [({"PhaseEncodingDirection": "j-"}, 1, "j-"), ({"PhaseEncodingDirection": "i"}, 1, "i"),
     ({"PhaseEncodingDirection": "i"}, -1, "i-"), ({"PhaseEncodingAxis": "j"}, 1, "j?"),
     ({}, 1, "")],
)  # fmt: skip
def test_phase_encoding_is_told_along_the_axes_of_the_array(written, tmp_path, says, sign, phase):
    (tmp_path / "a.json").write_text(json.dumps(says))
    row = written(np.diag([sign * 2.0, 2, 2, 1])) | {"json": str(tmp_path / "a.json")}
    assert read_series(row).phase == phase


def test_a_pair_on_another_grid_is_refused(written):
    row = written()
    moved = np.diag([2.0, 2, 2, 1])
    moved[2, 3] = 3
    other = written(moved, name="other")
    series = read_series(row)
    with pytest.raises(DataError, match="does not lie on the grid"):
        read_reversed(row | {"reversed": other["dwi"]}, series)
    assert read_reversed(row, series) is None


def test_peaks_are_the_same_however_the_file_is_ordered(tmp_path):
    rng = np.random.default_rng(0)
    peaks = rng.normal(size=(5, 4, 3, 9)).astype(np.float32)
    peaks[0] = np.nan
    left = np.diag([-1.0, 1, 1, 1])
    left[0, 3] = 4
    nibabel.save(nibabel.Nifti1Image(peaks, np.eye(4)), tmp_path / "ras.nii.gz")
    nibabel.save(nibabel.Nifti1Image(peaks[::-1], left), tmp_path / "las.nii.gz")
    (one, _), (other, affine) = (read_peaks(tmp_path / f"{n}.nii.gz") for n in ("ras", "las"))
    assert np.array_equal(one, other)
    assert np.allclose(affine, np.eye(4))
    assert not one[0].any()
    voxel, _ = read_peaks(tmp_path / "las.nii.gz", frame="voxel")
    assert np.allclose(voxel, one * [-1, 1, 1])


def test_other_volumes_than_nine_are_no_peaks(written):
    with pytest.raises(DataError, match="holds no peaks"):
        read_peaks(written()["dwi"])
