"""Detectors of one run, kept with all that it takes to apply them elsewhere without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import delayed
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.model_file import UNREADABLE, TrainedOn, no_models
from nextaim_kit.learn.network_file import load_networks, save_networks
from nextaim_kit.learn.training import Fitted
from nextaim_kit.learn.weights import filled
from nextaim_kit.machine.limits import process_count
from nextaim_kit.machine.workers import parallel
from nextaim_kit.studies.breast_masses.detectors import froc
from nextaim_kit.studies.breast_masses.detectors.augmentation import Augmentation
from nextaim_kit.studies.breast_masses.detectors.marks import Blobs, Detector, find
from nextaim_kit.studies.breast_masses.detectors.training import (
    Kind,
    Training,
    build,
    train_detector,
)
from nextaim_kit.studies.breast_masses.detectors.yolo import Size
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms
from nextaim_kit.studies.breast_masses.mammograms.prepared import Pictures

BASELINE = "blobs"
_FEW = 200  # pictures seen, epoch by epoch: some seconds of training
_EXPECTED = "a detectors.safetensors of an earlier run of breast_masses/detection"
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
    thresholds : mapping of str to float
        Of each network and of ``blobs``, chosen on validation pictures.
    trained_on : TrainedOn
        Pictures and patients that trained or validated them.
    """

    pixels: int
    size: Size
    nets: Mapping[Kind, Detector]
    blobs: Blobs
    thresholds: Mapping[str, float]
    trained_on: TrainedOn

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

    def __str__(self) -> str:
        return str(self.trained_on)

    def unseen(self, mammograms: Mammograms) -> Mammograms:
        """A cohort without the pictures and patients that these detectors were made with.

        Raises
        ------
        DataError
            If none is left.
        """
        images, seen = mammograms.images, self.trained_on.seen
        known = images["digest"].isin(seen.among(images["digest"]))
        known |= images["patient"].isin(seen.among(images["patient"]))
        if known.all():
            raise DataError(
                "these detectors were made with all of these patients",
                expected="patients that they have not seen", found=f"{len(images)} images",
            )  # fmt: skip
        return mammograms.only(images["subject"][~known], "the detectors were made with it")

    def save(self, path: Path) -> str:
        """Write all of it as numbers into one safetensors file, and give its path."""
        finite = {name: t if np.isfinite(t) else None for name, t in self.thresholds.items()}
        blobs = {"diameters": self.blobs.diameters.tolist(), "prior": self.blobs.prior.tolist()}
        told = {"pixels": self.pixels, "size": self.size, "blobs": blobs, "thresholds": finite,
                "trained_on": self.trained_on.model_dump()}  # fmt: skip
        return save_networks({str(k): net for k, net in self.nets.items()}, path, told=told)

    @classmethod
    def load(cls, path: Path) -> Detectors:
        """Read what `save` has written.

        Raises
        ------
        DataError
            If it is not there, changed, or not of this kind.
        """
        told, weights = load_networks(path, expected=_EXPECTED)
        try:
            blobs = Blobs(*(np.array(told["blobs"][k]) for k in ("diameters", "prior")))
            thresholds = {k: np.inf if t is None else t for k, t in told["thresholds"].items()}
            size, pixels, who = told["size"], told["pixels"], TrainedOn(**told["trained_on"])
        except (*UNREADABLE, KeyError) as error:
            raise no_models(path, error, _EXPECTED) from error
        nets: dict[Any, Detector] = {}
        for kind in [name for name in thresholds if name != BASELINE]:
            nets[kind] = filled(build(kind, size), weights.get(kind), path.name)
        return cls(pixels, size, nets, blobs, thresholds, who)


def train_all(
    kinds: Sequence[Kind], train: Pictures, val: Pictures, folder: Path, *, mosaic: float = 0.5,
    **how: Any,
) -> dict[Kind, Fitted]:  # fmt: skip
    """Train each kind of detector on the same pictures, a folder below `folder` for each.

    On a CPU side by side, the last one here and the others in processes of one core each: two
    cores that share each step of such small networks wait for one another half of the time. Where
    few pictures are seen, one by one: a process takes longer to start.

    Parameters
    ----------
    kinds : sequence of {"yolov5", "yolov8", "rtdetr"}
    train, val : Pictures
    folder : Path
    mosaic : float
        Probability that four pictures are joined, as of `Augmentation`.
    **how
        The other fields of `training.Training`, the same for all.
    """
    training = Training(augmentation=Augmentation(mosaic=mosaic), **how)
    jobs = [(kind, training, train, val, folder / kind) for kind in kinds]
    several = len(kinds) > 1 and process_count() > 1 and not torch.cuda.is_available()
    if not several or training.epochs * len(train.images) < _FEW:
        return {job[0]: train_detector(*job) for job in jobs}
    threads, away = torch.get_num_threads(), ThreadPoolExecutor(1)
    others = away.submit(parallel, [delayed(train_detector)(*job) for job in jobs[:-1]], n_jobs=2)
    torch.set_num_threads(max(1, threads - 1))
    try:
        here = train_detector(*jobs[-1])
        return dict(zip(kinds, [*others.result(), here], strict=True))
    finally:
        torch.set_num_threads(threads)
        away.shutdown(wait=False)


def choose_thresholds(found: Found, val: Pictures, per_image: float) -> dict[str, float]:
    """For each one's marks the lowest score with at most so many false marks per validation image.

    A mark is false where it overlaps no mass by an IoU of 0.5 or more.
    """
    return {
        name: froc.threshold_for(froc.judge(marks, val.masses, val.spacing, "IoU 0.5"), per_image)
        for name, marks in found.items()
    }


def trained_on(cohort: Mapping[str, Any], *parts: Pictures) -> TrainedOn:
    """Who made detectors: digests of pictures and names of patients, as hashes.

    `cohort` has ``name``, ``sha256`` and ``synthetic``, as `data.fingerprint` gives them.
    """
    images = pd.concat([part.images for part in parts])
    return TrainedOn.of(cohort, Seen.of([*images["digest"], *images["patient"]]))
