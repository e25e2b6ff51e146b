"""Prepared pictures of a cohort with the masses in them, divided by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.splits import patient_folds, rotations
from nextaim_kit.studies.breast_masses.mammograms import Mammograms
from nextaim_kit.studies.breast_masses.preparation import prepare_all

BOX = ["x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of a cohort, and their masses in the pictures' pixels.

    Attributes
    ----------
    images : DataFrame
        As in `Mammograms`, one row per picture.
    pictures : array of float32, shape (n, size, size)
    masses : DataFrame
        As `Mammograms.lesions`, with ``row`` of the picture, and the box in the picture.
    spacing : array of shape (n,)
        mm of a picture's pixel, NaN where unknown.
    """

    images: pd.DataFrame
    pictures: NDArray[np.float32]
    masses: pd.DataFrame
    spacing: NDArray[np.float64]

    def take(self, rows: Sequence[int] | NDArray) -> Pictures:
        """Some of the pictures, in that order."""
        rows = np.asarray(rows, int)
        new = pd.Series(np.arange(len(rows)), index=rows)
        masses = self.masses[self.masses["row"].isin(rows)]
        masses = masses.assign(row=new.loc[masses["row"]].to_numpy()).sort_values(
            "row", kind="stable"
        )
        return Pictures(self.images.iloc[rows].reset_index(drop=True), self.pictures[rows],
                     masses.reset_index(drop=True), self.spacing[rows])  # fmt: skip

    def boxes(self) -> list[NDArray[np.float64]]:
        """Boxes of each picture, shape (k, 4)."""
        rows, boxes = self.masses["row"].to_numpy(), self.masses[BOX].to_numpy(float)
        return [boxes[rows == k] for k in range(len(self.pictures))]


def pictures_of(mammograms: Mammograms, size: int) -> tuple[Pictures, pd.DataFrame]:
    """Prepare a cohort: its pictures with their masses, and the images that could not be read."""
    pictures, prepared, failures = prepare_all(mammograms, size=size)
    images = mammograms.images
    images = images[~images["subject"].isin(failures["subject"])].reset_index(drop=True)
    row = pd.Series(np.arange(len(images)), index=images["subject"])
    masses = mammograms.lesions[mammograms.lesions["subject"].isin(row.index)].copy()
    masses["row"] = row.loc[masses["subject"]].to_numpy()
    places = zip(masses["row"], masses[BOX].to_numpy(float), strict=True)
    moved = [prepared[k].to_picture(box)[0] for k, box in places]
    masses[BOX] = np.reshape(moved, (-1, 4))
    spacing = np.array([one.spacing for one in prepared])
    order = masses.sort_values("row", kind="stable").reset_index(drop=True)
    return Pictures(images, pictures, order, spacing), failures


def divide(pictures: Pictures, folds: int, *, seed: int) -> tuple[Pictures, Pictures, Pictures]:
    """Parts to train, to validate and to test on: whole patients, alike in images with a mass.

    Raises
    ------
    DataError
        If a part is without a mass.
    """
    images = pictures.images.assign(any_mass=pictures.images["masses"] > 0)
    # A class that is rarer than the parts are many cannot be in each of them.
    patients = images.groupby("any_mass")["patient"].nunique()
    by = ("any_mass",) if len(patients) == 2 and patients.min() >= folds else ()
    first = rotations(patient_folds(images, folds, seed=seed, by=by, group="patient"))[0]
    train, val, test = (pictures.take(rows) for rows in first)
    without = [name for name, part in {"train": train, "validate": val, "test": test}.items()
               if not len(part.masses)]  # fmt: skip
    if without:
        raise DataError(
            f"no mass is left to {' and to '.join(without)} on",
            expected="masses of at least one patient in each part",
            found=f"masses of {pictures.masses['patient'].nunique()} patients in all",
            mend="give more patients, or take another seed or other folds",
        )
    return train, val, test


def words_of(masses: pd.DataFrame) -> list[str]:
    """What is known of each mass, in two lines: its image; its margin and size."""
    said = []
    for mass in masses.to_dict("records"):
        size = mass["diameter_mm"]
        known = [mass["margin"], f"{size:.0f} mm" if size == size else ""]
        said.append(f"{mass['subject']}\n{', '.join(filter(None, known)) or 'mass'}")
    return said
