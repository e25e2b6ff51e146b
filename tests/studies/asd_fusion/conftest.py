"""Small synthetic brains whose function and structure tell the outcome by different shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.asd_fusion.brains import Brains

REGIONS = 40


def made(n=240, *, function=0.35, structure=1.0, sites=6, seed=0) -> Brains:
    """Brains of sites that shift all features; an eighth of edges and measures tell the outcome."""
    rng = np.random.default_rng(seed)
    site = np.arange(n) % sites
    y = rng.permutation(n) % 2
    edges = rng.normal(0, 0.3, (n, REGIONS * (REGIONS - 1) // 2))
    edges += rng.normal(0, 0.15, (sites, edges.shape[1]))[site]
    edges[:, : edges.shape[1] // 8] += 0.3 * function * y[:, None]
    measures = rng.normal(2.5, 0.2, (n, 24))
    measures += rng.normal(0, 0.15, (sites, 24))[site]
    measures[:, :3] += 0.2 * structure * y[:, None]
    table = pd.DataFrame({"subject": [f"S{k:03d}" for k in range(n)]})
    table["site"] = [f"H{k // 2}_{k % 2 + 1}" for k in site]
    table = table.assign(label=pd.array(y, "Int64"), age=rng.uniform(6, 40, n), sex="M",
                         fiq=rng.normal(105, 12, n), eyes="open", tr=2.0, volumes=200.0,
                         motion=np.exp(rng.normal(-2.3, 0.6, n) + 0.3 * y),
                         institution=[f"H{k // 2}" for k in site])  # fmt: skip
    regions = pd.DataFrame({"region": [f"region {k}" for k in range(REGIONS)]})
    regions["network"] = [f"net {k % 4}" for k in range(REGIONS)]
    regions[["x", "y", "z"]] = rng.uniform(-60, 60, (REGIONS, 3))
    names = [f"lh_area{k}_thickness" for k in range(24)]
    frame = pd.DataFrame(measures, columns=names)
    return Brains(table, edges.astype(np.float32), frame, regions, synthetic=True)


@pytest.fixture(scope="session")
def brains() -> Brains:
    """All 240 of them."""
    return made()
