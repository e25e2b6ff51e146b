"""What only the study of spots needs: its twin, its pictures, its network, its report."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.images.films import read_film
from nextaim_kit.files import atomic_path
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code, OwnSystem
from nextaim_kit.report.model import Template
from nextaim_kit.report.quantity import Quantity
from nextaim_kit.twins.twin import Twin

EDGE = 32  # pixels
OWN = OwnSystem("99SPOTS", "http://example.org/spots", "Spots of the skin", "SP")
SKIN = {"site": Code(codes.SNOMED, "39937001", "Skin"), "finding": codes.LESION}


def draw(who, rng):
    """Radius and raggedness of a patient's spot, in pixels."""
    radius, ragged = rng.uniform(7, 11), abs(rng.normal(3.0 if who.label else 0.5, 0.4))
    return {"truth_radius": radius, "truth_ragged": ragged}, (radius, ragged)


def write(drawn, rng, paths):
    """A dark spot whose border waves, with noise."""
    radius, ragged = drawn
    y, x = np.mgrid[:EDGE, :EDGE] - (EDGE - 1) / 2
    border = radius + ragged * np.sin(7 * np.arctan2(y, x) + rng.uniform(0, 6))
    gray = np.where(np.hypot(x, y) < border, 80, 180) + rng.normal(0, 12, (EDGE, EDGE))
    with atomic_path(paths["image"]) as unfinished:
        Image.fromarray(gray.clip(0, 255).astype(np.uint8)).save(unfinished, "PNG")


def make_twin(n=80, *, seed=0):
    """Patients of three sites, half of them with a ragged spot."""
    counts = dict.fromkeys("ABC", (40, 40))
    files = {"image": ".png"}
    return Twin("spots", counts, partial(draw), partial(write), files, seed).make(n, workers=1)


def picture(row):
    """A patient's picture, and how many of its pixels are dark."""
    pixels = read_film(row["image"]).shown.astype(np.float32)
    return {"picture": (pixels - 130) / 50, "size": float((pixels < 130).sum())}


def load(table):
    """Pictures (n, 1, 32, 32), the readable patients with their spots' size, and the failures."""
    found = each(table, picture, workers=1)
    pictures = np.stack([one["picture"] for one in found.results])[:, None]
    rows = found.rows.assign(size=[one["size"] for one in found.results]).reset_index(drop=True)
    return pictures, rows, found.failures


def network():
    """Two convolutions, then the means of what they found; gives a logit."""
    layers = [nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 1))


def items(pictures, table, rows):
    """Some rows as a data set."""
    y = torch.tensor(table["label"].to_numpy(np.float32)[rows])[:, None]
    return torch.utils.data.TensorDataset(torch.from_numpy(pictures[rows]), y)


def predictions(table, rows, p, fold):
    """Predictions of some rows, as `learn` takes them."""
    found = table.iloc[rows][["subject", "site"]].reset_index(drop=True)
    y = table["label"].to_numpy(int)[rows]
    return found.assign(fold=fold, repeat=0, y=y, p=p, threshold=0.5)


def task(cohort, n, seed):
    """What it offers for questions that cut across."""
    table = load_cohort(cohort, twin=lambda: make_twin(n, seed=seed), columns=("image",))
    pictures, rows, failures = load(table)
    return StudyTask("spots", "image", pictures, rows["label"], rows["subject"], rows["site"],
                     rows[["size"]], lambda seed: torch.manual_seed(seed) and network(),
                     synthetic=cohort == "synthetic", failures=failures)  # fmt: skip


TEMPLATE = Template(
    name="spots", title="Spot of the skin", code=Code(OWN, "SP-REPORT", "Report of a spot"),
    system=OWN,
    quantities=(
        Quantity("size", "Area", Code(OWN, "SP-SIZE", "Area"), "number", "threshold",
                 unit=codes.PERCENT, low=0, high=100, **SKIN),
        Quantity("ragged", "Ragged border", Code(OWN, "SP-RAGGED", "Ragged"), "flag", "network",
                 **SKIN),
    ),
    sentences=lambda report: [f"The spot fills {report.values['size']} % of the picture."],
)  # fmt: skip


def report_rows(tested, table):
    """What the report says of each patient."""
    rows = tested.merge(table[["subject", "size"]], on="subject")
    size = (100 * rows["size"] / EDGE**2).round(1)
    return pd.DataFrame({"subject": rows["subject"], "software": "spots, 1", "size": size,
                         "ragged": rows["p"] >= 0.5, "provenance_synthetic": True})  # fmt: skip
