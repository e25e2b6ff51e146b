"""LungQuant: BB-net finds the lungs' box, U-net1 the lungs in it, U-net2 the lesions in these."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import atomic_path
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Cosine, Recipe
from nextaim_kit.learn.segmentation import mean_dice
from nextaim_kit.learn.task import Task
from nextaim_kit.studies.ct_lungquant.measures import Maps
from nextaim_kit.studies.ct_lungquant.networks import nets as networks
from nextaim_kit.studies.ct_lungquant.networks import regions
from nextaim_kit.studies.ct_lungquant.networks.items import (
    BoxItems,
    Patches,
    around_lungs,
    fill,
    on_box_grid,
    resized,
    rounded,
)
from nextaim_kit.studies.ct_lungquant.networks.nets import Architecture, BoxNet, Version, normalized
from nextaim_kit.studies.ct_lungquant.networks.preparing import (
    Box,
    Prepared,
    Size,
    box_of,
    whole,
    widened,
)
from nextaim_kit.studies.ct_lungquant.resampling import coarse, placed
from nextaim_kit.studies.ct_lungquant.scans import AIR, Scan
from nextaim_kit.studies.ct_lungquant.threshold import split_sides

if TYPE_CHECKING:
    from nextaim_kit.learn.training import Fitted

_MARGIN = 0.05  # of a box's edges, on every side
_OVERLAP = 0.25
_WINDOWS = 2  # at once: of a single one torch takes the slow convolution, in four times as long
_Three = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
_CUTS = (0.2, 0.3, 0.4, 0.5, 0.6)  # few, since few patients choose


@dataclass(frozen=True)
class LungQuantTraining:
    """How LungQuant is trained.

    Attributes
    ----------
    version : {"v1", "v2"}
        v1: lungs in the whole scan, as one, and Dice for the lesions. v2: BB-net before, right and
        left lung apart, and a second term in the lesions' loss.
    architecture : {"unet", "dynunet"}
        Of both U-Nets.
    spacing : (float, float, float)
        mm of the voxels that the U-Nets see: x, y, z.
    patch : (int, int, int)
        Voxels that U-net2 sees at once: x, y, z; rounded up to multiples of 16.
    lung_scale : float
        How many times larger U-net1's voxels are than U-net2's: to tell consolidation at the wall
        from the wall takes much of the chest, and little detail.
    lung_patch : (int, int, int)
        Voxels of its own that U-net1 sees at once: x, y, z; rounded up as well.
    inside : bool
        U-net2 sees the lungs and two voxels around them, and air in place of all else: an own
        choice, for a short training. The published one sees the whole box.
    width, epochs, box_epochs, batch_size : int
    learning_rate : float
    memory : "auto", float or None
        As `learn.training.train` takes it.
    seed : int
    """

    version: Version = "v2"
    architecture: Architecture = "unet"
    spacing: tuple[float, float, float] = (4.0, 4.0, 4.0)
    patch: tuple[int, int, int] = (64, 48, 32)
    lung_scale: float = 1.5
    lung_patch: tuple[int, int, int] = (48, 48, 48)
    inside: bool = True
    width: int = 8
    epochs: int = 44
    box_epochs: int = 24
    batch_size: int = 2
    learning_rate: float = 1e-2
    memory: Any = None
    seed: int = 0

    @property
    def sided(self) -> bool:
        """Whether U-net1 tells the lungs apart."""
        return self.version == "v2"

    def sees(self, part: str) -> tuple[Size, float]:
        """What a U-Net sees at once: voxels z, y, x, and how many times larger they are."""
        if part == "lungs":
            return rounded(self.lung_patch), self.lung_scale
        return rounded(self.patch), 1.0

    def build(self, part: str) -> nn.Module:
        """An untrained network: ``box``, ``lungs`` or ``lesions``."""
        if part == "box":
            return BoxNet()
        outputs = 3 if part == "lungs" and self.sided else 1
        return networks.segmenter(outputs, self.architecture, self.width)

    def train(
        self, first: Sequence[Prepared], val: Sequence[Prepared], folder: Path
    ) -> tuple[LungQuant, dict[str, Fitted]]:
        """Train the networks one after the other.

        Parameters
        ----------
        first, val : sequence of Prepared
            Of this recipe's spacing.
        folder : Path
            Each network's checkpoints go below it.

        Returns
        -------
        LungQuant
        fitted : dict of str to Fitted
            ``box`` (v2), ``lungs``, ``lesions``.
        """
        from nextaim_kit.learn.training import train

        lungs = partial(
            Patches, what="sides" if self.sided else "lungs", whole=not self.sided,
            scale=self.lung_scale,
        )  # fmt: skip
        lesions = partial(Patches, what="lesions", inside=self.inside)
        fitted = {"box": self._fit_box(first, val, folder)} if self.sided else {}
        for part, items in (("lungs", lungs), ("lesions", lesions)):
            patch, _ = self.sees(part)
            pair = items(first, patch=patch, augment=True), items(val, patch=patch)
            task = Task(partial(self.build, part), networks.loss(self.version), *pair,
                        metrics={"dice": mean_dice}, monitor="val_dice", mode="max")  # fmt: skip
            how = Recipe(self.epochs, self.batch_size, self.learning_rate, schedule=Cosine())
            fitted[part] = train(
                task, how, folder=folder / part, memory=self.memory, seed=self.seed
            )
        seen = frozenset(case.digest for case in (*first, *val))
        trained = LungQuant(self, {name: one.net for name, one in fitted.items()}, seen)
        return trained.calibrated(val), fitted

    def _fit_box(self, first: Sequence[Prepared], val: Sequence[Prepared], folder: Path) -> Fitted:
        from nextaim_kit.learn.training import train

        task = Task(partial(self.build, "box"), networks.box_loss, BoxItems(first, augment=True),
                    BoxItems(val), metrics={"iou": networks.box_iou}, monitor="val_iou",
                    mode="max")  # fmt: skip
        how = Recipe(self.box_epochs, 4, 1e-3, schedule=Cosine())
        return train(task, how, folder=folder / "box", seed=self.seed)


@dataclass(frozen=True)
class LungQuant:
    """The trained networks, and how they are used.

    Attributes
    ----------
    recipe : LungQuantTraining
    nets : dict of str to torch.nn.Module
        ``box`` (v2 only), ``lungs``, ``lesions``.
    seen : frozenset of str
        The `preparing.content` of the CTs that they were trained or chosen on.
    cut : float
        U-net2's probability from which a voxel is ill.
    """

    recipe: LungQuantTraining
    nets: dict[str, nn.Module] = field(repr=False)
    seen: frozenset[str] = field(default=frozenset(), repr=False)
    cut: float = 0.5

    @property
    def name(self) -> str:
        """Such as ``LungQuant v2 (unet)``."""
        return f"LungQuant {self.recipe.version} ({self.recipe.architecture})"

    def segment(self, scan: Scan) -> Maps:
        """Find lungs and lesions, by windows that slide over the lungs' box.

        What is held grows with the patient's size in the networks' voxels, not with the CT's.

        Raises
        ------
        DataError
            If there is no lung.
        """
        image = coarse(scan.image, self.recipe.spacing)
        hu = torch.from_numpy(sitk.GetArrayFromImage(image))[None]
        right, left, lesions = self._decided(self.look(hu), self.cut)
        _give_back()
        one = [] if min((right > 0.5).sum(), (left > 0.5).sum()) else ["only one lung was found"]
        sides = placed(right, image), placed(left, image)
        return Maps(*sides, placed(lesions, image), tuple(one))

    def calibrated(self, val: Sequence[Prepared]) -> LungQuant:
        """The same with the `cut` whose involvement is least wrong on validation patients.

        A patient in whom no lung is found says nothing of it.
        """
        errors: dict[float, list[float]] = {cut: [] for cut in _CUTS}
        for case in val:
            hu, lungs, ill = (
                case.part(name, whole(case.shape)) for name in ("hu", "lungs", "lesions")
            )
            try:
                looked = self.look(hu)
            except DataError:
                continue
            truth = regions.involvement(lungs[0].numpy() > 0, ill[0].numpy() > 0)
            for cut, wrong in errors.items():
                right, left, lesions = self._decided(looked, cut)
                found = regions.involvement(right + left >= 0.5, lesions >= 0.5)
                wrong.append(abs(found - truth))
        best = min(_CUTS, key=lambda cut: (sum(errors[cut]), abs(cut - 0.5)))
        return replace(self, cut=best)

    def look(self, hu: Tensor) -> _Three:
        """Probabilities of the right lung, the left one and lesions in HU, shape (1, z, y, x)."""
        right, left = self.lungs(hu, self.box(hu))
        lung = right + left >= 0.5
        regions.refuse_nothing(lung, self.recipe.spacing)
        field_ = widened(box_of(lung), _MARGIN, lung.shape)
        likely = right + left >= regions.LIKELY
        shown = around_lungs(hu, torch.from_numpy(likely)[None]) if self.recipe.inside else hu
        lesions = np.zeros(lung.shape, np.float32)
        lesions[field_] = self._window("lesions", shown, field_).sigmoid()[0].numpy()
        return right, left, lesions

    def _decided(self, looked: _Three, cut: float) -> _Three:
        """The same with a cut at 0.5, without specks, and lungs with the lesions at the wall."""
        right, left, lesions = looked
        lesions = regions.large_enough(regions.at_half(lesions, cut), self.recipe.spacing)
        return *regions.with_lesions(right, left, lesions), lesions

    def box(self, hu: Tensor) -> Box:
        """The lungs' box in a scan of shape (1, z, y, x) by BB-net; all of it without one."""
        _, *edges = hu.shape
        shape = (edges[0], edges[1], edges[2])
        if "box" not in self.nets:
            return whole(shape)
        corners = apply(self.nets["box"], on_box_grid(hu)[None])[0].tolist()
        first, last = corners[:3], corners[3:]
        spans = [
            slice(min(int(a * n), n - 1), max(int(np.ceil(b * n)), min(int(a * n), n - 1) + 1))
            for a, b, n in zip(first, last, shape, strict=True)
        ]
        return widened((spans[0], spans[1], spans[2]), _MARGIN, shape)

    def lungs(self, hu: Tensor, box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probability of right and left lung; the box grows where lungs reach its end.

        Where nothing is found in it, the whole scan is looked at.
        """
        _, *edges = hu.shape
        shape = (edges[0], edges[1], edges[2])
        found = self._lungs_in(hu, box)
        if not found.any() and box != whole(shape):  # BB-net was wrong
            box = whole(shape)
            found = self._lungs_in(hu, box)
        while (larger := regions.grown(found, box, shape)) != box:  # ends at the volume's at last
            box = larger
            found = self._lungs_in(hu, box)
        right, left = (np.zeros(shape, np.float32) for _ in range(2))
        right[box], left[box] = found
        return right, left

    def _lungs_in(self, hu: Tensor, box: Box) -> NDArray[np.float32]:
        logits = self._window("lungs", hu, box)
        inside, spacing = hu[0][box].numpy(), self.recipe.spacing
        if self.recipe.sided:
            sides = logits.softmax(0)[1:].numpy()
            keep = regions.main_parts(sides.sum(0) >= 0.5, inside, spacing)
            return np.where(regions.around(keep), sides, 0).astype(np.float32)
        lung = logits.sigmoid()[0].numpy()
        core = regions.main_parts(lung >= 0.5, inside, spacing)
        labels = regions.around(split_sides(core, spacing[::-1]))
        return np.stack([np.where(labels == side, lung, 0) for side in (1, 2)]).astype(np.float32)

    def _window(self, part: str, hu: Tensor, box: Box) -> Tensor:
        """Logits in a box, shape (outputs, z, y, x)."""
        patch, scale = self.recipe.sees(part)
        z, y, x = (s.stop - s.start for s in box)
        at_scale = (round(z / scale) or 1, round(y / scale) or 1, round(x / scale) or 1)
        seen = resized(normalized(hu[(slice(None), *box)]), at_scale)
        shown = fill(seen, patch, float(normalized(torch.tensor(AIR))))
        found = apply(
            self.nets[part], shown[None], batch_size=_WINDOWS, window=patch, overlap=_OVERLAP
        )
        starts = [(n - m) // 2 for n, m in zip(shown.shape[1:], at_scale, strict=True)]
        inner = [slice(a, a + n) for a, n in zip(starts, at_scale, strict=True)]
        return resized(found[0][(slice(None), *inner)], (z, y, x))

    def save(self, path: Path) -> Path:
        """Write networks and recipe to one file."""
        kept = {
            "recipe": asdict(self.recipe),
            "nets": {name: net.state_dict() for name, net in self.nets.items()},
            "seen": sorted(self.seen),
            "cut": self.cut,
        }
        with atomic_path(path) as unfinished:
            torch.save(kept, unfinished)
        return path

    @classmethod
    def load(cls, path: Path) -> LungQuant:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, damaged, or holds something else.
        """
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            recipe = LungQuantTraining(**kept["recipe"])
            nets = {name: recipe.build(name) for name in kept["nets"]}
            seen, cut = frozenset(kept["seen"]), float(kept["cut"])
            for name, net in nets.items():
                net.load_state_dict(kept["nets"][name])
        except (OSError, EOFError, UnpicklingError, RuntimeError, KeyError, TypeError, ValueError,
                RequestError) as error:  # fmt: skip
            raise DataError(
                f"{path.name} holds no LungQuant",
                expected="lungquant.pt, as the notebook ct_lungquant/segmentation writes it",
                found=(str(error).splitlines() or ["an empty file"])[0][:120],
                mend="run that notebook, or leave the parameter empty",
            ) from error
        return cls(recipe, {name: net.eval() for name, net in nets.items()}, seen, cut)


def _give_back() -> None:
    """Let the system have what the networks have freed: up to 80 MB, which glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
