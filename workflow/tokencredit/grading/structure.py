"""The structure of an answer above expressions: lists, sets, tuples, intervals, matrices, relations, ratios and quantities, from its tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from tokencredit.grading import labels
from tokencredit.grading.answers import (
    Equation,
    Expression,
    Interval,
    Matrix,
    Parts,
    Ratio,
    Relation,
    Text,
    Union,
    Value,
    words_of,
)
from tokencredit.grading.equality import same
from tokencredit.grading.grammar import DEEPEST, MINUS_ONE, Reading, expression
from tokencredit.grading.normal_form import form
from tokencredit.grading.polynomials import TooLargeError
from tokencredit.grading.quantities import quantity
from tokencredit.grading.tokens import Node, Token, UnreadableError

Tokens = Sequence[Token]

INFINITY = Node("infty", ())
MINUS_INFINITY = Node("mul", (MINUS_ONE, INFINITY))
_OPENING, _CLOSING = ("(", "[", "{", r"\{"), (")", "]", "}", r"\}")
_ORDER = {"<": "<", ">": ">", "le": "<=", "ge": ">=", "ne": "!="}
_RELATIONS = frozenset([*_ORDER, "=", "approx", "in"])
_STRANGE = frozenset(
    "equiv sim cong propto subset subseteq supset supseteq notin parallel perp iff Rightarrow Leftrightarrow implies rightarrow mapsto "
    "forall exists neg lnot int sum prod lim cap leftarrow longrightarrow ni".split()
)
_MATRICES = frozenset("pmatrix bmatrix matrix Bmatrix smallmatrix array vmatrix".split())


def structured(tokens: Tokens, reading: Reading, depth: int = 0) -> Value:
    """The value of these tokens. Raises ``UnreadableError``."""
    if depth > DEEPEST:
        raise UnreadableError(f"it is nested more than {DEEPEST} deep")
    if not tokens:
        raise UnreadableError("a place is empty")
    for token in tokens:
        if token.kind == "command" and token.value in _STRANGE:
            raise UnreadableError(f"\\{token.value} is not worked out")
    if any(token.kind in ("word", "text") for token in tokens) and all(
        token.kind in ("word", "text", "letter") or token.value in ("-", "'") for token in tokens
    ):
        return words_of(_spelt(tokens))
    separators = [
        token.value for token in _top(tokens) if token.value in (",", ";", "and", "or") and token.kind != "letter"
    ]
    if separators:
        return _listed(tokens, reading, depth, separators)
    top = {token.value for token in _top(tokens) if token.kind in ("sign", "command")}
    if top & _RELATIONS and not ("cup" in top and top & _RELATIONS <= _ORDER.keys()):
        return _related(tokens, reading, depth)
    if top & {"cup", "setminus"}:
        return _united(tokens, reading, depth)
    if tokens[0].value in _OPENING and tokens[0].kind == "sign" and _partner(tokens) == len(tokens) - 1:
        return _bracketed(tokens, reading, depth)
    if tokens[0].value == "begin" and tokens[0].kind == "command":
        return _matrix(tokens, reading, depth)
    if len(tokens) == 1 and tokens[0].value == "emptyset":
        return Parts("set", ())
    if len(tokens) == 1 and tokens[0] == Token("letter", "R", tokens[0].spaced, "blackboard"):
        return Interval(MINUS_INFINITY, INFINITY, False, False)
    if any(token.value == ":" and token.kind == "sign" for token in _top(tokens)):
        return Ratio(
            tuple(
                _expression(part, reading).node
                for part in split(tokens, lambda token: token.value == ":" and token.kind == "sign")
            )
        )
    return _signed(tokens, reading)


def _spelt(tokens: Tokens) -> str:
    return "".join((" " if token.spaced else "") + token.value for token in tokens)


def _top(tokens: Tokens) -> list[Token]:
    """The tokens outside all brackets. Raises ``UnreadableError`` where a bracket closes that none opened."""
    found, depth = [], 0
    for token in tokens:
        if token.kind == "sign" and token.value in _OPENING or token.kind == "command" and token.value == "begin":
            depth += 1
        elif token.kind == "sign" and token.value in _CLOSING or token.kind == "command" and token.value == "end":
            depth -= 1
            if depth < 0:
                raise UnreadableError("a bracket closes that was not opened")
        elif not depth:
            found.append(token)
    if depth:
        raise UnreadableError("a bracket is not closed")
    return found


def split(tokens: Tokens, separates: Callable[[Token], bool]) -> list[Tokens]:
    """The pieces between the tokens that separate, outside all brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "sign" and token.value in _OPENING or token.kind == "command" and token.value == "begin":
            depth += 1
        elif token.kind == "sign" and token.value in _CLOSING or token.kind == "command" and token.value == "end":
            depth -= 1
        if depth == 0 and separates(token) and token.value not in _CLOSING:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def _partner(tokens: Tokens) -> int:
    """Where the first bracket closes."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind == "sign":
            depth += (token.value in _OPENING) - (token.value in _CLOSING)
            if depth == 0:
                return place
    return -1


def _is_separator(token: Token) -> bool:
    return token.value in (",", ";", "and", "or") and token.kind in ("sign", "command")


# ---------------------------------------------------------------- lists, sets, tuples, intervals


def _listed(tokens: Tokens, reading: Reading, depth: int, separators: list[str]) -> Value:
    alternatives = "or" in separators
    if ";" in separators and "," in separators:
        groups = split(tokens, lambda token: token.value == ";" and token.kind == "sign")
        items = [structured(group, reading, depth + 1) for group in groups if group]
        return Parts(
            "list",
            tuple(
                replace(item, kind="tuple") if isinstance(item, Parts) and item.kind == "list" else item
                for item in items
            ),
        )
    pieces = split(tokens, _is_separator)
    filled = [piece for piece in pieces if piece]
    if len(filled) < len(pieces) and (separators.count(",") >= len(filled) or len(filled) < 2):
        raise UnreadableError("a member of the list is empty")
    items = tuple(_flat([structured(piece, reading, depth + 1) for piece in filled]))
    return Parts("list", items, number=_grouped_number(tokens), alternatives=alternatives)


def _grouped_number(tokens: Tokens) -> Node | None:
    """The number that 70,110 is, if its comma separates thousands."""
    minus = tokens[0].value == "-"
    digits = tokens[1:] if minus else tokens
    groups, commas = digits[::2], digits[1::2]
    if not all(token.value == "," and not token.spaced for token in commas) or any(
        token.spaced for token in digits[1:]
    ):
        return None
    if not all(token.kind == "number" and token.value.isdigit() for token in groups) or len(groups[0].value) > 3:
        return None
    if any(len(token.value) != 3 for token in groups[1:]) or len(groups) == len(commas):
        return None
    node = number(int("".join(token.value for token in groups)))
    return Node("mul", (MINUS_ONE, node)) if minus else node


def _flat(items: list[Value]) -> list[Value]:
    """The members, with those of lists among them (3 ± 1) in their place."""
    flat: list[Value] = []
    for item in items:
        if isinstance(item, Parts) and item.kind == "list":
            flat += [
                replace(inner, name=item.name) if isinstance(inner, Expression) and inner.name is None else inner
                for inner in item.items
            ]
        else:
            flat.append(item)
    return flat


def _bracketed(tokens: Tokens, reading: Reading, depth: int) -> Value:
    opened, closed, inside = tokens[0].value, tokens[-1].value, tokens[1:-1]
    if opened == r"\{":
        if closed != r"\}":
            raise UnreadableError("brackets do not match")
        return _set(inside, reading, depth)
    if opened == "{":
        if closed != "}":
            raise UnreadableError("brackets do not match")
        if any(token.kind == "command" and token.value in ("choose", "over") for token in inside):
            return _signed(tokens, reading)
        return structured(inside, reading, depth + 1)
    if closed not in (")", "]"):
        raise UnreadableError("brackets do not match")
    pieces = split(inside, lambda token: token.value in (",", ";") and token.kind == "sign")
    if len(pieces) == 1:
        if opened + closed not in ("()", "[]"):
            raise UnreadableError("brackets do not match")
        if _is_operand(inside):
            return _signed(tokens, reading) if opened == "(" else structured(inside, reading, depth + 1)
        return structured(inside, reading, depth + 1)
    items = [structured(piece, reading, depth + 1) for piece in pieces]
    if opened + closed in ("()", "[]"):
        if len(items) == 2 and any(isinstance(item, Expression) and is_infinite(item.node) for item in items):
            return _interval(items, opened == "[", closed == "]")
        if any(isinstance(item, Parts) and item.kind == "list" for item in items):
            raise UnreadableError("a member of the tuple is a list")
        return Parts("tuple" if opened == "(" else "brackets", tuple(items))
    if len(items) != 2:
        raise UnreadableError("brackets do not match")
    return _interval(items, opened == "[", closed == "]")


def _is_operand(inside: Tokens) -> bool:
    return bool(inside) and not any(
        token.kind in ("word", "text") or token.value in _RELATIONS or token.value in ("cup", "begin", ":")
        for token in inside
    )


def _interval(items: list[Value], closed_low: bool, closed_high: bool) -> Interval:
    if not all(isinstance(item, Expression) and item.unit is None and not item.percent for item in items):
        raise UnreadableError("the ends of an interval are numbers")
    low, high = (item.node for item in items)
    return Interval(low, high, closed_low and not is_infinite(low), closed_high and not is_infinite(high))


def is_infinite(node: Node) -> int:
    """1 for infinity, -1 for minus infinity, 0 for all else."""
    if node == INFINITY:
        return 1
    return -1 if node == MINUS_INFINITY else 0


def _set(inside: Tokens, reading: Reading, depth: int) -> Value:
    if not inside:
        return Parts("set", ())
    builder = split(inside, lambda token: token.value in ("|", ":") and token.kind == "sign")
    if len(builder) == 2 and any(token.value in _RELATIONS for token in builder[1]):
        variable = split(builder[0], lambda token: token.value == "in")[0]
        if labels.label(variable) is None:
            raise UnreadableError("a set whose members are not single names")
        return structured(builder[1], reading, depth + 1)
    pieces = split(inside, lambda token: token.value in (",", ";") and token.kind == "sign")
    return Parts("set", tuple(_flat([structured(piece, reading, depth + 1) for piece in pieces])))


def _united(tokens: Tokens, reading: Reading, depth: int) -> Value:
    signs = {token.value for token in _top(tokens) if token.value in ("cup", "setminus")}
    pieces = [
        structured(piece, reading, depth + 1)
        for piece in split(tokens, lambda token: token.value in ("cup", "setminus"))
    ]
    for piece in pieces:
        region = isinstance(piece, Interval | Union | Relation) or (
            isinstance(piece, Parts) and (piece.kind == "set" or len(piece.items) == 2)
        )
        if not region:
            raise UnreadableError("what is united is neither an interval nor a set")
    if signs == {"cup"}:
        return Union(tuple(pieces))
    if (
        len(pieces) == 2
        and isinstance(pieces[0], Interval)
        and is_infinite(pieces[0].low)
        and is_infinite(pieces[0].high)
    ):
        excluded = pieces[1]
        if isinstance(excluded, Parts) and len(excluded.items) == 1 and isinstance(excluded.items[0], Expression):
            node = excluded.items[0].node
            return Union((Interval(MINUS_INFINITY, node, False, False), Interval(node, INFINITY, False, False)))
    raise UnreadableError("a difference of sets is not worked out")


# ---------------------------------------------------------------- relations


def _related(tokens: Tokens, reading: Reading, depth: int) -> Value:
    signs = [token.value for token in _top(tokens) if token.value in _RELATIONS and token.kind in ("sign", "command")]
    sides = split(tokens, lambda token: token.value in _RELATIONS and token.kind in ("sign", "command"))
    if "approx" in signs:
        first = signs.index("approx")
        if not sides[0]:
            return structured(sides[1], reading, depth + 1)
        if first == 0 and labels.label(sides[0]) is not None:
            signs, sides = ["="], sides[:2]
        else:
            signs, sides = signs[:first], sides[: first + 1]
        if not signs:
            return structured(sides[0], reading, depth + 1)
    if signs == ["in"]:
        name = labels.label(sides[0])
        region = structured(sides[1], reading, depth + 1)
        if name is None or not isinstance(region, Interval | Union | Parts):
            raise UnreadableError("membership in something that is no set of numbers")
        return replace(region, name=name)
    if all(sign == "=" for sign in signs):
        return _equated(sides, reading, depth)
    if any(sign not in _ORDER for sign in signs):
        raise UnreadableError("a chain of different relations")
    return Relation(tuple(_expression(side, reading).node for side in sides), tuple(_ORDER[sign] for sign in signs))


def _equated(sides: list[Tokens], reading: Reading, depth: int) -> Value:
    name = labels.label(sides[0])
    if (
        name is None
        and len(sides) == 2
        and (right := labels.label(sides[1])) is not None
        and labels.is_single(sides[1])
    ):
        name, sides = right, sides[::-1]
    if len(sides) > 2:
        ends = [_expression(side, reading) for side in sides[1:]]
        if not all(_agree(one.node, two.node) for one, two in zip(ends, ends[1:], strict=False)):
            raise UnreadableError("a chain of equations whose sides are not equal")
        if name is None and (_agree_tokens(sides[0], ends[0].node, reading) or labels.is_sum_of_names(sides[0])):
            return ends[-1]
        sides = [sides[0], sides[-1]]
    if name is not None:
        value = structured(sides[1], reading, depth + 1)
        left = _left(sides[0], reading)
        if isinstance(value, Expression):
            return replace(value, name=name, left=left)
        if isinstance(value, Parts | Interval | Union):
            return replace(value, name=name)
        if isinstance(value, Matrix | Ratio) or (isinstance(value, Text) and value.words):
            return value
        raise UnreadableError("a name is said to be something that is no value")
    left, right = (_expression(side, reading).node for side in sides)
    if _agree(left, right) and labels.is_arithmetic(sides[0]):
        return Expression(right)
    return Equation(left, right)


def _left(side: Tokens, reading: Reading) -> Node | None:
    try:
        return expression(side, reading)
    except UnreadableError:
        return None


def _agree(left: Node, right: Node) -> bool:
    try:
        return same(form(left), form(right)) is True
    except (TooLargeError, UnreadableError):
        return False


def _agree_tokens(side: Tokens, node: Node, reading: Reading) -> bool:
    left = _left(side, reading)
    return left is not None and _agree(left, node)


# ---------------------------------------------------------------- expressions and matrices


def _expression(tokens: Tokens, reading: Reading) -> Expression:
    value = _signed(tokens, reading)
    if not isinstance(value, Expression):
        raise UnreadableError("plus or minus within a relation")
    return value


def _signed(tokens: Tokens, reading: Reading) -> Value:
    r"""A quantity or expression, or the two that ``\pm`` makes of it."""
    reading.signs = 0
    value = quantity(tokens, reading)
    if not any(token.value in ("pm", "mp") and token.kind == "command" for token in tokens):
        return value
    if reading.signs != 1:
        raise UnreadableError("plus or minus more than once")
    other = Reading(reading.other, sign=-1)
    second = quantity(tokens, other)
    reading.met |= other.met
    return Parts("list", (value, second))


def _matrix(tokens: Tokens, reading: Reading, depth: int) -> Value:
    kind, start = _environment(tokens, 1)
    depths = 1
    for place in range(start, len(tokens)):
        if tokens[place].kind == "command" and tokens[place].value in ("begin", "end"):
            depths += 1 if tokens[place].value == "begin" else -1
        if depths == 0:
            break
    else:
        raise UnreadableError("an environment does not end")
    _, end = _environment(tokens, place + 1)
    if kind not in _MATRICES or (end < len(tokens) and tokens[end].value != "begin"):
        raise UnreadableError(f"an environment ({kind}) that is no matrix alone")
    inside = tokens[start:place]
    if kind == "array" and inside and inside[0].value == "{":
        inside = inside[_partner(inside) + 1 :]
    rows = [row for row in split(inside, lambda token: token.value == "\\\\") if row]
    nodes = [
        tuple(_expression(cell, reading).node for cell in split(row, lambda token: token.value == "&")) for row in rows
    ]
    if not nodes or len({len(row) for row in nodes}) != 1:
        raise UnreadableError("rows of different lengths")
    matrix = Matrix(tuple(nodes), kind == "vmatrix")
    return matrix if end == len(tokens) else _product(matrix, _matrix(tokens[end:], reading, depth + 1))


def _product(left: Matrix, right: Matrix) -> Matrix:
    if left.determinant or right.determinant or len(left.rows[0]) != len(right.rows):
        raise UnreadableError("matrices that cannot be multiplied")
    columns = list(zip(*right.rows, strict=True))
    cells = [
        [tuple(Node("mul", pair) for pair in zip(row, column, strict=True)) for column in columns] for row in left.rows
    ]
    return Matrix(tuple(tuple(Node("add", terms) for terms in row) for row in cells))


def _environment(tokens: Tokens, start: int) -> tuple[str, int]:
    """The name in braces that begins at ``start``, and the place behind it."""
    if start >= len(tokens) or tokens[start].value != "{":
        raise UnreadableError("an environment without a name")
    end = start + _partner(tokens[start:])
    return "".join(token.value for token in tokens[start + 1 : end]), end + 1


def number(value: Fraction | int) -> Node:
    return Node("number", (Fraction(value), None))
