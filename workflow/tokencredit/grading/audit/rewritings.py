r"""The same value in other words: what the audit of a mathematical grader must find right.

Each rewriting keeps the value by its construction, whatever the gold is: no rewriting is tried where the text could be read in another way.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

from tokencredit.grading.audit.pieces import RELATIONS, Answer, balanced, cut, letters, plain_looks, terms, tokens

_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
_UNLIKE_NUMBERS = re.compile(
    r"\\(?:pm|mp|infty|text|mbox|mathrm|ldots|dots|cdots|%|overline)|\.\.|\d'|\d[A-F]*\s*\}?_|[%:]|\bor\b|\$|np\.|[(\[][^()\[\]]*,"
)
_JOINED = re.compile(r"\\(?:text|mbox|mathrm)|\b(?:or|and)\b|\\cup", re.IGNORECASE)
# A list in brackets, which an equation names the parts of, and the base of a number.
_PARTS = re.compile(r"[(\[][^()\[\]]*,|\d[A-F]*\s*\}?_")
_FLIPPED = {"=": "=", "<": ">", r"\le": r"\ge", r"\leq": r"\geq", r"\leqslant": r"\geqslant", r"\lt": r"\gt"}
_FLIPPED |= {turned: relation for relation, turned in _FLIPPED.items()}


def rewritings(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, text) of one rewriting of each kind that fits the gold and changes its text."""
    gold = gold.strip()
    if not balanced(gold):
        return
    answer = Answer(plain_looks(gold))
    for kind, make in _KINDS.items():
        text = make(gold, answer, rng)
        if text is not None and text != gold:
            yield kind, text


def _wide(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A space around every sign of an operation or relation, and behind commas between brackets."""
    if answer.kind == "words" or _grouped(gold) or re.search(r"\d[eE][-+]?\d", gold):
        return None
    found, text = tokens(gold), ""
    for place, token in enumerate(found):
        before = text.rstrip()[-1:]
        binary = token.text in "+-=<>" and before not in ("", "^", "_", "{", "(", "[", ",", "+", "-", "=", "/")
        behind_comma = token.text == "," and place + 1 < len(found)
        text += f"{' ' if binary else ''}{token.text}{' ' if binary or behind_comma else ''}"
    return re.sub(" +", " ", text)


def _narrow(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """No space but those that end a command, and those behind digits, which may stand between numbers or before a unit."""
    if answer.kind == "words" or _JOINED.search(gold):
        return None
    found = tokens(gold)
    kept = []
    for place, token in enumerate(found):
        before = found[place - 1].text if place else " "
        after = found[place + 1].text if place + 1 < len(found) else " "
        ends_command = before.startswith("\\") and before[-1].isalpha() and after[0].isalnum()
        between_numbers = before.isdigit() and (after.isalnum() or after.startswith("\\"))
        if not token.text.isspace() or ends_command or between_numbers:
            kept.append(token.text)
    text = "".join(kept)
    return None if re.search(r"\d[eE][-+]?\d", text) and not re.search(r"\d[eE][-+]?\d", gold) else text


def _dfrac(gold: str, answer: Answer, rng: random.Random) -> str | None:
    return re.sub(r"\\frac(?![A-Za-z])", r"\\dfrac", gold)


def _left_right(gold: str, answer: Answer, rng: random.Random) -> str | None:
    r"""``\left`` and ``\right`` off where they are, on where they are not."""
    if r"\left" in gold:
        return (
            re.sub(r"\\(?:left|right)(?![A-Za-z])\s*", "", gold)
            if r"\left." not in gold and r"\right." not in gold
            else None
        )
    found = tokens(gold)
    opening = [token for token in found if token.text in ("(", "[", r"\{")]
    closing = [token for token in found if token.text in (")", "]", r"\}")]
    if not opening or len(opening) != len(closing) or answer.kind == "words":
        return None
    for token in sorted([*opening, *closing], key=lambda token: -token.start):
        side = r"\left" if token in opening else r"\right"
        gold = gold[: token.start] + side + gold[token.start :]
    return gold


def _left_right_space(gold: str, answer: Answer, rng: random.Random) -> str | None:
    text = gold if r"\left" in gold else _left_right(gold, answer, rng)
    return re.sub(r"\\(left|right)(?=[(\[\])])", r"\\\1 ", text) if text else None


def _swapped(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """The terms of a sum, or of one side of an equation, in another order."""
    if (
        answer.unit
        or "|" in gold
        or _JOINED.search(answer.text)
        or (answer.kind != "expression" and not _is_equation(answer))
    ):
        return None
    sides = [answer.core] if answer.kind == "expression" else list(answer.sides)
    places = [place for place, side in enumerate(sides) if len(terms(side)) > 1]
    if not places:
        return None
    place = rng.choice(places)
    parts = [(sign or "+", term) for sign, term in terms(sides[place])]
    other = parts[1:] + parts[:1]
    sides[place] = "".join(sign + term for sign, term in other).removeprefix("+")
    return "=".join(side.strip() for side in sides)


def _half_of_double(gold: str, answer: Answer, rng: random.Random) -> str | None:
    if answer.kind != "expression" or answer.unit or _special(answer):
        return None
    if _INTEGER.fullmatch(answer.core):
        return rf"\frac{{{2 * int(answer.core)}}}{{2}}"
    return None if _grouped(answer.core) else rf"\frac{{2({answer.core})}}{{2}}"


def _twice(gold: str, answer: Answer, rng: random.Random) -> str | None:
    return (
        "=".join(f"2({side.strip()})" for side in answer.sides) if _is_equation(answer) and not answer.named else None
    )


def _one_side(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Everything on one side of an equation."""
    if not _is_equation(answer) or answer.named:
        return None
    left, right = (side.strip() for side in answer.sides)
    return f"{left}-({right})=0" if right != "0" else f"0={left}"


def _turned(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """An equation or inequality from right to left."""
    if answer.kind != "relation" or answer.unit or _JOINED.search(answer.text) or _PARTS.search(answer.text):
        return None
    relations = [_FLIPPED.get(relation, "") for relation in reversed(answer.relations)]
    if not all(relations):
        return None
    first, *others = (side.strip() for side in reversed(answer.sides))
    return first + "".join(f" {relation} {side}" for relation, side in zip(relations, others, strict=True))


def _reversed(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A set, a list of solutions or a union from its end."""
    if answer.unit or _JOINED.search(answer.text.replace(r"\cup", "")) or r"\ldots" in gold or r"\dots" in gold:
        return None
    items = [item.strip() for item in reversed(answer.items)]
    if len(items) < 2 or any(cut(item, RELATIONS)[1:] for item in items):
        return None
    match answer.kind:
        case "set":
            return rf"\{{{', '.join(items)}\}}"
        case "list":
            return ", ".join(items)
        case "union":
            return r" \cup ".join(items)
    return None


def _named(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """``x=`` before a value, with a letter that does not occur in it."""
    if answer.kind not in ("expression", "sequence") or _special(answer) or _grouped(answer.core):
        return None
    unused = [letter for letter in "xyznk" if letter not in gold]
    return f"{rng.choice(unused)}={gold}" if unused and not gold.startswith(("$", r"\[")) else None


def _dollars(gold: str, answer: Answer, rng: random.Random) -> str | None:
    return f"${gold}$" if "$" not in gold else None


def _stop(gold: str, answer: Answer, rng: random.Random) -> str | None:
    return f"{gold}." if (gold[-1:].isalnum() or gold[-1:] in "})]") and not gold.endswith(r"\]") else None


def _thousands(gold: str, answer: Answer, rng: random.Random) -> str | None:
    if not re.fullmatch(r"-?\d{5,}", gold):
        return None
    return f"{int(gold):,}".replace(",", rng.choice([",", "{,}", r",\!"]))


def _point_zero(gold: str, answer: Answer, rng: random.Random) -> str | None:
    return f"{gold}.0" if _INTEGER.fullmatch(gold) else None


def _decimal(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A fraction with a finite decimal."""
    match = _FRACTION.fullmatch(gold)
    if not match:
        return None
    top, bottom = int(match[1]), int(match[2])
    scaled = top * 10**6 // bottom if bottom else 0
    return (
        f"{scaled / 10**6:.6f}".rstrip("0").rstrip(".")
        if bottom and scaled * bottom == top * 10**6 and top < 10**6
        else None
    )


def _slash(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """A fraction of two whole numbers in one line."""
    return _FRACTION.sub(r"\1/\2", gold) if _FRACTION.fullmatch(gold.removeprefix("-")) else None


def _braces(gold: str, answer: Answer, rng: random.Random) -> str | None:
    """Braces around every one-sign power, which TeX does not need."""
    return re.sub(r"\^(\w)", r"^{\1}", gold)


def _is_equation(answer: Answer) -> bool:
    unlike = answer.unit or not letters(answer.core) or _special(answer)  # `2+2=4` says nothing of an unknown
    return answer.kind == "relation" and answer.relations == ["="] and not unlike


def _special(answer: Answer) -> bool:
    """What has no value that can be calculated with: infinity, several values in one sign, words, dots, times, ratios, bases, code."""
    if _UNLIKE_NUMBERS.search(answer.text) or (
        answer.kind == "expression" and any(token.text in RELATIONS for token in tokens(answer.text))
    ):
        return True
    bare = re.sub(r"\\[A-Za-z]+", "", answer.core)
    return answer.kind == "expression" and not letters(answer.core) and bool(re.search(r"[A-Za-z]{2,}", bare))


def _grouped(text: str) -> bool:
    """Whether a comma or space stands between groups of digits."""
    return bool(re.search(r"\d\s*(?:,|\{,\}|\\[,!]|\s)\s*(?:\\!)?\s*\d", text))


_KINDS: dict[str, Callable[[str, Answer, random.Random], str | None]] = {
    "spaces": _wide,
    "no spaces": _narrow,
    r"\dfrac": _dfrac,
    r"\left and \right": _left_right,
    r"\left (": _left_right_space,
    "swapped terms": _swapped,
    "half of its double": _half_of_double,
    "both sides times two": _twice,
    "one side": _one_side,
    "turned relation": _turned,
    "reversed": _reversed,
    "name before it": _named,
    "dollar signs": _dollars,
    "full stop": _stop,
    "thousands": _thousands,
    "point zero": _point_zero,
    "decimal": _decimal,
    "slash": _slash,
    "braces": _braces,
}
