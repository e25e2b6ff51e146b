"""The text model: its tokenizer, what it may write, its windows, its files."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.report_structuring.measures import calibrated
from nextaim_kit.studies.report_structuring.methods import (
    load_structurer,
    save_structurer,
    who_trained,
)
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, read_template
from nextaim_kit.studies.report_structuring.text_model.answering import (
    TextModel,
    Written,
    generated,
)
from nextaim_kit.studies.report_structuring.text_model.constraint import (
    Automaton,
    Slot,
    allowed_tokens,
    spelled,
)
from nextaim_kit.studies.report_structuring.text_model.form import Form
from nextaim_kit.studies.report_structuring.text_model.network import IGNORED, build
from nextaim_kit.studies.report_structuring.text_model.pretraining import SENTINELS, corrupted
from nextaim_kit.studies.report_structuring.text_model.tokenizer import UNK, learn_pieces, only
from nextaim_kit.studies.report_structuring.text_model.windows import windows

TEXTS = [
    "Ventricolo sinistro di normali dimensioni, FE 55 %. DTD 52 mm, SIV 1,1 cm. TAPSE ventidue mm.",
    "FE 38 %, in precedenza 45 %. PAPs 40 mmHg. Insufficienza mitralica lieve.",
    "",
]
TEMPLATE = read_template("echo_short")


def model_of(numbers="marked", one_by_one=False, own=True, size="nano", seed=0) -> TextModel:
    form = Form(TEMPLATE, numbers)
    sources = [form.question(text, "it").source for text in TEXTS]
    # A tokenizer without tokens of the template's own has to spell it in what it has learned.
    format_ = [TEMPLATE.serialize(TEMPLATE.empty()), " ".join(form.own)]
    tokens = [*SENTINELS, *form.own] if own else []
    pieces = learn_pieces([*sources, *format_] * 3, 150, own=tokens)
    torch.manual_seed(seed)
    return TextModel(build(size, len(pieces)), pieces, form, one_by_one=one_by_one)


@pytest.fixture(scope="module")
def model() -> TextModel:
    return model_of()


def automaton(pieces, *options) -> Automaton:
    return Automaton([Slot("ef", "ef=", options), Slot("side", "; side=", ("?", "left"))], pieces)


def test_every_target_is_spelled_and_read_back_without_an_unknown_token(model):
    question = model.form.question(TEXTS[0], "it")
    values = TEMPLATE.empty() | {"ef": 55.0, "lvedd": 5.2, "septum": 1.1, "rhythm": "sinus"}
    tokens = spelled(question.slots, model.pieces, question.chosen(values, TEMPLATE))
    assert UNK not in tokens
    assert len(tokens) == 2 * len(TEMPLATE.fields) + 1
    assert model.form.read(model.pieces.text(tokens), question) == (values, True)


def test_copied_numbers_make_the_canonical_text():
    form = Form(TEMPLATE, "copied")
    question, values = form.question(TEXTS[0], "it"), TEMPLATE.empty() | {"ef": 55, "septum": 1.1}
    pieces = model_of("copied").pieces
    tokens = spelled(question.slots, pieces, question.chosen(values, TEMPLATE))
    assert pieces.text(tokens) == TEMPLATE.serialize(values)


def test_characters_that_the_tokenizer_lacks_are_named():
    pieces = learn_pieces(["una tac"] * 3, 150)
    with pytest.raises(DataError, match="none for '中', '文'"):
        pieces.spell("ggo=中文")
    assert pieces.unknown(["una 中 tac"]) == {"中": 1}


def test_pieces_are_case_folded_and_marks_are_tokens(model):
    pieces = model.pieces
    assert pieces.encode("FE 55") == pieces.encode("fe 55")
    assert pieces.text(pieces.encode("fe #3 55")[:-1]).split() == ["fe#3", "55"]


def test_a_tokenizer_of_fewer_pieces_cuts_texts_into_these(model):
    whole = learn_pieces(TEXTS * 3, 120)
    kept = [k for k, text in enumerate(whole.texts) if len(text) < 3]
    fewer = type(whole)(only(whole.spiece, kept))
    assert fewer.texts == tuple(whole.texts[k] for k in kept)
    assert fewer.text(fewer.encode("fe 55 %")) == whole.text(whole.encode("fe 55 %"))


def test_numbers_are_offered_in_the_unit_of_the_field_and_within_its_range(model):
    question = model.form.question(TEXTS[0], "it")
    keys = [slot.key for slot in question.slots]
    options = dict(zip(keys, question.values, strict=True))
    assert options["lvedd"] == (None, 5.2)
    assert options["septum"] == (None, 1.1, 2.2)
    assert options["ef"] == (None, 55.0)


@pytest.mark.parametrize("own", [True, False])
def test_of_options_that_begin_alike_both_can_be_written(own):
    pieces = learn_pieces(["ef=5; side=left 55 ?"] * 9, 150, own=["ef=", "; side="] if own else [])
    several = automaton(pieces, "?", "5", "55")
    for chosen in ([1, 0], [2, 1]):
        tokens = spelled(several.slots, pieces, chosen)
        assert several.at(tokens) is several.end
    assert several.at(spelled(several.slots, pieces, [1, 0])[:-1]).fewest == 1


def test_what_may_follow_can_always_be_closed_in_time(model):
    question = model.form.question(TEXTS[0], "it")
    one = Automaton(question.slots, model.pieces)
    for limit in range(one.shortest, one.longest + 1):
        written, draw = [], np.random.default_rng(limit)
        while one.at(written) is not one.end:
            written.append(int(draw.choice(one.allowed(written, limit - len(written)))))
        assert len(written) <= limit


def test_fewer_tokens_than_the_shortest_answer_are_refused(model):
    one = automaton(model_of(own=False).pieces, "?", "5")
    with pytest.raises(RequestError, match="at least"):
        allowed_tokens([one], one.shortest - 1)


@pytest.mark.parametrize("numbers", ["marked", "copied"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("short", [True, False])
def test_random_weights_never_leave_the_template_in_any_beam(numbers, own, short):
    check_random_weights(numbers, own, short, seeds=1, beams=4)


@pytest.mark.rest
def test_every_beam_of_hundreds_of_texts_of_random_weights_follows_the_template():
    cases = [(n, own, s) for n in ("marked", "copied") for own in (True, False) for s in (0, 1)]
    assert sum(check_random_weights(*case, seeds=3, beams=4) for case in cases) >= 250


def check_random_weights(numbers, own, short, *, seeds, beams) -> int:
    """Every beam of networks that know nothing, of texts with and without numbers."""
    found = 0
    for seed in range(seeds):
        model = model_of(numbers, own=own, seed=seed)
        questions = [model.form.question(text, "it") for text in TEXTS]
        automata = [Automaton(one.slots, model.pieces) for one in questions]
        source = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(model.pieces.encode(one.source)) for one in questions], batch_first=True
        )
        longest = max(one.shortest for one in automata) + 8 if short else 0
        with torch.inference_mode():
            model.net.eval()
            written = generated(model.net, model.net.hidden(source), source, automata,
                                beams=beams, longest=longest, every=True)  # fmt: skip
        for k, tokens in enumerate(written.tolist()):
            values, follows = model.form.read(model.pieces.text(tokens), questions[k // beams])
            canonical = TEMPLATE.serialize(values)
            assert follows
            assert TEMPLATE.serialize(TEMPLATE.parse(canonical)) == canonical
            found += 1
    return found


def test_confidence_is_the_share_among_what_is_allowed(model):
    answers = model.answer(TEXTS)
    sure = answers.confidence.to_numpy()
    assert answers.valid.all()
    assert ((sure > 0) & (sure <= 1)).all()
    # Nothing but silence can be said of a number that the text does not have.
    assert (sure[2, [f.kind == "number" for f in TEMPLATE.fields]] > 0.999).all()


def test_answers_do_not_depend_on_the_batch_or_on_forced_tokens(model):
    one, other = (model.answer(TEXTS, batch_size=k) for k in (1, 3))
    assert one.raw == other.raw
    np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-5)


def test_a_text_that_leaves_the_template_has_no_confidence_from_there_on(model):
    free = model.answer(TEXTS, constrained=False)
    assert not free.valid.any()
    assert free.unread.to_numpy().all()
    assert free.confidence.isna().to_numpy().all()


def test_fields_are_asked_for_one_by_one():
    answers = model_of(one_by_one=True).answer(TEXTS)
    assert answers.valid.all()
    assert answers.raw[0].count("=") == len(TEMPLATE.fields)


def test_two_beams_are_no_less_probable_than_one(model):
    one, two = (model.answer(TEXTS, beams=k).confidence.to_numpy() for k in (1, 2))
    assert (np.log(two).sum(1) >= np.log(one).sum(1) - 1e-6).all()


def test_windows_cover_a_long_text_and_overlap():
    text = "Uno due tre. Quattro cinque sei. Sette otto nove dieci undici dodici."
    found = windows(text, 5, lambda part: len(part.split()))
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    assert all(a[1] > b[0] for a, b in itertools.pairwise(found))
    assert all(len(text[a:b].split()) <= 5 for a, b in found)


def test_a_long_report_is_read_in_windows_and_says_so(capsys):
    model = model_of()
    long = TextModel(model.net, model.pieces, model.form, longest=30)
    assert long.answer([TEXTS[0] * 3, "FE 55 %"]).valid.all()
    assert "windows" in capsys.readouterr().out


def test_of_windows_the_surest_statement_counts_before_any_silence(model):
    def seen(ef, sure):
        silent = dict.fromkeys((f.key for f in TEMPLATE.fields), 0.5)
        return Written("", TEMPLATE.empty() | {"ef": ef}, silent | {"ef": sure}, True)

    best = model._one([seen(None, 0.99), seen(40.0, 0.6), seen(55.0, 0.7)])
    assert (best.values["ef"], best.confidence["ef"]) == (55.0, 0.7)


def test_spans_left_out_and_what_is_kept_make_the_text_again(model):
    tokens, signs = list(range(100, 150)), model.pieces.sentinels
    source, target = corrupted(tokens, signs)
    spans: dict[int, list[int]] = {}
    for token in target[:-1]:
        spans.setdefault(token, []) if token in signs else spans[[*spans][-1]].append(token)
    assert [t for s in source[:-1] for t in spans.get(s, [s])] == tokens
    assert sum(map(len, spans.values())) == round(0.15 * len(tokens))


def test_a_saved_model_gives_the_same_answers(model, tmp_path):
    cohort = {"name": "toy", "sha256": None, "synthetic": True}
    path = save_structurer(model, tmp_path / "t5.safetensors", trained_on=cohort, patients=["p"])
    again, who = load_structurer(path), who_trained(path)
    assert again.answer(TEXTS).raw == model.answer(TEXTS).raw
    assert who.seen.among(["p", "q"]) == ["p"]


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "t5.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="text model of an earlier run"):
        load_structurer(tmp_path / "t5.safetensors")


def test_a_temperature_is_fitted_to_validation_reports_alone(model):
    table = pd.DataFrame([TEMPLATE.empty() | {"text": text, "ef": 38.0} for text in TEXTS])
    assert calibrated(model, table).temperature != 1.0


def test_half_precision_does_not_reach_the_network(model):
    model.net.eval()
    source, target = torch.full((1, 4), 5), torch.tensor([[6, 1, IGNORED]])
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.net(source, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, model.net(source, target[:, :2]))


def test_silence_is_an_option_of_every_field(model):
    assert all(
        slot.options[0] == "?" and values[0] in (None, NOT_MENTIONED)
        for text in TEXTS
        for q in [model.form.question(text, "it")]
        for slot, values in zip(q.slots, q.values, strict=True)
    )
