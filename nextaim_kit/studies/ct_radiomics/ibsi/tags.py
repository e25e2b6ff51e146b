"""Which IBSI feature each of pyradiomics' features is."""

from __future__ import annotations

_SHAPE = {
    "Elongation": "pca_elongation",
    "Flatness": "pca_flatness",
    "LeastAxisLength": "pca_least_axis",
    "MajorAxisLength": "pca_maj_axis",
    "Maximum3DDiameter": "diam",
    "MeshVolume": "volume",
    "MinorAxisLength": "pca_min_axis",
    "Sphericity": "sphericity",
    "SurfaceArea": "area_mesh",
    "SurfaceVolumeRatio": "av",
    "VoxelVolume": "vol_approx",
}
_FIRST = {
    "10Percentile": "stat_p10",
    "90Percentile": "stat_p90",
    "Energy": "stat_energy",
    "Entropy": "ih_entropy",
    "InterquartileRange": "stat_iqr",
    "Kurtosis": "stat_kurt",
    "Maximum": "stat_max",
    "MeanAbsoluteDeviation": "stat_mad",
    "Mean": "stat_mean",
    "Median": "stat_median",
    "Minimum": "stat_min",
    "Range": "stat_range",
    "RobustMeanAbsoluteDeviation": "stat_rmad",
    "RootMeanSquared": "stat_rms",
    "Skewness": "stat_skew",
    "Uniformity": "ih_uniformity",
    "Variance": "stat_var",
}
_GLCM = {
    "Autocorrelation": "auto_corr",
    "ClusterProminence": "clust_prom",
    "ClusterShade": "clust_shade",
    "ClusterTendency": "clust_tend",
    "Contrast": "contrast",
    "Correlation": "corr",
    "DifferenceAverage": "diff_avg",
    "DifferenceEntropy": "diff_entr",
    "DifferenceVariance": "diff_var",
    "Id": "inv_diff",
    "Idm": "inv_diff_mom",
    "Idmn": "inv_diff_mom_norm",
    "Idn": "inv_diff_norm",
    "Imc1": "info_corr1",
    "Imc2": "info_corr2",
    "InverseVariance": "inv_var",
    "JointAverage": "joint_avg",
    "JointEnergy": "energy",
    "JointEntropy": "joint_entr",
    "MaximumProbability": "joint_max",
    "SumEntropy": "sum_entr",
    "SumSquares": "joint_var",
}
_GLRLM = {
    "GrayLevelNonUniformity": "glnu",
    "GrayLevelNonUniformityNormalized": "glnu_norm",
    "GrayLevelVariance": "gl_var",
    "HighGrayLevelRunEmphasis": "hgre",
    "LongRunEmphasis": "lre",
    "LongRunHighGrayLevelEmphasis": "lrhge",
    "LongRunLowGrayLevelEmphasis": "lrlge",
    "LowGrayLevelRunEmphasis": "lgre",
    "RunEntropy": "rl_entr",
    "RunLengthNonUniformity": "rlnu",
    "RunLengthNonUniformityNormalized": "rlnu_norm",
    "RunPercentage": "r_perc",
    "RunVariance": "rl_var",
    "ShortRunEmphasis": "sre",
    "ShortRunHighGrayLevelEmphasis": "srhge",
    "ShortRunLowGrayLevelEmphasis": "srlge",
}
_GLSZM = {
    "GrayLevelNonUniformity": "glnu",
    "GrayLevelNonUniformityNormalized": "glnu_norm",
    "GrayLevelVariance": "gl_var",
    "HighGrayLevelZoneEmphasis": "hgze",
    "LargeAreaEmphasis": "lze",
    "LargeAreaHighGrayLevelEmphasis": "lzhge",
    "LargeAreaLowGrayLevelEmphasis": "lzlge",
    "LowGrayLevelZoneEmphasis": "lgze",
    "SizeZoneNonUniformity": "zsnu",
    "SizeZoneNonUniformityNormalized": "zsnu_norm",
    "SmallAreaEmphasis": "sze",
    "SmallAreaHighGrayLevelEmphasis": "szhge",
    "SmallAreaLowGrayLevelEmphasis": "szlge",
    "ZoneEntropy": "zs_entr",
    "ZonePercentage": "z_perc",
    "ZoneVariance": "zs_var",
}
_GLDM = {
    "DependenceEntropy": "dc_entr",
    "DependenceNonUniformity": "dcnu",
    "DependenceNonUniformityNormalized": "dcnu_norm",
    "DependenceVariance": "dc_var",
    "GrayLevelNonUniformity": "glnu",
    "GrayLevelVariance": "gl_var",
    "HighGrayLevelEmphasis": "hgce",
    "LargeDependenceEmphasis": "hde",
    "LargeDependenceHighGrayLevelEmphasis": "hdhge",
    "LargeDependenceLowGrayLevelEmphasis": "hdlge",
    "LowGrayLevelEmphasis": "lgce",
    "SmallDependenceEmphasis": "lde",
    "SmallDependenceHighGrayLevelEmphasis": "ldhge",
    "SmallDependenceLowGrayLevelEmphasis": "ldlge",
}
# pyradiomics' class -> its features, IBSI's family, and the aggregation in the tag: pyradiomics
# averages co-occurrence and run length over directions, and has one matrix of zones and dependence.
_FAMILIES = {
    "shape": (_SHAPE, "morph_", ""),
    "firstorder": (_FIRST, "", ""),
    "glcm": (_GLCM, "cm_", "_{}_avg"),
    "glrlm": (_GLRLM, "rlm_", "_{}_avg"),
    "glszm": (_GLSZM, "szm_", "_{}"),
    "gldm": (_GLDM, "ngl_", "_{}"),
}
TAGS = {
    f"{family}_{feature}": f"{prefix}{tag}{aggregation}"
    for family, (features, prefix, aggregation) in _FAMILIES.items()
    for feature, tag in features.items()
}

# Features that IBSI does not define.
NOT_IBSI = {
    "shape_Maximum2DDiameterColumn": "IBSI has no diameter within planes",
    "shape_Maximum2DDiameterRow": "IBSI has no diameter within planes",
    "shape_Maximum2DDiameterSlice": "IBSI has no diameter within planes",
    "firstorder_TotalEnergy": "energy times the voxel volume, which IBSI does not have",
}

_KURTOSIS = "pyradiomics does not subtract the 3 of a normal distribution"
_AXIS = "pyradiomics divides the covariance of the n voxel centers by n, the consensus by n - 1"
_AXES = ("shape_MajorAxisLength", "shape_MinorAxisLength", "shape_LeastAxisLength")


def in_ibsi_convention(feature: str, value: float, voxels: int) -> tuple[float, str]:
    """Value of a feature as IBSI defines it, and what pyradiomics does otherwise, if anything."""
    if feature == "firstorder_Kurtosis":
        return value - 3, _KURTOSIS
    if feature in _AXES:
        return value * (voxels / (voxels - 1)) ** 0.5, _AXIS
    return value, ""


def tag_of(feature: str, aggregation: str) -> str | None:
    """IBSI tag of a pyradiomics feature, with texture aggregated over ``3D`` or ``2_5D``."""
    tag = TAGS.get(feature)
    return tag.format(aggregation) if tag else None
