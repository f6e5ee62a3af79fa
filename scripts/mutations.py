"""The mistakes that `scripts/mutants` plants in a module, one at a time, in its syntax tree.

Each is one that a hurried author makes: a boundary off by one, a check that is never reached, a
flag turned round, the wrong value handed over. What is left out, and why, stands in
`docs/mutants.md`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias, cast

Place: TypeAlias = "tuple[ast.AST, str, int | None]"
"""A node's parent, the field that it stands in, and its index if that field is a list."""
HOLDERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
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
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
"""Functions that are easily taken for each other."""
IDLE = ("sorted", "reversed", "set", "frozenset", "list", "tuple", "bool", "str", "int")
"""Functions whose first argument often passes for what they return."""
MARKED = "XX"
"""What a text has at its end that was changed."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake: where it is, and what the statement's first line says before and after.

    Attributes:
        line: the line in the source, from 1.
        function: the function or class that it is in, dotted; `-` at the module's level.
        place: the node that is replaced.
        new: what replaces it.
    """

    line: int
    function: str
    was: str
    becomes: str
    place: Place
    new: ast.AST

    @property
    def key(self) -> tuple[str, str, str]:
        """What the mutant is known by when lines have moved."""
        return self.function, self.was, self.becomes

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the tree hold the mistake until the block ends."""
        with replaced(self.place, self.new):
            yield


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """Return every mistake that is made in a module, in the order of its lines."""
    return list(_within(tree, function=(), statement=None))


@contextmanager
def replaced(place: Place, new: ast.AST) -> Iterator[None]:
    """Let another node stand in a place of the tree until the block ends."""
    parent, field, index = place
    old = _standing(place)
    ast.copy_location(new, old)
    ast.fix_missing_locations(new)
    _put(parent, field, index, new)
    try:
        yield
    finally:
        _put(parent, field, index, old)


def _standing(place: Place) -> ast.AST:
    parent, field, index = place
    held = getattr(parent, field)
    return cast("ast.AST", held if index is None else held[index])


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _within(
    parent: ast.AST, *, function: tuple[str, ...], statement: Place | None
) -> Iterator[Mutant]:
    """Yield the mutants of what stands in a node, the outer before the inner."""
    for place in _places(parent):
        node = _standing(place)
        if _is_left_out(parent, place[1], node):
            continue
        whole = place if isinstance(node, (ast.stmt, ast.ExceptHandler)) else statement
        if whole is not None:
            for new in _mistakes(node, parent):
                yield _mutant(place, new, function=function, statement=whole)
        inner = (*function, node.name) if isinstance(node, HOLDERS) else function
        yield from _within(node, function=inner, statement=whole)


def _places(parent: ast.AST) -> Iterator[Place]:
    for field, held in ast.iter_fields(parent):
        if isinstance(held, ast.AST):
            yield parent, field, None
        elif isinstance(held, list):
            for index, node in enumerate(held):
                if isinstance(node, ast.AST):
                    yield parent, field, index


def _is_left_out(parent: ast.AST, field: str, node: ast.AST) -> bool:
    """Return whether nothing is mutated in a node: `docs/mutants.md` says why for each kind."""
    if isinstance(node, (ast.Assert, ast.Import, ast.ImportFrom)):
        return True
    if field in {"annotation", "returns", "decorator_list"}:
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # A docstring.
    if isinstance(parent, ast.ClassDef) and parent.name == "Limits":
        return not isinstance(node, HOLDERS)  # Amounts; no test can know the right one.
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_MAX"):
        return isinstance(parent, ast.Module)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {"TypeVar", "cast"}:
        return True
    return isinstance(parent, ast.AnnAssign) and "TypeAlias" in ast.unparse(parent.annotation)


def _mutant(place: Place, new: ast.AST, *, function: tuple[str, ...], statement: Place) -> Mutant:
    was = _first_line(_standing(statement))
    with replaced(place, new):
        becomes = _first_line(_standing(statement))
    return Mutant(
        line=getattr(_standing(place), "lineno", getattr(_standing(statement), "lineno", 0)),
        function=".".join(function) or "-",
        was=was,
        becomes=becomes,
        place=place,
        new=new,
    )


def _first_line(statement: ast.AST) -> str:
    """Return a statement as one line, without the block under it."""
    bare = deepcopy(statement)
    for field in ("body", "orelse", "finalbody", "handlers", "decorator_list"):
        if isinstance(getattr(bare, field, None), list):
            setattr(bare, field, [ast.Pass()] if field == "body" else [])
    text = ast.unparse(bare).replace("\n    pass", "")
    return " ".join(text.split())


def _mistakes(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be replaced by."""
    if isinstance(node, ast.Constant):
        yield from _constants(node, parent)
    elif isinstance(node, ast.JoinedStr) and not _is_said(parent):
        yield ast.JoinedStr([*node.values, ast.Constant(MARKED)])
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        yield from _arithmetic(node)
    elif isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BoolOp):
        yield from _conditions(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert)):
        yield node.operand
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield ast.ExceptHandler(ast.Tuple([], ast.Load()), node.name, node.body)
    else:
        yield from _statements(node, parent)
    yield from _decided(node)


def _constants(node: ast.Constant, parent: ast.AST) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, str) and not _is_said(parent) and not isinstance(parent, ast.JoinedStr):
        yield ast.Constant(value + MARKED)
    elif isinstance(value, bytes):
        yield ast.Constant(value + MARKED.encode())


def _is_said(parent: ast.AST) -> bool:
    """Return whether what stands in this node is only said to people: why something is refused."""
    if isinstance(parent, ast.keyword):
        return parent.arg == "why"
    return isinstance(parent, ast.Call) and ast.unparse(parent.func).endswith("Error")


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    other = OPERATORS.get(type(node.op))
    if other is None:
        return
    if isinstance(node, ast.AugAssign):
        yield ast.AugAssign(node.target, other(), node.value)
        yield ast.Pass()
    else:
        yield ast.BinOp(node.left, other(), node.right)


def _comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    for index, held in enumerate(node.ops):
        for other in COMPARISONS[type(held)]:
            ops = [other() if at == index else each for at, each in enumerate(node.ops)]
            yield ast.Compare(node.left, ops, node.comparators)


def _conditions(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in CALLED:
        yield ast.Call(ast.Name(CALLED[name], ast.Load()), node.args, node.keywords)
    if name in IDLE and node.args:
        yield node.args[0]
    for index, argument in enumerate(node.args):
        if not _is_said(node) and not isinstance(
            argument, (ast.Constant, ast.Starred, ast.JoinedStr)
        ):
            given = [*node.args[:index], ast.Constant(None), *node.args[index + 1 :]]
            yield ast.Call(node.func, given, node.keywords)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg and not isinstance(keyword.value, ast.Constant) and not _is_said(keyword):
            nothing = ast.keyword(keyword.arg, ast.Constant(None))
            given_by_name = [*node.keywords[:index], nothing, *node.keywords[index + 1 :]]
            yield ast.Call(node.func, node.args, given_by_name)


def _statements(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield what a statement may become: nothing at all, or its opposite."""
    if isinstance(node, ast.Expr):
        yield ast.Pass()
    elif isinstance(node, ast.Raise):
        if not (isinstance(parent, ast.If) and parent.body == [node]):
            yield ast.Pass()  # Where it stands alone, its condition is set to false anyway.
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Return):
        yield ast.Pass()


def _decided(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node with its condition always met, and never."""
    for fixed in (True, False):
        if isinstance(node, ast.If):
            yield ast.If(ast.Constant(fixed), node.body, node.orelse)
        elif isinstance(node, ast.IfExp):
            yield ast.IfExp(ast.Constant(fixed), node.body, node.orelse)
        elif isinstance(node, ast.comprehension) and node.ifs and fixed:
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        elif isinstance(node, ast.While) and not fixed:
            yield ast.While(ast.Constant(fixed), node.body, node.orelse)
