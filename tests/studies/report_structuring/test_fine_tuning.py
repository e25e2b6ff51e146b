"""A text model that is killed while it learns ends as one that was not."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.loop import Loop
from nextaim_kit.studies.report_structuring import methods
from nextaim_kit.studies.report_structuring.text_model.fine_tuning import Training, begin
from nextaim_kit.studies.report_structuring.twin import Reports

LITTLE = {"pieces": 300, "pretraining": 3, "epochs": 3, "batch_size": 4, "seed": 3}


class Killed(Exception):
    """The end of a process."""


def learned(chest: Reports, folder, training=LITTLE):
    """A text model of eight reports, from pre-training on."""
    train = chest.only("train").table.head(8)
    validation, texts = chest.only("validation").table.head(3), train["text"].tolist()
    return methods.text_to_text(chest.template, texts, validation, folder, **training)(train)


@pytest.fixture(scope="module")
def whole(chest, tmp_path_factory):
    return learned(chest, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("epochs", [2, 5])  # in the middle of pre-training, and of fine-tuning
def test_a_killed_text_model_goes_on_to_the_same_numbers(
    chest, whole, tmp_path, monkeypatch, epochs
):
    ended, keep = [], Loop.on_validation_epoch_end

    def fatal(loop):
        keep(loop)
        ended.append(loop.current_epoch)
        if len(ended) == epochs:
            raise Killed

    monkeypatch.setattr(Loop, "on_validation_epoch_end", fatal)
    with pytest.raises(Killed):
        learned(chest, tmp_path)
    monkeypatch.setattr(Loop, "on_validation_epoch_end", keep)
    resumed = learned(chest, tmp_path)
    for name, weight in whole.net.state_dict().items():
        assert weight.equal(resumed.net.state_dict()[name]), name
    texts = chest.only("test").table["text"].tolist()[:3]
    pd.testing.assert_frame_equal(whole.answer(texts).values, resumed.answer(texts).values)
    assert resumed.temperature == whole.temperature


def test_a_pre_training_does_not_go_on_with_other_texts(chest, tmp_path):
    texts, little = chest.table["text"].tolist(), Training(**LITTLE)
    begin(texts[:20], chest.template, little, tmp_path)
    with pytest.raises(DataError, match="on other data"):
        begin(texts[:19] + texts[50:51], chest.template, little, tmp_path)
