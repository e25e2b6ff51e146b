"""The codes are those of the standards' own tables, as pydicom has them."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes as dicom

from nextaim_kit.report import codes
from nextaim_kit.studies.ct_lungquant.findings import template


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (template.CT_CHEST, dicom.cid7000.CTChestReport),
        (codes.PROCEDURE, dicom.cid7001.CurrentProcedureDescriptions),
        (codes.FINDINGS, dicom.cid7001.Findings),
        (codes.IMPRESSIONS, dicom.cid7001.Impressions),
        (codes.VOLUME, dicom.SCT.Volume),
        (codes.LESION, dicom.SCT.Lesion),
        (template.LUNG, dicom.SCT.Lung),
        (codes.YES, dicom.SCT.Yes),
        (codes.NO, dicom.SCT.No),
        (codes.PERCENT, dicom.UCUM.Percent),
    ],
)
def test_a_code_is_the_one_that_the_standard_lists(ours, theirs):
    assert (ours.value, ours.scheme) == (theirs.value, theirs.scheme_designator)
