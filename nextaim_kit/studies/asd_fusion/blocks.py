"""Brains as numbers that a model can take: blocks of one modality each, fitted in the fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.connectivity import Filled, Kind, Represented, regions_in

Part = Literal["function", "structure", "confounds"]
_SETTINGS = ("kind", "shrinkage", "by_site", "without_motion")


class Blocks:
    """One row of numbers per subject: one block for each part, blocks of equal weight.

    Each block is centered on the training subjects and scaled so that their rows have a mean
    squared length of 1, however many numbers it has. What is missing becomes the training
    subjects' mean, so that a modality that a subject lacks says nothing.

    Parameters
    ----------
    parts : sequence of {"function", "structure", "confounds"}
        Edges; FreeSurfer's features, each standardized; site, age, FIQ and motion.
    kind, shrinkage
        Of the edges, as for `connectivity.Represented`.
    by_site : bool
        Take from function and structure each site's own mean. Of a site that was not in training it
        is the mean of the subjects that are given: unlabeled, but more than one is needed.
    without_motion : bool
        Take from function and structure what goes with the logarithm of mean FD, by a slope of each
        number within the training subjects' sites. It takes some of autism too, which goes with
        motion. A subject whose motion is not known stays as it is.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        kind: Kind = "correlation",
        shrinkage: float = 0.5,
        by_site: bool = False,
        without_motion: bool = False,
    ) -> None:
        unknown = [part for part in parts if part not in get_args(Part)]
        if unknown or not parts:
            raise RequestError(
                f"no such part of a brain: {unknown}", expected=", ".join(get_args(Part))
            )
        self.parts, self.kind, self.shrinkage, self.by_site = parts, kind, shrinkage, by_site
        self.without_motion = without_motion

    def fit(self, brains: Brains) -> Self:
        """Learn means, scales and the representation from training subjects."""
        if self.kind != "correlation" and brains.edge.startswith("partial"):
            raise RequestError(
                f"{self.kind!r} cannot be made of partial correlations",
                expected="edges that are correlations",
                mend='take kind="correlation", or make the features with measure="correlation"',
            )
        self._filled: dict[Part, Filled] = {}
        self._spread: dict[Part, NDArray] = {}
        self._slope: dict[Part, tuple[float, NDArray]] = {}
        self._means: dict[Part, dict[str, NDArray]] = {}
        self._scale: dict[Part, tuple[NDArray, np.float32]] = {}
        self._represented = Represented(self.kind, self.shrinkage)
        self._sites = sorted(set(brains.table["site"]))
        for part in self.parts:
            values = self._still(part, self._numbers(part, brains, fit=True), brains, fit=True)
            if self._centers(part):
                self._means[part] = _site_means(values, brains.table["site"])
            values = self._centered(part, values, brains)
            mean = values.mean(axis=0, dtype=float)
            length = float(np.mean(((values - mean) ** 2).sum(axis=1, dtype=float)))
            self._scale[part] = mean.astype(values.dtype), np.float32(max(length, 1e-12) ** 0.5)
        return self

    def apart(self, brains: Brains) -> dict[Part, NDArray[np.float32]]:
        """Numbers of each part, shape (subjects, size); zeros where a subject lacks it."""
        blocks = {}
        for part in self.parts:
            values = self._still(part, self._numbers(part, brains), brains)
            values = self._centered(part, values, brains)
            mean, scale = self._scale[part]
            blocks[part] = ((values - mean) / scale).astype(np.float32, copy=False)
            blocks[part][~brains.has(part)] = 0
        return blocks

    def transform(self, brains: Brains) -> NDArray[np.float32]:
        """All blocks side by side, shape (subjects, p)."""
        blocks = list(self.apart(brains).values())
        return blocks[0] if len(blocks) == 1 else np.hstack(blocks)

    def fit_transform(self, brains: Brains) -> NDArray[np.float32]:
        """`fit`, then `transform` of the same subjects."""
        return self.fit(brains).transform(brains)

    def numbers(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """What `fit` learned, as arrays and as what JSON has, to be given to `of_numbers`."""
        arrays = {f"{part} fill": filled.mean_ for part, filled in self._filled.items()}
        arrays |= {f"{part} spread": spread for part, spread in self._spread.items()}
        for part, (mean, scale) in self._scale.items():
            arrays |= {f"{part} mean": mean, f"{part} scale": np.array(scale)}
        for part, means in self._means.items():
            arrays[f"{part} sites"] = np.stack([means[site] for site in self._sites])
        for part, (motion, slope) in self._slope.items():
            arrays |= {f"{part} motion": np.array(motion), f"{part} slope": slope}
        if self.kind == "tangent" and "function" in self.parts:
            arrays["whitening"] = self._represented.whitening_
        said = {"parts": list(self.parts), "sites": self._sites}
        return arrays, said | {name: getattr(self, name) for name in _SETTINGS}

    @classmethod
    def of_numbers(cls, arrays: Mapping[str, NDArray], said: Mapping[str, Any]) -> Self:
        """Fitted blocks from what `numbers` gave."""
        made, found = cls(said["parts"], **{name: said[name] for name in _SETTINGS}), dict(arrays)
        made._sites = list(said["sites"])
        made._filled = {part: Filled.of(found[f"{part} fill"]) for part in made.parts}
        made._spread = {part: found[f"{part} spread"] for part in made.parts if part != "function"}
        made._scale = {part: (found[f"{part} mean"], np.float32(found[f"{part} scale"]))
                       for part in made.parts}  # fmt: skip
        made._means = {part: dict(zip(made._sites, found[f"{part} sites"], strict=True))
                       for part in made.parts if made._centers(part)}  # fmt: skip
        made._slope = {part: (float(found[f"{part} motion"]), found[f"{part} slope"])
                       for part in made.parts if made._stills(part)}  # fmt: skip
        made._represented = Represented(made.kind, made.shrinkage)
        if "function" in made.parts:
            made._represented.n_regions_ = regions_in(len(found["function fill"]))
        if made.kind == "tangent" and "function" in made.parts:
            made._represented.whitening_ = found["whitening"]
        return made

    def _centers(self, part: Part) -> bool:
        return self.by_site and part != "confounds"

    def _stills(self, part: Part) -> bool:
        return self.without_motion and part != "confounds"

    def _centered(self, part: Part, values: NDArray, brains: Brains) -> NDArray:
        if not self._centers(part):
            return values
        own = _site_means(values, brains.table["site"])
        known = self._means[part]
        names = brains.table["site"]
        centers = {site: known.get(site, own[site]) for site in own}
        return values - np.stack([centers[site] for site in names])

    def _still(self, part: Part, values: NDArray, brains: Brains, *, fit: bool = False) -> NDArray:
        """The numbers less what motion explains of them in the training subjects."""
        if not self._stills(part):
            return values
        motion = np.log(brains.table["motion"].clip(lower=1e-3))
        if fit:
            around = motion - motion.groupby(brains.table["site"]).transform("mean")
            about = around.where(brains.has(part)).fillna(0).to_numpy(values.dtype)
            if not about.any():
                raise DataError(
                    "what goes with motion cannot be taken out: nobody's motion is known",
                    expected="mean FD, as func_mean_fd, of two subjects of a site that differ",
                    mend="add it to the phenotypes, or leave motion in",
                )
            self._slope[part] = float(motion.mean()), about @ values / (about @ about)
        mean, slope = self._slope[part]
        return values - np.outer((motion - mean).fillna(0), slope).astype(values.dtype)

    def _numbers(self, part: Part, brains: Brains, *, fit: bool = False) -> NDArray:
        if part == "confounds":
            return self._spread_out(self._confounds(brains), part, fit)
        if part == "structure":
            return self._spread_out(brains.structure.to_numpy(np.float32), part, fit)
        values = self._fill(brains.connectivity, part, fit)
        return (self._represented.fit(values) if fit else self._represented).transform(values)

    def _fill(self, values: NDArray, part: Part, fit: bool) -> NDArray:
        if fit:
            self._filled[part] = Filled().fit(values)
        return self._filled[part].transform(values)

    def _spread_out(self, values: NDArray, part: Part, fit: bool) -> NDArray:
        """Filled and standardized columns; one that does not vary stays 0."""
        if fit:
            with np.errstate(invalid="ignore"):
                spread = pd.DataFrame(values).std(ddof=0).fillna(0).to_numpy(values.dtype)
            self._spread = getattr(self, "_spread", {}) | {
                part: np.where(spread > 0, spread, np.inf)
            }
        return (self._fill(values, part, fit) - self._filled[part].mean_) / self._spread[part]

    def _confounds(self, brains: Brains) -> NDArray[np.float32]:
        """Site as one column each (none for one that is not in training), age bent, the rest."""
        who = brains.table
        site = (who["site"].to_numpy()[:, None] == np.array(self._sites)).astype(float)
        numbers = who[["age", "fiq"]].assign(
            bend=np.log(who["age"]), motion=np.log(who["motion"].clip(lower=1e-3)),
            female=who["sex"].map({"M": 0.0, "F": 1.0}),
            closed=who["eyes"].map({"open": 0.0, "closed": 1.0}),
        )  # fmt: skip
        return np.hstack([site, numbers.to_numpy(float)]).astype(np.float32)


def _site_means(values: NDArray, site: pd.Series) -> dict[str, NDArray]:
    names = site.to_numpy()
    return {name: values[names == name].mean(axis=0) for name in sorted(set(names))}
