"""What it takes to fine-tune the published sizes of mT5, found without a GPU or their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch

from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.step_memory import GB, Step
from nextaim_kit.studies.report_structuring.text_model.network import MT5_VOCABULARY, SHAPES, plain
from nextaim_kit.studies.report_structuring.text_model.pretraining import each_token

PUBLISHED: tuple[str, ...] = tuple(size for size in SHAPES if size.startswith("mt5"))
SLICES = (9.5, 16.0, 32.0)


def memory_plans(
    sizes: Sequence[str] = PUBLISHED, budgets: Sequence[float] = SLICES, *,
    vocabulary: int = MT5_VOCABULARY, batch_size: int = 8, tokens: tuple[int, int] = (512, 128),
) -> pd.DataFrame:  # fmt: skip
    """Whether fine-tuning fits into GPUs: as it is, or a report at a time, layers computed twice.

    In single precision, as half overflows in mT5, and with AdamW: 16 bytes a weight before any
    activation. A dry run of the planner (`memory.dry_run`): half a minute for small, one or two
    for XL.

    Parameters
    ----------
    sizes : sequence of str
    budgets : sequence of float
        GB of 10**9 bytes.
    vocabulary : int
        Tokens; of a trimmed vocabulary fewer than mT5's 250,112.
    batch_size : int
    tokens : (int, int)
        Of a report and of its answer.

    Returns
    -------
    DataFrame
        ``size``, ``parameters``, ``weights_gb``, ``batch_gb`` (a step of a batch),
        ``lean_gb`` (a report at a time, gradients added up, feed-forward layers computed twice),
        and for each budget a column such as ``16 GB``: ``yes``, ``lean`` or ``no``.

    Notes
    -----
    A batch of 8 and a report at a time: small 10.9 and 7.2 GB, base 21.4 and 12.7, large 47.3 and
    26.3, XL 111 and 79: its 3.7 billion weights alone are 15 GB, and 60 with gradients and AdamW.
    """
    from transformers.models.mt5.modeling_mt5 import MT5LayerFF

    rows = []
    for size in sizes:
        with torch.device("meta"):
            count = sum(w.numel() for w in plain(size, vocabulary).parameters())
        batch = Step(
            partial(plain, size, vocabulary), (((tokens[0],), "int64"), ((tokens[1],), "int64")),
            ((), "int64"), each_token, batch_size, optimizer=torch.optim.AdamW,
        )  # fmt: skip
        lean = replace(batch, batch_size=1, accumulate=batch_size, recompute=(MT5LayerFF,))
        whole, least = (dry_run(step).peak / GB for step in (batch, lean))
        rows.append({
            "size": size, "parameters": count, "weights_gb": 4 * count / GB, "batch_gb": whole,
            "lean_gb": least,
            **{f"{b:g} GB": "yes" if whole <= b else "lean" if least <= b else "no"
               for b in budgets},
        })  # fmt: skip
    return pd.DataFrame(rows)
