"""Radiomics by the definitions of the Image Biomarker Standardisation Initiative (IBSI 1).

Beside pyradiomics' definition: all features that have a consensus, under the IBSI's tags, in its
configurations A to E or one of your own; and how far either definition agrees with the consensus.

References
----------
Zwanenburg et al., Radiology 2020, doi:10.1148/radiol.2020191145; manual arXiv:1612.07003
"""

from nextaim_kit.studies.ct_radiomics.ibsi.compliance import against, agrees, compliance, summary
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import (
    CONFIGURATIONS,
    Configuration,
    configuration,
)
from nextaim_kit.studies.ct_radiomics.ibsi.features import extract
from nextaim_kit.studies.ct_radiomics.ibsi.reference import read_consensus

__all__ = [
    "CONFIGURATIONS",
    "Configuration",
    "against",
    "agrees",
    "compliance",
    "configuration",
    "extract",
    "read_consensus",
    "summary",
]
