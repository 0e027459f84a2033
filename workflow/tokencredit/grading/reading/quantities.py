r"""Numbers with a unit, a currency, a percent or a degree sign: what stands before it, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from tokencredit.grading.reading.answers import Expression
from tokencredit.grading.reading.grammar import Reading, expression
from tokencredit.grading.reading.tokens import FUNCTIONS, Node, Token, UnreadableError
from tokencredit.grading.reading.units import PLAIN, Unit, unit

Tokens = Sequence[Token]

_DOLLARS = unit("dollars")[1]
_TEMPERATURES = ("C", "F", "K")
_DEGREES = unit("degrees")[1]


def quantity(tokens: Tokens, reading: Reading) -> Expression:
    """The expression of these tokens with its unit. Raises ``UnreadableError``."""
    tokens = list(tokens)
    currency = next((place for place, token in enumerate(tokens[:2]) if token.value == r"\$"), None)
    if currency is not None and (currency == 0 or tokens[0].value in "+-"):
        del tokens[currency]
        value = quantity(tokens, reading)
        if value.unit is not None and value.unit != _DOLLARS:
            raise UnreadableError("a dollar sign and another unit")
        return replace(value, unit=_DOLLARS)
    if (
        len(tokens) > 2
        and tokens[-1].value in _TEMPERATURES
        and (tokens[-2].value == "circ" or tokens[-3].value == "circ")
    ):
        degrees = _degree_sign(tokens[:-1])
        if degrees is not None:
            return Expression(expression(tokens[:degrees], reading), unit=Unit(f"degrees {tokens[-1].value}"))
    words = next((place for place, token in enumerate(tokens) if token.kind in ("text", "word")), None)
    if words is not None and not _is_name_within(tokens, words):
        return _with_words(tokens, words, reading)
    if tokens and tokens[-1].value in ("%", r"\%"):
        return Expression(expression(tokens[:-1], reading), percent=True)
    bare = _bare_unit(tokens)
    if bare is not None:
        return _with_unit(tokens[:bare], "".join(token.value for token in tokens[bare:]), reading, known_only=True)
    degrees = _degree_sign(tokens)
    if degrees is not None and not any(token.value in FUNCTIONS for token in tokens):
        return Expression(expression(tokens[:degrees], reading), unit=_DEGREES)
    return Expression(expression(tokens, reading))


def _is_name_within(tokens: Tokens, place: int) -> bool:
    r"""Whether an upright word is a name within an expression: ``2\mathrm{cm}+3\mathrm{mm}``, or an index."""
    if place > 0 and (
        tokens[place - 1].value == "_"
        or (tokens[place - 1].value == "{" and place > 1 and tokens[place - 2].value == "_")
    ):
        rest = next((later for later in range(place + 1, len(tokens)) if tokens[later].kind in ("text", "word")), None)
        return rest is None or _is_name_within(tokens, rest)
    return tokens[place].font in ("mathrm", "mathit", "operatorname") and any(
        token.value in ("+", "-") for token in tokens[place:]
    )


def _degree_sign(tokens: Tokens) -> int | None:
    """Where a degree sign at the end begins."""
    values = [token.value for token in tokens[-4:]]
    for ending in (["^", "{", "circ", "}"], ["^", "circ"], ["circ"]):
        if values[-len(ending) :] == ending and len(tokens) > len(ending):
            return len(tokens) - len(ending)
    return None


def _bare_unit(tokens: Tokens) -> int | None:
    """Where a unit of bare letters behind numbers begins: ``5 cm``, ``31 USD``."""
    place = next((index for index, token in enumerate(tokens) if token.kind == "letter"), None)
    if (
        place is None
        or place == 0
        or not tokens[place].spaced
        or not all(token.kind == "letter" and not token.font for token in tokens[place:])
    ):
        return None
    if (
        any(token.spaced for token in tokens[place + 1 :])
        or "".join(token.value for token in tokens[place:]) not in PLAIN
    ):
        return None
    return place


def _with_words(tokens: Tokens, place: int, reading: Reading) -> Expression:
    if place == 0:
        if len(tokens) > 1 and tokens[0].kind in ("word", "text") and tokens[0].value in ("USD", "EUR", "US"):
            return _with_unit(
                tokens[1:],
                tokens[0].value.replace("US", "USD") if tokens[0].value == "US" else tokens[0].value,
                reading,
                True,
            )
        raise UnreadableError("words stand before the mathematics")
    ending = tokens[place:]
    if any(
        token.kind == "number" and (index == 0 or ending[index - 1].value not in ("^", "{", "-"))
        for index, token in enumerate(ending)
    ):
        return _sum_of_quantities(tokens, reading)
    if any(
        token.kind not in ("word", "text", "number")
        and token.value not in ("^", "{", "}", "/", "cdot", "-")
        and token.kind != "letter"
        for token in ending
    ):
        raise UnreadableError("words stand within the mathematics")
    before = list(tokens[:place])
    if before and before[-1].value in ("circ",):  # 20^\circ \text{C}
        degrees = _degree_sign(before)
        before = before[:degrees] if degrees is not None else before
        return Expression(expression(before, reading), unit=Unit("degrees " + _spelt(ending).strip()))
    return _with_unit(
        before,
        _spelt(ending),
        reading,
        known_only=all(token.kind == "word" for token in ending if token.kind in ("word", "text")),
    )


def _with_unit(before: Tokens, spelt: str, reading: Reading, known_only: bool) -> Expression:
    found = unit(spelt, known_only)
    if found is None:
        raise UnreadableError(f"what {spelt.strip()[:40]!r} means behind a number is unknown")
    factor, meaning, percent = found
    tokens = list(before)
    degrees = tokens and tokens[0].value == r"\$"
    node = expression(tokens[1:] if degrees else tokens, reading)
    if factor != 1:
        node = Node("mul", (node, Node("number", (factor, None))))
    return Expression(node, unit=meaning, percent=percent)


def _sum_of_quantities(tokens: Tokens, reading: Reading) -> Expression:
    """``5 hours 20 minutes`` as 320 minutes: known units of one dimension, each smaller than the one before."""
    pieces: list[list[Token]] = [[]]
    for index, token in enumerate(tokens):
        if token.kind == "number" and index and tokens[index - 1].kind in ("text", "word"):
            pieces.append([])
        pieces[-1].append(token)
    total, smallest = Fraction(0), None
    for piece in pieces:
        place = next((at for at, token in enumerate(piece) if token.kind in ("text", "word")), len(piece))
        found = unit(_spelt(piece[place:]).removesuffix(" and"), known_only=True) if place < len(piece) else None
        if found is None or found[1] is None or place != 1 or piece[0].kind != "number":
            raise UnreadableError("words stand within the mathematics")
        factor, meaning, _ = found
        if smallest is not None and (meaning.dimension != smallest.dimension or meaning.size >= smallest.size):
            raise UnreadableError("a sum of quantities that do not go together")
        total += Fraction(piece[0].value) * factor * meaning.size
        smallest = meaning
    return Expression(Node("number", (total / smallest.size, None)), unit=smallest)


def _spelt(tokens: Tokens) -> str:
    return "".join(
        (" " if token.spaced or token.kind in ("text", "word") else "") + token.value
        for token in tokens
        if token.value not in ("{", "}")
    )
