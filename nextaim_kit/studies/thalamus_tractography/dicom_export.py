"""A plan as DICOM: T1 as a series, maps as a fractional SEG upon it, and T1 with the target drawn.

Everything is placed by what the headers of the series say, so a series of one's own may be sagittal
or oblique. UIDs are made from the series' own and what is written: the same plan, the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from scipy.ndimage import binary_erosion, zoom

from nextaim_kit.data.images.dicom import opened
from nextaim_kit.data.images.headers import scan
from nextaim_kit.data.images.series import in_order
from nextaim_kit.errors import DataError
from nextaim_kit.files import atomic_path
from nextaim_kit.report.evidence import NO_DATE, NO_TIME, timed, uid
from nextaim_kit.studies.thalamus_tractography.space import grid

NOT_CLINICAL = "NOT FOR CLINICAL USE"
NEXT = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)  # to which pixels an outline is thin
_MAKER, _OWN = "nextaim_kit", "thalamus_tractography"
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MOST = 4095  # what a stored gray value is at most
_FINE = 1.0  # mm: edge of a pixel on which a target can be drawn
_STEPS = 255  # of a fraction


def write_series(
    values: NDArray, affine: NDArray, folder: Path, subject: str, *, synthetic: bool = False
) -> list[Dataset]:
    """Write a T1 that came as NIfTI as a series of axial DICOM images.

    Parameters
    ----------
    values : array of shape (x, y, z)
        To the right, front and head.
    affine : array of shape (4, 4)
    folder : Path
    subject : str
        Becomes name and ID of the patient.
    synthetic : bool
        Is said in each image.

    Returns
    -------
    list of Dataset
        As `read_slices` gives them.
    """
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    turned[:2, 3] = np.array(values.shape[:2]) - 1
    place = _LPS @ affine @ turned  # of columns, rows and slices that run to left, back and head
    edges = np.linalg.norm(place[:3, :3], axis=0)
    low, high = float(values.min()), float(values.max())
    whole = values.dtype.kind in "iu" and low >= 0 and high < 2**16
    slope, offset = (1.0, 0.0) if whole else (max(high - low, 1e-6) / _MOST, low)
    stored = np.rint((values[::-1, ::-1].T - offset) / slope).astype(np.uint16)
    headers = []
    for k, pixels in enumerate(stored):
        one = _header(subject, k, synthetic)
        one.PixelSpacing = [_ds(edges[1]), _ds(edges[0])]
        one.SliceThickness = one.SpacingBetweenSlices = _ds(edges[2])
        one.ImageOrientationPatient = [_ds(x) for x in (place[:3, :2] / edges[:2]).T.ravel()]
        one.ImagePositionPatient = [_ds(x) for x in place[:3, 2] * k + place[:3, 3]]
        if not whole:
            one.RescaleSlope, one.RescaleIntercept, one.RescaleType = _ds(slope), _ds(offset), "US"
        headers.append(_saved(_with_pixels(one, pixels), folder))
    return headers


def read_slices(folder: Path) -> list[Dataset]:
    """The images of the one MR series in a folder, with pixels, in the order in which they lie.

    Raises
    ------
    DataError
        If there is not one series, its slices are no regular volume, or a file holds several.
    """
    found = [one for one in scan(folder)[0] if one.is_image]
    if len({one.series for one in found}) != 1 or any(one.frames > 1 for one in found):
        raise DataError(
            f"{folder.name} is no T1 to write upon",
            expected="one MR series with one slice in each file",
            found=f"{len({one.series for one in found})} series, {len(found)} files",
            mend="give the folder of the T1 series alone; export enhanced MR as classic MR",
        )
    ordered, _ = in_order(found, folder)
    return [opened(one.path, one.stamp) for one in ordered]


def place_of(series: Sequence[Dataset]) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Size of a series as (columns, rows, slices), and its affine to mm (right, front, head)."""
    first, last = series[0], series[-1]
    across, down = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    start, end = (np.array(one.ImagePositionPatient, float) for one in (first, last))
    rows, columns = (float(x) for x in first.PixelSpacing)
    step = (end - start) / max(len(series) - 1, 1)
    affine = np.eye(4)
    affine[:3] = np.stack([across * columns, down * rows, step, start], 1)
    return (int(first.Columns), int(first.Rows), len(series)), _LPS @ affine


def write_seg(
    series: Sequence[Dataset], maps: Mapping[str, NDArray], path: Path, *, made_by: str
) -> Dataset:
    """Write probabilities as one DICOM SEG with a fractional segment each.

    Parameters
    ----------
    series : sequence of Dataset
        Of `read_slices`.
    maps : mapping of str to array of shape (columns, rows, slices)
        From 0 to 1, on the grid of `place_of`; each is a part of the thalamus.
    path : Path
    made_by : str
        What made the maps.

    Raises
    ------
    DataError
        If all of them are 0.
    """
    from highdicom.seg import Segmentation

    pixels = np.stack([np.clip(one, 0, 1).transpose(2, 1, 0) for one in maps.values()], -1)
    if not pixels.any():
        raise DataError("there is nothing to write as SEG", expected="a map", found="0 everywhere")
    own = str(series[0].SeriesInstanceUID)
    seg = Segmentation(
        source_images=list(series), pixel_array=pixels.astype(np.float64),
        segmentation_type="FRACTIONAL", fractional_type="PROBABILITY",
        max_fractional_value=_STEPS, omit_empty_frames=False,
        segment_descriptions=[_segment(k + 1, n, own, made_by) for k, n in enumerate(maps)],
        series_instance_uid=uid(_OWN, own, "seg series"), series_number=801,
        sop_instance_uid=uid(_OWN, own, "seg", *maps), instance_number=1,
        manufacturer=_MAKER, manufacturer_model_name=_OWN, software_versions=made_by,
        device_serial_number="none", content_label="PROBABILITY",
        content_description=NOT_CLINICAL.lower(), series_description=f"Plan, {NOT_CLINICAL}",
    )  # fmt: skip
    _same_dimensions(seg, uid(_OWN, own, "dimensions"))
    with atomic_path(path) as unfinished:
        timed(seg, series[0]).save_as(unfinished, enforce_file_format=True)
    return seg


def _segment(number: int, name: str, own: str, made_by: str) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number, segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Thalamus, algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=_OWN, family=codes.DCM.ArtificialIntelligence, version=made_by),
        tracking_uid=uid(_OWN, own, "segment", name), tracking_id=name,
    )  # fmt: skip


def _same_dimensions(seg: Dataset, own: str) -> None:
    """A UID that is the same whenever the same is written; highdicom draws one."""
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = own


def read_fractions(path: Path) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float64]]:
    """Segments of a SEG by name, (columns, rows, slices) from 0 to 1, and affine to mm (RAS)."""
    from highdicom.seg import segread

    seg = segread(path)
    volume = seg.get_volume()
    names = [seg.get_segment_description(n).segment_label for n in seg.segment_numbers]
    volume = volume.flip_spatial(0)  # a volume is right-handed in slices, rows and columns
    arrays = np.asarray(volume.array, np.float32)
    affine = _LPS @ np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    return {n: arrays[..., k].transpose(2, 1, 0) for k, n in enumerate(names)}, affine


def write_marked(
    series: Sequence[Dataset], distance: Any, folder: Path, *, told: str
) -> list[Dataset]:
    """Write the series again with the target drawn into its pixels.

    Each slice is refined to pixels of at most 1 mm, the outline of the region in which the target
    lies is drawn white on black, and every slice says that it is not for clinical use.

    Parameters
    ----------
    series : sequence of Dataset
        Of `read_slices`.
    distance : callable
        Of points in mm, shape (..., 3): how far they lie from the target, 1 on the region's border.
    folder : Path
    told : str
        What is drawn, for the headers.

    Returns
    -------
    list of Dataset
    """
    (columns, rows, _), affine = place_of(series)
    edges = [float(x) for x in series[0].PixelSpacing]
    finer = max(1, int(np.ceil(max(edges) / _FINE - 1e-6)))
    top = max(int(one.pixel_array.max()) for one in series)
    text = _letters(columns * finer)
    fine = affine @ np.diag([1 / finer, 1 / finer, 1, 1.0])
    fine[:3, 3] += affine[:3, :2].sum(1) * (1 / finer - 1) / 2  # centers of the first finer pixels
    written = []
    for k, one in enumerate(series):
        pixels = zoom(one.pixel_array.astype(np.float32), finer, order=1, grid_mode=True,
                      mode="nearest")  # fmt: skip
        step = np.eye(4)
        step[2, 3] = k
        inside = region_in(distance, (columns * finer, rows * finer, 1), fine @ step)[:, :, 0].T
        rim = inside & ~binary_erosion(inside, NEXT)
        pixels[rim] = top
        pixels[-len(text) :][:, : text.shape[1]][text] = top
        written.append(_saved(_derived(one, np.rint(pixels), fine @ step, finer, told), folder))
    return written


def region_in(distance: Any, shape: tuple[int, int, int], affine: NDArray) -> NDArray[np.bool_]:
    """Voxels that a region passes through anywhere in the thickness of their slice.

    See `write_marked`; a region that lies between the middles of two slices is in both.
    """
    points = grid(shape, affine)
    levels = [distance(points + part * affine[:3, 2]) for part in (-0.5, -0.25, 0, 0.25, 0.5)]
    return np.min(levels, 0) <= 1


def _derived(one: Dataset, pixels: NDArray, affine: NDArray, finer: int, told: str) -> Dataset:
    """A copy of an image with other pixels, which says what it is and was made from."""
    from pydicom.sr.codedict import codes

    new, own = deepcopy(one), (str(one.SOPInstanceUID), told)
    source = Dataset()
    source.ReferencedSOPClassUID = one.SOPClassUID
    source.ReferencedSOPInstanceUID = one.SOPInstanceUID
    new.SourceImageSequence = [source]
    new.SeriesInstanceUID = uid(_OWN, str(one.SeriesInstanceUID), "marked", told)
    new.SOPInstanceUID = UID(uid(_OWN, *own))
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    new.ImageType = ["DERIVED", "SECONDARY", *list(one.ImageType)[2:]]
    new.SeriesNumber, new.BurnedInAnnotation = 802, "YES"
    new.SeriesDescription = f"T1 with target, {NOT_CLINICAL}"[:64]
    new.ImageComments = NOT_CLINICAL
    new.DerivationDescription = told
    for name in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        new.pop(name, None)
    new.PixelSpacing = [_ds(float(x) / finer) for x in one.PixelSpacing]
    new.ImagePositionPatient = [_ds(x) for x in (_LPS @ affine)[:3, 3]]
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113076", "DCM"
    code.CodeMeaning = codes.DCM.Segmentation.meaning
    new.DerivationCodeSequence = [code]
    least = min(0.0, float(pixels.min()))  # what is stored here has no sign
    if least < 0:
        new.RescaleSlope = one.get("RescaleSlope", 1)
        new.RescaleIntercept = float(one.get("RescaleIntercept", 0)) + least * new.RescaleSlope
        new.RescaleType = "US"
    return _with_pixels(new, (pixels - least).astype(np.uint16))


def _letters(width: int) -> NDArray[np.bool_]:
    """The warning as pixels, in as many lines as the width asks for."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(11)
    words, lines = NOT_CLINICAL.split(), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        fits = font.getlength(longer) <= width - 4
        lines[-1:] = [longer] if fits else [lines[-1], word]
    picture = Image.new("L", (width, 13 * len(lines)))
    ImageDraw.Draw(picture).multiline_text((2, 0), "\n".join(lines), 255, font, spacing=2)
    return np.asarray(picture) > 127


def _header(subject: str, index: int, synthetic: bool) -> Dataset:
    """What classic MR images have to say."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = MRImageStorage
    one.SOPInstanceUID = uid(_OWN, subject, "T1", str(index))
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.StudyInstanceUID = uid(_OWN, subject, "study")
    one.SeriesInstanceUID = uid(_OWN, subject, "T1 series")
    one.FrameOfReferenceUID = uid(_OWN, subject, "frame")
    one.PatientName, one.PatientID = f"{subject}^", subject
    for name in ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "EchoTime",
                 "ReferringPhysicianName", "ScanOptions", "RepetitionTime", "EchoTrainLength",
                 "PositionReferenceIndicator", "PatientPosition"):  # fmt: skip
        setattr(one, name, None)  # has to be there, and is not known
    one.StudyDate = one.SeriesDate = one.ContentDate = NO_DATE
    one.StudyTime = one.SeriesTime = one.ContentTime = NO_TIME
    one.Modality, one.Manufacturer, one.ImageType = "MR", _MAKER, ["DERIVED", "SECONDARY", "OTHER"]
    one.ScanningSequence, one.SequenceVariant, one.MRAcquisitionType = "RM", "NONE", "3D"
    one.SeriesDescription = "T1, converted from NIfTI"
    one.ImageComments = "Synthetic patient" if synthetic else "Converted from NIfTI"
    one.SeriesNumber, one.InstanceNumber, one.BodyPartExamined = 800, index + 1, "HEAD"
    return one


def _with_pixels(one: Dataset, pixels: NDArray) -> Dataset:
    one.Rows, one.Columns = pixels.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = np.ascontiguousarray(pixels, "<u2").tobytes()
    one["PixelData"].VR = "OW"
    return one


def _saved(one: Dataset, folder: Path) -> Dataset:
    with atomic_path(folder / f"{one.InstanceNumber:04d}.dcm") as unfinished:
        one.save_as(unfinished, enforce_file_format=True)
    return one


def _ds(number: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{float(number):.10g}"[:16] if abs(number) >= 1e-6 else "0"
