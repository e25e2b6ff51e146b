"""DICOM headers without identity: element by element, nothing kept that no rule lets through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

from pydicom import DataElement, Dataset, Sequence
from pydicom.datadict import dictionary_has_tag, private_dictionary_VR

from nextaim_kit.data.privacy.folding import words
from nextaim_kit.data.privacy.learning import values_of
from nextaim_kit.data.privacy.patterns import OLDEST
from nextaim_kit.data.privacy.profile import Profile, table
from nextaim_kit.data.privacy.scrubbing import Scrubber

_LONGEST = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_NUMERIC = words("""
    US SS UL SL UV SV FL FD AT
""")
_BINARY = words("""
    PixelData FloatPixelData DoubleFloatPixelData LUTData SpectroscopyData WaveformData
    PointCoordinatesData VertexPointIndexList EdgePointIndexList TrianglePointIndexList
    SurfacePointsNormals LongPrimitivePointIndexList PrimitivePointIndexList
    DoublePointCoordinatesData LongEdgePointIndexList LongTrianglePointIndexList
    LongVertexPointIndexList VectorGridData TrackPointIndexList BlendingLookupTableData
""")
_PALETTE = re.compile(r"(?:Segmented)?(?:Red|Green|Blue|Alpha)PaletteColorLookupTableData$")
# Names of makers and methods: what is learned of people is looked for there, and nothing more.
_TECHNICAL = words("""
    Manufacturer ManufacturerModelName SoftwareVersions ConvolutionKernel SequenceName
    ReceiveCoilName TransmitCoilName FilterType FilterMaterial ImagedNucleus CodeValue
    LongCodeValue CodingSchemeDesignator CodingSchemeVersion SegmentAlgorithmName
    SegmentationAlgorithmName AlgorithmName AlgorithmVersion RadionuclideCodeMeaning
    Radiopharmaceutical DetectorManufacturerName DetectorManufacturerModelName
    PulseSequenceName SecondaryCaptureDeviceManufacturer
    SecondaryCaptureDeviceManufacturerModelName ReconstructionMethod Units ContextIdentifier
    TemplateIdentifier AttenuationCorrectionMethod DecayCorrection ScatterCorrectionMethod
    RandomsCorrectionMethod CollimatorGridName PositionReferenceIndicator
    ExposureControlModeDescription DigitizingDeviceTransportDirection
    FrameOfReferenceTransformationComment
""")
# Private elements that hold numbers of physics and nothing else (after PS3.15 table E.3.10-1).
_SAFE_PRIVATE = {
    ("SIEMENS MR HEADER", 0x0C), ("SIEMENS MR HEADER", 0x0E), ("SIEMENS MR HEADER", 0x27),
    ("GEMS_PARM_01", 0x39), ("GEMS_PARM_01", 0x27), ("GEMS_ACQU_01", 0xBB), ("GEMS_ACQU_01", 0xBC),
    ("GEMS_ACQU_01", 0xBD), ("PHILIPS IMAGING DD 001", 0x03), ("PHILIPS PET PRIVATE GROUP", 0x00),
    ("PHILIPS PET PRIVATE GROUP", 0x09),
}  # fmt: skip
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$")
_CODE = re.compile(r"[A-Z0-9 _]{0,16}$")
_DATETIME = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)\s*$")
_TIME = re.compile(r"(?:\d\d){1,3}(?:\.\d{1,6})?\s*$|\d\d:\d\d(?::\d\d)?\s*$")
_AGE = re.compile(r"(\d{3})([DWMY])\s*$")


class ElementCleaner:
    """Cleans data sets by a profile.

    Parameters
    ----------
    scrubber : Scrubber
    profile : Profile

    Attributes
    ----------
    removed : Counter
        Elements taken out or emptied, by why.
    private : bool
        Whether a safe private element was kept.
    """

    def __init__(self, scrubber: Scrubber, profile: Profile) -> None:
        self.scrubber, self.profile = scrubber, profile
        self.removed: Counter[str] = Counter()
        self.private = False

    def clean(self, data: Dataset, patient: str) -> None:
        """Take identity out of a data set and the items of its sequences, in place."""
        for tag in sorted(data.keys()):
            element = self._read(data, tag)
            kept = None if element is None else self._kept(element, patient, data)
            if kept is not None and _emptied(element, kept) and kept.tag not in table():
                kept = self._gone("emptied")
            if kept is None:
                del data[tag]
            else:
                data[tag] = kept
        tags = list(data.keys())
        for tag in (tag for tag in tags if tag.is_private_creator):
            self._drop_idle_creator(data, tag)

    def _read(self, data: Dataset, tag: Any) -> DataElement | None:
        try:
            return data[tag]
        except Exception:  # a damaged value may raise anything: what cannot be read goes
            return self._gone("unreadable")

    def _drop_idle_creator(self, data: Dataset, creator: Any) -> None:
        block, tags = creator.element << 8, list(data.keys())
        used = any(
            tag.group == creator.group and block <= tag.element < block + 256 for tag in tags
        )
        if not used:
            del data[creator]

    def _kept(self, element: DataElement, patient: str, data: Dataset) -> DataElement | None:
        tag, vr = element.tag, str(element.VR)
        if tag.is_private:
            return self._private(element, data)
        repeats = tag.group & 0xFF01 in (0x5000, 0x6000)
        if repeats or tag.element == 0 or vr == "UN" or not dictionary_has_tag(tag):
            return self._gone("not in the dictionary, or an overlay or curve")
        action = self.profile.action(tag, vr)
        if element.keyword == "SpecificCharacterSet":
            return element
        if action == "X":
            return self._gone("profile")
        inner = element.keyword == "VerifyingObserverSequence"  # of a report that is verified
        if action in ("Z", "D") and vr != "UI" and not inner:
            self.removed["profile"] += 1
            return self._instead(element, empty=action == "Z")
        if vr == "SQ":
            for item in element.value:
                self.clean(item, patient)
                item.pop("SpecificCharacterSet", None)
            return element
        return self._by_form(element, vr, patient, keep=action == "K")

    def _gone(self, why: str) -> DataElement | None:
        """Nothing, which is counted."""
        self.removed[why] += 1
        return None

    def _private(self, element: DataElement, data: Dataset) -> DataElement | None:
        """A private element, where it is known to hold a number of physics."""
        if element.tag.is_private_creator:
            known = {name for name, _ in _SAFE_PRIVATE}
            return element if str(element.value).strip().upper() in known else self._gone("private")
        creator = str(element.private_creator or "").strip()
        if (creator.upper(), element.tag.element & 0xFF) not in _SAFE_PRIVATE:
            return self._gone("private")
        vr = private_dictionary_VR(element.tag, creator) if element.VR == "UN" else element.VR
        number = vr in _NUMERIC or all(_NUMBER.match(str(one)) for one in values_of(element))
        if element.VR == "UN" or vr not in (*_NUMERIC, "DS", "IS", "SH") or not number:
            return self._gone("private")
        self.private = True
        return element

    def _instead(self, element: DataElement, *, empty: bool) -> DataElement:
        """The element, empty (Z) or with a value that says nothing (D)."""
        vr = str(element.VR)
        if empty or vr not in _DUMMY:
            return DataElement(element.tag, vr, Sequence() if vr == "SQ" else None)
        return DataElement(element.tag, vr, _DUMMY[vr])

    def _by_form(
        self, element: DataElement, vr: str, patient: str, *, keep: bool
    ) -> DataElement | None:
        """An element whose values are cleaned as their representation asks."""
        if vr in _NUMERIC or (vr == "CS" and keep):
            return element if vr in _NUMERIC else self._each(element, self._code, patient)
        if vr in ("OB", "OW", "OF", "OD", "OL", "OV", "OB or OW"):
            allowed = element.keyword in _BINARY or _PALETTE.match(element.keyword)
            return element if allowed else self._gone("binary")
        if vr in ("AE", "UR") and not keep:
            return self._gone("address")
        if vr == "PN":
            return self._instead(element, empty=True)
        forms: dict[str, Callable[[str, str], str]] = {
            "UI": self._uid,
            "CS": self._code,
            "AS": _age,
        }
        forms |= dict.fromkeys(("DS", "IS"), self._number)
        forms |= dict.fromkeys(("DA", "DT", "TM"), self._moment)
        if vr in forms:
            return self._each(element, forms[vr], patient)
        cleaned = [self._text(str(one), patient, element, keep) for one in values_of(element)]
        return DataElement(element.tag, vr, cleaned if len(cleaned) > 1 else "".join(cleaned))

    def _each(self, element: DataElement, clean: Any, patient: str) -> DataElement:
        cleaned = [
            clean(str(getattr(one, "original_string", one)), patient) for one in values_of(element)
        ]
        if cleaned == [str(getattr(one, "original_string", one)) for one in values_of(element)]:
            return element
        value = cleaned if len(cleaned) > 1 else (cleaned or [""])[0]
        return DataElement(element.tag, str(element.VR), value or None)

    def _text(self, text: str, patient: str, element: DataElement, keep: bool) -> str:
        vr = str(element.VR)
        if keep or element.keyword in _TECHNICAL:
            clean = self.scrubber.key_text(text, ("name",) if keep else ("name", "id"))
        else:
            clean = self.scrubber.text(text, patient, short=vr in ("SH", "LO", "UC"))
        return clean[: _LONGEST.get(vr, len(clean))].rstrip()

    def _uid(self, text: str, _: str) -> str:
        return self.scrubber.key.uid(text) if text else ""

    def _code(self, text: str, _: str) -> str:
        learned = self.scrubber.lexicon.find(text)
        return text if _CODE.match(text.strip()) and not learned else ""

    def _number(self, text: str, _: str) -> str:
        """A number, where it is one and no patient's."""
        told = len(text.strip()) > 5 and any(
            one.kind == "id" for one in self.scrubber.lexicon.find(text)
        )
        return text if _NUMBER.match(text) and not told else ""

    def _moment(self, text: str, patient: str) -> str:
        if _TIME.match(text) and len(text.strip()) != 8:
            return text if self.profile.dates else ""
        match = _DATETIME.match(text)
        if not match or not self.profile.dates:
            return ""
        try:
            day = date(*(int(part) for part in match.groups()[:3]))
        except ValueError:
            return ""
        return f"{self.scrubber.key.moved(day, patient):%Y%m%d}".rjust(8, "0") + match[4]


def _emptied(before: DataElement | None, after: DataElement) -> bool:
    """Whether nothing is left of a value: what no row asks to be there, empty, is better gone."""
    return before is not None and not before.is_empty and after.is_empty


def _age(text: str, _: str) -> str:
    match = _AGE.match(text)
    if not match:
        return ""
    return f"{OLDEST + 1:03d}Y" if match[2] == "Y" and int(match[1]) > OLDEST else text


_DUMMY: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "LO", "SH"), "REMOVED"),
    **dict.fromkeys(("LT", "ST", "UC", "UT", "PN"), "Removed"),
    **{"UR": "urn:removed", "AS": "000Y", "DA": "19000101", "DT": "19000101000000"},
    **{"TM": "000000", "DS": "0", "IS": "0"},
}
