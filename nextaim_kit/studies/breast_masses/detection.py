"""Detectors of one run, kept with all that it takes to apply them elsewhere without training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.files import write_json
from nextaim_kit.learn.training import Fitted
from nextaim_kit.learn.weights import load_weights, save_weights
from nextaim_kit.studies.breast_masses import froc
from nextaim_kit.studies.breast_masses.detectors.marks import Blobs, Detector, find
from nextaim_kit.studies.breast_masses.detectors.training import (
    Kind,
    Training,
    build,
    train_detector,
)
from nextaim_kit.studies.breast_masses.detectors.yolo import Size
from nextaim_kit.studies.breast_masses.mammograms import Mammograms
from nextaim_kit.studies.breast_masses.pictures import Pictures

BASELINE = "blobs"
_KEPT = "detectors.json"
Found = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Detectors:
    """Trained networks, the baseline beside them, and the threshold of each.

    Attributes
    ----------
    pixels : int
        Edge of the pictures that they were trained on.
    size : {"n", "s", "m"}
    nets : mapping of str to network
    blobs : Blobs
    seen : tuple of str
        Digests of the pictures, and hashes of the patients' names, that trained or validated them.
    thresholds : mapping of str to float
        Of each network and of ``blobs``, chosen on validation pictures.
    """

    pixels: int
    size: Size
    nets: Mapping[Kind, Detector]
    blobs: Blobs
    seen: tuple[str, ...]
    thresholds: Mapping[str, float]

    def marks(self, pictures: NDArray[np.float32]) -> Found:
        """What each of them, the baseline last, marks in pictures: `detectors.marks.find`."""
        found: Found = {name: find(net, pictures) for name, net in self.nets.items()}
        return found | {BASELINE: self.blobs.find(pictures)}

    def measure(self, found: Found, pictures: Pictures, **how: Any) -> pd.DataFrame:
        """`froc.evaluate` of each one's marks at its threshold, by ``name``."""
        parts = [
            froc.evaluate(marks, pictures, self.thresholds[name], **how).assign(name=name)
            for name, marks in found.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def unseen(self, mammograms: Mammograms) -> Mammograms:
        """A cohort without the pictures and patients that these detectors were made with.

        Raises
        ------
        DataError
            If none is left.
        """
        images = mammograms.images
        known = images["digest"].isin(self.seen) | images["patient"].map(_hidden).isin(self.seen)
        if known.all():
            raise DataError(
                "these detectors were made with all of these patients",
                expected="patients that they have not seen", found=f"{len(images)} images",
            )  # fmt: skip
        return mammograms.only(images["subject"][~known], "the detectors were made with it")

    def save(self, folder: Path) -> None:
        """Write ``<name>.pt`` for each network and ``detectors.json``."""
        for name, net in self.nets.items():
            save_weights(net, folder / f"{name}.pt")
        finite = {name: t if np.isfinite(t) else None for name, t in self.thresholds.items()}
        blobs = {"diameters": self.blobs.diameters.tolist(), "prior": self.blobs.prior.tolist()}
        write_json(folder / _KEPT, {"pixels": self.pixels, "size": self.size, "blobs": blobs,
                                    "seen": list(self.seen), "thresholds": finite})  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Detectors:
        """Read what `save` has written.

        Raises
        ------
        DataError
            If it is not there, or not of this kind.
        """
        try:
            told = json.loads((folder / _KEPT).read_text(encoding="utf-8"))
            blobs = Blobs(*(np.array(told["blobs"][k]) for k in ("diameters", "prior")))
            thresholds = {k: np.inf if t is None else t for k, t in told["thresholds"].items()}
            size, pixels, seen = told["size"], int(told["pixels"]), tuple(told["seen"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder.name} holds no detectors", expected=f"{_KEPT} and the weights beside it",
                found=type(error).__name__, mend="give the folder 'files' of an earlier run",
            ) from error  # fmt: skip
        names: Any = [name for name in thresholds if name != BASELINE]
        nets: Any = {n: load_weights(build(n, size), folder / f"{n}.pt").eval() for n in names}
        return cls(pixels, size, nets, blobs, seen, thresholds)


def train_all(
    kinds: Sequence[Kind], training: Training, train: Pictures, val: Pictures, folder: Path
) -> dict[Kind, Fitted]:
    """Train each kind of detector on the same pictures, a folder below `folder` for each."""
    return {kind: train_detector(kind, training, train, val, folder / kind) for kind in kinds}


def choose_thresholds(found: Found, val: Pictures, per_image: float) -> dict[str, float]:
    """For each one's marks the lowest score with at most so many false marks per validation image.

    A mark is false where it overlaps no mass by an IoU of 0.5 or more.
    """
    return {
        name: froc.threshold_for(froc.judge(marks, val.masses, val.spacing, "IoU 0.5"), per_image)
        for name, marks in found.items()
    }


def seen_in(*parts: Pictures) -> tuple[str, ...]:
    """Digests of pictures and hashes of patients' names."""
    images = pd.concat([part.images for part in parts])
    return tuple(sorted({*images["digest"], *images["patient"].map(_hidden)}))


def _hidden(name: str) -> str:
    return hashlib.sha256(f"patient {name}".encode()).hexdigest()[:16]
