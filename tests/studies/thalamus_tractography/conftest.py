"""Small heads of the twin, and series written by hand."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography.gradient_table import GradientTable, write_gradients
from nextaim_kit.studies.thalamus_tractography.phantom.scanner import gradient_table
from nextaim_kit.studies.thalamus_tractography.truth import read_truth
from nextaim_kit.studies.thalamus_tractography.twin import Scan, make_twin

QUIET = {"workers": 1, "progress": lambda *_: None}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A function that makes one head of the twin and gives its row; each scan is made once."""
    done = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("twin")))

        def make(site="north", **scan):
            key = (site, *sorted(scan.items()))
            if key not in done:
                table = make_twin(1, scan=Scan(**scan), sites=[site], seed=4, **QUIET)
                done[key] = table.iloc[0].to_dict()
            return done[key]

        yield make


@pytest.fixture(scope="session")
def still(made):
    """A hemisphere in 5 mm without motion, distortion and hardly with noise: row and truth."""
    row = made(edge=5.0, motion=0.0, distortion=0.0, eddy=0.0, snr=2000.0)
    return row, read_truth(row["truth"])


@pytest.fixture(scope="session")
def box(made):
    """The box of a thalamus: row and truth."""
    row = made(extent="box")
    return row, read_truth(row["truth"])


@pytest.fixture
def written(tmp_path):
    """A function that writes a series of 6 x 5 x 4 voxels, and gives its row."""

    def write(affine=None, values=None, table=None, name="dwi", **header):
        affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
        bvals, vectors = gradient_table("clinical") if table is None else table
        shape = (6, 5, 4, len(bvals))
        values = np.arange(np.prod(shape)).reshape(shape) if values is None else values
        image = nibabel.Nifti1Image(values.astype(np.float32), affine)
        image.set_qform(header.get("qform", affine), 1)
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
        row = {"dwi": tmp_path / f"{name}.nii.gz"}
        row |= {end: tmp_path / f"{name}.{end}" for end in ("bval", "bvec")}
        write_gradients(GradientTable(bvals, vectors), affine, row["bval"], row["bvec"])
        return {key: str(path) for key, path in row.items()}

    return write


@pytest.fixture
def planned():
    """A function that makes a plan by hand: an ellipsoid, and a target near its middle."""
    from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, box_affine
    from nextaim_kit.studies.thalamus_tractography.placing import Diffusion, PlacedHead
    from nextaim_kit.studies.thalamus_tractography.planning import Plan, Target
    from nextaim_kit.studies.thalamus_tractography.space import grid
    from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

    def make(center=(-12, -12, 7), half=(9, 16, 10), off=(-4, 2, 0), scatter=0.6, t1=None):
        shape, affine = (40, 48, 36), np.diag([2.0, 2, 2, 1])
        affine[:3, 3] = -66, -60, -30
        values = np.random.default_rng(0).integers(100, 900, shape).astype(np.int16)
        values, affine = (values, affine) if t1 is None else t1
        empty = np.zeros((2, 2, 2), np.float32)
        series = Diffusion(empty, empty > 0, Tensors(np.zeros((2, 2, 2, 6))), np.eye(4))
        ends = {"AC": np.array([0.0, 2, -5]), "PC": np.array([0.0, -24, -5])}
        head = PlacedHead("P1", values, affine, series, np.eye(4), np.eye(4), 0.9, ends)
        far = (grid(BOX_SHAPE, box_affine()) - np.array(center)) / np.array(half)
        thalamus = np.clip(1.5 - np.linalg.norm(far, axis=-1), 0, 1).astype(np.float32)
        maps = thalamus[..., None] * np.linspace(0.2, 0.9, 6, dtype=np.float32)
        points = np.array(center) + off + np.random.default_rng(1).normal(0, scatter, (9, 3))
        return Plan(head, "left", thalamus, maps, Target(points))

    return make
