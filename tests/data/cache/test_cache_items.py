"""A MONAI pipeline over cached items: what is deterministic once, what is random each time."""

from __future__ import annotations

import threading
from collections import deque

import nibabel
import numpy as np
import pytest
import torch
import zarr
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    Flipd,
    LoadImaged,
    MapTransform,
    RandFlipd,
    RandGaussianNoised,
    RandSpatialCropSamplesd,
    ScaleIntensityRanged,
    Spacingd,
)
from torch import nn
from torch.utils.data import DataLoader

from nextaim_kit.data.cache import space
from nextaim_kit.data.cache.items import CachedItems
from nextaim_kit.errors import RequestError
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train

KEYS = ("image", "label")
done: deque[str] = deque()


class Noted(MapTransform):
    """Changes nothing and notes that it was called."""

    def __call__(self, data):
        done.append("noted")
        return dict(data)


def pipeline(*, spacing=2.0, chance=True):
    fixed = [
        LoadImaged(KEYS),
        EnsureChannelFirstd(KEYS),
        Noted(KEYS),
        Spacingd(KEYS, (spacing,) * 3, mode=("bilinear", "nearest")),
        ScaleIntensityRanged("image", -1000, 300, 0, 1, clip=True),
    ]
    random = [RandFlipd(KEYS, 0.5, 0), RandGaussianNoised("image", 1.0, std=0.1)]
    return Compose([*fixed, *(random if chance else ())])


@pytest.fixture
def files(tmp_path):
    """Six CTs of 16 x 16 x 12 voxels of 1 mm with a mask each."""
    done.clear()
    rng, items = np.random.default_rng(0), []
    for k in range(6):
        item = {"subject": f"Rossi {k}", "age": 60 + k}
        for key in KEYS:
            values = rng.integers(-1000, 300, (16, 16, 12)).astype(np.int16)
            values = values if key == "image" else (values > -300).astype(np.int16)
            item[key] = str(tmp_path / f"{k}_{key}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 1, 1])), item[key])
        items.append(item)
    return items


def test_fixed_transforms_run_once_and_random_ones_each_time(files):
    data = CachedItems(files, pipeline())
    first, second = data[0]["image"], data[0]["image"]
    assert len(done) == 1
    assert not torch.equal(first, second)
    assert len(space.held()) == 1


def test_an_item_is_what_the_pipeline_alone_gives(files):
    whole = pipeline(chance=False)
    data, plain = CachedItems(files, whole), whole(files[1])
    for found in (data[1], data[1]):  # made, then read
        for key in KEYS:
            assert torch.equal(found[key], plain[key])
            assert torch.equal(found[key].affine, plain[key].affine)
            assert found[key].meta["filename_or_obj"] == files[1][key]
        assert found["subject"] == "Rossi 1"
        assert found["age"] == 61


def test_what_was_read_can_be_inverted_as_what_was_made(files):
    loaded = Compose(list(pipeline().transforms[:2]))
    data = CachedItems(files, Compose([*loaded.transforms, Flipd(KEYS, 0)]))
    for found in (data[0], data[0]):  # made, then read
        back = Flipd("image", 0).inverse({"image": found["image"]})["image"]
        assert torch.equal(back, loaded(files[0])["image"])


def test_another_parameter_of_a_fixed_transform_makes_it_anew_but_not_of_a_random_one(files):
    CachedItems(files, pipeline())[0]
    other = Compose([*pipeline(chance=False).transforms, RandFlipd(KEYS, 0.9, 1)])
    CachedItems(files, other)[0]
    assert len(done) == 1
    assert CachedItems(files, pipeline(spacing=4.0))[0]["image"].shape == (1, 5, 5, 4)
    assert len(done) == 2


def test_loader_processes_share_the_cache_and_draw_their_own_chance(files):
    data = CachedItems([files[0]] * 4, pipeline(), take=KEYS)
    loader = DataLoader(data, batch_size=1, num_workers=2)
    images = [image for image, _ in loader] + [image for image, _ in loader]
    assert len(space.held()) == 1
    assert len({image.numpy().tobytes() for image in images}) == 8


def test_a_training_has_the_same_numbers_from_a_cold_and_a_warm_cache(files, tmp_path):
    def build():
        return nn.Conv3d(1, 1, 3, padding=1)

    parts = [CachedItems(part, pipeline(), take=KEYS) for part in (files[:4], files[4:])]
    task = Task(build, nn.BCEWithLogitsLoss(), *parts)
    histories = [
        train(task, Recipe(2), folder=tmp_path / name).history for name in ("cold", "warm")
    ]
    assert len(done) == len(files)
    assert histories[0].equals(histories[1])


def test_one_sample_is_taken_and_several_are_refused(files):
    def crops(n):
        crop = RandSpatialCropSamplesd(KEYS, (4, 4, 4), num_samples=n, random_size=False)
        return CachedItems(files, Compose([*pipeline(chance=False).transforms, crop]), take=KEYS)

    assert crops(1)[0][0].shape == (1, 4, 4, 4)
    assert type(crops(1)[0][0]) is torch.Tensor
    with pytest.raises(RequestError, match="several samples"):
        crops(2)[0]


def test_a_transform_that_holds_what_cannot_be_told_is_refused_by_its_name(files):
    odd = Noted(KEYS)
    odd.lock = threading.Lock()
    with pytest.raises(RequestError, match="what Noted does cannot be told"):
        CachedItems(files, Compose([odd]))


def test_neither_subject_nor_path_is_kept(files, tmp_path):
    CachedItems(files, pipeline())[0]
    (path,) = (one.path for one in space.held())
    pickled = zarr.open_group(zarr.ZipStore(str(path), mode="r"), mode="r")["value"][...].tobytes()
    for text in (b"Rossi", tmp_path.name.encode(), b"descrip"):
        assert text not in pickled
    assert b"original_affine" in pickled
    assert path.parent.name == "monai.LoadImaged-to-ScaleIntensityRanged"
