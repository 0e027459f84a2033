"""The structure of an answer above expressions: lists, sets, tuples, intervals, unions, ratios and quantities, from its tokens."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tokencredit.grading.reading import labels
from tokencredit.grading.reading.answers import Expression, Interval, Parts, Ratio, Relation, Union, Value, words_of
from tokencredit.grading.reading.brackets import OPENING, Tokens, partner, split, top
from tokencredit.grading.reading.grammar import DEEPEST, MINUS_ONE, Reading
from tokencredit.grading.reading.matrices import matrix, scaled
from tokencredit.grading.reading.quantities import quantity
from tokencredit.grading.reading.relations import ORDER, RELATIONS, related
from tokencredit.grading.reading.tokens import Node, Token, UnreadableError, words

INFINITY = Node("infty", ())
MINUS_INFINITY = Node("mul", (MINUS_ONE, INFINITY))
_STRANGE = words(
    "equiv sim cong propto subset subseteq supset supseteq notin parallel perp iff Rightarrow Leftrightarrow implies rightarrow mapsto "
    "forall exists neg lnot int sum prod lim cap leftarrow longrightarrow ni"
)


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
        token.value for token in top(tokens) if token.value in (",", ";", "and", "or") and token.kind != "letter"
    ]
    if separators:
        return _listed(tokens, reading, depth, separators)
    outside = {token.value for token in top(tokens) if token.kind in ("sign", "command")}
    if outside & RELATIONS and not ("cup" in outside and outside & RELATIONS <= ORDER.keys()):
        return related(tokens, reading, depth, structured)
    if outside & {"cup", "setminus"}:
        return _united(tokens, reading, depth)
    if tokens[0].value in OPENING and tokens[0].kind == "sign" and partner(tokens) == len(tokens) - 1:
        return _bracketed(tokens, reading, depth)
    if tokens[0].value == "begin" and tokens[0].kind == "command":
        return matrix(tokens, reading, depth)
    if len(tokens) == 1 and tokens[0].value == "emptyset":
        return Parts("set", ())
    if len(tokens) == 1 and tokens[0] == Token("letter", "R", tokens[0].spaced, "blackboard"):
        return Interval(MINUS_INFINITY, INFINITY, False, False)
    begins = next(
        (place for place, token in enumerate(tokens) if token.value == "begin" and token.kind == "command"), None
    )
    if begins is not None and "begin" not in outside:
        return scaled(quantity(tokens[:begins], reading).node, matrix(tokens[begins:], reading, depth))
    if any(token.value == ":" and token.kind == "sign" for token in top(tokens)):
        return Ratio(
            tuple(
                quantity(part, reading).node
                for part in split(tokens, lambda token: token.value == ":" and token.kind == "sign")
            )
        )
    return _signed(tokens, reading)


def _spelt(tokens: Tokens) -> str:
    return "".join((" " if token.spaced else "") + token.value for token in tokens)


def _is_separator(token: Token) -> bool:
    return token.value in (",", ";", "and", "or") and token.kind in ("sign", "command")


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
    number = _grouped_number(tokens)
    if number is not None and any(
        token.value.startswith("0") for token in tokens[3 if tokens[0].value == "-" else 2 :: 2]
    ):
        return Expression(number)  # 10,000: no member of a list begins with a zero
    return Parts("list", items, number=number, alternatives=alternatives)


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
    node = Node("number", (Fraction("".join(token.value for token in groups)), None))
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
        token.kind in ("word", "text") or token.value in RELATIONS or token.value in ("cup", "begin", ":")
        for token in inside
    )


def _interval(items: list[Value], closed_low: bool, closed_high: bool) -> Interval:
    if not all(isinstance(item, Expression) and item.unit is None and not item.percent for item in items):
        raise UnreadableError("the ends of an interval are numbers")
    low, high = (item.node for item in items)
    if (closed_low and is_infinite(low)) or (closed_high and is_infinite(high)):
        raise UnreadableError("an interval that holds infinity")
    return Interval(low, high, closed_low, closed_high)


def is_infinite(node: Node) -> int:
    """1 for infinity, -1 for minus infinity, 0 for all else."""
    if node == INFINITY:
        return 1
    return -1 if node == MINUS_INFINITY else 0


def _set(inside: Tokens, reading: Reading, depth: int) -> Value:
    if not inside:
        return Parts("set", ())
    builder = split(inside, lambda token: token.value in ("|", ":") and token.kind == "sign")
    if len(builder) == 2 and any(token.value in RELATIONS for token in builder[1]):
        variable = split(builder[0], lambda token: token.value == "in")[0]
        if labels.label(variable) is None:
            raise UnreadableError("a set whose members are not single names")
        return structured(builder[1], reading, depth + 1)
    pieces = split(inside, lambda token: token.value in (",", ";") and token.kind == "sign")
    return Parts("set", tuple(_flat([structured(piece, reading, depth + 1) for piece in pieces])))


def _united(tokens: Tokens, reading: Reading, depth: int) -> Value:
    signs = {token.value for token in top(tokens) if token.value in ("cup", "setminus")}
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
