"""What the exercises of these notebooks expect, from the reader's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nextaim_kit.show.feedback import feedback


def check_law(answer: Any, found: Mapping[str, float], edge: int, batch: int) -> None:
    """Memory in GB of a cell that is not in the grid, by the laws."""
    expected = found["fixed_gb"] + found["bytes_per_voxel"] * edge**3 * batch / 1e9
    hint = "fixed_gb, and bytes_per_voxel for each voxel of the whole batch; 10**9 bytes are 1 GB"
    feedback(answer, expected, tolerance=0.01, hint=hint)


def check_largest_batch(answer: Any, grid: pd.DataFrame, edge: int, budget_gb: float) -> None:
    """Largest batch of the grid that fits at an edge; 0 where none does."""
    fits = grid[(grid["edge"] == edge) & (grid["gb"] <= budget_gb)]
    expected = int(fits["batch"].max()) if len(fits) else 0
    feedback(answer, expected, hint="rows with this edge and a gb within the budget; their max")


def check_leanest(answer: Any, costs: pd.DataFrame) -> None:
    """Work-around whose measured memory is least."""
    least = costs["way"][costs["measured_mb"] == costs["measured_mb"].min()].astype(str).tolist()
    expected = answer if answer in least else least[0]
    feedback(answer, expected, hint="costs['measured_mb'].argmin() gives a row of costs")


def check_idle(answer: Any) -> None:
    """Idle share, in %, of two equal devices when a batch goes through in four pieces."""
    hint = "four pieces take five turns: in how many of the 2 x 5 is a device idle?"
    feedback(answer, 20.0, tolerance=1e-6, hint=hint)
