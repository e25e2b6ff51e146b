"""Heads with and without their faces: what defacing does to measures, and to who is recognized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.data.privacy.defacing import plane_under
from nextaim_kit.data.privacy.heads import Head, find_head
from nextaim_kit.studies.challenges.privacy.made_heads import EDGE, MATRIX, Scanned, body_of

_LEAST = 60  # voxels of a section of a head


@dataclass(frozen=True)
class DefacedHead:
    """A made-up person's second scan, with and without its face.

    Attributes
    ----------
    scanned, clean : Scanned
        With the face, and without.
    found : Head
        Brain and body as they were found for the cut.
    """

    scanned: Scanned
    clean: Scanned
    found: Head

    def changed(self) -> dict[str, float]:
        """What a group would measure, after less before.

        Returns
        -------
        dict of str to float
            ``brain voxels`` whose value changed; in percent of before: ``brain mean``, ``brain
            mean, z-scored`` by the whole image, ``brain over background``, ``head volume``,
            ``head height``.
        """
        brain, both = self.scanned.brain, (self.scanned.values, self.clean.values)
        before, after = (_measured(values, brain) for values in both)
        voxels = float((both[0] != both[1])[brain].sum())
        relative = {name: 100 * (after[name] / was - 1) for name, was in before.items()}
        return {"brain voxels": voxels, **relative}

    def found_again(self) -> dict[str, float]:
        """How differently the brain is laid into a template and found, without the face.

        Returns
        -------
        dict of str to float
            ``volume`` in percent of before, ``overlap`` (Dice), ``shift`` of its middle (mm),
            ``turn`` of the head's axes (degrees).
        """
        again = _found(self.clean.values)
        one, other = self.found.brain, again.brain
        apart = self.found.points(one).mean(axis=0) - again.points(other).mean(axis=0)
        cosine = min(self.found.front @ again.front, self.found.down @ again.down)
        return {
            "volume": 100 * (other.sum() / one.sum() - 1),
            "overlap": 2 * (one & other).sum() / (one.sum() + other.sum()),
            "shift": float(np.linalg.norm(apart)),
            "turn": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        }


def deface(scanned: Scanned) -> DefacedHead:
    """Cut the face off as `nextaim data deidentify` does.

    Raises
    ------
    NoBrain
        If no brain is found.
    """
    found, values = _found(scanned.values), scanned.values.copy()
    plane_under(found).apply(values, MATRIX)
    return DefacedHead(scanned, scanned._replace(values=values), found)


def _found(values: NDArray) -> Head:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing([EDGE] * 3)
    image.SetOrigin(MATRIX[:, 3].tolist())
    return find_head(image, ct=False)


def _measured(values: NDArray, brain: NDArray[np.bool_]) -> dict[str, float]:
    body = body_of(values)
    mean = float(values[brain].mean())
    rows = np.flatnonzero(body.sum(axis=(1, 2)) > _LEAST)
    return {
        "brain mean": mean,
        "brain mean, z-scored": (mean - float(values.mean())) / float(values.std()),
        "brain over background": mean / float(values[~body].std()),
        "head volume": body.sum() * EDGE**3 / 1000,
        "head height": np.ptp(rows) * EDGE,
    }
