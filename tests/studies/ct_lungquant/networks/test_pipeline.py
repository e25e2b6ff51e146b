"""LungQuant around its networks: boxes, windows, sides, files; by networks of known answers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant import definitions, threshold
from nextaim_kit.studies.ct_lungquant.measures import measure
from nextaim_kit.studies.ct_lungquant.networks import nets as networks
from nextaim_kit.studies.ct_lungquant.networks import preparing, scoring
from nextaim_kit.studies.ct_lungquant.networks.pipeline import LungQuant, LungQuantTraining
from nextaim_kit.studies.ct_lungquant.quantification import Software
from nextaim_kit.studies.ct_lungquant.scans import read_ct
from nextaim_kit.studies.ct_lungquant.truth import known
from nextaim_kit.studies.ct_lungquant.twin import make_twin
from nextaim_kit.twins.chest_ct import population

pytestmark = pytest.mark.rest

SIZE = (64, 48, 40)
COARSE = LungQuantTraining(spacing=(6.25, 6.25, 8.5), patch=(32, 32, 32))


class Dense(nn.Module):
    """Lesions: what is denser than well-aerated lung, and less dense than the chest wall."""

    def forward(self, x):
        low, high = (float(networks.normalized(torch.tensor(hu))) for hu in (-720, -350))
        return 50 * torch.minimum(x - low, high - x)


class Dark(nn.Module):
    """Lungs: what is darker than tissue, and within what this patch shows of the field."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        lung = 50 * (float(networks.normalized(torch.tensor(-450))) - x)
        if self.outputs == 1:
            return lung
        half = torch.linspace(-1, 1, x.shape[-1]) * torch.ones_like(x)
        return torch.cat([-lung, lung - 9 * half, lung + 9 * half], 1)


class Box(nn.Module):
    """A box that is always the same share of the scan."""

    def __init__(self, *corners):
        super().__init__()
        self.corners = torch.tensor([corners])

    def forward(self, x):
        return self.corners.expand(len(x), 6)


WHOLE, MIDDLE = Box(0, 0, 0, 1, 1, 1), Box(0.4, 0.3, 0.3, 0.6, 0.7, 0.7)
TINY = Box(0.5, 0.45, 0.3, 0.52, 0.5, 0.34)


def lungquant(version="v2", box=WHOLE, patch=(64, 48, 48), scale=1.0):
    recipe = replace(COARSE, version=version, patch=patch, lung_patch=patch, lung_scale=scale)
    nets = {"lungs": Dark(3 if version == "v2" else 1), "lesions": Dense()}
    return LungQuant(recipe, nets | ({"box": box} if version == "v2" else {}))


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """One patient, with its axes stored in three ways."""
    folder = tmp_path_factory.mktemp("twin")

    def made(axes):
        everyone = population.twin(known=known, sources=[definitions], size=SIZE, axes=axes)
        few = replace(everyone, counts={"A": (2, 2)})
        return population.counted(few.make(4, workers=1, folder=folder / axes)).iloc[[3]]

    return {axes: made(axes) for axes in ("LPS", "RAS", "SPL")}


@pytest.fixture
def scan(twins):
    # The air around the patient is no lung: the stand-in networks do not know that.
    found = read_ct(twins["LPS"]["image"].iloc[0])
    lungs = sitk.DICOMOrient(sitk.ReadImage(twins["LPS"]["lungs"].iloc[0]), "LPS") > 0
    near = sitk.BinaryDilate(lungs, (3, 3, 2))
    return replace(found, image=sitk.Mask(found.image, near, 40))


def voxels(maps):
    return [sitk.GetArrayFromImage(one) for one in (maps.right, maps.left, maps.lesions)]


def test_lungs_come_back_at_the_cts_own_voxels(scan, twins):
    found = measure(scan, lungquant().segment(scan))
    truth = twins["LPS"].iloc[0]
    assert found.values["lungs_ml"] == pytest.approx(
        truth.truth_right_ml + truth.truth_left_ml, rel=0.12
    )
    assert found.lungs.shape == found.lesions.shape == SIZE[::-1]
    assert set(np.unique(found.lungs)) == {0, 1, 2}
    assert not found.lesions[found.lungs == 0].any()


@pytest.mark.parametrize("box", [MIDDLE, TINY])
def test_a_box_that_is_too_small_grows_to_the_lungs(scan, box):
    whole, grown = (lungquant(box=box).segment(scan) for box in (WHOLE, box))
    lungs = [voxels(maps)[0] + voxels(maps)[1] >= 0.5 for maps in (whole, grown)]
    assert lungs[1].sum() > 0.95 * lungs[0].sum()


def test_lungs_found_at_larger_voxels_lie_where_they_are(scan):
    middles = []
    for scale in (1.0, 1.5):
        lungs = measure(scan, lungquant(scale=scale).segment(scan)).lungs > 0
        middles.append(np.argwhere(lungs).mean(axis=0))
    assert np.abs(middles[0] - middles[1]).max() < 0.5  # voxels of the CT


def test_windows_that_slide_give_what_one_window_gives(scan):
    one, many = (lungquant("v1", patch=p).segment(scan) for p in ((64, 48, 48), (32, 32, 32)))
    for a, b in zip(voxels(one), voxels(many), strict=True):
        assert np.abs(a - b).max() < 1e-4


def test_version_1_has_no_box_and_gives_both_sides_all_the_same(scan):
    first = lungquant("v1")
    assert first.box(torch.zeros(1, 5, 6, 7)) == (slice(0, 5), slice(0, 6), slice(0, 7))
    right, left, _ = voxels(first.segment(scan))
    assert np.nonzero(right)[2].mean() < np.nonzero(left)[2].mean()
    assert not ((right > 0) & (left > 0)).any()


@pytest.mark.parametrize("axes", ["RAS", "SPL"])
def test_the_same_patient_stored_with_other_axes_gives_the_same_values(twins, axes):
    values = []
    for of in ("LPS", axes):
        stored = read_ct(twins[of]["image"].iloc[0])
        values.append(measure(stored, lungquant().segment(stored)).values)
    assert repr(values[0]) == repr(values[1])  # to the bit; NaN does not equal itself


def test_a_scan_without_a_lung_is_refused(scan):
    blank = replace(scan, image=scan.image * 0 + 40)
    with pytest.raises(DataError, match="the network finds no lung"):
        lungquant().segment(blank)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("training")
        patch.setenv("NEXTAIM_CACHE", str(folder))
        table = make_twin(12, size=SIZE, workers=1)
        cases, kept, *_ = preparing.prepare(table, (8.0, 8.0, 8.5))
        recipe = LungQuantTraining(
            spacing=(8.0, 8.0, 8.5), patch=(32, 32, 32), epochs=2, box_epochs=2
        )
        return kept, cases, *recipe.train(cases[:8], cases[8:], folder / "networks")


def test_all_three_networks_are_trained_and_get_better(trained):
    _, _, lungquant, fitted = trained
    assert list(fitted) == ["box", "lungs", "lesions"] == list(lungquant.nets)
    for one in fitted.values():
        assert one.history["loss"].iloc[-1] < one.history["loss"].iloc[0]


def test_a_ct_is_measured_once_by_the_same_weights_and_anew_by_others(
    trained, tmp_path, monkeypatch
):
    table, _, lungquant, _ = trained
    seen = []

    def segment(self, scan):
        seen.append(self.cut)
        return threshold.segment(scan)

    monkeypatch.setattr(LungQuant, "segment", segment)
    files = [replace(lungquant, cut=cut).save(tmp_path / f"{cut}.pt") for cut in (0.3, 0.4)]
    for file in (*files, files[0]):
        Software(str(file))(table["image"].iloc[0])
    assert seen == [0.3, 0.4]


def test_a_trained_lungquant_is_read_back_the_same(trained, tmp_path):
    _, _, lungquant, _ = trained
    again = LungQuant.load(lungquant.save(tmp_path / "lungquant.pt"))
    assert again.recipe == lungquant.recipe
    assert again.name == lungquant.name == "LungQuant v2 (unet)"
    x = torch.randn(1, 1, 32, 32, 32)
    with torch.inference_mode():
        assert torch.equal(again.nets["lesions"](x), lungquant.nets["lesions"].eval()(x))


def test_networks_are_read_and_asked_without_what_trains_them():
    code = """
import sys
from nextaim_kit.studies.ct_lungquant.networks.pipeline import LungQuantTraining
LungQuantTraining().build("lungs")
print({"lightning", "torchmetrics"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_file_that_holds_no_lungquant_is_refused(content, tmp_path):
    path = tmp_path / "lungquant.pt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"lungquant\.pt holds no LungQuant"):
        LungQuant.load(path)


def test_a_training_can_be_planned_into_memory(trained, tmp_path, capsys):
    _, cases, _, _ = trained
    recipe = LungQuantTraining(
        spacing=(8.0, 8.0, 8.5), patch=(32, 32, 32), epochs=1, box_epochs=1, memory=4.0
    )
    recipe.train(cases[:2], cases[2:3], tmp_path)
    assert "memory plan" in capsys.readouterr().out


@pytest.mark.parametrize("architecture", ["unet", "dynunet"])
def test_networks_give_logits_of_their_inputs_shape(architecture):
    net = networks.segmenter(3, architecture)
    assert net(torch.zeros(1, 1, 32, 16, 16)).shape == (1, 3, 32, 16, 16)


def test_an_unknown_network_is_refused():
    with pytest.raises(RequestError, match="no network 'vnet'"):
        networks.segmenter(1, "vnet")


def test_overlap_of_boxes_is_as_known():
    one = torch.tensor([[0, 0, 0, 0.5, 1, 1]])
    other = torch.tensor([[0.25, 0, 0, 0.75, 1, 1]])
    assert networks.box_iou(one, one) == pytest.approx(1)
    assert networks.box_iou(one, other) == pytest.approx(1 / 3)


def test_a_perfect_software_scores_one_and_the_average_does_not(trained):
    kept, cases, _, _ = trained
    test = kept.iloc[8:10]
    masks = {row.subject: scoring.masks_of(row, read_ct(row.image)) for row in test.itertuples()}
    asked = iter(masks.values())

    def perfect(scan):
        lungs, ill = next(asked)
        shares = (lungs == 1, lungs == 2, ill > 0)
        from nextaim_kit.studies.ct_lungquant.measures import Maps
        from nextaim_kit.studies.ct_lungquant.resampling import placed

        return Maps(*(placed(s.astype(np.float32), scan.image) for s in shares))

    table = scoring.scores(test, {"perfect": perfect, "average": scoring.average(cases[:8])})
    summary = scoring.summary(table, n_boot=50, seed=0).set_index(["way", "metric"])["value"]
    assert summary["perfect", "dsc_lungs"] > 0.97
    assert summary["perfect", "surface_dsc_lesions"] > 0.97
    assert summary["perfect", "involvement_mae"] < 1.5
    assert 0.5 < summary["average", "dsc_lungs"] < 0.95
    assert summary["average", "involvement_mae"] > 5


def test_a_software_that_finds_no_lung_scores_zero(trained):
    kept, _, _, _ = trained

    def blind(_):
        raise DataError("no lung")

    table = scoring.scores(kept.iloc[8:9], {"blind": blind})
    assert table["dsc_lungs"].tolist() == [0]
    assert table["ct_ss"].tolist() == [0]  # a class that there is not
    assert abs(table["involvement"] - table["truth_involvement"]).min() >= 50


def test_air_around_a_body_is_no_lung(scan):
    hu = sitk.GetArrayFromImage(scan.image)
    hu[:, :5, :] = -1000  # a block of air before the patient
    found, plain = (
        lungquant("v1").segment(replace(scan, image=one))
        for one in (placed_like(hu, scan.image), scan.image)
    )
    assert np.allclose(voxels(found)[0], voxels(plain)[0], atol=0.02)


def placed_like(values, image):
    made = sitk.GetImageFromArray(values)
    made.CopyInformation(image)
    return made
