r"""The pieces of an answer's text that the audit changes: tokens, brackets, and what an answer is a list, an equation or a sum of.

The audit's own reading, which it shares with no grader. It does not understand an answer; it finds where one can be cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

WORDS = r"\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname)\s*\{[^{}]*\}"
TOKEN = re.compile(rf"{WORDS}|\\(?:begin|end)\s*\{{[a-z]+\*?\}}|\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
# fmt: off
RELATIONS = {
    "=", "<", ">",
    r"\le", r"\leq", r"\leqslant", r"\ge", r"\geq", r"\geqslant", r"\lt", r"\gt", r"\ne", r"\neq", r"\in",
    r"\approx", r"\equiv", r"\to", r"\mid",
}
NAMES = {
    r"\alpha", r"\beta", r"\gamma", r"\delta", r"\Delta", r"\epsilon", r"\varepsilon", r"\zeta", r"\eta",
    r"\theta", r"\Theta", r"\kappa", r"\lambda", r"\Lambda", r"\mu", r"\nu", r"\xi", r"\rho", r"\sigma",
    r"\Sigma", r"\tau", r"\phi", r"\Phi", r"\varphi", r"\chi", r"\psi", r"\Psi", r"\omega", r"\Omega", r"\ell", r"\hbar",
}
# fmt: on
SEPARATORS = {",", ";"}
CONSTANTS = {r"\pi", "e", "i"}

_OPENING = {"(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil"}
_CLOSING = {")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil"}
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:(?:,|\{,\}|,\\!\s?)\d{3})+(?![\d,])")
_UNIT = re.compile(
    r"(?P<unit>(?:\\?\s|~)*(?:\\(?:text|textrm|mathrm|mbox)\s*\{[^{}]*[A-Za-z][^{}]*\}(?:\s*\^\s*(?:\d|\{\d\}))?|\^\s*\{?\s*\\circ\s*\}?|\\?%))$"
)
_OR = re.compile(rf"(?=.*\b(?:or|and)\b){WORDS}")
# Between members of a list.
_BETWEEN = re.compile(
    r",?\s*(?:\\(?:text|textrm|mbox)\s*\{\s*(?:or|and)\s*\}|(?<![A-Za-z\\])(?:or|and)(?![A-Za-z]))\s*", re.IGNORECASE
)
_NAME = re.compile(
    rf"\s*(?:[A-Za-z]|{'|'.join(map(re.escape, sorted(NAMES, key=len, reverse=True)))})(?:_(?:[A-Za-z0-9]|\{{[A-Za-z0-9]+\}}))?"
    r"(?:\s*\(\s*[A-Za-z]\s*\))?\s*"
)

Kind = Literal["words", "relation", "union", "sequence", "set", "list", "matrix", "expression"]


@dataclass(frozen=True)
class Token:
    """A piece of the text at ``start``; ``depth``: how many brackets are open around it, its own not counted."""

    text: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``: commands, single signs, white space; words in ``\\text{}`` are one token."""
    found, depth = [], 0
    for match in TOKEN.finditer(text):
        token = match[0]
        opens = token in _OPENING or token.startswith(r"\begin")
        closes = token in _CLOSING or token.startswith(r"\end")
        depth -= closes
        found.append(Token(token, match.start(), depth))
        depth += opens
    return found


def balanced(text: str) -> bool:
    """Whether every bracket that opens closes, whatever their kinds: ``[2,5)`` is an interval."""
    depth = 0
    for token in tokens(text):
        if token.depth < 0:
            return False
        depth += (token.text in _OPENING or token.text.startswith(r"\begin")) - (
            token.text in _CLOSING or token.text.startswith(r"\end")
        )
    return depth == 0


def cut(text: str, separators: Iterable[str]) -> list[str]:
    """The parts of ``text`` between separators that stand in no bracket."""
    wanted, parts, start = set(separators), [], 0
    grouped = [(match.start(), match.end()) for match in _THOUSANDS.finditer(text)]
    for token in tokens(text):
        inside = any(first <= token.start < last for first, last in grouped)
        if token.text in wanted and token.depth == 0 and not inside:
            parts.append(text[start : token.start])
            start = token.end
    return [*parts, text[start:]]


def plain_looks(text: str) -> str:
    r"""The text without what only changes its looks: dollar signs, ``\left``, ``\right``, small spaces, kinds of fraction, a final stop."""
    text = re.sub(r"(?<=\d),\s*\\!\s*(?=\d)", ",", text)
    text = re.sub(r"\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![A-Za-z]))", "'", text)
    text = re.sub(r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle)(?![A-Za-z])|(?<!\\)\\[!;:,()]|\\?\$", "", text)
    text = re.sub(r"^\s*\\\[|\\\]\s*$", "", text)
    text = _BETWEEN.sub(", ", text)
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r"\\(?:quad|qquad)(?![A-Za-z])|(?<!\\)\\ |~|\s", " ", text)
    return re.sub(r"(?<!\.)\.$", "", re.sub(r" +", " ", text).strip()).strip()


@dataclass(frozen=True)
class Answer:
    """An answer's text, taken apart as far as ``plain_looks`` leaves it."""

    text: str

    @cached_property
    def unit(self) -> str:
        """The unit or percent sign at the end of a number, as it is written; empty where there is none."""
        match = _UNIT.search(self.text)
        return (
            match["unit"] if match and match.start() and re.search(r"[\d}\w)]\s*$", self.text[: match.start()]) else ""
        )

    @cached_property
    def core(self) -> str:
        """The text without its unit."""
        return self.text[: len(self.text) - len(self.unit)].strip()

    @cached_property
    def sides(self) -> list[str]:
        return cut(self.core, RELATIONS)

    @cached_property
    def relations(self) -> list[str]:
        return [token.text for token in tokens(self.core) if token.text in RELATIONS and token.depth == 0]

    @cached_property
    def named(self) -> str:
        r"""The value of a name: ``3`` of ``x=3``, the set of ``x \in [2,5)``; empty where the answer is of no such form."""
        if self.relations in (["="], [r"\in"]) and _NAME.fullmatch(self.sides[0]):
            return self.sides[1].strip()
        return ""

    @cached_property
    def items(self) -> list[str]:
        """The members of a sequence, set or list, the intervals of a union, or the text itself."""
        if self.kind == "union":
            return cut(self.core, [r"\cup"])
        inner = (
            self.core[len(self.brackets[0]) : len(self.core) - len(self.brackets[1])] if self.brackets else self.core
        )
        items = [item.strip() for item in cut(inner, SEPARATORS)]
        return items if items[-1] or len(items) == 1 else items[:-1]  # a comma at the end

    @cached_property
    def brackets(self) -> tuple[str, str] | None:
        """The brackets around the whole, where they are one pair."""
        found = [token for token in tokens(self.core) if token.text.strip()]
        if len(found) < 2 or found[0].text not in _OPENING - {"{"} or found[-1].text not in _CLOSING - {"}"}:
            return None
        return None if any(token.depth == 0 for token in found[1:-1]) else (found[0].text, found[-1].text)

    @cached_property
    def kind(self) -> Kind:
        """What the answer is by its looks."""
        core = self.core
        if re.fullmatch(rf"\s*(?:{WORDS}|[A-Za-z]{{3,}}|[A-Z])\s*", core) or re.search(
            r"[A-Za-z]{4,} [A-Za-z]{2,}", core
        ):
            return "words"
        if core.startswith(r"\begin"):
            return "matrix"
        if self.relations:
            return "relation" if len(cut(core, SEPARATORS)) == 1 else "list"
        if len(cut(core, [r"\cup"])) > 1:
            return "union"
        if self.brackets and len(cut(core[len(self.brackets[0]) : -len(self.brackets[1])], SEPARATORS)) > 1:
            return "set" if self.brackets[0] == r"\{" else "sequence"
        if self.brackets and self.brackets[0] == r"\{":
            return "set"
        return "list" if len(cut(core, SEPARATORS)) > 1 else "expression"


def values(text: str) -> list[Token]:
    r"""The tokens but those of names before a value: ``x=`` may be missing, or another letter, and so may what stands before ``\in``."""
    found = tokens(text)
    inside = max((place for place, token in enumerate(found) if token.text == r"\in"), default=-1)
    kept, start = [], inside + 1
    for place, token in enumerate(found[inside + 1 :], start=inside + 1):
        if token.depth == 0 and (token.text in SEPARATORS or _OR.fullmatch(token.text)):
            start = place + 1
        name = "".join(each.text for each in found[start:place]).replace("$", "")
        if token.depth == 0 and token.text == "=" and _NAME.fullmatch(name):
            kept = [each for each in kept if each.start < found[start].start]
        kept.append(token)
    return kept


def terms(text: str) -> list[tuple[str, str]]:
    """(sign, term) of a sum, in order; the first sign may be missing. Empty where the text is no plain sum of terms."""
    found = tokens(text)
    if any(
        token.depth == 0 and token.text in (r"\pm", r"\mp", r"\cdot", r"\times", *SEPARATORS, *RELATIONS)
        for token in found
    ):
        return []
    parts: list[tuple[str, str]] = []
    sign, start, before = "", 0, ""
    for token in found:
        of_exponent = before in ("e", "E") and re.search(r"\d[eE]$", text[: token.start])
        if not of_exponent and token.depth == 0 and token.text in "+-" and before not in ("^", "_", "/", "*", "+", "-"):
            if text[start : token.start].strip():
                parts.append((sign, text[start : token.start].strip()))
            sign, start = token.text, token.end
        if token.text.strip():
            before = token.text
    parts.append((sign, text[start:].strip()))
    return parts if all(term for _, term in parts) else []


def letters(text: str) -> list[Token]:
    """The variables of a text: single letters outside words, but constants, indices and differentials."""
    found = tokens(text)
    kept = []
    for place, token in enumerate(found):
        before = found[place - 1].text if place else ""
        after = found[place + 1].text if place + 1 < len(found) else ""
        alone = len(token.text) == 1 and token.text.isascii() and token.text.isalpha()
        run = any(len(other) == 1 and other.isalpha() for other in (before, after))
        if alone and not run and token.text not in CONSTANTS and before not in ("_", ".") and after != ".":
            kept.append(token)
    return kept
