"""What is refused of the challenges' parameters before a kernel starts.

Raised is what the notebooks would raise later, minutes later some of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from nextaim_kit.catalog import require_task
from nextaim_kit.errors import RequestError


def memory_budget(machines: Sequence[str]) -> None:
    """Judge names of cards: a `RequestError` names the near miss of one that there is not."""
    if machines:
        from nextaim_kit.memory.cards import chosen

        chosen(machines)


def privacy(table_study: str, film_study: str) -> None:
    """Judge names of studies: a `RequestError` names the near miss of one that offers no data."""
    for study in (table_study, film_study):
        require_task(study)


def limited_data(study: str, transfer_from: str) -> None:
    """Judge names of studies, as `privacy` does, of which the second is empty or another one."""
    require_task(study)
    if transfer_from:
        require_task(transfer_from)
    require_another(transfer_from, study)


def explainability(study: str) -> None:
    """Judge the name of a study, as `privacy` does."""
    require_task(study)


def require_another(transfer_from: str, study: str) -> None:
    """Raise `RequestError` where a study is to be learned from before itself."""
    if transfer_from == study:
        raise RequestError(
            f"{study} cannot be transferred from to itself", expected="another study, or none"
        )
