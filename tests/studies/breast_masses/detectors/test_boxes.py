"""Boxes: overlaps by hand, suppression beside a plain loop, and what is called a hit."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.breast_masses.detectors.boxes import ciou, hits, iou, suppressed

SQUARE = torch.tensor([0.0, 0, 2, 2])


def test_complete_iou_of_boxes_side_by_side_is_that_by_hand():
    beside = torch.tensor([1.0, 0, 3, 2])
    assert ciou(SQUARE, beside).item() == pytest.approx(1 / 3 - 1 / 13, abs=1e-6)


def test_complete_iou_of_another_shape_is_that_by_hand():
    shape = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    expected = 0.5 - 1 / 20 - shape**2 / (0.5 + shape)
    assert ciou(SQUARE, torch.tensor([0.0, 0, 4, 2])).item() == pytest.approx(expected, abs=1e-6)


def test_complete_iou_of_a_box_with_itself_is_one_and_has_a_gradient():
    box = SQUARE.clone().requires_grad_()
    ciou(box, SQUARE).backward()
    assert ciou(SQUARE, SQUARE).item() == pytest.approx(1)
    assert torch.isfinite(box.grad).all()


def by_loop(boxes, scores, above):
    kept = []
    for k in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[k], boxes[j]) <= above for j in kept):
            kept.append(int(k))
    return kept


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.sampled_from([0.0, 0.3, 0.7]))
def test_suppression_keeps_what_a_plain_loop_keeps(seed, n, above):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 20, (n, 2))
    boxes = np.c_[corner, corner + rng.uniform(1, 10, (n, 2))].astype(np.float32)
    scores = rng.integers(0, 8, n) / 8  # with equal ones
    found = suppressed(boxes, scores, above=above)
    assert found.tolist() == by_loop(torch.from_numpy(boxes), scores, above)


def test_suppression_of_three_thousand_boxes_takes_a_second_and_not_five():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 300, (3000, 2))
    boxes = np.c_[corner, corner + rng.uniform(1, 50, (3000, 2))]
    began = time.process_time()
    found = suppressed(boxes, rng.random(3000), most=300)
    assert time.process_time() - began < 2.5
    assert len(found) == 300


def test_the_rules_differ_on_the_same_mark():
    truth = [[0, 0, 40, 40]]
    mark = [[15, 15, 45, 45]]  # a shared area of 625 of 1875; centers 14 apart
    found = {
        rule: bool(hits(mark, truth, rule)[0, 0]) for rule in ("IoU 0.5", "IoU 0.25", "center")
    }
    assert found == {"IoU 0.5": False, "IoU 0.25": True, "center": True}


def test_dbtex_s_ten_millimeters_hold_where_the_spacing_is_known():
    truth, mark = [[0, 0, 4, 4]], [[10, 0, 14, 4]]  # centers 10 pixels apart, half diagonal 2.8
    assert not hits(mark, truth, "DBTex")[0, 0]
    assert not hits(mark, truth, "DBTex", 1.0)[0, 0]  # 10 mm are not nearer than 10 mm
    assert hits(mark, truth, "DBTex", 0.5)[0, 0]


def test_an_unknown_rule_is_refused():
    with pytest.raises(RequestError, match="no rule"):
        hits([[0, 0, 1, 1]], [[0, 0, 1, 1]], "nearly")
