"""The synthetic twin of ABIDE: who is in it, their brains in function and structure, the truth."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.files import atomic_path
from nextaim_kit.studies.asd_fusion.brains import Brains, institution_of
from nextaim_kit.studies.asd_fusion.regions import (
    FILED,
    edge_names,
    edges,
    network_pairs,
    regions_of,
)
from nextaim_kit.twins.twin import Twin, Who, chance

# Autism and typical development by site: names and rough sizes as in ABIDE I and II.
COUNTS = {
    "CALTECH": (12, 13), "CMU": (8, 6), "KKI": (14, 21), "LEUVEN_1": (13, 14), "LEUVEN_2": (9, 10),
    "MAX_MUN": (17, 22), "NYU": (70, 77), "OHSU": (10, 12), "OLIN": (12, 10), "PITT": (22, 20),
    "SBL": (10, 11), "SDSU": (9, 14), "STANFORD": (13, 13), "TRINITY": (20, 22), "UCLA_1": (38, 25),
    "UCLA_2": (9, 8), "UM_1": (33, 39), "UM_2": (11, 18), "USM": (47, 36), "YALE": (17, 17),
    "ABIDEII-BNI_1": (27, 26), "ABIDEII-EMC_1": (18, 20), "ABIDEII-ETH_1": (7, 19),
    "ABIDEII-GU_1": (34, 24), "ABIDEII-IP_1": (7, 3), "ABIDEII-IU_1": (13, 12),
    "ABIDEII-KKI_1": (25, 52), "ABIDEII-KUL_3": (20, 5), "ABIDEII-NYU_1": (36, 26),
    "ABIDEII-OHSU_1": (24, 26), "ABIDEII-ONRC_2": (14, 19), "ABIDEII-SDSU_1": (23, 24),
    "ABIDEII-TCD_1": (17, 19), "ABIDEII-UCD_1": (11, 9), "ABIDEII-USM_1": (10, 11),
}  # fmt: skip
TOTAL = sum(map(sum, COUNTS.values()))

# Severity is 0 ± 1 in typical development, and SHIFT ± 1 in autism.
SHIFT = 2.4
_FUNCTION_NOISE, _STRUCTURE_NOISE = 0.2, 2.3  # of what a brain shows of it, in the same unit
_MODULATION = 0.68  # how far a structural factor raises what function shows of it
_EDGE, _FEATURE = 0.078, 0.11  # SD over people of an edge and a feature, by unit of severity
_CHANGED = 0.8  # share of the edges within the default mode and between it and attention
_WIRING = 6  # seed of what all cohorts share

_RANK, _SHARE, _SHAPE = 8, 0.7, 1.4  # modes of connectivity, their variance's share and spread
_BLOCK = 0.03  # SD over people of a pair of networks, so that its mean tells little
_GLOBAL, _SAME, _NEIGHBOR = 0.1, 0.2, 0.4  # correlation beside them: of all, networks, neighbors
_MOTION = 0.25  # of an edge's SD, by unit of log FD between neighbors; as much lower far apart
_USUAL_FD, _USUAL_NOISE, _MEMORY_S = 0.09, 0.4, 1.5  # mm; SD of the signal; of the series, s
_THICKNESS_SD, _DEEP_SD = 0.15, 0.11  # over people, of thickness (mm) and of log volume
_AREA_SD = 0.157  # over people, of the logarithm of what a volume is beside its thickness

# Area (mm²) and thickness (mm) of the Desikan regions in one hemisphere, rounded.
_DESIKAN = {
    "bankssts": (1020, 2.7), "caudalanteriorcingulate": (700, 2.7),
    "caudalmiddlefrontal": (2400, 2.7), "cuneus": (1600, 2.1), "entorhinal": (450, 3.3),
    "fusiform": (3300, 2.8), "inferiorparietal": (5400, 2.6), "inferiortemporal": (3600, 2.8),
    "isthmuscingulate": (1050, 2.5), "lateraloccipital": (5400, 2.3),
    "lateralorbitofrontal": (2800, 2.8), "lingual": (3200, 2.3), "medialorbitofrontal": (2000, 2.6),
    "middletemporal": (3600, 3.0), "parahippocampal": (680, 2.8), "paracentral": (1550, 2.6),
    "parsopercularis": (1600, 2.8), "parsorbitalis": (820, 2.9), "parstriangularis": (1550, 2.7),
    "pericalcarine": (1500, 1.8), "postcentral": (4400, 2.2), "posteriorcingulate": (1300, 2.6),
    "precentral": (5200, 2.7), "precuneus": (4250, 2.6), "rostralanteriorcingulate": (750, 2.9),
    "rostralmiddlefrontal": (6400, 2.6), "superiorfrontal": (7900, 2.9),
    "superiorparietal": (5800, 2.4), "superiortemporal": (4050, 3.0), "supramarginal": (4200, 2.7),
    "frontalpole": (300, 2.9), "temporalpole": (480, 3.5), "transversetemporal": (420, 2.6),
    "insula": (2500, 3.1),
}  # fmt: skip
_DEEP = {
    "Thalamus-Proper": 7900, "Caudate": 3950, "Putamen": 5500, "Pallidum": 1950,
    "Hippocampus": 4150, "Amygdala": 1750, "Accumbens-area": 660,
}  # fmt: skip
# As in ENIGMA's 1571 patients (doi:10.1176/appi.ajp.2017.17010100): frontal cortex is thicker,
# temporal cortex thinner, and some deep structures are smaller.
_SIGNS = {
    "superiorfrontal": 1, "rostralmiddlefrontal": 1, "caudalmiddlefrontal": 1,
    "superiortemporal": -1, "middletemporal": -1, "fusiform": -1, "temporalpole": -1, "Putamen": -1,
    "Pallidum": -1, "Amygdala": -1, "Accumbens-area": -1,
}  # fmt: skip
_MODULATING = [name for name in _DESIKAN if name.endswith("cingulate") or name == "insula"]
FEATURES = [
    *(f"{h}h_{d}_{m}" for m in ("area", "thickness", "volume") for h in "lr" for d in _DESIKAN),
    *(f"{side}-{name}" for side in ("Left", "Right") for name in _DEEP),
    "5th-Ventricle", "non-WM-hypointensities", "EstimatedTotalIntraCranialVol",
]  # fmt: skip
_TRUTH = ["severity", "function", "structure", "modulation"]


class Truth(NamedTuple):
    """What was planted.

    Parameters
    ----------
    edges : DataFrame
        One row per planted edge: ``edge`` (its place in the vector), ``name``, ``networks``,
        ``size`` (mean in autism minus that in typical development, in SD over people, before
        what the scan's length and noise blur), ``sign``.
    features : DataFrame
        One row per planted feature: ``feature``, ``size`` (in SD of people of one age at one
        site), ``sign``. A cortical volume inherits its thickness' sign, and a third of its size,
        as areas differ more than thicknesses do.
    subjects : DataFrame
        ``subject``, ``severity``, what ``function`` and ``structure`` show of it, and
        ``modulation``: the structural factor (thickness of insula and cingulate, SD) that
        raises what function shows.
    """

    edges: pd.DataFrame
    features: pd.DataFrame
    subjects: pd.DataFrame


class Synthetic(NamedTuple):
    """A synthetic cohort, what was planted, and the series (volumes x regions) where kept."""

    brains: Brains
    truth: Truth
    series: list[NDArray[np.float32]] | None


def make_twin(
    n: int = TOTAL,
    *,
    atlas: str = "harvard_oxford",
    seed: int = 2024,
    effect: float = 1.0,
    motion_effect: float = 1.0,
    site_effect: float = 1.0,
    interaction: float = 1.0,
    series: bool = False,
) -> Synthetic:
    """Draw a cohort of males in the manner of ABIDE I and II, in memory.

    Every subject has a severity, which both diagnoses share in part. Function shows it as weaker
    coupling within the default mode and stronger coupling of default mode with attention, the
    more the thicker insula and cingulate are; structure shows it in some thicknesses and
    volumes. Beside it connectivity varies in a few modes of the whole brain and by pair of
    networks, so that neither an edge nor a network's mean tells much. Motion, which is greater
    in autism and in children, raises coupling between neighbors and lowers it far apart, so that
    function tells autism within sites with an AUC of 0.57 where motion is all that acts.

    Of all 1383, in ten folds, kernel ridge on connectivity reaches an AUC of 0.763, logistic
    regression on structure 0.666 and on site, age, IQ and motion 0.62; severity itself 0.95.

    Parameters
    ----------
    n : int
        How many; fewer than 1383 keep the proportions, with two of each diagnosis at every site
        (one, where `n` is below 140; not below 70). A subject is the same whatever `n`.
    atlas : str
        As for `regions_of`.
    seed : int
    effect, motion_effect, site_effect : float
        How strong diagnosis, motion and site are, as multiples of the usual. Sites keep their
        repetition times, lengths and shares of autism, and autism its motion.
    interaction : float
        How far structure governs what function shows of severity. At 0 function tells as much
        by itself, but nothing more for knowing structure; above 1 it tells less by itself.
    series : bool
        Whether to keep the series.

    Raises
    ------
    RequestError
        If so many, so few, or such an atlas cannot be.
    """
    plan = _Plan(atlas, seed, effect, motion_effect, site_effect, interaction)
    people, anatomy, z, kept = [], [], [], []
    for who in _twin(n, plan).roster(n):
        rng = chance(seed, who.subject)
        row, person = _draw(who, rng, plan=plan)
        measured = _series(person, rng, plan)
        people.append(row)
        anatomy.append(_anatomy(person, plan))
        z.append(_fisher_z(measured))
        kept += [measured] if series else []
    table = pd.DataFrame(people).astype({"label": "Int64"})
    structure = pd.DataFrame(anatomy, columns=FEATURES)
    brains = Brains(
        table.drop(columns=_TRUTH), np.array(z), structure, regions_of(atlas), synthetic=True
    )
    truth = Truth(_true_edges(plan), _true_features(plan), table[["subject", *_TRUTH]])
    return Synthetic(brains, truth, kept if series else None)


def write_twin(folder: Path, n: int = TOTAL, **options: Any) -> Synthetic:
    """Write the twin as a user's folder in the layout of ABIDE's Preprocessed Connectomes Project.

    ``Phenotypic_V1_0b_preprocessed1.csv`` (its codes: ``DX_GROUP`` 1 autism, 2 typical
    development; ``SEX`` 1 male; ``EYE_STATUS_AT_SCAN`` 1 open, 2 closed; -9999 missing),
    ``freesurfer.csv``, and ``rois_ho/<FILE_ID>_rois_ho.1D``: a region is a column, a volume a
    row; of several atlases, a folder each. Repetition times are not written, since that
    project's table has none.

    Parameters
    ----------
    folder : Path
        What it holds of these files is replaced.
    n, **options
        As for `make_twin`, but that the series are always kept.

    Raises
    ------
    RequestError
        As for `make_twin`.
    DataError
        If it cannot be written.
    """
    made = make_twin(n, **(options | {"series": True}))
    phenotype = _phenotype(made.brains.table)
    for kind, columns in _columns(options.get("atlas", "harvard_oxford")).items():
        header = "\t".join(f"#{k + 1}" for k in range(columns.stop - columns.start))
        for name, measured in zip(phenotype.FILE_ID, made.series or [], strict=True):
            with atomic_path(folder / kind / f"{name}_{kind}.1D") as unfinished:
                np.savetxt(
                    unfinished, measured[:, columns], "%.4f", "\t", header=header, comments=""
                )
    structure = pd.concat([phenotype.SUB_ID.rename("subject_id"), made.brains.structure], axis=1)
    for name, table in (("Phenotypic_V1_0b_preprocessed1", phenotype), ("freesurfer", structure)):
        with atomic_path(folder / f"{name}.csv") as unfinished:
            table.to_csv(unfinished, index=False)
    return made


def _columns(atlases: str) -> dict[str, slice]:
    """Columns of a series by the folder of the atlas that they are of."""
    sizes = {name: len(regions_of(name)) for name in atlases.split("+")}
    ends = np.cumsum([*sizes.values()]).tolist()
    return {f"rois_{FILED.get(name, name)}": slice(end - sizes[name], end)
            for name, end in zip(sizes, ends, strict=True)}  # fmt: skip


def _phenotype(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "SUB_ID": table.subject, "SITE_ID": table.site,
        "FILE_ID": table.site + "_00" + table.subject,
        "DX_GROUP": 2 - table.label, "AGE_AT_SCAN": table.age, "SEX": 1,
        "FIQ": table.fiq.fillna(-9999), "func_mean_fd": table.motion,
        "EYE_STATUS_AT_SCAN": table.eyes.map({"open": 1, "closed": 2}),
    })  # fmt: skip


class _Plan(NamedTuple):
    """What the twin is made by: see `make_twin`."""

    atlas: str
    seed: int
    effect: float
    motion: float
    site: float
    interaction: float


def _twin(n: int, plan: _Plan) -> Twin:
    draw, least = partial(_draw, plan=plan), 2 if n >= 4 * len(COUNTS) else 1
    # It has no files, so that nothing is ever written.
    return Twin("asd_fusion", COUNTS, draw, draw, {}, plan.seed, least=least)


def _draw(who: Who, rng: np.random.Generator, *, plan: _Plan) -> tuple[dict, SimpleNamespace]:
    """A subject's row of the table and of the truth, twice: as columns, and as attributes."""
    site, label = _site(who.site, plan.seed), who.label
    age = float(np.clip(site.median_age * np.exp(rng.normal(0, 0.3)), 5, 40))
    motion = _USUAL_FD * np.exp(rng.normal(0.2 * label - 0.3 * np.log(age / 14), 0.6))
    fiq = np.nan if rng.random() < 0.03 else round(rng.normal(111 - 4.5 * label, 13))
    severity = SHIFT * plan.effect * label + rng.normal()
    modulation, unknown, function, structure = rng.normal(size=4)
    told = np.clip(plan.interaction, -1, 1)  # how far structure tells what modulates
    factor = told * modulation + np.sqrt(1 - told**2) * unknown
    expressed = severity * (1 + _MODULATION * max(abs(plan.interaction), 1) * factor)
    number = 60000 + 200 * list(COUNTS).index(who.site) + int(who.subject.rpartition("-")[2])
    row = {  # the number in the manner of ABIDE
        "subject": str(number), "site": who.site, "label": label, "age": round(age, 2),
        "sex": "M", "fiq": fiq, "eyes": site.eyes, "motion": round(motion, 4), "tr": site.tr,
        "volumes": site.volumes, "institution": institution_of(who.site), "severity": severity,
        "function": expressed + _FUNCTION_NOISE * function,
        "structure": severity + _STRUCTURE_NOISE * structure, "modulation": modulation,
    }  # fmt: skip
    return row, SimpleNamespace(**row)


@lru_cache(maxsize=1024)
def _site(name: str, seed: int) -> SimpleNamespace:
    """A site's habits, and its scanner's deviations from the usual."""
    rng = chance(seed, f"site {name}")
    tr = float(rng.choice([1.5, 2.0, 2.0, 2.0, 2.2, 2.5, 3.0]))
    return SimpleNamespace(
        tr=tr,
        volumes=int(np.clip(rng.uniform(250, 560) / tr, 80, 300)),
        eyes="closed" if rng.random() < 0.3 else "open",
        median_age=float(np.exp(rng.normal(np.log(13.5), 0.3))),
        noise=rng.uniform(-0.15, 0.15),  # in SD of the signal
        modes=rng.normal(0, 0.2, _RANK),  # log of a factor, as are area and deep
        area=rng.normal(0, 0.03),
        thickness=rng.normal(0, 0.06) + rng.normal(0, 0.05, len(_DESIKAN)),  # mm
        deep=rng.normal(0, 0.04, len(_DEEP)),
        coil=rng.normal(0, 0.1, 300),  # noise of each region, in SD of the signal
    )


@lru_cache(maxsize=8)
def _patterns(atlas: str) -> SimpleNamespace:
    """How correlations vary: matrices of regions; the modes are rank x regions.

    They are the same whatever the seed, as another cohort's brains are wired alike.
    """
    from scipy.spatial.distance import cdist

    rng, regions = chance(_WIRING, f"atlas {atlas}"), regions_of(atlas)
    network, centers = pd.factorize(regions.network)[0], regions[["x", "y", "z"]].to_numpy()
    apart, opposite = cdist(centers, centers), cdist(centers * [-1, 1, 1], centers)
    base: NDArray = _GLOBAL + _SAME * np.equal.outer(network, network)
    base = base + _NEIGHBOR * (np.exp(-apart / 20) + np.exp(-opposite / 10))
    np.fill_diagonal(base, 1)
    modes: NDArray = rng.normal(size=(_RANK, network.max() + 1))[:, network]
    modes += rng.normal(0, 0.7, modes.shape)
    modes /= np.linalg.norm(modes, axis=0)
    mean = (1 - _SHARE) * base + _SHARE * modes.T @ modes
    one, other = modes[:, :, None], modes[:, None, :]
    bend = one * other - mean / 2 * (one**2 + other**2)  # of the correlation, by mode
    spread = np.sqrt(_SHARE**2 / _SHAPE * (bend**2).sum(axis=0) + _BLOCK**2)
    return SimpleNamespace(
        network=network, base=base, modes=modes, spread=spread,
        planted=_planted(regions, rng), motion=np.tanh((60 - apart) / 30),
    )  # fmt: skip


def _planted(regions: pd.DataFrame, rng: np.random.Generator) -> NDArray:
    """Sign and relative size of what severity does to an edge, or 0."""
    # Where an atlas has no attention networks, the cingulo-opercular one stands for them.
    roles, names = ("default", "attention|cingulo-opercular"), regions.network.str
    default, attention = (names.contains(role, case=False).to_numpy() for role in roles)
    crossing = np.outer(default, attention).astype(float)
    sign = crossing + crossing.T - np.outer(default, default)
    size = rng.uniform(0.9, 1.1, sign.shape) * (rng.random(sign.shape) < _CHANGED)
    upper = np.triu(sign * size, 1)
    return upper + upper.T


def _coupling(person: SimpleNamespace, rng: np.random.Generator, plan: _Plan) -> NDArray:
    """Covariance of a subject's regions, before the scanner's noise."""
    site, pattern = _site(person.site, plan.seed), _patterns(plan.atlas)
    amounts = rng.gamma(_SHAPE, 1 / _SHAPE, _RANK) * np.exp(plan.site * site.modes)
    pairs = rng.normal(0, _BLOCK, (pattern.network.max() + 1,) * 2)
    moved = _MOTION * plan.motion * np.log(person.motion / _USUAL_FD)
    return (
        (1 - _SHARE) * pattern.base
        + _SHARE * (pattern.modes.T * amounts) @ pattern.modes
        + ((pairs + pairs.T) / np.sqrt(2))[np.ix_(pattern.network, pattern.network)]
        + (_EDGE * person.function * pattern.planted + moved * pattern.motion) * pattern.spread
    )


def _series(person: SimpleNamespace, rng: np.random.Generator, plan: _Plan) -> NDArray[np.float32]:
    from scipy.signal import lfilter

    site = _site(person.site, plan.seed)
    values, vectors = np.linalg.eigh(_coupling(person, rng, plan).astype(np.float32))
    # The symmetric root, which changes smoothly with what is planted, unlike the vectors.
    mixing = (vectors * np.sqrt(np.maximum(values, 0.01))) @ vectors.T
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    start = 20  # volumes until the series has forgotten how it began
    noise = rng.standard_normal((2, start + site.volumes, len(mixing)), dtype=np.float32)
    memory = np.exp(-site.tr / _MEMORY_S)
    slow = lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise[0], axis=0)
    scanner = _USUAL_NOISE + plan.site * (site.noise + site.coil[: len(mixing)])
    return (slow @ mixing.T + scanner * noise[1])[start:].astype(np.float32)


def _fisher_z(series: NDArray[np.float32]) -> NDArray[np.float32]:
    matrix = np.asarray(np.corrcoef(series, rowvar=False))
    return np.arctanh(matrix[edges(len(matrix))]).astype(np.float32)


def _anatomy(person: SimpleNamespace, plan: _Plan) -> NDArray:
    """Features of a subject in the order of `FEATURES`."""
    rng, site = chance(plan.seed, f"anatomy {person.subject}"), _site(person.site, plan.seed)
    head = 0.1 * rng.normal() + plan.site * site.area
    usual_area, usual_thickness = np.array(list(_DESIKAN.values())).T
    area = usual_area * np.exp(head + _both_sides(rng, len(_DESIKAN), 0.08, 0.085))
    thickness = usual_thickness * (1 - 0.075 * np.log(person.age / 14))
    thickness = thickness + plan.site * site.thickness + _deviation(person, rng, plan)
    volume = 1.1 * area * thickness * np.exp(rng.normal(0, 0.03, area.shape))
    smaller = _DEEP_SD * _FEATURE * person.structure * _signs(_DEEP)
    deep = 0.65 * head + rng.normal(0, 0.05) + smaller + plan.site * site.deep
    deep = np.array(list(_DEEP.values())) * np.exp(deep + _both_sides(rng, len(_DEEP), 0.06, 0.05))
    rare = rng.gamma(1, 3, 2) * (rng.random(2) < 0.03)  # nobody else has any
    skull = [1.55e6 * np.exp(head + rng.normal(0, 0.05))]
    parts = [area.round(), thickness.round(3), volume.round(), deep.round(1), rare.round(1), skull]
    return np.concatenate([np.ravel(part) for part in parts])


def _deviation(person: SimpleNamespace, rng: np.random.Generator, plan: _Plan) -> NDArray:
    """How thickness (mm) deviates from what is usual at that age and site, by side and region."""
    planted = _FEATURE * person.structure * _signs(_DESIKAN)
    planted = planted + 0.7 * person.modulation * np.isin(list(_DESIKAN), _MODULATING)
    everywhere = rng.normal(0, 0.07) - 0.02 * plan.motion * np.log(person.motion / _USUAL_FD)
    return _THICKNESS_SD * planted + everywhere + _both_sides(rng, len(_DESIKAN), 0.09, 0.1)


def _signs(names: dict[str, Any]) -> NDArray:
    return np.array([_SIGNS.get(name, 0) for name in names])


def _both_sides(rng: np.random.Generator, count: int, shared: float, own: float) -> NDArray:
    return rng.normal(0, shared, count) + rng.normal(0, own, (2, count))


def _true_edges(plan: _Plan) -> pd.DataFrame:
    regions = regions_of(plan.atlas)
    pattern = _patterns(plan.atlas).planted[edges(len(regions))]
    names = {"name": edge_names(regions), "networks": network_pairs(regions)}
    size = SHIFT * plan.effect * _EDGE * pattern
    table = pd.DataFrame(names | {"size": size, "sign": np.sign(pattern).astype(int)})
    return table[table.sign != 0].rename_axis("edge").reset_index()


def _true_features(plan: _Plan) -> pd.DataFrame:
    rows = [
        (feature, SHIFT * plan.effect * _FEATURE * sign * _share(name, feature), sign)
        for feature in FEATURES
        for name, sign in _SIGNS.items()
        if feature.endswith((f"_{name}_thickness", f"_{name}_volume", f"-{name}"))
    ]
    return pd.DataFrame(rows, columns=["feature", "size", "sign"])


def _share(name: str, feature: str) -> float:
    """What is left of a thickness' size in a feature."""
    if not feature.endswith("_volume"):
        return 1.0
    return 1 / (1 + (_AREA_SD * _DESIKAN[name][1] / _THICKNESS_SD) ** 2) ** 0.5
