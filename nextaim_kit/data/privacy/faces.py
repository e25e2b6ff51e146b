"""Which images of a folder show a face, and where each is cut."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from nextaim_kit.data.images.dicom import Instance, instance_of, opened
from nextaim_kit.data.images.frames import frames_of
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
TELLING = (  # of the part of the body
    "BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName",
    "RequestedProcedureDescription", "PerformedProcedureStepDescription",
)  # fmt: skip
_UNEVEN = 0.5  # of the step between slices, beyond which they are no volume
_FINE = 1.0  # mm of a voxel in which a brain is looked for


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


Parse = Callable[..., Dataset]  # parses a file, with options of `dcmread`


@dataclass
class Faces:
    """Series of a folder, and where each of them is cut.

    Parameters
    ----------
    keep : bool
        Cut none.
    """

    keep: bool = False
    _files: dict[str, list[tuple[str, Path, Parse]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _said: dict[str, str] = field(default_factory=dict)
    _done: dict[str, tuple[Cut | None, bool] | DataError] = field(default_factory=dict)

    def see(self, path: Path, data: Dataset, parse: Parse | None = None) -> None:
        """Learn that a file is part of a series of CT or MR.

        Parameters
        ----------
        path : Path
            Or its name in errors, where `parse` is given.
        data : Dataset
            Its header.
        parse : callable, optional
            Parses the file, which may lie in memory, with options of ``dcmread``.
        """
        series = str(data.get("SeriesInstanceUID") or "")
        if not self.keep and series and is_section(data):
            uid = str(data.get("SOPInstanceUID") or "")
            self._files[series].append((uid, path, parse or partial(opened, path)))
            self._said[series] = f"{self._said.get(series, '')} {words_of_part(data)}"[:4000]

    def of(self, data: Dataset) -> tuple[Cut | None, bool]:
        """Where an instance's series is cut, and else whether it may show a face.

        Raises
        ------
        DataError
            As `cut_of`; or if a section of a head is of no series that was seen.
        """
        series = str(data.get("SeriesInstanceUID") or "")
        if series not in self._files and series not in self._done:
            head = body_part(words_of_part(data)) == "head"
            if head and not self.keep and is_section(data):
                raise DataError("it is left out: a section of a head, and its series is not told")
            return None, "PixelData" in data and head
        if series not in self._done:
            self._decide(series)
        done = self._done[series]
        if isinstance(done, DataError):
            raise done
        return done

    def decided(self) -> Faces:
        """Where all series are cut that were seen, without their files."""
        for series in self._files:
            if series not in self._done:
                self._decide(series)
        return Faces(self.keep, _done=self._done)

    def _decide(self, series: str) -> None:
        files = sorted(self._files[series], key=lambda file: (file[0], str(file[1])))
        part = body_part(self._said[series])
        try:
            self._done[series] = cut_of("its series", part, lambda: _stacked(files))
        except DataError as error:
            self._done[series] = error


def words_of_part(data: Dataset) -> str:
    """What a header says of the part of the body."""
    return " ".join(str(data.get(name) or "") for name in TELLING)


def is_section(data: Dataset) -> bool:
    """Whether a file is a section of CT or MR, or several of them."""
    kind = UID(str(data.get("SOPClassUID") or "")).name
    return bool(re.search(r"\b(?:CT|MR) (?:Color )?Image Storage$", kind))


def _sections(data: Dataset, path: Path) -> list[Instance]:
    """Sections of a file, each with its place in the patient.

    Raises
    ------
    DataError
        If it does not say where they lie.
    """
    image = instance_of(data, path)
    found = [image] if image.position and image.frames == 1 else frames_of(image, data)
    if any(len(one.position) != 3 or len(one.orientation) != 6 for one in found):
        raise DataError(f"{path.name} does not say where its sections lie")
    return found


def _matrix(one: Instance) -> Array:
    """From row and column of a section to mm in the patient (LPS), of shape (3, 3)."""
    along, down = np.array(one.orientation).reshape(2, 3)
    apart, beside = one.grid[2:4]
    return np.column_stack([down * apart, along * beside, one.position])


def cutter(data: Dataset, path: Path, cut: Cut) -> Callable[[NDArray], bool]:
    """What cuts the decoded frames (frames, rows, columns) of a file, and says if it changed any.

    Raises
    ------
    DataError
        If the file does not say where its sections lie.
    """
    matrices = [_matrix(one) for one in _sections(data, path)]

    def apply(frames: NDArray) -> bool:
        changed = [cut.apply(frame, m) for frame, m in zip(frames, matrices, strict=True)]
        return any(changed)

    return apply


def _stacked(files: list[tuple[str, Path, Parse]]) -> tuple[sitk.Image, bool]:
    """The series as one volume, and whether its values are HU.

    Pixels of less than half of `_FINE` are taken together, and of sections as near some are left
    out: a long series takes no more memory than a head has cubes of that edge.
    """
    import SimpleITK as sitk

    chosen = _one_above_the_other(files)
    first, last = chosen[0][0], chosen[-1][0]
    together = np.array([max(1, int(_FINE / edge)) for edge in first.grid[2:4]])
    image = sitk.GetImageFromArray(_planes(chosen, together))
    step = (np.array(last.position) - first.position) / (len(chosen) - 1)
    edge = float(np.linalg.norm(step))
    turn = np.array(first.orientation).reshape(2, 3).T
    image.SetDirection(np.column_stack([turn, step / edge]).ravel().tolist())
    edges = np.array(first.grid[3:1:-1])  # of pixels along and down
    image.SetSpacing([*(edges * together[::-1]).tolist(), edge])
    image.SetOrigin((first.position + turn @ (edges * (together[::-1] - 1) / 2)).tolist())
    return image, first.modality == "CT"


def _one_above_the_other(files: list[tuple[str, Path, Parse]]) -> list[tuple[Instance, Parse]]:
    """Sections turned as most are, of those at one place the first, from one end to the other.

    Raises
    ------
    DataError
        If they are no volume.
    """
    alike = defaultdict(list)
    for _, path, parse in files:
        for one in _sections(parse(stop_before_pixels=True), path):
            if one.aside != "localizer" and len(one.grid) == 4:
                turned = np.round(one.orientation, 2).tobytes() + repr(one.grid[:2]).encode()
                alike[turned].append((one, parse))
    if not alike:
        raise DataError("its sections are localizers, or do not say how large a pixel is")
    group = max(alike.values(), key=len)
    normal = np.cross(*np.array(group[0][0].orientation).reshape(2, 3))
    at = {round(float(np.dot(one[0].position, normal)), 2): one for one in reversed(group)}
    steps = np.diff(sorted(at))
    if len(at) < 2 or np.ptp(steps) > _UNEVEN * np.median(steps):
        raise DataError("its sections are no volume: too few, or unevenly apart")
    return [at[depth] for depth in sorted(at)[:: max(1, int(_FINE / np.median(steps)))]]


def _planes(chosen: list[tuple[Instance, Parse]], together: NDArray) -> NDArray[np.float32]:
    """Values (z, y, x) of sections, so many rows and columns taken together; a file read once."""
    down, along = together
    rows, columns = (int(n) // by for n, by in zip(chosen[0][0].grid[:2], together, strict=True))
    out = np.empty((len(chosen), rows, columns), np.float32)
    of_file = defaultdict(list)
    for at, (one, parse) in enumerate(chosen):
        of_file[parse].append((at, one))
    for parse, sections in of_file.items():
        frames = [one.frame for _, one in sections]
        one = sections[0][1]
        found = frame_values(one, one.modality, frames, set(), parse())
        for (at, _), values in zip(sections, found, strict=True):
            kept = values[: rows * down, : columns * along]
            out[at] = kept.reshape(rows, down, columns, along).mean((1, 3), dtype=np.float32)
    return out
