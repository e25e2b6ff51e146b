"""Run by IPython as a kernel of a notebook begins: keeps what its solutions give, for tests."""

import os
import pickle
from pathlib import Path

from nextaim_kit.show import exercises
from nextaim_kit.show.conditions import FORGOTTEN, slips
from nextaim_kit.show.mistakes import mistake


def _recorded(source, namespace, tolerance=1e-3, solve=exercises.solve):
    expected = solve(source, namespace, tolerance)
    without = [changed for said, changed in slips(source) if said == FORGOTTEN]
    idle = without and all(_gives(expected, changed, namespace, solve) for changed in without)
    function = callable(expected)
    given = [expected(*one) for one in expected.inputs] if function else expected
    kept = {"solution": source, "answer": given, "function": function, "idle": bool(idle)}
    with Path(os.environ["IPYTHONDIR"], "answers.pickle").open("ab") as stream:
        pickle.dump(kept, stream)
    return expected


def _gives(expected, source, namespace, solve):
    try:
        return mistake(solve(source, namespace), expected, 1e-9) is None
    except exercises.DataError:
        return False


exercises.solve = _recorded
