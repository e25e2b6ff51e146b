"""How a model of a table is made: what is fitted, and what is chosen from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.model_selection import ParameterGrid

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.models import GRIDS, Model, estimator
from nextaim_kit.learn.selection import Kind

Setting = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """How a model is made from training patients, whichever they are.

    Attributes
    ----------
    model : {"xgboost", "logistic", "mlp"}
    selectors : sequence of {"mrmr", "xgboost", "mutual_information", "none"}
    ks : sequence of int
        Numbers of features to try; no more than there are.
    grid : mapping of str to sequence, optional
        Hyper-parameters to try, all combinations; by default ``models.GRIDS[model]``.
    inner : int
        Folds of the training patients that choose from all these.
    combat : ComBat, optional
        Harmonization; a site that it has not seen in a training part is its own to refuse.
    by : sequence of str
        What folds are alike in, the label first: ``("label", "site")``.
    leaky : bool
        For teaching, and wrong: rank the features on all rows, those to be tested among them.

    Examples
    --------
    >>> Method("logistic", ["mrmr"], ks=[5, 10], grid={"C": [1.0]}).settings(features=7)[1]
    {'selector': 'mrmr', 'k': 7, 'hyper': {'C': 1.0}}
    """

    model: Model = "xgboost"
    selectors: Sequence[Kind] = ("mrmr",)
    ks: Sequence[int] = (5, 10, 20)
    grid: Mapping[str, Sequence[Any]] | None = None
    inner: int = 4
    combat: Any | None = None
    by: Sequence[str] = ("label",)
    leaky: bool = False

    def settings(self, features: int) -> list[Setting]:
        """All that is tried with so many features.

        Raises
        ------
        RequestError
            If nothing is, or there is no such model or parameter.
        """
        if not self.selectors or not self.ks or min(self.ks) < 1:
            raise RequestError(
                "nothing to choose from",
                expected="a selector, and numbers of features, at least 1",
                found=f"selectors {list(self.selectors)}, ks {list(self.ks)}",
            )
        ks = sorted({min(k, features) for k in self.ks})
        # Without a selector the number of features is no choice.
        pairs = [(s, k) for s in self.selectors for k in ([None] if s == "none" else ks)]
        if self.model not in GRIDS:
            estimator(self.model)
        grid = self.grid or GRIDS[self.model]
        points = list(ParameterGrid({name: list(values) for name, values in grid.items()}))
        for point in points:
            estimator(self.model, **point)
        return [{"selector": s, "k": k, "hyper": point} for s, k in pairs for point in points]
