"""Whether a wrong answer is what a solution gives when one of its conditions is forgotten."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

_BORDERS: dict[type, type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
FORGOTTEN = "A condition is forgotten: which rows or values are asked for?"
_BORDER = "Look at the border: does a value that lies on it count?"


def condition_missed(source: str, is_given_by: Callable[[str], bool]) -> str:
    """Say which kind of slip with a condition makes a solution into a wrong answer.

    Parameters
    ----------
    source : str
        The solution.
    is_given_by : callable
        Whether a source, the solution changed in one place, gives the wrong answer.

    Returns
    -------
    str
        Empty if no such slip does.

    Examples
    --------
    >>> condition_missed("answer = len([1, 2]) > 1", "answer = len([1, 2]) >= 1".__eq__)
    'Look at the border: does a value that lies on it count?'
    """
    return next((said for said, changed in slips(source) if is_given_by(changed)), "")


def slips(source: str) -> Iterator[tuple[str, str]]:
    """What is said of each slip with a condition of a source, and the source with it.

    A selection ``x[condition]`` loses its condition, of two that are joined by ``&`` one is
    dropped, and ``<`` becomes ``<=``.
    """
    tree = ast.parse(source)
    for place, node in enumerate(ast.walk(tree)):
        for said, change in _changes(node):
            changed = copy.deepcopy(tree)
            _replace(changed, list(ast.walk(changed))[place], change)
            yield said, ast.unparse(ast.fix_missing_locations(changed))


def _changes(node: ast.AST) -> list[tuple[str, Callable[[Any], ast.AST]]]:
    """The slips that can happen at a node, each as what makes its place be taken."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
        return [(FORGOTTEN, lambda n: n.left), (FORGOTTEN, lambda n: n.right)]
    if isinstance(node, ast.Subscript) and _selects(node.slice):
        return [(FORGOTTEN, _whole)]
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _BORDERS:
        return [(_BORDER, _other_border)]
    return []


def _selects(index: ast.AST) -> bool:
    """Whether an index is a condition on rows, alone or with a column."""
    first = index.elts[0] if isinstance(index, ast.Tuple) and index.elts else index
    if isinstance(first, ast.BinOp):
        return isinstance(first.op, ast.BitAnd | ast.BitOr)
    negated = isinstance(first, ast.UnaryOp) and isinstance(first.op, ast.Invert)
    member = isinstance(first, ast.Call) and getattr(first.func, "attr", "") == "isin"
    return negated or member or isinstance(first, ast.Compare)


def _whole(node: Any) -> ast.AST:
    """All that a selection chose from; of ``loc`` with a column, the whole column."""
    if isinstance(node.slice, ast.Tuple):
        node.slice.elts[0] = ast.Slice()
        return node
    at = isinstance(node.value, ast.Attribute) and node.value.attr in ("loc", "iloc")
    return node.value.value if at else node.value


def _other_border(node: Any) -> ast.AST:
    node.ops[0] = _BORDERS[type(node.ops[0])]()
    return node


def _replace(tree: ast.AST, node: ast.AST, change: Callable[[Any], ast.AST]) -> None:
    class Change(ast.NodeTransformer):
        def visit(self, found: ast.AST) -> Any:
            return change(found) if found is node else self.generic_visit(found)

    Change().visit(tree)
