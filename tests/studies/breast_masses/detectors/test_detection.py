"""Detectors on painted spots: trained, asked, kept, and applied again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.network_file import save_networks
from nextaim_kit.learn.recipe import optimizer_for
from nextaim_kit.studies.breast_masses.detectors import detection, froc, marks, training
from nextaim_kit.studies.breast_masses.detectors.augmentation import Augmentation
from nextaim_kit.studies.breast_masses.mammograms.loading import Mammograms
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, Pictures, divide

PLAIN = Augmentation(mosaic=0.0, scale=0.0, shift=0.0, contrast=1.0)


def spots(n=8, edge=96, seed=0):
    """Noise with a bright ellipse in each picture."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(0.3, 0.05, (n, edge, edge)).astype(np.float32)
    rows = []
    for k, picture in enumerate(pictures):
        w, h = rng.integers(14, 36, 2)
        x, y = rng.integers(2, edge - w - 2), rng.integers(2, edge - h - 2)
        v, u = np.ogrid[:edge, :edge]
        picture[((u + 0.5 - x - w / 2) / w) ** 2 + ((v + 0.5 - y - h / 2) / h) ** 2 < 0.25] += 0.4
        rows.append((k, x, y, x + w, y + h))
    masses = pd.DataFrame(rows, columns=["row", *BOX])
    names = [f"P{k}" for k in range(n)]
    beside = {"patient": names, "lesion": names, "diameter_mm": 20.0, "margin": ""}
    images = pd.DataFrame({"subject": names, "patient": names, "site": "A", "view": "CC",
                           "masses": 1, "density": 2, "digest": names})  # fmt: skip
    return Pictures(images, pictures.clip(0, 1), masses.assign(**beside), np.full(n, np.nan))


@pytest.mark.rest
@pytest.mark.parametrize("kind", ["yolov5", "yolov8"])
def test_eight_pictures_are_learned_by_heart(kind, tmp_path):
    seen = spots(edge=64)
    how = training.Training(60, 8, augmentation=PLAIN)
    net = training.train_detector(kind, how, seen, seen, tmp_path).net
    judged = froc.judge(marks.find(net, seen.pictures), seen.masses, seen.spacing, "IoU 0.5")
    assert froc.recalls_at(judged, [0.0])(np.ones((1, 8)))[0, 0] == 1


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    seen = spots(4, 64)
    folder = tmp_path_factory.mktemp("nets")
    return {
        kind: training.train_detector(kind, training.Training(1, 2), seen, seen, folder / kind)
        for kind in ("yolov5", "yolov8")
    }


@pytest.mark.rest
def test_detectors_trained_side_by_side_are_those_trained_one_by_one(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "_FEW", 0)
    seen, how = spots(4, 64), {"epochs": 1, "batch_size": 2}
    beside = detection.train_all(["yolov5", "yolov8"], seen, seen, tmp_path, **how)
    for kind, one in beside.items():
        same = fitted[kind].history
        pd.testing.assert_frame_equal(one.history, same, rtol=1e-3)


def test_a_training_tells_each_part_of_its_loss(fitted):
    assert {"loss_box", "loss_object", "val_loss_box"} <= set(fitted["yolov5"].history)
    assert {"loss_class", "loss_box", "loss_distribution"} <= set(fitted["yolov8"].history)
    for one in fitted.values():
        parts = one.history.filter(regex="^loss_").sum(axis=1)
        assert one.history["loss"].to_numpy() == pytest.approx(parts.to_numpy(), rel=1e-5)


def test_a_finished_training_is_read_back_with_the_same_numbers(tmp_path):
    seen, how = spots(4, 64), training.Training(2, 2)
    whole = training.train_detector("yolov8", how, seen, seen, tmp_path / "whole")
    again = training.train_detector("yolov8", how, seen, seen, tmp_path / "whole")
    pd.testing.assert_frame_equal(whole.history, again.history)


def test_short_trainings_take_adamw_and_long_ones_sgd_with_momentum():
    short, times = training.recipe("yolov8", training.Training(10, 8), 200)
    assert (short.optimizer, short.learning_rate, times) == (torch.optim.AdamW, 0.002, 1)
    long, times = training.recipe("yolov8", training.Training(300, 8), 1000)
    assert (long.optimizer, long.learning_rate, times) == (torch.optim.SGD, 0.01, 64)
    asked, _ = training.recipe("yolov5", training.Training(10, optimizer="sgd"), 200)
    assert asked.optimizer is torch.optim.SGD


@pytest.mark.parametrize("kind", ["yolov5", "yolov8"])
def test_biases_and_normalizations_do_not_decay(kind):
    net = training.build(kind)
    made, _ = training.recipe(kind, training.Training(10), 200)
    decays = {
        id(w): g["weight_decay"] for g in optimizer_for(net, made).param_groups for w in g["params"]
    }
    for name, weight in net.named_parameters():
        plain = name.endswith("bias") or weight.ndim == 1
        assert decays[id(weight)] == (0 if plain else 0.0005), name


def test_the_transformer_answers_with_boxes_and_learns_from_the_same_targets():
    net = training.build("rtdetr")
    picture = torch.rand(2, 3, 96, 96)
    output = net(picture)
    boxes, scores = net.decode(output, (96, 96))
    assert boxes.shape == (2, scores.shape[1], 4)
    target = torch.zeros(2, 3, 5)
    target[..., 0], target[0, 0] = -1, torch.tensor([0.0, 8, 8, 24, 24])
    parts = training.loss_of(net, (96, 96))(output, target)
    sum(parts.values()).backward()
    assert set(parts) == {"class", "distance", "box"}


def test_an_unknown_detector_is_refused():
    with pytest.raises(RequestError, match="no detector"):
        training.build("yolov99")


def test_nine_anchors_are_the_middles_of_nine_groups_of_boxes():
    rng = np.random.default_rng(0)
    edges = np.array([10, 20, 40, 80, 160, 320, 640, 1280, 2560.0])
    size = edges.repeat(20)[:, None] * rng.uniform(0.95, 1.05, (180, 2))
    found = training.anchors_of(np.c_[np.zeros_like(size), size], 0)
    assert found.reshape(9, 2) == pytest.approx(np.c_[edges, edges], rel=0.05)
    with pytest.raises(DataError, match="anchors cannot be found"):
        training.anchors_of(np.array([[0, 0, 5, 5.0]] * 20), 0)


def test_the_blob_detector_marks_bright_spots_of_the_size_it_has_seen():
    seen = spots(12)
    found = marks.Blobs.fit(seen).find(seen.pictures)
    judged = froc.judge(found, seen.masses, seen.spacing, "center")
    assert froc.recalls_at(judged, [0.5])(np.ones((1, 12)))[0, 0] >= 0.9


def test_marks_end_at_the_border_and_are_in_the_order_of_their_scores(fitted):
    found = marks.find(fitted["yolov8"].net, spots(4, 64).pictures)
    assert found[BOX].to_numpy().min() >= 0
    assert found[BOX].to_numpy().max() <= 64
    for _, one in found.groupby("row"):
        assert one["score"].is_monotonic_decreasing


def test_a_map_of_where_it_looks_has_the_picture_s_size(fitted):
    maps = marks.looks_at(fitted["yolov5"].net, spots(2, 64).pictures)
    assert maps.shape == (2, 64, 64)


@pytest.fixture
def kept(fitted):
    seen = spots(4, 64)
    nets = {name: one.net for name, one in fitted.items()}
    blobs = marks.Blobs.fit(seen)
    thresholds = {"yolov5": 0.1, "yolov8": np.inf, "blobs": 0.2}
    cohort = {"name": "spots", "sha256": None, "synthetic": True}
    who = detection.trained_on(cohort, seen)
    return detection.Detectors(64, "n", nets, blobs, thresholds, who)


def test_detectors_that_were_kept_mark_the_same_at_the_same_thresholds(kept, tmp_path):
    again = detection.Detectors.load(Path(kept.save(tmp_path / "kept.safetensors")))
    assert again.thresholds == kept.thresholds
    pictures = spots(3, 64, seed=9).pictures
    for name, found in kept.marks(pictures).items():
        pd.testing.assert_frame_equal(again.marks(pictures)[name], found)


def test_a_file_of_other_networks_is_refused(kept, tmp_path):
    path = Path(save_networks(kept.nets, tmp_path / "other.safetensors", told={"size": "n"}))
    with pytest.raises(DataError, match="holds no models"):
        detection.Detectors.load(path)


def test_patients_that_made_the_detectors_are_left_out(kept):
    images = spots(6, 64).images
    cohort = Mammograms(images, pd.DataFrame(columns=["subject"]))
    left = kept.unseen(cohort)
    assert left.images["subject"].tolist() == ["P4", "P5"]
    assert len(left.left_out) == 4
    renamed = replace(cohort, images=images.head(4).assign(patient="other"))
    with pytest.raises(DataError, match="made with all"):
        kept.unseen(renamed)


def test_whole_patients_are_divided():
    seen = spots(12, 64)
    seen = replace(seen, images=seen.images.assign(patient=list("AABBCCDDEEFF")))
    parts = divide(seen, 3, seed=0)
    who = [set(part.images["patient"]) for part in parts]
    assert sum(map(len, who)) == 6
    assert sorted(s for part in parts for s in part.images["subject"]) == sorted(
        seen.images["subject"]
    )
    for part in parts:
        assert part.masses["lesion"].tolist() == part.images["subject"].tolist()
        assert part.masses["row"].tolist() == list(range(len(part.images)))
