"""The report as a DICOM SR of template TID 1500 (PS3.16).

Each value is a measurement group (TID 1501) of its own, with tracking identifier, finding, place,
algorithm, value and review status, so that a single value can be confirmed. An edited value is
its reader's: the group names the reader as observer and no algorithm. The document is verified
when every value is and none contradicts another. The impression, with every doubt, is a text
beside the measurements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes as dicom

from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path, write_text
from nextaim_kit.report import codes, fhir, page
from nextaim_kit.report.codes import Code, OwnSystem
from nextaim_kit.report.evidence import read_evidence, stand_in, timed, uid
from nextaim_kit.report.model import Field, Report
from nextaim_kit.report.quantity import Quantity, Value

MAKER = "nextaim_kit"
SYNTHETIC = "Synthetic patient"
UNKNOWN = "unknown"


def to_sr(report: Report, evidence: Sequence[Dataset]) -> Comprehensive3DSR:
    """Make the SR.

    Its times are the images', so that the same report gives the same bytes; a clinical system sets
    the time of verification itself.

    Parameters
    ----------
    report : Report
    evidence : sequence of Dataset
        Headers of the images.

    Raises
    ------
    RequestError
        If the report was read from a text: an SR is of images.
    """
    if report.text or any(not (f.what.site and f.what.finding) for f in report.fields):
        raise RequestError(
            f"the report of {report.subject} cannot be a DICOM SR",
            expected="values of images, each with a finding and a place",
            found="values that were read from a text" if report.text else "a value without",
            mend="export it as FHIR",
        )
    # A document is what it says: another state is another instance.
    own, state = report.template.name, hashlib.sha256(fhir.to_json(report).encode()).hexdigest()
    document = Comprehensive3DSR(
        evidence=list(evidence),
        content=_content(report)[0],
        series_instance_uid=uid(own, report.site, report.subject, "report"),
        series_number=100,
        sop_instance_uid=uid(own, report.site, report.subject, state),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        is_final=report.final,
        is_verified=report.final,
        verifying_observer_name=f"{report.readers[0]}^" if report.final else None,
        verifying_organization=report.site or "unknown",
        institution_name=report.site or None,
    )
    _name_all(document, report.readers)
    document.CodingSchemeIdentificationSequence = [_own_codes(report.template.system)]
    return timed(document, evidence[0])


def save(document: Dataset, path: Path) -> None:
    """Write an SR, whole or not at all."""
    with atomic_path(path) as partial:
        document.save_as(partial, enforce_file_format=True)


def save_all(report: Report, folder: Path, images: str | Path = "") -> None:
    """Write ``patient.html`` for people, ``report.fhir.json`` and ``report.sr.dcm``.

    Parameters
    ----------
    report : Report
    folder : Path
    images : str or Path
        Folder of the DICOM series that the values are of; empty: a stand-in's header.
    """
    headers = read_evidence(images, report.subject) if images else []
    write_text(folder / "patient.html", page.to_html(report))
    write_text(folder / "report.fhir.json", fhir.to_json(report, headers))
    save(to_sr(report, headers or stand_in(report)), folder / "report.sr.dcm")


def _name_all(document: Comprehensive3DSR, readers: list[str]) -> None:
    """Every reader as a verifying observer; highdicom writes one."""
    for name in readers[1:] if "VerifyingObserverSequence" in document else []:
        another = deepcopy(document.VerifyingObserverSequence[0])
        another.VerifyingObserverName = f"{name}^"
        document.VerifyingObserverSequence.append(another)


def _own_codes(system: OwnSystem) -> Dataset:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = system.scheme
    scheme.CodingSchemeName = system.name
    scheme.CodingSchemeResponsibleOrganization = MAKER
    return scheme


def coded(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.display)


def _algorithm(report: Report) -> tuple[str, str]:
    name, _, version = report.software.partition(", ")
    return name or UNKNOWN, version or UNKNOWN


def _content(report: Report) -> MeasurementReport:
    device = DeviceObserverIdentifyingAttributes(
        uid=uid(report.template.name, report.software),
        name=report.software,
        manufacturer_name=MAKER,
    )
    context = ObservationContext(
        observer_person_context=_observer(report.readers) if report.readers else None,
        observer_device_context=ObserverContext(dicom.DCM.Device, device),
    )
    content = MeasurementReport(
        observation_context=context,
        procedure_reported=coded(report.template.code),
        imaging_measurements=[_group(report, one) for one in report.fields],
        title=dicom.DCM.ImagingMeasurementReport,
    )
    for text in [*([SYNTHETIC] if report.synthetic else []), *report.warnings]:
        content[0].ContentSequence.append(_text(dicom.DCM.Comment, text))
    content[0].ContentSequence.append(_text(dicom.DCM.Impression, report.impression))
    return content


def _observer(readers: list[str]) -> ObserverContext:
    names = PersonObserverIdentifyingAttributes(name=f"{' '.join(readers)}^")
    return ObserverContext(dicom.DCM.Person, names)


def _text(name: Any, text: str) -> TextContentItem:
    return TextContentItem(name, text, relationship_type=RelationshipTypeValues.CONTAINS)


def _group(report: Report, one: Field) -> MeasurementsAndQualitativeEvaluations:
    what, own = one.what, report.template.system
    assert what.finding  # as `to_sr` has asked
    assert what.site
    said = {own.ai_value: one.ai_value} if one.status == "edited" else {}
    values = {what.standard or what.code: one.value} | said
    numbers = [_measurement(what, n, v) for n, v in values.items() if what.unit and v is not None]
    words = [QualitativeEvaluation(coded(n), coded(own.absent) if v is None else _word(what, v))
             for n, v in values.items() if v is None or not what.unit]  # fmt: skip
    status = QualitativeEvaluation(coded(own.status), coded(own.statuses[one.status]))
    name, version = _algorithm(report)
    algorithm = AlgorithmIdentification(name=name, version=version)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uid(report.template.name, report.site, report.subject, what.key),
            identifier=what.code.value,
        ),
        finding_type=coded(what.finding),
        algorithm_id=None if one.status == "edited" else algorithm,
        finding_sites=[FindingSite(coded(what.site))],
        measurements=numbers,
        qualitative_evaluations=[*words, status],
    )
    if one.by:
        group[0].ContentSequence.append(_text(coded(own.reviewer), one.by))
    if one.reason:
        group[0].ContentSequence.append(_text(dicom.DCM.Comment, one.reason))
    if one.status == "edited":
        group[0].ContentSequence.extend(_observer([one.by]))
    return group


def _measurement(what: Quantity, name: Code, value: Any) -> Measurement:
    assert what.unit is not None
    return Measurement(coded(name), float(value), coded(what.unit))


def _word(what: Quantity, value: Value) -> CodedConcept:
    if what.kind == "flag":
        return coded(codes.YES if value else codes.NO)
    return coded(dict(what.choices)[str(value)])
