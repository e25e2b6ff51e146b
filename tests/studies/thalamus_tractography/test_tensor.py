"""Tensors: what is read off them, and that they turn with the head."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.tensor import (
    Tensors,
    fit_tensors,
    predicted,
    usable,
)


def stick(direction, values=(1.7e-3, 0.3e-3, 0.3e-3)):
    """One tensor along a direction, as (1, 1, 1, 6)."""
    first = np.array(direction, float) / np.linalg.norm(direction)
    matrix = values[1] * np.eye(3) + (values[0] - values[1]) * np.outer(first, first)
    rows, columns = np.tril_indices(3)
    return Tensors(matrix[rows, columns].astype(np.float32).reshape(1, 1, 1, 6))


def table(n=30, b=1000.0, seed=0):
    """A b0 and n directions at random."""
    vectors = np.random.default_rng(seed).standard_normal((n, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.r_[0.0, np.full(n, b)], np.vstack([np.zeros(3), vectors])


@pytest.mark.parametrize(
    ("values", "fa"),
    [((1.7e-3, 0.3e-3, 0.3e-3), 0.7990), ((1e-3,) * 3, 0.0), ((1e-3, 0.0, 0.0), 1.0)],
)
def test_fa_and_md_of_known_eigenvalues(values, fa):
    found = stick((1, 2, 2), values)
    assert found.fa.item() == pytest.approx(fa, abs=1e-3)
    assert found.md.item() == pytest.approx(sum(values) / 3, rel=1e-5)


def test_the_first_eigenvector_lies_along_the_fiber_and_turns_with_the_head():
    fiber = np.array([1.0, 2.0, -2.0]) / 3
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0],
                     [0, 0, 1]])  # fmt: skip
    found = stick(fiber)
    assert abs(found.direction[0, 0, 0] @ fiber) == pytest.approx(1, abs=1e-5)
    turned = found.turned(turn)
    assert abs(turned.direction[0, 0, 0] @ turn @ fiber) == pytest.approx(1, abs=1e-5)
    assert turned.fa == pytest.approx(found.fa, abs=1e-5)
    assert turned.turned(turn.T).elements == pytest.approx(found.elements, abs=1e-9)


def test_the_signal_along_a_fiber_falls_by_its_first_eigenvalue():
    found = predicted(stick((0, 0, 1)), np.full((1, 1, 1), 100.0), np.array([0.0, 1000.0, 1000.0]),
                      np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]]))  # fmt: skip
    assert found.ravel() == pytest.approx([100, 100 * np.exp(-1.7), 100 * np.exp(-0.3)], rel=1e-5)


def test_the_fit_gives_back_the_tensors_that_a_signal_was_made_of():
    bvals, bvecs = table()
    true = Tensors(np.concatenate([stick(d).elements for d in np.eye(3) + 0.3]))
    data = predicted(true, np.full((3, 1, 1), 500.0), bvals, bvecs)
    found = fit_tensors(data, bvals, bvecs, np.ones((3, 1, 1), bool))
    assert found.elements == pytest.approx(true.elements, abs=1e-6)


def test_high_shells_are_left_out_of_the_fit():
    bvals, bvecs = table()
    bvals[10:] = 3000
    assert usable(bvals, bvecs).sum() == 10


def test_a_series_that_does_not_determine_a_tensor_is_refused():
    bvals, bvecs = table()
    with pytest.raises(DataError, match=r"(?s)no tensor can be fitted.*0 and 6"):
        usable(bvals + 60, bvecs)
    with pytest.raises(DataError, match=r"(?s)six directions.*1 and 5"):
        usable(bvals[:6], bvecs[:6])
    flat = bvecs * [1, 1, 0]  # all in one plane
    with pytest.raises(DataError, match="1 and 3"):
        usable(bvals, flat)


def test_the_fit_is_dipys_also_where_noise_makes_an_eigenvalue_negative():
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    bvals, bvecs = table()
    draw = np.random.default_rng(0)
    true = stick((1, 1, 0), (1.7e-3, 0.1e-3, 0.1e-3))
    clean = predicted(true, np.full((1, 1, 1), 100.0), bvals, bvecs)
    data = np.maximum(clean + draw.normal(0, 10, (200, 1, 1, len(bvals))), 0)
    fitted = fit_tensors(data, bvals, bvecs, np.ones((200, 1, 1), bool)).elements
    model = TensorModel(gradient_table(bvals, bvecs=bvecs), fit_method="WLS", min_signal=1e-3)
    dipys = model.fit(data)
    assert (dipys.evals.min(-1) < 1e-8).any()
    assert fitted == pytest.approx(dipys.lower_triangular(), abs=1e-7)
