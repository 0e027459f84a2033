r"""Left sides that only say whose value follows: ``x``, ``a_n``, ``f(x)``, ``AB``, ``\frac{NO}{BO}``, ``\angle ABC``, ``(x, y)``."""

from __future__ import annotations

from collections.abc import Sequence

from tokencredit.grading.reading.tokens import FUNCTIONS, GREEK, Token, words

Tokens = Sequence[Token]

_ACCENTED = words("hat bar vec tilde dot ddot overline widehat overrightarrow underline mathring")
_GEOMETRY = words("angle triangle measuredangle odot square widehat overarc")


def label(tokens: Tokens) -> str | None:
    """The label that these tokens are, as text; None where they are something to be worked out."""
    if not tokens:
        return None
    text = "".join(token.value for token in tokens if token.value not in ("{", "}"))
    if is_single(tokens) or _is_call(tokens) or _is_capitals(tokens) or _is_words(tokens):
        return text
    if tokens[0].value == "frac" and _all_capitals(tokens[1:], "{}"):
        return text
    if _all_capitals(tokens, "/:|") and any(token.value in "/:|" for token in tokens):
        return text
    if any(token.value == ":" for token in tokens) and all(
        is_single(part) or _is_capitals(part) for part in _parts(tokens, ":")
    ):
        return text
    if tokens[0].value == "(" and tokens[-1].value == ")":
        parts = _parts(tokens[1:-1], ",")
        if len(parts) > 1 and all(is_single(part) for part in parts):
            return text
    return None


def is_single(tokens: Tokens) -> bool:
    """One name with its index, primes and accent."""
    tokens = list(tokens)
    if tokens and tokens[0].value == "Delta" and len(tokens) > 1 and tokens[1].kind == "letter":
        tokens = tokens[1:]
    if not tokens or not _is_name(tokens[0]):
        return False
    end = 1
    if tokens[0].value in _ACCENTED:
        end = _argument(tokens, 1)
    while end < len(tokens):
        if tokens[end].value == "'":
            end += 1
        elif tokens[end].value == "_" or (
            tokens[end].value == "^" and _is_mark(tokens[end + 1 : _argument(tokens, end + 1)])
        ):
            end = _argument(tokens, end + 1)
        else:
            return False
    return end == len(tokens) and tokens[0].value not in ("e", "i", "pi")


def is_sum_of_names(tokens: Tokens) -> bool:
    """``m + n``: what a question asks for, not an equation to be solved."""
    parts = _parts(tokens, "+")
    return len(parts) > 1 and all(is_single(part) for part in parts)


def is_arithmetic(tokens: Tokens) -> bool:
    """Without names: nothing but numbers and signs."""
    return not any(token.kind in ("letter", "text", "word") or token.value in GREEK for token in tokens)


def _is_name(token: Token) -> bool:
    return token.kind == "letter" or (token.kind == "command" and (token.value in GREEK or token.value in _ACCENTED))


def _is_mark(tokens: Tokens) -> bool:
    return bool(tokens) and all(token.value in ("{", "}", "prime", "*", "'", "+", "-") for token in tokens)


def _argument(tokens: Tokens, start: int) -> int:
    """The place behind the group or token at ``start``."""
    if start >= len(tokens) or tokens[start].value != "{":
        return start + 1
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place].value == "{") - (tokens[place].value == "}")
        if depth == 0:
            return place + 1
    return len(tokens)


def _is_call(tokens: Tokens) -> bool:
    """f(x), f^{-1}(x), a(n), \\Phi(x, y)."""
    opened = next((place for place, token in enumerate(tokens) if token.value == "("), 0)
    if not opened or tokens[-1].value != ")" or tokens[0].value in FUNCTIONS:
        return False
    head = tokens[:opened]
    values = [token.value for token in head]
    if len(values) > 2 and values[1] == "^" and "".join(values[2:]) in ("{-1}", "-1"):
        head = head[:1]
    inside = tokens[opened + 1 : -1]
    simple = all(
        token.kind in ("letter", "number") or token.value in GREEK or token.value in (",", "_", "{", "}", "-", "+")
        for token in inside
    )
    return is_single(head) and simple and bool(inside)


def _is_capitals(tokens: Tokens) -> bool:
    """Points, segments and angles: AB, \\angle ABC, A_1B."""
    tokens = list(tokens)
    geometric = False
    while tokens and (
        tokens[0].value in _GEOMETRY or (tokens[0].value == "m" and len(tokens) > 1 and tokens[1].value in _GEOMETRY)
    ):
        geometric = True
        tokens = tokens[1:]
    return (len(tokens) > 1 or geometric) and _all_capitals(tokens, "")


def _all_capitals(tokens: Tokens, others: str) -> bool:
    capitals = 0
    index = False
    for token in tokens:
        if token.kind == "letter" and token.value.isupper():
            capitals += 1
        elif token.value in ("_", "'"):
            index = token.value == "_"
            continue
        elif not (token.value in others or (index and token.kind == "number") or (index and token.value in "{}")):
            return False
    return capitals > 0


def _is_words(tokens: Tokens) -> bool:
    return all(
        token.kind in ("text", "word") or (token.kind == "letter" and token.value.isupper()) for token in tokens
    ) and any(token.kind in ("text", "word") for token in tokens)


def _parts(tokens: Tokens, separator: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.value in ("(", "{", "[")) - (token.value in (")", "}", "]"))
        if token.value == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
