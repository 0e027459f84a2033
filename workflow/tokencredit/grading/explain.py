"""Why a response is right, wrong or ungraded, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from fractions import Fraction

from tokencredit.grading.extract import extract_answer, gold_answer
from tokencredit.grading.judge import DOUBTS, fast
from tokencredit.grading.mathematics.generators import ARGUMENTS, unknowns
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import UNIT, Monomial, Polynomial, Quotient, TooLargeError
from tokencredit.grading.pool import grade
from tokencredit.grading.reading.answers import Expression, Text, Value, read
from tokencredit.grading.reading.tokens import Node, UnreadableError
from tokencredit.grading.reading.units import Unit


def explanation(gold: str, response: str) -> Iterator[str]:
    """The outcome with its reason, how gold and answer were read, and what decided."""
    found = grade(gold, response)
    yield f"{found.outcome}{f': {found.reason}' if found.reason else ''}"
    expected = gold_answer(gold)
    answer = extract_answer(response).answer
    for side, text in (("gold", expected), ("answer", answer)):
        if text is None:
            yield f"{side}: none"
            continue
        reading = read(text)
        yield f"{side}: {text!r} is read as {_kind(reading.value)} {shown(reading.value)}".rstrip()
        for doubt in sorted(reading.met):
            yield f"  in doubt: {DOUBTS[doubt]}"
    if answer is not None and expected:
        way = "SymPy was asked" if fast(gold, answer) is None else "no algebra system was needed"
        yield f"compared exactly; {way}"


def _kind(value: Value) -> str:
    if isinstance(value, Text):
        return "text, for" if not value.words else "text:"
    if isinstance(value, Expression) and value.type == "expression" and _is_number(value.node):
        return "number:"
    return f"{value.type}:"


def _is_number(node: Node) -> bool:
    try:
        return not unknowns(form(node))
    except (UnreadableError, TooLargeError):
        return False


def shown(value: object) -> str:
    """A value in one line: mathematics in its normal form, parts in brackets."""
    if isinstance(value, Text):
        return " ".join(value.words) if value.words else value.reason
    if isinstance(value, Node):
        return _mathematics(value)
    if isinstance(value, Unit):
        return value.name
    if isinstance(value, tuple):
        return f"({', '.join(shown(part) for part in value)})"
    if isinstance(value, Value):
        said = ((field.name, getattr(value, field.name)) for field in fields(value))
        told = [
            (name, part) for name, part in said if part not in (None, False, (), "") and name not in ("left", "kind")
        ]
        return ", ".join(
            shown(part) if name == "node" else f"{name.replace('_', ' ')} {shown(part)}" for name, part in told
        )
    return str(value)


def _mathematics(node: Node) -> str:
    if node.op == "infty":
        return "infinity"
    try:
        value = form(node)
    except (UnreadableError, TooLargeError) as error:
        return "minus infinity" if node.op == "mul" and node.args[-1].op == "infty" else f"({error})"
    return _written(value)


def _written(value: Quotient) -> str:
    above = _sum(value.above)
    return above if value.below == UNIT else f"({above}) / ({_sum(value.below)})"


def _sum(polynomial: Polynomial) -> str:
    terms = (_term(coefficient, monomial) for monomial, coefficient in sorted(polynomial.items(), reverse=True))
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _term(coefficient: Fraction, monomial: Monomial) -> str:
    factors = [f"{_generator(name)}{'' if exponent == 1 else f'^({exponent})'}" for name, exponent in monomial]
    if not factors or abs(coefficient) != 1:
        factors.insert(0, str(coefficient))
    elif coefficient < 0:
        factors[0] = f"-{factors[0]}"
    return "·".join(factors)


def _generator(name: str) -> str:
    if name not in ARGUMENTS:
        return name.lstrip("@#")
    kind, arguments = ARGUMENTS[name]
    return f"{kind}({', '.join(_written(argument) for argument in arguments)})"
