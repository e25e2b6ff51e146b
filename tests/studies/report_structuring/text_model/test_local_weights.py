"""Published weights in a local folder: mT5-small's true depth and width, random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import sentencepiece
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.report_structuring.schema import read_template
from nextaim_kit.studies.report_structuring.text_model.fine_tuning import (
    Training,
    begin,
    fit_text_model,
)
from nextaim_kit.studies.report_structuring.text_model.memory_plans import memory_plans
from nextaim_kit.studies.report_structuring.text_model.network import (
    SHAPES,
    build,
    read_network,
    trimmed,
)
from nextaim_kit.studies.report_structuring.text_model.tokenizer import (
    Pieces,
    read_pieces,
)

TEXTS = ["FE 55 %. DTD 52 mm, SIV 1,1 cm. Insufficienza mitralica lieve.", "FE 38 %, TAPSE 20 mm."]
TEMPLATE = read_template("echo_short")


def published(folder: Path, size: str = "nano", vocabulary: int = 400) -> Path:
    """A folder as mT5's are: config.json, weights, spiece.model."""
    folder.mkdir(exist_ok=True)
    lines = [*TEXTS, TEMPLATE.serialize(TEMPLATE.empty()), "# 0 1 2 3 4 5 6 7 8 9 . - ABCDEFG"]
    with open(folder / "spiece.model", "wb") as written:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines * 9), model_writer=written, model_type="unigram",
            vocab_size=200, hard_vocab_limit=False, character_coverage=1.0, minloglevel=2,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        )  # fmt: skip
    torch.manual_seed(0)
    net = build(size, vocabulary)
    net.t5.config.tie_word_embeddings = False
    net.t5.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return published(tmp_path_factory.mktemp("mt5"))


def reports() -> pd.DataFrame:
    rows = [TEMPLATE.empty() | {"text": t, "ef": ef} for t, ef in zip(TEXTS, (55, 38), strict=True)]
    return pd.DataFrame(rows).assign(split=["train", "validation"], language="it")


def test_weights_are_read_as_they_were_written_embeddings_apart(folder):
    net = read_network(folder, read_pieces(folder, TEXTS))
    torch.manual_seed(0)
    same = build("nano", 400)
    assert not net.tied
    for (name, one), (_, other) in zip(
        net.named_parameters(), same.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def test_a_trimmed_vocabulary_gives_the_same_numbers(folder):
    pieces = read_pieces(folder, TEXTS)
    net = read_network(folder, pieces).eval()
    smaller, fewer = trimmed(net, pieces, TEXTS)
    assert len(fewer) < len(pieces)
    source, target = (torch.tensor([pieces.encode(text)]) for text in TEXTS)
    source2, target2 = (torch.tensor([fewer.encode(text)]) for text in TEXTS)
    whole = net.logits(net.hidden(source), source, target)
    part = smaller.eval().logits(smaller.hidden(source2), source2, target2)
    there = [pieces.texts.index(text) for text in fewer.texts[3:]]
    torch.testing.assert_close(part[..., 3:], whole[..., there])


def test_another_architecture_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(DataError, match=r"another architecture(.|\n)*'bert'(.|\n)*mt5-small"):
        read_network(tmp_path, Pieces((folder / "spiece.model").read_bytes()))


def test_a_folder_without_weights_or_tokenizer_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(DataError, match=r"no tokenizer(.|\n)*spiece.model"):
        read_pieces(tmp_path, TEXTS)
    with pytest.raises(DataError, match=r"cannot be read(.|\n)*copy the folder anew"):
        read_network(tmp_path, Pieces((folder / "spiece.model").read_bytes()))


def test_weights_of_another_shape_are_refused(folder, tmp_path):
    other = json.loads((folder / "config.json").read_text())
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(other | {"num_layers": 1}))
    with pytest.raises(DataError, match="of another network"):
        read_network(tmp_path, read_pieces(tmp_path, TEXTS))


def test_a_tokenizer_of_another_language_is_refused_with_its_unknown_characters(folder):
    with pytest.raises(DataError, match=r"does not know this language(.|\n)*胸"):
        read_pieces(folder, ["胸部CT、すりガラス影"])


def test_a_model_that_is_neither_size_nor_folder_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no text model"):
        begin(TEXTS, TEMPLATE, Training(str(tmp_path / "none")), tmp_path)


@pytest.mark.rest
def test_mt5_small_of_true_depth_and_width_trains_a_step_and_writes_what_may_be(tmp_path):
    folder = published(tmp_path / "mt5-small", "mt5-small", 4000)
    training = Training(str(folder), epochs=1, batch_size=1)
    begun = begin(TEXTS, TEMPLATE, training, tmp_path / "begun")
    config = begun.net.t5.config
    shape = SHAPES["mt5-small"]
    assert (config.d_model, config.num_layers, config.num_heads) == (512, 8, 6)
    assert shape.d_ff == config.d_ff
    before = begun.net.t5.encoder.block[0].layer[0].SelfAttention.q.weight.clone()
    model = fit_text_model(reports(), begun, training, tmp_path / "fit")
    after = model.net.t5.encoder.block[0].layer[0].SelfAttention.q.weight
    assert not torch.equal(before, after)
    assert model.answer(TEXTS, beams=2).valid.all()


@pytest.mark.rest
def test_a_report_at_a_time_takes_less_memory_than_a_batch():
    row = memory_plans(["nano"], [0.1, 9.5], vocabulary=4000).iloc[0]
    assert row["lean_gb"] < row["batch_gb"]
    assert (row["0.1 GB"], row["9.5 GB"]) == ("no", "yes")
    assert row["weights_gb"] == 4 * row["parameters"] / 1e9
