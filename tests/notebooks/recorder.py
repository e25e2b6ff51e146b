"""Run by IPython as a kernel of a notebook begins: keeps for tests what its solutions give, and
what its controls say at both ends."""

import os
import pickle
import random
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from IPython.utils.capture import capture_output
from ipywidgets.widgets import interaction

from nextaim_kit.show import exercises
from nextaim_kit.show.conditions import FORGOTTEN, slips
from nextaim_kit.show.mistakes import mistake

Factory = type(interaction.interact)


def _recorded(source, namespace, tolerance=1e-3, solve=exercises.solve):
    expected = solve(source, namespace, tolerance)
    without = [changed for said, changed in slips(source) if said == FORGOTTEN]
    idle = without and all(_gives(expected, changed, namespace, solve) for changed in without)
    function = callable(expected)
    given = [expected(*one) for one in expected.inputs] if function else expected
    kept = {"solution": source, "answer": given, "function": function, "idle": bool(idle)}
    _keep(kept, "answers.pickle")
    return expected


def _gives(expected, source, namespace, solve):
    try:
        return mistake(solve(source, namespace), expected, 1e-9) is None
    except exercises.DataError:
        return False


def _keep(kept, name):
    with Path(os.environ["IPYTHONDIR"], name).open("ab") as stream:
        pickle.dump(kept, stream)


def _interact(factory, function=None, _interact=Factory.__call__, **controls):
    made = _interact(factory, function, **controls)
    for widget in made.widget.kwargs_widgets if function else ():
        rest = {w._kwarg: w.value for w in made.widget.kwargs_widgets if w is not widget}
        ends = _ends(widget)
        said = [_said(function, **rest, **{widget._kwarg: end}) for end in ends]
        _keep({"control": function.__name__, "ends": ends, "said": said}, "controls.pickle")
    return made


def _ends(widget):
    if isinstance(widget.value, bool):
        return [False, True]
    if hasattr(widget, "_options_values"):
        return [widget._options_values[0], widget._options_values[-1]]
    return [widget.min, widget.max]


def _said(function, **at):
    with _as_it_was(function), capture_output() as shown:
        function(**at)
    return shown.stdout


@contextmanager
def _as_it_was(function):
    """Chance and figures after it are as before, so that the run's numbers are its own."""
    own = [v for v in function.__globals__.values() if isinstance(v, np.random.Generator)]
    states = [generator.bit_generator.state for generator in own]
    shared, plain = np.random.get_state(), random.getstate()
    torch, pyplot = sys.modules.get("torch"), sys.modules.get("matplotlib.pyplot")
    drawn = torch and torch.get_rng_state()
    figures = pyplot and pyplot.get_fignums()
    yield
    for generator, state in zip(own, states, strict=True):
        generator.bit_generator.state = state
    np.random.set_state(shared)
    random.setstate(plain)
    if torch:
        torch.set_rng_state(drawn)
    if pyplot:
        for number in {*pyplot.get_fignums()} - {*figures}:
            pyplot.close(number)


exercises.solve = _recorded
Factory.__call__ = _interact
