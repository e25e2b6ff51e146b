"""The figures of features can be saved, are the same again, and say what they show."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.ct_radiomics.figures import chosen_features, volume_scatter

RNG = np.random.default_rng(3)
NAMES = [f"original_glcm_F{i}" for i in range(4)]
PATIENTS = pd.DataFrame(RNG.normal(size=(120, 4)), columns=NAMES).assign(
    label=np.repeat([0, 1], 60), lesion_volume_ml=RNG.uniform(1, 50, 120)
)
CHOSEN = pd.DataFrame({"feature": NAMES, "frequency": [1.0, 0.2, 0.6, 0.4]})
BY_SELECTOR = pd.concat([CHOSEN.assign(selector=s) for s in ("mrmr", "mutual_info")])
DRAWN = {
    "chosen": (lambda: chosen_features(CHOSEN), "glcm F0 100%; glcm F2 60%"),
    "by selector": (lambda: chosen_features(BY_SELECTOR), "glcm F0 100%"),
    "volume": (
        lambda: volume_scatter(PATIENTS, NAMES),
        "Rank correlation with lesion volume: glcm F0",
    ),
}


def saved(figure):
    file = io.BytesIO()
    figure.savefig(file, metadata={"Software": None})
    return file.getvalue()


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_says_what_it_shows_and_is_the_same_again(name):
    draw, said = DRAWN[name]
    figure = draw()
    assert said in alt_of(figure)
    assert saved(figure) == saved(draw())
    assert any(axis.get_xlabel() or axis.get_title(loc="left") for axis in figure.axes)
