"""The mutants of a module: its text with one small change each."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

Edit = tuple[ast.AST, str]
"""A node of the tree, and the text to put in its place."""

_COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_MESSAGES = ("log", "logging", "warnings")
SMALL = 9
"""Numbers up to this one are changed by 1; larger ones are doubled and halved."""


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    text: str
    """The text of the whole module."""
    function: str
    """The name of the function or class around the change; empty at the level of the module."""
    change: str
    """The text before and after, which is unlike that of every other change in the function."""
    lines: range
    runs_on_import: bool


def mutants(text: str) -> list[Mutant]:
    """Return all mutants of a module, from the top down."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    result = []
    seen: Counter[tuple[str, str]] = Counter()
    for scope, is_import, (node, new) in _walk(ast.parse(text), "", is_import=True):
        first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        begin = starts[first - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[last - 1] + node.end_col_offset  # type: ignore[attr-defined]
        mutated = (data[:begin] + new.encode() + data[end:]).decode()
        change = f"{' '.join(data[begin:end].decode().split())} → {new}"
        seen[scope, change] += 1
        if seen[scope, change] > 1:
            change += f" ({seen[scope, change]})"
        result.append(Mutant(mutated, scope, change, range(first, last + 1), is_import))
    return result


def _walk(node: ast.AST, scope: str, *, is_import: bool) -> Iterator[tuple[str, bool, Edit]]:
    for child in ast.iter_child_nodes(node):
        inner, runs_on_import = scope, is_import
        if isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            inner = f"{scope}.{child.name}".lstrip(".")
            runs_on_import = is_import and isinstance(child, ast.ClassDef)
        if _is_left_out(node, child):
            continue
        for edit in _edits(child):
            yield inner, runs_on_import, edit
        if not isinstance(child, (ast.Raise, ast.JoinedStr, ast.Assert)):
            yield from _walk(child, inner, is_import=runs_on_import)


def _is_left_out(parent: ast.AST, node: ast.AST) -> bool:
    """Return True for annotations, decorators, imports and what is written to a log."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if node is getattr(parent, "annotation", None) or node is getattr(parent, "returns", None):
        return True
    if node in getattr(parent, "decorator_list", ()) or node in getattr(parent, "bases", ()):
        return True
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        return isinstance(call.func.value, ast.Name) and call.func.value.id in _MESSAGES
    return False


def _edits(node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[number] = other()
                yield node, f"({ast.unparse(changed)})"
    elif isinstance(node, ast.BoolOp):
        changed_bool = copy.deepcopy(node)
        changed_bool.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, f"({ast.unparse(changed_bool)})"
        for value in node.values:
            rest = copy.copy(node)
            rest.values = [other for other in node.values if other is not value]
            yield node, f"({ast.unparse(rest.values[0] if len(rest.values) == 1 else rest)})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        changed_op = copy.copy(node)
        changed_op.op = _OPERATORS[type(node.op)]()
        yield node, f"({ast.unparse(changed_op)})"
    elif isinstance(node, ast.Constant):
        yield from ((node, repr(value)) for value in _constants(node.value))
    elif isinstance(node, ast.Name) and node.id in _OPPOSITES and isinstance(node.ctx, ast.Load):
        yield node, _OPPOSITES[node.id]
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        if isinstance(node.test, (ast.Name, ast.Attribute, ast.Call, ast.NamedExpr)):
            yield node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.stmt):
        yield from _statement_edits(node)


def _constants(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from ((value + 1, value - 1) if abs(value) <= SMALL else (value * 2, value // 2))
    elif isinstance(value, float):
        yield from ((value + 1, value / 2) if value else (1.0,))


def _statement_edits(node: ast.stmt) -> Iterator[Edit]:
    """Yield a statement without effect, where its removal is not an error by itself."""
    if isinstance(node, ast.Return):
        if node.value is not None and not isinstance(node.value, ast.Constant):
            yield node, "return None"
    elif isinstance(node, ast.Assign):
        if all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
            yield node, "pass"
    elif isinstance(node, ast.AugAssign):
        yield node, "pass"
        if type(node.op) in _OPERATORS:
            changed = copy.copy(node)
            changed.op = _OPERATORS[type(node.op)]()
            yield node, ast.unparse(changed)
    elif isinstance(node, ast.Expr):
        if not isinstance(node.value, ast.Constant):
            yield node, "pass"
    elif isinstance(node, (ast.Raise, ast.Delete, ast.Continue, ast.Break)):
        yield node, "pass"
