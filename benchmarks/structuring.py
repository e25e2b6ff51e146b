"""What holding a text model to its template costs, and whether it ever leaves it.

    python benchmarks/structuring.py         # two minutes; writes benchmarks/results

Networks with random weights write the short echocardiography template of generated reports, with
and without constraint in turns, as many tokens each. A thousand texts and more are then checked
word for word, every beam among them, half of them with as few tokens as will just do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.studies.report_structuring.schema import read_template
from nextaim_kit.studies.report_structuring.text_model.answering import TextModel, generated
from nextaim_kit.studies.report_structuring.text_model.constraint import Automaton
from nextaim_kit.studies.report_structuring.text_model.form import Form
from nextaim_kit.studies.report_structuring.text_model.network import build
from nextaim_kit.studies.report_structuring.text_model.pretraining import SENTINELS
from nextaim_kit.studies.report_structuring.text_model.tokenizer import learn_pieces

TEMPLATE, TURNS, REPORTS = read_template("echo_short"), 5, 16
LIMIT = 1.5  # times the unconstrained decoding
SENTENCES = (
    "Ventricolo sinistro di dimensioni nei limiti, FE 5{k} %, DTD {k}8 mm, SIV 1,{k} cm.",
    "Atrio sinistro lievemente dilatato. TAPSE 2{k} mm. PAPs stimata 3{k} mmHg.",
    "Insufficienza mitralica lieve, non stenosi aortica, non versamento pericardico.",
    "Al precedente controllo FE 4{k} %.",
)


def model(own: bool, numbers: str, seed: int, size: str = "nano") -> TextModel:
    """Random weights; with tokens of the template's own, or the template spelled in pieces."""
    form = Form(TEMPLATE, numbers)
    format_ = [TEMPLATE.serialize(TEMPLATE.empty()), " ".join(form.own)]
    sources = [form.question(text, "it").source for text in texts()]
    tokens = [*SENTINELS, *form.own] if own else []
    pieces = learn_pieces([*sources, *format_] * 3, 300, own=tokens)
    torch.manual_seed(seed)
    return TextModel(build(size, len(pieces)), pieces, form)


def texts() -> list[str]:
    """Reports of some length, each with numbers of its own."""
    return [" ".join(SENTENCES).format(k=k % 10) for k in range(REPORTS)]


class Asked:
    """A batch of reports, read by the encoder."""

    def __init__(self, model: TextModel) -> None:
        self.model = model
        self.questions = [model.form.question(text, "it") for text in texts()]
        tokens = [torch.tensor(model.pieces.encode(one.source)) for one in self.questions]
        self.source = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        self.hidden = model.net.eval().hidden(self.source)

    def automata(self) -> list[Automaton]:
        """Made anew, as for reports that were not seen before."""
        return [Automaton(one.slots, self.model.pieces) for one in self.questions]

    def write(self, constrained: bool, beams: int) -> torch.Tensor:
        """The answers' tokens."""
        net = self.model.net
        return generated(net, self.hidden, self.source, self.automata(), constrained, beams)


def cost(own: bool, beams: int) -> dict[str, float]:
    """Milliseconds of a token of a batch, both ways, and their ratio."""
    asked = Asked(model(own, "marked", 0))
    found: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(1 + TURNS):
        for constrained in (True, False):
            began = time.perf_counter()
            tokens = asked.write(constrained, beams).shape[1]
            took = (time.perf_counter() - began) / tokens
            found[constrained] += [took] if turn else []  # the first turn warms up
    held, free = (1000 * statistics.median(found[way]) for way in (True, False))
    return {"free_ms_per_token": round(free, 2), "held_ms_per_token": round(held, 2),
            "held_over_free": round(held / free, 3)}  # fmt: skip


def followed(own: bool, numbers: str, saturated: bool, seed: int, beams: int = 4) -> list[bool]:
    """Whether each beam's text is the canonical text of what is read in it."""
    asked = Asked(model(own, numbers, seed))
    automata = asked.automata()
    longest = max(one.shortest for one in automata) + 8 if saturated else 0
    tokens = generated(
        asked.model.net, asked.hidden, asked.source, automata, beams=beams, longest=longest,
        every=True,
    )  # fmt: skip
    read = asked.model.form.read
    found = []
    for k, row in enumerate(tokens.tolist()):
        values, follows = read(asked.model.pieces.text(row), asked.questions[k // beams])
        text = TEMPLATE.serialize(values)
        found.append(follows and TEMPLATE.serialize(TEMPLATE.parse(text)) == text)
    return found


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    ways = {"own tokens": True, "spelled in pieces": False}
    with torch.inference_mode():
        costs = {
            f"{name}, {beams} beam{'s' * (beams > 1)}": cost(own, beams)
            for name, own in ways.items() for beams in (1, 4)
        }  # fmt: skip
        checked = [
            one
            for seed in range(2) for own in ways.values()
            for numbers in ("marked", "copied") for saturated in (False, True)
            for one in followed(own, numbers, saturated, seed)
        ]  # fmt: skip
    result = {"hardware": f"{cpu_count()} cores", "cost": costs,
              "texts_of_random_weights": len(checked), "of_these_valid": sum(checked)}  # fmt: skip
    print(json.dumps(result, indent=1))
    write_text(options.out / "structuring.json", json.dumps(result, indent=1) + "\n")
    if not all(checked):
        raise SystemExit("a text left its template")
    if max(one["held_over_free"] for one in costs.values()) > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} times the unconstrained decoding")


if __name__ == "__main__":
    main()
