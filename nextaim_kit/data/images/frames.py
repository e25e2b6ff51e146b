"""Enhanced multi-frame DICOM: one file, in which each frame says by itself where it lies."""

from __future__ import annotations

from dataclasses import replace

from pydicom.dataset import Dataset

from nextaim_kit.data.images.dicom import Instance, damaged_file, floats, opened, place, told
from nextaim_kit.errors import DataError

_GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
_PHASES = ["FrameAcquisitionNumber", "StackID", "TemporalPositionIndex"]


def frames_of(image: Instance, header: Dataset | None = None) -> list[Instance]:
    """Give the frames of an enhanced image, each with its own place; another by itself.

    Parameters
    ----------
    image : Instance
    header : Dataset, optional
        Its own, where it lies in memory; else the file is read.

    Raises
    ------
    DataError
        If the file has several frames and does not say of each where it lies.
    """
    try:
        if header is None:
            header = opened(image.path, image.stamp, stop_before_pixels=True, specific_tags=_GROUPS)
        groups = header.get("PerFrameFunctionalGroupsSequence") or []
        if len(groups) != image.frames and (groups or image.frames > 1):
            raise ValueError(f"{image.frames} frames, of which {len(groups)} say where they lie")
        return [_frame(image, header, k) for k in range(len(groups))] or [image]
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parser raise anything
        expected = "a place, said in the header, for each frame"
        raise damaged_file(image.path, str(error), expected) from error


def _frame(image: Instance, header: Dataset, k: int) -> Instance:
    where, turn, measures, content = (
        group_of(header, k, f"{name}Sequence")
        for name in ("PlanePosition", "PlaneOrientation", "PixelMeasures", "FrameContent")
    )
    echo = group_of(header, k, "MREchoSequence")
    values = group_of(header, k, "PixelValueTransformationSequence")
    return replace(
        image,
        frame=k,
        grid=image.grid[:2] + floats(measures.get("PixelSpacing")),
        phase=told(content, _PHASES) + told(echo, ["EffectiveEchoTime"]),
        rescaled=image.rescaled or bool(values),
        **place(where, turn, measures),
    )


def group_of(header: Dataset, frame: int, name: str) -> Dataset:
    """Find a functional group of a frame, its own or the shared one; empty if there is neither."""
    own = (header.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    shared = (header.get("SharedFunctionalGroupsSequence") or [])[:1]
    for groups in (*own, *shared):
        if groups.get(name):
            return groups[name][0]
    return Dataset()
