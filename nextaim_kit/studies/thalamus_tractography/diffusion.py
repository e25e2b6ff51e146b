"""From a raw diffusion series to tensors: noise, distortion, motion, then the fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.denoising import denoise
from nextaim_kit.studies.thalamus_tractography.distortion import Field, estimate_field
from nextaim_kit.studies.thalamus_tractography.motion import Motion, find_motion, taken_back
from nextaim_kit.studies.thalamus_tractography.series import Series
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors, fit_tensors, predicted

_TURNS = 2  # of predicting and registering
_MARGIN = 3  # voxels around the brain that distortion may move signal to


@dataclass(frozen=True)
class Steps:
    """What is done before the fit; each can be left out, to see what it does.

    Attributes
    ----------
    denoise : bool
    distortion : bool
        Where a reversed pair is given.
    motion : {"eddy", "rigid", "none"}
        "eddy" also takes back what eddy currents do to each volume along the phase's axis: shift,
        stretch and shear.
    rotate : bool
        Whether the gradient directions are turned with the head.
    """

    denoise: bool = True
    distortion: bool = True
    motion: Literal["eddy", "rigid", "none"] = "eddy"
    rotate: bool = True


@dataclass(frozen=True)
class Prepared:
    """A series on its way to tensors; what it needs is computed once, when it is asked for.

    Attributes
    ----------
    series : Series
        As it was read.
    values : array of shape (x, y, z, volume)
        Denoised or not, where the scanner put them.
    head : array of bool, shape (x, y, z)
        The brain, where the scanner put it.
    field : Field or None
        Of susceptibility.
    motion : Motion
    turned : bool
        Whether the gradient directions are turned with the head.
    sigma : float
        The noise's standard deviation, in the image's units; NaN where it was not estimated.
    notes : tuple of str
        What was not done, and why.
    """

    series: Series
    values: NDArray[np.float32]
    head: NDArray[np.bool_]
    field: Field | None
    motion: Motion
    turned: bool
    sigma: float
    notes: tuple[str, ...]

    @cached_property
    def data(self) -> NDArray[np.float32]:
        """The volumes in the head's own place, undistorted; 0 far from the brain."""
        near = binary_dilation(self.head, iterations=_MARGIN)
        if self.field is None and (self.motion.places == np.eye(4)).all():
            return np.where(near[..., None], np.maximum(self.values, 0), np.float32(0))
        return taken_back(self.values, self.series.affine, self.motion, near, self.field)

    @cached_property
    def b0(self) -> NDArray[np.float32]:
        """Mean of the volumes without weighting."""
        return self.data[..., self.series.table.b0].mean(-1)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The brain."""
        return brain_mask(self.b0)

    @property
    def directions(self) -> NDArray[np.float64]:
        """Of the gradients, in the head's own axes (right, front, head)."""
        given = np.asarray(self.series.directions, np.float64)
        return self.motion.felt(given) if self.turned else given

    def with_gradients_turned(self) -> Prepared:
        """The same volumes, which are not read anew; the gradients are turned with the head."""
        other = replace(self, turned=True)
        vars(other).update({name: getattr(self, name) for name in ("data", "b0", "mask")})
        return other

    @cached_property
    def tensors(self) -> Tensors:
        """In the same axes."""
        return fit_tensors(self.data, self.series.bvals, self.directions, self.mask)


def prepare(series: Series, reverse: Series | None = None, steps: Steps = Steps()) -> Prepared:
    """Make a series ready.

    Parameters
    ----------
    series : Series
    reverse : Series, optional
        Of the opposite phase encoding; its b0 alone is used.
    steps : Steps

    Raises
    ------
    DataError
        If no brain is found, or the volumes do not determine a tensor.
    """
    return list(stages(series, reverse, steps))[-1][1]


def stages(
    series: Series, reverse: Series | None = None, steps: Steps = Steps()
) -> Iterator[tuple[str, Prepared]]:
    """The series after each step, by the step's name; the first one is as it was given.

    See `prepare`.
    """
    still, head = Motion.none(len(series.bvals)), brain_mask(series.b0)
    notes = (*series.warnings, *_doubts(series, reverse, steps))
    made = Prepared(series, series.values, head, None, still, False, float("nan"), notes)
    yield "raw", made
    if steps.denoise:
        values, sigma = denoise(series.values, head)
        made = replace(made, values=values, sigma=sigma)
        yield "denoised", made
    if steps.distortion and reverse:
        made = replace(made, field=_field(made.values, series, reverse))
        yield "undistorted", made
    elif steps.distortion:
        note = "distortion was not corrected: no image of the opposite phase encoding"
        made = replace(made, notes=(*made.notes, note))
    if steps.motion != "none":
        made = replace(made, motion=_motion(made.values, series, head, steps.motion))
        yield "at rest", made
        if steps.rotate:
            made = made.with_gradients_turned()
            yield "gradients turned", made


def _doubts(series: Series, reverse: Series | None, steps: Steps) -> list[str]:
    """What was taken where it is not known, and what the reversed images say of themselves."""
    said = [f"of the opposite phase: {one}" for one in reverse.warnings] if reverse else []
    if steps.distortion and reverse and not series.phase:
        said.append("front to back was taken as the phase's axis of the distortion")
    if steps.motion == "eddy" and not series.phase:
        said.append("rigid motion alone was looked for, without the phase's axis")
    return said


def brain_mask(b0: NDArray) -> NDArray[np.bool_]:
    """The brain in an image without diffusion weighting, by a threshold on its smoothed copy.

    Raises
    ------
    DataError
        If what is found is too little or too much to be a brain.
    """
    from dipy.segment.mask import median_otsu

    _, mask = median_otsu(b0, median_radius=2, numpass=1)
    share = float(mask.mean())
    if not 0.02 < share < 0.98:
        raise DataError(
            "no brain was found in the image without diffusion weighting",
            expected="something bright on a dark ground",
            found=f"{share:.0%} of the image is bright",
            mend="see whether the b0 is a b0, and whether the image was cut to the brain",
        )
    return np.asarray(mask, bool)


def _field(values: NDArray, series: Series, reverse: Series) -> Field:
    axis = "ijk".index(series.phase[0]) if series.phase else 1
    first = int(np.flatnonzero(series.table.b0)[0])  # the others may have moved
    return estimate_field(values[..., first], reverse.b0, axis)


def _motion(data: NDArray, series: Series, mask: NDArray, kind: Literal["eddy", "rigid"]) -> Motion:
    """Each volume against what the tensors of all say of it, in turns with the tensors [1]_.

    References
    ----------
    .. [1] Andersson & Sotiropoulos 2016, https://doi.org/10.1016/j.neuroimage.2015.10.019, where
       the idea of registering to a prediction is from
    """
    motion, back, b0 = Motion.none(data.shape[-1]), data, series.table.b0
    core = binary_erosion(mask, iterations=2)  # at its border, the prediction ends
    if kind == "eddy" and series.phase:
        axis = series.affine[:3, "ijk".index(series.phase[0])]
        motion = Motion(motion.places, axis / np.linalg.norm(axis))
    for turn in range(_TURNS):
        directions = motion.felt(series.directions)
        tensors = fit_tensors(back, series.bvals, directions, mask)
        still = predicted(tensors, back[..., b0].mean(-1), series.bvals, directions)
        motion = find_motion(data, series.affine, still, core, motion)
        if turn < _TURNS - 1:
            back = taken_back(data, series.affine, motion, mask)
    return motion
