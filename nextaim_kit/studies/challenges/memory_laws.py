"""The memory of training by edge and batch: predicted, measured where it can be, and its laws."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from nextaim_kit.errors import RequestError
from nextaim_kit.machine.limits import memory_available
from nextaim_kit.memory.cards import chosen
from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.measuring import measure
from nextaim_kit.memory.planning import Plan, plan
from nextaim_kit.memory.step_memory import CONTEXT, GB, Device, Step

_FAR = 4  # times what may be used: a GPU's prediction above it says enough about a CPU's
_SHARE = 0.7  # of the free memory that a measured step may take: the notebook holds more than it
Build = Callable[[], nn.Module]


def cube(build: Build, edge: int, batch: int, device: Device = "cuda", channels: int = 1) -> Step:
    """A training step on cubes in single precision, the loss the usual one."""
    inputs = (((channels, edge, edge, edge), "float32"),)
    return Step(build, inputs, batch_size=batch, device=device)


def step_gb(build: Build, shape: Sequence[int], batch: int) -> float:
    """Predicted memory in GB of a training step on a GPU, for images (channels, x, y, z)."""
    return dry_run(Step(build, ((tuple(shape), "float32"),), batch_size=batch)).peak / GB


def memory_grid(
    build: Build, edges: Sequence[int], batches: Sequence[int], *, check: Callable[[int], None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Memory of a training step on a GPU for every edge and batch.

    Parameters
    ----------
    build : callable
        Makes the network.
    edges, batches : sequence of int
        Voxels along a side of the cube; cubes at once.
    check : callable
        Of an edge; raises a `RequestError` for one that the network cannot take.

    Returns
    -------
    (DataFrame, DataFrame)
        ``edge``, ``batch``, ``gb`` (tensors and allowances, 10**9 bytes), ``how`` ("dry run" for
        three batches of each edge, "law" for what lies on the straight line through the first and
        the last), ``law_error`` (%, of the line at the dry run between them); and the edges that
        cannot be: ``edge``, ``problem``.

    Raises
    ------
    RequestError
        If there is no edge or no batch.
    """
    if not edges or not batches:
        raise RequestError("the grid is empty", expected="at least one edge and one batch")
    rows, wrong = [], []
    for edge in sorted(set(edges)):
        try:
            check(edge)
            rows += _along_batches(build, edge, sorted(set(batches)))
        except RequestError as error:
            wrong.append({"edge": edge, "problem": f"{error.what}; {error.mend}"})
    columns = ["edge", "batch", "gb", "how", "law_error"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(wrong, columns=["edge", "problem"])


def _along_batches(build: Build, edge: int, batches: list[int]) -> list[tuple]:
    """Three dry runs, first, second and last; the rest by the line through first and last."""
    run = sorted({*batches[:2], batches[-1]})
    known = {batch: dry_run(cube(build, edge, batch)).peak / GB for batch in run}
    ends = [run[0], run[-1]]
    line = np.interp(batches, ends, [known[batch] for batch in ends])
    rows = []
    for batch, by_law in zip(batches, line, strict=True):
        error = 100 * (by_law / known[batch] - 1) if batch in known else np.nan
        how = "dry run" if batch in known else "law"
        rows.append((edge, batch, known.get(batch, float(by_law)), how, float(error)))
    return rows


def measured_cells(
    build: Build, grid: pd.DataFrame, *, limit_gb: float, device: Device
) -> pd.DataFrame:
    """Predict and really run the cells of a grid that this machine can bear.

    Parameters
    ----------
    build : callable
    grid : DataFrame
        As `memory_grid` gives it.
    limit_gb : float
        No step that is predicted to take more is run, nor one beyond what is free.
    device : {"cpu", "cuda"}

    Returns
    -------
    DataFrame
        ``edge``, ``batch``, ``predicted_mb`` and ``measured_mb`` (tensors, 10**6 bytes),
        ``error`` (%), ``skipped`` (why a cell was not run, else empty).

    Raises
    ------
    RequestError
        If not one cell can be run.
    """
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else memory_available()
    limit = min(limit_gb * GB, _SHARE * free)
    rows = []
    for edge, batch, gb in zip(grid["edge"], grid["batch"], grid["gb"], strict=True):
        step, row = cube(build, int(edge), int(batch), device), {"edge": edge, "batch": batch}
        far = gb * GB - CONTEXT > _FAR * limit  # such a cell needs no dry run of its own
        size = int(gb * GB) if far else dry_run(step).tensors
        if size > limit:
            why = f"takes {size / GB:.2f} GB, allowed are {limit / GB:.2f} GB"
            rows.append(row | {"skipped": why})
            continue
        true = measure(step).peak
        rows.append(row | {"predicted_mb": size / 1e6, "measured_mb": true / 1e6,
                           "error": 100 * (size / true - 1), "skipped": ""})  # fmt: skip
    columns = ["edge", "batch", "predicted_mb", "measured_mb", "error", "skipped"]
    table = pd.DataFrame(rows, columns=columns)
    if (table["skipped"] != "").all():
        raise RequestError(
            "no cell of the grid can be measured here",
            expected="one at least within what may be used",
            found=f"{limit / GB:.2f} GB allowed, {free / GB:.2f} GB free",
            mend="allow more, or put a smaller edge into the grid",
        )
    return table


def laws(grid: pd.DataFrame) -> dict[str, float]:
    """What the grid obeys.

    Returns
    -------
    dict
        ``bytes_per_voxel``, the slope in the batch at the largest edge over the edge's cube;
        ``fixed_gb``, what the line leaves at no batch at all; ``edge_exponent``, the slope of the
        logarithms of memory per item and edge; ``law_error``, the worst miss of the line in %.

    Raises
    ------
    RequestError
        If the grid has fewer than two edges or two batches.
    """
    table = grid.pivot(index="edge", columns="batch", values="gb")
    if min(table.shape) < 2:
        raise RequestError(
            "no law can be fitted to this grid",
            expected="two edges and two batches at least",
            found=f"{table.shape[0]} and {table.shape[1]}",
        )
    batches, edges = table.columns.to_numpy(float), table.index.to_numpy(float)
    slope = (table.iloc[:, -1] - table.iloc[:, 0]).to_numpy() / (batches[-1] - batches[0])
    return {
        "bytes_per_voxel": float(slope[-1] * GB / edges[-1] ** 3),
        "fixed_gb": float(table.iloc[-1, 0] - slope[-1] * batches[0]),
        "edge_exponent": float(np.polyfit(np.log(edges), np.log(slope), 1)[0]),
        "law_error": float(grid["law_error"].abs().max()),
    }


def largest_edges(build: Build, edges: Sequence[int], budget_gb: float) -> pd.DataFrame:
    """Which cubes can be trained on, one at a time, as it comes and by plan.

    Returns
    -------
    DataFrame
        ``edge``, ``plain_gb``, ``plain_fits``, ``planned_gb``, ``planned_fits``,
        ``expected_time`` (in units of the plain step), ``tricks``.
    """
    rows = []
    for edge in sorted(set(edges)):
        found = plan(build, (1, edge, edge, edge), budget_gb=budget_gb)
        plain = found.rows[0].memory
        size = plain.peak / GB if plain else np.nan
        time = found.taken[-1].time if found.taken else 1.0
        tricks = ", ".join(row.trick for row in found.taken) or "none"
        rows.append(
            (edge, size, size <= budget_gb, found.memory.peak / GB, found.fits, time, tricks)
        )
    names = ["edge", "plain_gb", "plain_fits", "planned_gb", "planned_fits", "expected_time"]
    return pd.DataFrame(rows, columns=[*names, "tricks"])


def checkpointing(build: Build, edge: int) -> tuple[float, float]:
    """Memory and expected time with blocks computed twice, in units of the plain step.

    Of one cube in single precision on a GPU, so that no other trick has a part in it.
    """
    found = plan(build, (1, edge, edge, edge), budget_gb=1e-3, mixed="off")
    plain, row = found.rows[0], next(r for r in found.rows if r.trick.endswith("checkpointing"))
    if plain.memory is None or row.memory is None or row.time is None:
        raise RequestError("this network has no blocks that could be computed twice")
    return row.memory.peak / plain.memory.peak, row.time


def by_level(build: Build, edge: int, channels: int = 1) -> pd.DataFrame:
    """What each level of a network writes in the forward pass, for one cube.

    Returns
    -------
    DataFrame
        ``edge`` (voxels along a side at this level), ``layers`` (that wrote), ``mb`` (10**6
        bytes), ``share`` (%), largest edge first.
    """
    written: dict[int, Tensor] = {}

    def keep(_module: nn.Module, _given: object, made: object) -> None:
        if isinstance(made, Tensor):  # what is changed in place is no new storage
            written.setdefault(made.untyped_storage()._cdata, made)

    with torch.device("meta"):
        net = build()
        for module in net.modules():
            if not list(module.children()):
                module.register_forward_hook(keep)
        net(torch.empty(1, channels, edge, edge, edge))
    sizes = [(one.shape[-1], one.numel() * one.element_size() / 1e6) for one in written.values()]
    table = pd.DataFrame(sizes, columns=["edge", "mb"]).groupby("edge")["mb"].agg(["size", "sum"])
    table = table.rename(columns={"size": "layers", "sum": "mb"}).sort_index(ascending=False)
    return table.assign(share=100 * table["mb"] / table["mb"].sum()).reset_index()


def parts_of(build: Build, cells: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Where the memory of some cells goes: a row for each (edge, batch), a column for each part.

    Parts are in GB: weights with gradients and Adam's two states, activations, what the backward
    pass makes for the time being, inputs, and the allowances.
    """
    kinds = {"parameters": "weights", "buffers": "weights", "gradients": "weights",
             "optimizer": "weights"}  # fmt: skip
    rows = []
    for edge, batch in cells:
        found = dry_run(cube(build, edge, batch))
        row: dict[str, float] = {"weights": 0.0, "activations": 0.0, "temporaries": 0.0}
        for name, size in (found.parts | found.allowances).items():
            kind = kinds.get(name, name)
            row[kind] = row.get(kind, 0.0) + size / GB
        rows.append({"edge": edge, "batch": batch} | row)
    return pd.DataFrame(rows).fillna(0.0)


def by_card(build: Build, edge: int, batch: int, names: Sequence[str] = ()) -> pd.DataFrame:
    """By which plan one cube's training fits each card.

    Parameters
    ----------
    build : callable
    edge, batch : int
    names : sequence of str
        Of `nextaim_kit.memory.cards.CARDS`; none: all.

    Returns
    -------
    DataFrame
        ``card``, ``memory_gb``, ``runs``, ``plan`` (tricks that are taken, or ``as it is``; why it
        does not run), ``planned_gb`` and ``time`` (in units of the plain step), NaN where it does
        not.
    """
    plans: dict[float, Plan] = {}
    rows = []
    for name, card in chosen(names).items():
        size = card.memory_gb
        if size not in plans:
            plans[size] = plan(build, (1, edge, edge, edge), budget_gb=size, batch_size=batch)
        found = plans[size]
        runs = found.fits and bool(card.build)
        how = " + ".join(row.trick for row in found.taken) or "as it is"
        no = "no torch has code for it" if not card.build else "too large, by any plan"
        last = [row.time for row in found.rows if row.time and row.verdict == "taken"] or [1.0]
        seen = (found.memory.peak / GB, last[-1]) if runs else (np.nan, np.nan)
        rows.append((name, size, runs, how if runs else no, *seen))
    return pd.DataFrame(rows, columns=["card", "memory_gb", "runs", "plan", "planned_gb", "time"])
