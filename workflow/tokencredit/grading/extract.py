r"""Which part of a response is its answer.

1. The reasoning is cut: only what follows the last ``</think>`` counts. A ``<think>`` without its end means that there is no answer yet.
2. The last ``\boxed{…}`` (or ``\fbox{…}``) whose braces balance is the answer. ``\{`` and ``\}`` are signs, not braces.
   ``\boxed 8`` holds the one digit that TeX puts there.
3. *Adjacent* boxes, with nothing but commas, "and", "or", math delimiters, space or a name and "=" between them, are one answer of
   several parts, joined by commas: ``\boxed{1}, \boxed{2}`` is the set {1, 2}, so that naming two candidates does not pass for naming
   the right one. Boxes with anything else between them are separate answers: the last counts.

All of this is one pass over the text, in time that grows with its length; braces count from the first box on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ANSWER = 2000  # characters; the longest gold of the benchmarks has 164

NO_BOX = "no boxed answer"
EMPTY_BOX = "the box is empty"
OPEN_REASONING = "the reasoning (<think>) does not end"

_OPEN, _CLOSE = "<think>", "</think>"
_BOX = re.compile(r"\\(?:boxed|fbox)\s*[{\d]")
# Pairs of backslashes are one token: a long run of them would else be looked through from each of them for a box at its end.
_TOKEN = re.compile(rf"\\*{_BOX.pattern}|(?:\\\\)+|\\.|[{{}}]", re.DOTALL)
_OPEN_BOX = re.compile(r"^\s*\\*boxed\s*\{(?=[^{}]*(?:\{[^{}]*\}[^{}]*)*$)")
_NOTHING = re.compile(r"(?:\s|~|\\(?:[ ,;:!]|q?quad|$))*")
_BETWEEN_PARTS = re.compile(
    r"(?:\s|,|;|\$|\\[ ,;:()\[\]]|\\q?quad|\\text\{\s*(?:and|or)\s*\}|\band\b|\bor\b|\b[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=)*"
)


class Extraction(NamedTuple):
    """The answer as the response writes it, or None with the reason why there is none."""

    answer: str | None
    reason: str | None


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def extract_answer(response: str) -> Extraction:
    """The boxed answer of a response, by the rules of this module."""
    text = response.rpartition(_CLOSE)[2]
    if _OPEN in text:
        return Extraction(None, OPEN_REASONING)
    content = _last_answer(text)
    if content is None:
        return Extraction(None, NO_BOX)
    return Extraction(content, None) if content else Extraction(None, EMPTY_BOX)


def gold_answer(gold: str) -> str:
    """The gold without a box around it, where it has one; also one that does not close."""
    content = _last_answer(gold)
    return _OPEN_BOX.sub("", gold).strip() if content is None else content


def _last_answer(text: str) -> str | None:
    """What the last box, or the last adjacent boxes, hold; None where there is no box."""
    boxes = _closed_boxes(text)
    if not boxes:
        return None
    parts = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _BETWEEN_PARTS.fullmatch(text, box.end, parts[-1].start):
            break
        parts.append(box)
    contents = dict.fromkeys(content for part in reversed(parts) if (content := _unboxed(part.content)))
    return ", ".join(contents)


def _closed_boxes(text: str) -> list[_Box]:
    """The outermost boxes whose braces balance, in order."""
    first = _BOX.search(text)
    if first is None:
        return []
    start = len(text[: first.start()].rstrip("\\"))
    stack: list[int | None] = []  # for each open brace: where its box starts, or None
    boxes: list[_Box] = []
    inner: list[int] = []  # where the content of an open box starts
    for token in _TOKEN.finditer(text, start):
        sign = token[0]
        if sign == "{":
            stack.append(None)
        elif sign[0] == "\\" and sign[-1] == "{" and len(sign) > 2:
            stack.append(token.start())
            inner.append(token.end())
        elif sign[0] == "\\" and sign[-1].isdigit() and len(sign) > 2:
            boxes.append(_Box(token.start(), token.end(), sign[-1]))
        elif sign == "}" and stack:
            opened = stack.pop()
            if opened is not None:
                while boxes and boxes[-1].start > opened:
                    boxes.pop()
                boxes.append(_Box(opened, token.end(), text[inner.pop() : token.start()]))
    return boxes


def _unboxed(content: str) -> str:
    """The content without boxes that are all of it: ``\\boxed{\\boxed{5}}`` says 5."""
    content = content.strip()
    if _NOTHING.fullmatch(content):
        return ""
    for _ in range(8):
        boxes = _closed_boxes(content)
        if len(boxes) != 1 or boxes[0].end - boxes[0].start != len(content):
            break
        content = boxes[0].content.strip()
    return content
