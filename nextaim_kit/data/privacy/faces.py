"""Which images of a folder show a face, and where each is cut."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from nextaim_kit.data.images.dicom import Instance
from nextaim_kit.data.images.frames import frames_of
from nextaim_kit.data.images.headers import header_of
from nextaim_kit.data.images.pixels import frame_values
from nextaim_kit.data.privacy.defacing import Array, Cut, plane_of
from nextaim_kit.data.privacy.heads import NoBrain
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    import SimpleITK as sitk

_HEAD = re.compile(
    r"head|brain|skull|face|facial|crani|encefal|encephal|cerebr|cervell|(?<![a-z])testa(?![a-z])|orbit|sella"
    r"|hypophys|pituitar|ipofis"
    r"|(?<![a-z0-9])(?:t1w|t2w|flair|bold|mp2?rage|neuro|anat|func|tof)(?![a-z])"
)
_ELSEWHERE = re.compile(
    r"chest|thora|torac|lung|polmon|abdom|addom|pelvi|prostat|breast|mammo|knee|ginocch"
    r"|(?<![a-z])(?:hip|anca|hand|mano|foot|piede|uter\w+|rene|seno)(?![a-z])|femor|femur|lomb|lumb"
    r"|dorsal|heart|cardi|cuore|liver|fegat|shoulder|spalla|humer|omer|ankle|caviglia|wrist|polso"
    r"|elbow|gomito|kidney"
)
_TELLING = (
    "BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName",
    "RequestedProcedureDescription", "PerformedProcedureStepDescription",
)  # fmt: skip
_UNEVEN = 0.5  # of the step between slices, beyond which they are no volume


def body_part(said: str) -> str:
    """What words tell of: "head", "elsewhere", or nothing where none or both do.

    Examples
    --------
    >>> body_part("RM encefalo"), body_part("CT thorax"), body_part("femoral head")
    ('head', 'elsewhere', '')
    """
    low = said.lower().replace("_", " ")
    head, elsewhere = bool(_HEAD.search(low)), bool(_ELSEWHERE.search(low))
    return "" if head == elsewhere else "head" if head else "elsewhere"


def cut_of(
    name: str, part: str, read: Callable[[], tuple[sitk.Image, bool]]
) -> tuple[Cut | None, bool]:
    """Where to cut a volume, if it shows a head, and else whether it may show a face.

    Parameters
    ----------
    name : str
        Of the volume, for messages.
    part : {'head', 'elsewhere', ''}
        What words tell of it.
    read : callable
        Gives the volume, and whether its values are HU.

    Raises
    ------
    DataError
        If it is told to be of a head, and where its brain lies cannot be found.
    """
    if part == "elsewhere":
        return None, False
    try:
        image, ct = read()
        return plane_of(image, ct=ct), False
    except (NoBrain, DataError) as error:
        if part == "head" and not getattr(error, "small", False):
            raise DataError(
                f"{name} is left out: a head whose face cannot be cut off, since its brain"
                " is not found",
                found=str(error) if isinstance(error, NoBrain) else error.what,
                mend="deface it by hand, or keep faces: --keep faces",
            ) from error
        return None, not (isinstance(error, NoBrain) and error.elsewhere)


@dataclass
class Faces:
    """Series of a folder, and where each of them is cut.

    Parameters
    ----------
    keep : bool
        Cut none.
    """

    keep: bool = False
    _paths: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    _parts: dict[str, str] = field(default_factory=dict)
    _done: dict[str, tuple[Cut | None, bool] | DataError] = field(default_factory=dict)

    def see(self, path: Path, data: Dataset) -> None:
        """Learn that a file is part of a series of CT or MR."""
        series = str(data.get("SeriesInstanceUID") or "")
        if not self.keep and series and is_section(data):
            self._paths[series].append(path)
            said = " ".join(str(data.get(name) or "") for name in _TELLING)
            self._parts[series] = f"{self._parts.get(series, '')} {said}"[:4000]

    def of(self, data: Dataset) -> tuple[Cut | None, bool]:
        """Where an instance's series is cut, and else whether it may show a face.

        Raises
        ------
        DataError
            As `cut_of`.
        """
        series = str(data.get("SeriesInstanceUID") or "")
        if series not in self._paths:
            said = " ".join(str(data.get(name) or "") for name in _TELLING)
            return None, "PixelData" in data and body_part(said) == "head"
        if series not in self._done:
            paths = self._paths[series]
            try:
                self._done[series] = cut_of(
                    "its series", body_part(self._parts[series]), lambda: _stacked(paths)
                )
            except DataError as error:
                self._done[series] = error
        done = self._done[series]
        if isinstance(done, DataError):
            raise done
        return done


def is_section(data: Dataset) -> bool:
    """Whether a file is a section of CT or MR, or several of them."""
    kind = UID(str(data.get("SOPClassUID") or "")).name
    return bool(re.search(r"\b(?:CT|MR) (?:Color )?Image Storage$", kind))


def slices_of(path: Path) -> list[Instance]:
    """Sections of a file, each with its place in the patient.

    Raises
    ------
    DataError
        If it does not say where they lie.
    """
    image = header_of(path)
    found = [image] if image.position and image.frames == 1 else frames_of(image)
    if any(len(one.position) != 3 or len(one.orientation) != 6 for one in found):
        raise DataError(f"{path.name} does not say where its sections lie")
    return found


def matrix_of(one: Instance) -> Array:
    """From row and column of a section to mm in the patient (LPS), of shape (3, 3)."""
    along, down = np.array(one.orientation).reshape(2, 3)
    apart, beside = one.grid[2:4]
    return np.column_stack([down * apart, along * beside, one.position])


def cutter(path: Path, cut: Cut) -> Callable[[NDArray], bool]:
    """What cuts the decoded frames (frames, rows, columns) of a file, and says if it changed any.

    Raises
    ------
    DataError
        If the file does not say where its sections lie.
    """
    matrices = [matrix_of(one) for one in slices_of(path)]

    def apply(frames: NDArray) -> bool:
        changed = [cut.apply(frame, m) for frame, m in zip(frames, matrices, strict=True)]
        return any(changed)

    return apply


def _stacked(paths: list[Path]) -> tuple[sitk.Image, bool]:
    """The series as one volume: of sections at one place the first, as most of them are turned."""
    import SimpleITK as sitk

    slices = [one for path in sorted(paths) for one in slices_of(path)]
    alike = defaultdict(list)
    for one in slices:
        if one.aside != "localizer" and len(one.grid) == 4:
            alike[np.round(one.orientation, 2).tobytes() + repr(one.grid[:2]).encode()].append(one)
    if not alike:
        raise DataError("its sections are localizers, or do not say how large a pixel is")
    group = max(alike.values(), key=len)
    normal = np.cross(*np.array(group[0].orientation).reshape(2, 3))
    at = {round(float(np.dot(one.position, normal)), 2): one for one in reversed(group)}
    chosen = [at[depth] for depth in sorted(at)]
    steps = np.diff(sorted(at))
    if len(chosen) < 2 or np.ptp(steps) > _UNEVEN * np.median(steps):
        raise DataError("its sections are no volume: too few, or unevenly apart")
    ct = chosen[0].modality == "CT"
    planes = [next(frame_values(one, one.modality, [one.frame], set())) for one in chosen]
    image = sitk.GetImageFromArray(np.stack(planes).astype(np.float32))
    step = (np.array(chosen[-1].position) - chosen[0].position) / (len(chosen) - 1)
    edge = float(np.linalg.norm(step))
    along, down = np.array(chosen[0].orientation).reshape(2, 3)
    image.SetDirection(np.column_stack([along, down, step / edge]).ravel().tolist())
    image.SetSpacing((chosen[0].grid[3], chosen[0].grid[2], edge))
    image.SetOrigin(chosen[0].position)
    return image, ct
