"""Heads in NIfTI, NRRD and MetaImage: read, cut, and given back in the bytes of their file."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.data.privacy.defacing import Array, Cut
from nextaim_kit.data.privacy.faces import body_part, cut_of
from nextaim_kit.data.privacy.heads import NoBrain, require_room_for_a_face
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    import SimpleITK as sitk

_HU = -300  # no MR has such values
_LABELS = 64  # different whole numbers that a map of regions has at most
_SOME = 10  # volumes of a series in time of which the mean is looked at


@dataclass(frozen=True)
class Voxels:
    """Voxels of a file.

    Attributes
    ----------
    values : array of shape (z, y, x) or (..., z, y, x)
    matrix : array of shape (3, 4)
        From indices (z, y, x) to mm (LPS).
    placed : bool
        Whether the file says which side is left.
    """

    values: NDArray = field(repr=False)
    matrix: Array
    placed: bool = True

    @property
    def labels(self) -> bool:
        """Whether it is a map of regions and no image."""
        whole = np.issubdtype(self.values.dtype, np.integer)
        some = self.values.ravel()[:: max(1, self.values.size // 200_000)]
        return bool(whole and len(np.unique(some)) <= _LABELS)

    def image(self) -> tuple[sitk.Image, bool]:
        """The volume, of several their mean, and whether its values are HU."""
        import SimpleITK as sitk

        several = self.values.reshape(-1, *self.values.shape[-3:])[:_SOME]
        plain = np.nan_to_num(several.astype(np.float32).mean(0))
        image = sitk.GetImageFromArray(plain)
        steps = self.matrix[:, 2::-1]
        edges = np.linalg.norm(steps, axis=0)
        image.SetSpacing(edges.tolist())
        image.SetDirection((steps / edges).ravel().tolist())
        image.SetOrigin(self.matrix[:, 3].tolist())
        return image, bool(plain.min() < _HU)

    def change(self, cut: Cut, name: str) -> Callable[[bytes], bytes]:
        """What cuts the voxels in the bytes of the file, whichever their order of bytes.

        Raises
        ------
        DataError
            From what is given, if its bytes are not these voxels.
        """

        def changed(raw: bytes) -> bytes:
            for kind in (self.values.dtype, self.values.dtype.newbyteorder()):
                size = self.values.size * kind.itemsize
                own = np.frombuffer(raw[:size], kind) if len(raw) >= size else np.empty(0)
                if np.array_equal(own, self.values.ravel(), equal_nan=kind.kind == "f"):
                    voxels = own.copy().reshape(self.values.shape)
                    cut.apply(voxels, self.matrix)
                    return voxels.tobytes()
            raise DataError(f"{name} is left out: a head whose voxels are packed in an odd way")

        return changed


def change_of(path: Path, said: str) -> tuple[Callable[[bytes], bytes] | None, bool]:
    """What cuts a face out of the bytes of a volume, if it is a head; else if it may show one.

    Parameters
    ----------
    path : Path
    said : str
        Words that tell which part of the body it is of.

    Raises
    ------
    DataError
        If it is told to be of a head, and where its brain lies cannot be found.
    """
    part = body_part(said)
    if part == "elsewhere":
        return None, False
    found: list[Voxels] = []

    def read() -> tuple[sitk.Image, bool]:
        found.append(voxels_of(path))
        if found[0].labels:
            raise NoBrain("a map of regions", elsewhere=True)
        edges = np.linalg.norm(found[0].matrix[:, :3], axis=0)
        require_room_for_a_face(float((edges * found[0].values.shape[-3:]).max()))
        if not found[0].placed:
            raise _unknown(path)
        return found[0].image()

    try:
        cut, face = cut_of(path.name, part, read)
    except DataError:
        if not (found and found[0].labels):
            raise
        cut, face = None, True
    return (found[0].change(cut, path.name) if cut else None), face


def voxels_of(path: Path) -> Voxels:
    """Read a volume as it lies in its file, not scaled.

    Raises
    ------
    DataError
        If it cannot be read, or is no volume of plain numbers.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return _of_nifti(path)
    import SimpleITK as sitk

    from nextaim_kit.data.images.volumes import damage_told

    with damage_told(path):
        image = sitk.ReadImage(str(path))
    _require(image.GetDimension() == 3 and image.GetNumberOfComponentsPerPixel() == 1, path)
    placed = not path.name.lower().endswith((".nrrd", ".nhdr")) or "space" in _keys(path)
    steps = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix = np.column_stack([steps[:, ::-1], image.GetOrigin()])
    return Voxels(sitk.GetArrayFromImage(image), matrix, placed)


def _keys(path: Path) -> set[str]:
    head = path.read_bytes()[: 1 << 16].partition(b"\n\n")[0]
    return {row.partition(b":")[0].decode("latin-1").strip() for row in head.splitlines()}


def _of_nifti(path: Path) -> Voxels:
    import nibabel

    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    kinds = (nibabel.Nifti1Header, nibabel.Nifti2Header)
    try:
        header = kinds[raw[:2] in (b"\x1c\x02", b"\0\0")].from_fileobj(io.BytesIO(raw))
        shape, kind = header.get_data_shape(), header.get_data_dtype()
        begin = int(header["vox_offset"])
        values = np.frombuffer(raw, kind, int(np.prod(shape)), begin).reshape(shape[::-1])
    except Exception as error:  # a damaged header may raise anything
        raise DataError(f"{path.name} cannot be read ({type(error).__name__})") from error
    _require(len(shape) >= 3 and kind.kind in "iuf", path)
    placed = bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    matrix = (np.diag([-1.0, -1.0, 1.0]) @ header.get_best_affine()[:3])[:, [2, 1, 0, 3]]
    return Voxels(values, matrix, placed)


def _require(fits: bool, path: Path) -> None:
    if not fits:
        raise DataError(f"{path.name} is no volume of plain numbers")


def _unknown(path: Path) -> DataError:
    return DataError(
        f"{path.name} does not say which side is left: no qform, sform or space in its header",
        mend="convert it again from the DICOM series",
    )
