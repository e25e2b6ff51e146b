"""Atlases of brain regions: names, networks and centers, and the edges between regions."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError

# FSL's Harvard-Oxford cortical areas in its order, by network: (area, x, y, z) on the right side.
_DEFAULT, _SOCIAL, _VISUAL = "Default mode", "Social brain", "Visual"
_MOTOR, _DORSAL, _VENTRAL = "Somatomotor", "Dorsal attention", "Ventral attention"
_CONTROL, _LIMBIC, _DEEP = "Frontoparietal", "Limbic", "Subcortical"
_CORTEX = (
    ("Frontal Pole", _DEFAULT, 26, 54, 8),
    ("Insular Cortex", _VENTRAL, 38, 4, 0),
    ("Superior Frontal Gyrus", _DEFAULT, 14, 18, 56),
    ("Middle Frontal Gyrus", _CONTROL, 40, 20, 42),
    ("Inferior Frontal Gyrus, pars triangularis", _CONTROL, 50, 28, 8),
    ("Inferior Frontal Gyrus, pars opercularis", _VENTRAL, 52, 16, 16),
    ("Precentral Gyrus", _MOTOR, 34, -10, 50),
    ("Temporal Pole", _SOCIAL, 40, 12, -30),
    ("Superior Temporal Gyrus, anterior", _SOCIAL, 58, 0, -8),
    ("Superior Temporal Gyrus, posterior", _SOCIAL, 62, -26, 4),
    ("Middle Temporal Gyrus, anterior", _DEFAULT, 58, -4, -22),
    ("Middle Temporal Gyrus, posterior", _DEFAULT, 62, -26, -12),
    ("Middle Temporal Gyrus, temporooccipital", _SOCIAL, 58, -50, 2),
    ("Inferior Temporal Gyrus, anterior", _LIMBIC, 46, -4, -40),
    ("Inferior Temporal Gyrus, posterior", _CONTROL, 54, -28, -26),
    ("Inferior Temporal Gyrus, temporooccipital", _DORSAL, 52, -52, -16),
    ("Postcentral Gyrus", _MOTOR, 38, -28, 52),
    ("Superior Parietal Lobule", _DORSAL, 30, -48, 58),
    ("Supramarginal Gyrus, anterior", _DORSAL, 58, -30, 38),
    ("Supramarginal Gyrus, posterior", _SOCIAL, 56, -42, 34),
    ("Angular Gyrus", _DEFAULT, 52, -54, 30),
    ("Lateral Occipital Cortex, superior", _DORSAL, 32, -72, 38),
    ("Lateral Occipital Cortex, inferior", _VISUAL, 46, -74, -2),
    ("Intracalcarine Cortex", _VISUAL, 12, -74, 8),
    ("Frontal Medial Cortex", _DEFAULT, 6, 44, -18),
    ("Juxtapositional Lobule", _MOTOR, 6, -2, 56),
    ("Subcallosal Cortex", _LIMBIC, 6, 20, -16),
    ("Paracingulate Gyrus", _DEFAULT, 6, 36, 22),
    ("Cingulate Gyrus, anterior", _VENTRAL, 4, 18, 24),
    ("Cingulate Gyrus, posterior", _DEFAULT, 6, -36, 30),
    ("Precuneus Cortex", _DEFAULT, 8, -60, 38),
    ("Cuneal Cortex", _VISUAL, 8, -80, 28),
    ("Frontal Orbital Cortex", _LIMBIC, 30, 24, -16),
    ("Parahippocampal Gyrus, anterior", _LIMBIC, 22, -8, -30),
    ("Parahippocampal Gyrus, posterior", _LIMBIC, 22, -32, -16),
    ("Lingual Gyrus", _VISUAL, 14, -66, -4),
    ("Temporal Fusiform Cortex, anterior", _LIMBIC, 32, -4, -42),
    ("Temporal Fusiform Cortex, posterior", _LIMBIC, 36, -28, -26),
    ("Temporal Occipital Fusiform Cortex", _SOCIAL, 36, -54, -16),
    ("Occipital Fusiform Gyrus", _VISUAL, 26, -76, -14),
    ("Frontal Operculum Cortex", _VENTRAL, 42, 18, 4),
    ("Central Opercular Cortex", _MOTOR, 50, -8, 12),
    ("Parietal Operculum Cortex", _MOTOR, 50, -30, 22),
    ("Planum Polare", _MOTOR, 48, -4, -6),
    ("Heschl's Gyrus", _MOTOR, 46, -20, 8),
    ("Planum Temporale", _MOTOR, 58, -26, 12),
    ("Supracalcarine Cortex", _VISUAL, 8, -74, 14),
    ("Occipital Pole", _VISUAL, 18, -96, 8),
)
# What files and folders of the Preprocessed Connectomes Project call an atlas.
FILED = {"harvard_oxford": "ho", "dosenbach": "dosenbach160"}
# Both sides of each are one region here, which is drawn on the midline.
_DEEP_REGIONS = (
    ("Thalamus", -18, 6), ("Caudate", 10, 10), ("Putamen", 2, 0), ("Pallidum", -4, -2),
    ("Hippocampus", -22, -14), ("Amygdala", -4, -18), ("Accumbens", 12, -8),
)  # fmt: skip


def regions_of(atlas: str = "harvard_oxford") -> pd.DataFrame:
    """Regions of an atlas in the order of its matrix.

    ``harvard_oxford`` has 103: the 48 cortical areas of FSL's Harvard-Oxford atlas in each
    hemisphere, left before right, and seven subcortical structures, each counted once for both
    sides. The paper (doi:10.1186/s40708-023-00217-4) gives their number without a list, so this
    count is an assumption. Its centers are rounded and for drawing only, and its networks are
    assigned by the area's best-known role. ``seitzman`` (300 regions,
    doi:10.1016/j.neuroimage.2019.116290) and ``dosenbach`` (160, doi:10.1126/science.1194144)
    have the published centers and networks, as nilearn brings them. ``harvard_oxford+dosenbach``
    has the regions of both, one atlas behind the other.

    Returns
    -------
    DataFrame
        ``region`` (unique), ``network``, ``x``, ``y``, ``z`` (mm in MNI space, the right side
        is positive).

    Raises
    ------
    RequestError
        If the atlas is not one of these, with the near miss.
    """
    if "+" in atlas:
        return pd.concat([regions_of(one) for one in atlas.split("+")], ignore_index=True)
    if atlas not in ATLASES:
        near = difflib.get_close_matches(atlas, ATLASES, n=1, cutoff=0.4)
        raise RequestError(
            f"there is no atlas {atlas!r}",
            expected="one of " + ", ".join(ATLASES),
            found=repr(atlas),
            mend=f"did you mean {near[0]!r}?" if near else "",
        )
    rows = ATLASES[atlas]()
    return pd.DataFrame(rows, columns=["region", "network", "x", "y", "z"]).astype(
        dict.fromkeys("xyz", float)
    )


def _harvard_oxford() -> list[tuple]:
    cortex = [
        (f"{side} {area}", network, sign * x, y, z)
        for side, sign in (("Left", -1), ("Right", 1))
        for area, network, x, y, z in _CORTEX
    ]
    return cortex + [(name, _DEEP, 0, y, z) for name, y, z in _DEEP_REGIONS]


def _seitzman() -> list[tuple]:
    from nilearn.datasets import fetch_coords_seitzman_2018

    atlas = fetch_coords_seitzman_2018()
    names = [f"{network} {k + 1}" for k, network in enumerate(atlas.networks)]
    return list(zip(names, atlas.networks, *atlas.rois.to_numpy().T, strict=True))


def _dosenbach() -> list[tuple]:
    from nilearn.datasets import fetch_coords_dosenbach_2010

    atlas = fetch_coords_dosenbach_2010()
    return list(zip(atlas.labels, atlas.networks, *atlas.rois.to_numpy().T, strict=True))


ATLASES: dict[str, Callable[[], list[tuple]]] = {
    "harvard_oxford": _harvard_oxford,
    "seitzman": _seitzman,
    "dosenbach": _dosenbach,
}


def edges(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Regions at the two ends of each edge, in the order of all vectors: (0, 1), (0, 2), ..."""
    return np.triu_indices(n, 1)


def edge_names(regions: pd.DataFrame) -> list[str]:
    """Name of each edge, such as ``Left Precuneus Cortex - Right Angular Gyrus``."""
    return _pairs(regions.region)


def network_pairs(regions: pd.DataFrame) -> list[str]:
    """Pair of networks that each edge joins, in alphabetic order whichever end comes first."""
    return _pairs(regions.network, in_order=True)


def _pairs(names: pd.Series, *, in_order: bool = False) -> list[str]:
    i, j = edges(len(names))
    both = zip(names.to_numpy()[i], names.to_numpy()[j], strict=True)
    return [" - ".join(sorted(pair) if in_order else pair) for pair in both]


def networks_near(centers: pd.DataFrame, within: float = 15.0) -> list[str]:
    """Network of each center: that of the nearest of Seitzman's regions.

    Parameters
    ----------
    centers : DataFrame
        ``x``, ``y``, ``z`` (mm in MNI space).
    within : float
        Beyond so many mm it is "unassigned".
    """
    from scipy.spatial import KDTree

    known = regions_of("seitzman")
    far, at = KDTree(known[["x", "y", "z"]]).query(centers[["x", "y", "z"]].to_numpy(float))
    names = known["network"].to_numpy()[at]
    return np.where(far <= within, names, "unassigned").tolist()
