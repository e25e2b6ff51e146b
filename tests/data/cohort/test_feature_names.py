"""Features are told from everything else by their names."""

from __future__ import annotations

import pytest

from nextaim_kit.data.cohort.feature_names import chosen, like_an_outcome, named_as_features
from nextaim_kit.errors import RequestError

PYRADIOMICS = [
    "original_shape_MeshVolume", "original_shape2D_Perimeter", "exponential_glcm_Contrast",
    "logarithm_firstorder_Mean", "square_gldm_DependenceEntropy", "squareroot_ngtdm_Busyness",
    "gradient_glszm_ZoneEntropy", "lbp-2D_firstorder_Mean", "lbp-3D-m1_glcm_Id",
    "lbp-3D-k_glcm_Id", "wavelet-LLH_glrlm_RunEntropy", "wavelet-HH_glcm_Id",
    "log-sigma-1-0-mm-3D_glcm_Id", "wavelet.LLH_glcm_Id", "log.sigma.1.0.mm.3D_glcm_Id",
    "original_firstorder_mean", "CT_original_firstorder_Mean", "lesion1-original_glcm_Id",
]  # fmt: skip
CAPTK = [
    "T1_ED_Intensity_Mean", "T1_ED_Histogram_Bins-10_Bins-10_Energy", "CT_ROI_Volumetric_Pixels",
    "T1_ED_GLCM_Bins-10_Radius-1_Entropy", "T1_ED_LBP_Radius-1_Bins-20_LBP",
    "T1_ED_Morphologic_Eccentricity", "T1_Gd_ED_NGTDM_Busyness",
]  # fmt: skip
MIRP = [
    "morph_volume", "loc_peak_glob", "stat_p10", "ih_max_grad_fbn_n32", "ivh_diff_v10_v90",
    "cm_joint_max_d1_3d_avg_fbn_n32", "rlm_sre_3d_avg_fbn_n32", "szm_sze_3d_fbn_n32",
    "dzm_glnu_norm_2d_fbn_n32", "ngt_coarseness_3d_fbn_n32", "ngl_ldlge_d2_a0.0_2d_fbn_n32",
    "lbp_2d_rot_invar_d2_stat_rms", "wavelet_db2_lll_cm_contrast_d1_3d_avg_fbn_n32",
]  # fmt: skip
OTHERS = [
    "subject", "age", "death", "stage", "sex", "scanner", "Unnamed: 0", "volume", "original",
    "squareroot", "gradient", "wavelet", "tumor_loc_left", "smoking_stat_current", "size_cm_max",
    "diag_n_voxel", "diagnostics_Image-original_Mean", "provenance_original_glcm_Id",
    "signal_Intensity", "lesion_volume_ml", "histology", "original_label", "GLCM",
]  # fmt: skip


@pytest.mark.parametrize("names", [PYRADIOMICS, CAPTK, MIRP])
def test_the_names_of_known_programs_are_features(names):
    assert named_as_features([*names, *OTHERS]) == names


def test_features_are_chosen_by_name_or_pattern_in_the_order_of_the_table():
    columns = ["deep_2", "deep[1]", "age", "deep_1"]
    assert chosen(columns, ["deep_*"]) == ["deep_2", "deep_1"]
    assert chosen(columns, ["age", "deep[1]"]) == ["deep[1]", "age"]


def test_a_pattern_without_a_column_is_refused_with_the_near_miss():
    with pytest.raises(RequestError, match=r"no column 'deep_l'(.|\n)*did you mean 'deep_1'"):
        chosen(["age", "deep_1"], ["deep_l"])


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("death", True), ("ICU", True), ("os_months", True), ("overall.survival", True),
        ("EventFreeDays", True), ("isDead", True), ("severity2", True), ("age", False),
        ("lesion_count", False), ("smoking_status", False), ("position", False),
        ("original_glcm_Contrast", False), ("Kurtosis", False),
    ],
)  # fmt: skip
def test_outcomes_are_known_by_a_word_of_their_name(name, like):
    assert like_an_outcome(name) is like
