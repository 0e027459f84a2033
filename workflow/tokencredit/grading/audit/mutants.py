r"""Answers that look like a gold and are another value: what the audit of a mathematical grader must not find right.

Each kind is one small slip at a random place. A slip can leave the value as it was (``x^2`` for ``x \cdot x``, 1 squared): such mutants are
not avoided here, ``proof.py`` tells them apart once a grader has called them right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

from tokencredit.grading.audit.pieces import (
    SEPARATORS,
    Answer,
    Token,
    balanced,
    cut,
    letters,
    plain_looks,
    terms,
    tokens,
    values,
)

# Units of different measures or sizes, and words that multiply.
UNITS = ("cm", "m", "km", "inches", "feet", "grams", "kg", "seconds", "hours", "dollars", "cents", "degrees")
SCALES = ("hundred", "thousand", "million", "billion", "dozen")

_FUNCTION = {r"\sin": r"\cos", r"\cos": r"\sin", r"\tan": r"\cot", r"\ln": r"\exp", r"\log": r"\exp", r"\exp": r"\ln"}
_INTEGER = re.compile(r"-?\d+")


def mutants(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, text) of one mutant of each kind that fits the gold."""
    gold = gold.strip()
    if not balanced(gold):
        return
    answer = Answer(plain_looks(gold))
    if answer.kind == "words":
        yield "word", r"\text{" + rng.choice(["neither", "unknown", "the other one"]) + "}"
        return
    for kind, make in _KINDS.items():
        text = make(gold, answer, rng)
        if text is not None and plain_looks(text).replace(" ", "") != answer.text.replace(" ", ""):
            yield kind, text


def _replaced(text: str, token: Token, new: str) -> str:
    return text[: token.start] + new + text[token.end :]


def _digit(gold: str, answer: Answer, rng: random.Random) -> str | None:
    digits = [token for token in values(gold) if token.text.isascii() and token.text.isdigit()]
    if not digits:
        return None
    token = rng.choice(digits)
    return _replaced(gold, token, rng.choice([digit for digit in "123456789" if digit != token.text]))


def _sign(gold: str, answer: Answer, rng: random.Random) -> str | None:
    signs = [token for token in values(gold) if token.text in ("+", "-", r"\pm")]
    if signs:
        token = rng.choice(signs)
        return _replaced(gold, token, "+" if token.text in ("-", r"\pm") else "-")
    return f"-{gold}" if answer.kind == "expression" and not gold.startswith(("$", r"\$", r"\(")) else None


def _letter(gold: str, answer: Answer, rng: random.Random) -> str | None:
    found = [token for token in letters(gold) if token in values(gold)]
    if not found:
        return None
    unused = [letter for letter in "abcghkmnpqrstuvwxyz" if letter not in gold.lower()]
    return _replaced(gold, rng.choice(found), rng.choice(unused)) if unused else None


def _case(gold: str, answer: Answer, rng: random.Random) -> str | None:
    found = [token for token in letters(gold) if token in values(gold)]
    if not found:
        return None
    token = rng.choice(found)
    return _replaced(gold, token, token.text.swapcase())


def _bracket(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """An end of an interval or pair in another bracket, a set as a pair; else one pair of brackets around a sum left out."""
    others = {"(": "[", "[": "(", ")": "]", "]": ")"}
    if answer.kind in ("sequence", "union"):
        ends = [token for token in tokens(gold) if token.text in others and token.depth == 0]
        ends = [token for token in ends if not _infinite(gold, token)]
        return _replaced(gold, token := rng.choice(ends), others[token.text]) if ends else None
    if answer.kind == "set":
        return f"({', '.join(answer.items)})" if len(answer.items) > 1 else None
    found = tokens(gold)
    pairs = []
    for place, token in enumerate(found):
        if token.text == "(" and r"\left" not in gold:
            close = (
                None
                if ":" in gold
                else next((end for end in found[place + 1 :] if end.depth == token.depth and end.text == ")"), None)
            )
            if close and len(terms(gold[token.end : close.start])) > 1:
                pairs.append((token, close))
    if not pairs:
        return None
    first, last = rng.choice(pairs)
    return gold[: first.start] + gold[first.end : last.start] + gold[last.end :]


def _infinite(gold: str, bracket: Token) -> bool:
    """Whether an interval ends at infinity here, where its bracket says nothing."""
    if bracket.text in "([":
        return bool(re.match(r"\s*[-+]?\s*\\infty", gold[bracket.end :]))
    return bool(re.search(r"\\infty\s*(?:\\right)?$", gold[: bracket.start].rstrip()))


def _deleted(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """One digit, letter, sign or constant missing, where a value is left."""
    found = [
        token
        for token in values(gold)
        if (len(token.text) == 1 and (token.text.isalnum() or token.text in "+-")) or token.text in (r"\pi", r"\pm")
    ]
    if len(found) < 2:
        return None
    text = _replaced(gold, rng.choice(found), "")
    return None if re.search(r"\{\s*\}|[\^_/]\s*(?:$|[-+,)\]}])|[-+]\s*[,)\]}]", text) else text


def _exponent(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A power changed, or a square where none was."""
    found = tokens(gold)
    powers = [place for place, token in enumerate(found) if token.text == "^" and found[place + 1 :]]
    plain = [found[place + 1] for place in powers if found[place + 1].text.isdigit()]
    plain += [
        found[place + 2]
        for place in powers
        if found[place + 1].text == "{" and len(found) > place + 2 and found[place + 2].text.isdigit()
    ]
    if plain:
        token = rng.choice(plain)
        return _replaced(gold, token, str(int(token.text) + 1))
    if answer.kind != "expression" or answer.unit or powers or ":" in gold:
        return None
    return rf"({gold})^2" if len(terms(answer.core)) > 1 or "/" in gold else rf"{gold}^{{2}}"


def _pair(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Two members of a pair or of an interval exchanged."""
    if answer.kind != "sequence" or len(answer.items) < 2:
        return None
    items = list(answer.items)
    first = rng.randrange(len(items) - 1)
    items[first], items[first + 1] = items[first + 1], items[first]
    return f"{answer.brackets[0]}{', '.join(items)}{answer.brackets[1]}"


def _element(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """One more member, or one more candidate behind the answer."""
    more = str(rng.choice([number for number in range(101, 199) if str(number) not in gold]))
    match answer.kind:
        case "set" | "sequence":
            return f"{answer.brackets[0]}{', '.join([*answer.items, more])}{answer.brackets[1]}"
        case "union":
            return rf"{gold} \cup [{more}, {int(more) + 1}]"
        case "relation" if answer.relations != ["="]:
            return None  # 7 may lie in what is above 2
        case "expression" | "list" | "relation":
            return rng.choice(
                [f"{gold}, {more}", rf"{gold} \text{{ or }} {more}", rf"{gold}\text{{ a}}, {more}\text{{ b}}"]
            )
    return None


def _missing(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """One member fewer."""
    if answer.kind not in ("set", "sequence", "list", "union") or len(answer.items) < 2:
        return None
    items = [item.strip() for item in answer.items]
    del items[rng.randrange(len(items))]
    if answer.kind == "union":
        return r" \cup ".join(items)
    open_, close = answer.brackets or ("", "")
    return f"{open_}{', '.join(items)}{close}"


def _unit(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Another unit where there is one; else a word of scale."""
    if answer.unit:
        if "%" in answer.unit or "circ" in answer.unit:
            return rf"{answer.core}\text{{ {rng.choice(['hours', 'kg', 'dollars'])}}}"
        others = [unit for unit in UNITS if unit[:2] not in answer.unit]
        return rf"{answer.core}\text{{ {rng.choice(others)}}}"
    return rf"{gold}\text{{ {rng.choice(SCALES)}}}" if _INTEGER.fullmatch(answer.core) and int(answer.core) else None


def _term(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A term of a sum, or of a side of an equation, left out."""
    sides = answer.sides if answer.kind == "relation" else [answer.core] if answer.kind == "expression" else []
    places = [place for place, side in enumerate(sides) if len(terms(side)) > 1]
    if not places or answer.unit:
        return None
    place = rng.choice(places)
    left = list(terms(sides[place]))
    del left[rng.randrange(len(left))]
    sides = [*sides[:place], "".join(sign + term for sign, term in left).removeprefix("+"), *sides[place + 1 :]]
    joints = [f" {relation} " for relation in answer.relations] + [""]
    return "".join(side.strip() + joint for side, joint in zip(sides, joints, strict=True))


def _equation(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """The value on one side of an equation that another value solves."""
    if (
        answer.kind != "expression"
        or answer.unit
        or _INTEGER.fullmatch(answer.core) is None
        or int(answer.core) in (0, 1)
    ):
        return None
    return rng.choice(
        ["2x={}", "x+1={}", "-x={}", r"\frac{{1}}{{x}}={}", "x^3={}", str(int(answer.core) + 1) + "={}"]
    ).format(gold)


def _juxtaposed(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Two numbers side by side whose sum is the gold."""
    if not re.fullmatch(r"\d{1,9}", answer.text) or int(answer.text) < 4:
        return None
    first = rng.randint(1, int(answer.text) - 2)
    second = int(answer.text) - first
    if first * second == int(answer.text):
        return None
    return rng.choice([f"{first}({second})", rf"{first}\quad {second}", f"({first})({second})"])


def _prime(gold: str, answer: Answer, rng: random.Random) -> str | None:
    found = [
        token
        for token in letters(gold)
        if token in values(gold) and not gold[token.end :].lstrip().startswith(("'", "^", "_"))
    ]
    return _replaced(gold, token := rng.choice(found), f"{token.text}'") if found else None


def _ellipsis(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Dots between two members, which stand for others."""
    if answer.kind not in ("list", "set") or len(cut(answer.core, SEPARATORS)) + len(answer.items) < 3:
        return None
    items = list(answer.items)
    items.insert(rng.randrange(1, len(items)), r"\ldots") if len(items) > 1 else items.append(r"\ldots")
    open_, close = answer.brackets or ("", "")
    return f"{open_}{', '.join(items)}{close}"


def _function(gold: str, answer: Answer, rng: random.Random) -> str | None:
    found = [token for token in tokens(gold) if token.text in _FUNCTION]
    return _replaced(gold, token := rng.choice(found), _FUNCTION[token.text]) if found else None


_KINDS: dict[str, Callable[[str, Answer, random.Random], str | None]] = {
    "digit": _digit,
    "sign": _sign,
    "letter": _letter,
    "case of a letter": _case,
    "bracket": _bracket,
    "deleted token": _deleted,
    "deleted term": _term,
    "exponent": _exponent,
    "function": _function,
    "order of a pair": _pair,
    "extra element": _element,
    "missing element": _missing,
    "ellipsis": _ellipsis,
    "prime": _prime,
    "unit": _unit,
    "equation": _equation,
    "juxtaposed": _juxtaposed,
}
