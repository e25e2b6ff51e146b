"""Where the brain lies in a head of MR or CT: by a template, then by the skull around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import SimpleITK as sitk

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]
_FINE, _EVERY, _BINS = 2, 9, 24  # mm of the template; voxels of which one is used; levels
_DEGREES = 57.29578  # of a radian
EDGE = 3.0  # mm of a voxel of the grid on which the brain is looked for
_AROUND = 20  # voxels of that grid that are added on each side
_FACE, _LEAST, _NECK = (
    80.0,
    100.0,
    (40.0, 90.0),
)  # mm of a volume; under the vertex, where a head is widest
_AREA = (80.0, 420.0)  # cm2 of a section there: from an infant's to less than a chest's
_CROWN = 0.5  # of the widest section that the highest may be
_SCALP, _CORE, _NEAR = 14.0, 12.0, 9.0  # mm: over the brain; of a template surely inside, or near
_SCALES, _ALIKE = (0.65, 1.4), 0.75  # of a template's edges; its overlap (Dice) with what is found
_VOLUME = (450.0, 2400.0)  # ml within the skull
_BONE, _DARK, _RINGED = 200.0, 0.7, 0.6  # HU; of the brain's level; share of its surface


class NoBrain(Exception):
    """No brain was found.

    Attributes
    ----------
    elsewhere : bool
        The volume shows surely no whole head.
    small : bool
        Nor could it show a face, whatever it is of.
    """

    def __init__(self, why: str, *, elsewhere: bool = False, small: bool = False) -> None:
        super().__init__(why)
        self.elsewhere, self.small = elsewhere or small, small


@dataclass(frozen=True)
class Head:
    """A head on a grid of `EDGE` mm along the axes of the patient (LPS).

    Attributes
    ----------
    brain, body : array of shape (z, y, x)
        Inside of the skull, brain stem included; all that is no air.
    origin : array of shape (3,)
        mm of the first voxel: x to the left, y to the back, z to the head.
    front, down : array of shape (3,)
        Unit vectors of this head, which may be tilted.
    """

    brain: Mask
    body: Mask
    origin: Array
    front: Array
    down: Array

    def points(self, mask: Mask) -> Array:
        """Places (n, 3) in mm of the voxels of a mask."""
        return np.argwhere(mask)[:, ::-1] * EDGE + self.origin


def find_head(image: sitk.Image, *, ct: bool) -> Head:
    """Find the brain in a volume.

    An affine registration by mutual information [1]_ lays the ICBM 2009 template's brain [2]_ into
    the head; between its core and what is far from it a watershed [3]_ follows the skull, which is
    dark in MR of any contrast and bright in CT.

    Parameters
    ----------
    image : SimpleITK.Image
        Scalar volume in mm (LPS).
    ct : bool
        Values are HU; else those of MR.

    Raises
    ------
    NoBrain
        If it shows no head, or the brain cannot be told.

    References
    ----------
    .. [1] Mattes et al. 2003, doi:10.1109/TMI.2003.809072
    .. [2] Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033
    .. [3] Hahn and Peitgen 2000, doi:10.1007/978-3-540-40899-4_14
    """
    values, origin = _on_grid(image, ct)
    body = _body(values, ct)
    top = _vertex(body)
    _require_width(body, top)
    matrix, shift = _registered(values, body, top, ct)
    laid = _laid(matrix, shift, values.shape)
    brain = _within_skull(values, laid, body, ct)
    _require_brain(brain, laid, matrix, values, ct)
    left, _, right = np.linalg.svd(matrix)
    turn = left @ right
    return Head(brain, body, origin, -turn[:, 1], -turn[:, 2])


def require_room_for_a_face(longest: float) -> None:
    """Refuse what is too small for a face, such as a box cut out of a brain.

    Raises
    ------
    NoBrain
    """
    if longest < _FACE:
        raise NoBrain(f"it is but {longest:.0f} mm long", small=True)


def _on_grid(image: sitk.Image, ct: bool) -> tuple[Array, Array]:
    """Values (z, y, x) on the grid, air around them, and where it begins."""
    import SimpleITK as sitk

    size = np.array(image.GetSize()) - 1
    corners = [
        image.TransformIndexToPhysicalPoint((size * np.array(at)).tolist())
        for at in np.ndindex(2, 2, 2)
    ]
    low, high = np.min(corners, 0), np.max(corners, 0)
    require_room_for_a_face((high - low).max())
    if (high - low).min() < _LEAST:
        raise NoBrain(f"it is but {(high - low).min():.0f} mm thick")
    if (high - low).max() > 50 * _LEAST:
        raise NoBrain("it is larger than any body", elsewhere=True)
    plain = sitk.Cast(image, sitk.sitkFloat32)
    spread = [max(0.3 * EDGE, 0.4 * edge) for edge in plain.GetSpacing()]
    air = -1000.0 if ct else 0.0
    origin = low - _AROUND * EDGE
    shape = [int(n) for n in np.ceil((high - low) / EDGE) + 1 + 2 * _AROUND]
    grid = (origin.tolist(), [EDGE] * 3, np.eye(3).ravel().tolist())
    laid = sitk.Resample(
        sitk.SmoothingRecursiveGaussian(plain, spread), shape, sitk.Transform(),
        sitk.sitkLinear, *grid, air if ct else float(np.nan),
    )  # fmt: skip
    values = sitk.GetArrayFromImage(laid)
    if not ct:
        values = np.nan_to_num(values - np.nanpercentile(values, 1)).clip(0)
    return values, origin


def _body(values: Array, ct: bool) -> Mask:
    """All that is no air: the largest part, its holes filled."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if ct:
        body = values > -300
    else:
        inside = values[values > 0]
        if not inside.size:
            raise NoBrain("it is empty", elsewhere=True)
        body = values > 0.5 * threshold_otsu(inside.clip(max=np.percentile(inside, 99)))
    body = ndimage.binary_closing(ndimage.binary_opening(body), iterations=4)
    labels, count = ndimage.label(body)
    if not count:
        raise NoBrain("it shows no body", elsewhere=True)
    body = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    for axis in range(3):
        for section in np.moveaxis(body, axis, 0):
            section |= ndimage.binary_fill_holes(section)
    return body


def _vertex(body: Mask) -> int:
    """The highest section of the body."""
    area = body.sum((1, 2)) * EDGE**2 / 100
    return int(np.flatnonzero(area > 15)[-1]) if (area > 15).any() else 0


def _require_width(body: Mask, top: int) -> None:
    low, high = (max(0, top - round(mm / EDGE)) for mm in reversed(_NECK))
    area = float(np.median(body[low : high + 1].sum((1, 2)))) * EDGE**2 / 100
    if not _AREA[0] <= area <= _AREA[1]:
        raise NoBrain(f"a section of {area:.0f} cm2 is no head's", elsewhere=True)
    crown = body[max(0, top - 1)].sum() / max(1, body[low : high + 1].sum((1, 2)).max())
    if crown > _CROWN:
        raise NoBrain("no vertex is seen: it is cut off above, or no head")


@dataclass(frozen=True)
class _Template:
    """T1 of a brain without its skull: places in mm from below its vertex, and values there."""

    places: Array
    values: Array
    mask: Mask
    rim: Array  # places on the upper half of its surface
    edges: Array  # mm: how wide, long and high it is
    middle: Array  # index (x, y, z) of its vertex


@cache
def _template() -> _Template:
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
    from scipy import ndimage

    head, inside = (
        np.pad(np.asarray(one.dataobj, np.float32).T[:, ::-1, ::-1], 8)
        for one in (load_mni152_template(_FINE), load_mni152_brain_mask(_FINE))
    )
    mask = ndimage.binary_fill_holes(inside > 0.5)
    near = ndimage.binary_dilation(mask, iterations=4)
    near &= np.indices(near.shape).sum(0) % _EVERY == 0
    rim = mask & ~ndimage.binary_erosion(mask)
    rim[: int(ndimage.center_of_mass(mask)[0])] = False
    rim &= np.indices(rim.shape).sum(0) % 6 == 0
    found = np.argwhere(mask)[:, ::-1]
    middle = (found.max(0) + found.min(0)) / 2
    middle[2] = found[:, 2].max()
    places, surface = ((np.argwhere(one)[:, ::-1] - middle) * _FINE for one in (near, rim))
    values = ndimage.gaussian_filter(head, 1.0)[near]
    return _Template(places, values, mask, surface, np.ptp(found, axis=0) * _FINE, middle)


def _registered(values: Array, body: Mask, top: int, ct: bool) -> tuple[Array, Array]:
    """Matrix (3, 3) and shift (3,) from the template's mm to those of the head.

    The template begins under the vertex, as wide and long as the head leaves it, and moves for
    more mutual information, and for a scalp of even thickness over it.
    """
    from scipy import ndimage, optimize

    template = _template()
    vertex, widths = _sized(body, top)
    start = (widths - 2 * _SCALP) / template.edges[:2]
    start = np.array([*start, start.mean()])
    below = np.array([0, 0, -80.0])
    limits = (-100.0, 200.0) if ct else (0.0, float(np.percentile(values[body], 98)))
    head = ndimage.gaussian_filter(values.clip(*limits), 0.7)
    levels = np.linspace(*limits, _BINS)
    depth = ndimage.distance_transform_edt(body).astype(np.float32) * EDGE
    own = np.digitize(template.values, np.linspace(0, template.values.max(), _BINS))

    def placed(by: Array) -> tuple[Array, Array]:
        matrix = _turn(by[:3] / _DEGREES) @ np.diag(start * (1 + by[6:9] / 100))
        shift = vertex * EDGE - [0, 0, _SCALP] + below + by[3:6] - matrix @ below
        return matrix, shift

    def at(places: Array, what: Array, by: Array) -> Array:
        matrix, shift = placed(by)
        index = ((places @ matrix.T + shift) / EDGE)[:, ::-1].T
        return ndimage.map_coordinates(what, index, order=1, mode="nearest")

    def cost(by: Array) -> float:
        seen = np.digitize(at(template.places, head, by), levels)
        scalp = np.abs(at(template.rim, depth, by) - _SCALP).clip(max=20).mean() / 20
        return 0.5 * float(scalp) - _shared(own, seen)

    bounds = [(-25, 25)] * 3 + [(-25, 25)] * 3 + [(-14, 14)] * 3
    starts = [np.array([pitch, 0, 0, 0, 0, 0, 0, 0, 0.0]) for pitch in (-15, 0, 15)]
    best = min(
        (
            optimize.minimize(
                cost, one, method="Powell", bounds=bounds, options={"xtol": 0.5, "ftol": 1e-3}
            )
            for one in starts
        ),
        key=lambda found: float(found.fun),
    )
    return placed(best.x)


def _turn(angles: Array) -> Array:
    """Turns about x, then y, then z, in radians."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", angles).as_matrix()


def _shared(a: NDArray[np.integer], b: NDArray[np.integer]) -> float:
    """Mutual information in nats of two rows of bins."""
    both = np.bincount(a * (_BINS + 1) + b, minlength=(_BINS + 1) ** 2) / len(a)
    both = both.reshape(_BINS + 1, _BINS + 1)
    apart = both.sum(1, keepdims=True) * both.sum(0)
    told = both > 0
    return float((both[told] * np.log(both[told] / apart[told])).sum())


def _sized(body: Mask, top: int) -> tuple[Array, Array]:
    """The vertex as an index (x, y, z), and how wide and long a head is below it, in mm."""
    low, high = (max(0, top - round(mm / EDGE)) for mm in reversed(_NECK))
    ends = [
        np.median([np.flatnonzero(part.any(axis))[[0, -1]] for part in body[low:high]], 0)
        for axis in (0, 1)
    ]
    return np.array([*np.mean(ends, 1), top]), np.ptp(ends, axis=1) * EDGE


def _laid(matrix: Array, shift: Array, shape: tuple[int, ...]) -> Mask:
    """The template's brain within the head, on the head's grid."""
    from scipy import ndimage

    template = _template()
    back = np.linalg.inv(matrix) * EDGE / _FINE
    offset = template.middle - np.linalg.inv(matrix) @ shift / _FINE
    return ndimage.affine_transform(
        template.mask.astype(np.float32), back[::-1, ::-1], offset[::-1], shape, order=1
    ) > 0.5  # fmt: skip


def _within_skull(values: Array, laid: Mask, body: Mask, ct: bool) -> Mask:
    """What the skull parts from the rest, between the template's core and far from it."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = ndimage.distance_transform_edt(laid) * EDGE
    core = depth >= _CORE
    if not core.any():
        raise NoBrain("the template of a brain does not fit")
    far = (ndimage.distance_transform_edt(~laid) * EDGE >= _NEAR) | ~body
    markers = np.where(core, 1, np.where(far, 2, 0))
    skull = values.clip(40, 400) if ct else -(values / _level(values, laid, core)).clip(max=0.9)
    inside = watershed(ndimage.gaussian_filter(skull, 0.4), markers) == 1
    return ndimage.binary_opening(inside, iterations=2) | (depth >= 2 * EDGE)


def _level(values: Array, laid: Mask, core: Mask) -> Array:
    """The brain's level at each voxel: coils see what is near them brighter."""
    from scipy import ndimage

    middle = max(float(np.median(values[core])), 1e-6)
    own = laid & (values > 0.5 * middle) & (values < 1.6 * middle)
    share = ndimage.gaussian_filter(own.astype(np.float32), 10)
    level = ndimage.gaussian_filter(np.where(own, values, 0), 10) / share.clip(1e-3)
    return np.where(level > 0.3 * middle, level, middle)


def _require_brain(brain: Mask, laid: Mask, matrix: Array, values: Array, ct: bool) -> None:
    """Refuse what is not of a brain's size and form, or has no skull or air around it.

    Raises
    ------
    NoBrain
    """
    from scipy import ndimage

    scales = np.linalg.svd(matrix, compute_uv=False)
    volume = brain.sum() * EDGE**3 / 1000
    alike = 2 * (brain & laid).sum() / (brain.sum() + laid.sum())
    if not (_SCALES[0] < scales[-1] and scales[0] < _SCALES[1] and alike >= _ALIKE):
        raise NoBrain(f"the template of a brain does not fit (overlap {alike:.2f})")
    if not _VOLUME[0] <= volume <= _VOLUME[1]:
        raise NoBrain(f"{volume:.0f} ml are no brain's volume")
    rim = ndimage.binary_dilation(brain) & ~brain
    rim[: int(ndimage.center_of_mass(brain)[0])] = False  # below, where the skull has its holes
    if ct:
        around = ndimage.maximum_filter(values, 5) > _BONE
    else:
        level = _level(values, laid, ndimage.binary_erosion(laid, iterations=4))
        around = ndimage.minimum_filter(values / level, 5) < _DARK
    if around[rim].mean() < _RINGED:
        raise NoBrain(f"a skull is seen around {around[rim].mean():.0%} of it only")
