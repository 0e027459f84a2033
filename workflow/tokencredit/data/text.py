"""Problem texts and answers as they are compared, and answers as they are found in what a source gives."""

from __future__ import annotations

import re
from typing import Any

from tokencredit.errors import UserError

_SPACE = re.compile(r"\s+")
# LaTeX that changes how an answer looks and not what it says.
_LOOKS = re.compile(r"\\left|\\right|\\[ ,!;:]|\\?\$|\s")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac(\d)(\d)")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{|[^\s${}.,]+)")


def folded_problem(text: str) -> str:
    """Two problems are the same when this is the same: the text in lower case without white space."""
    return _SPACE.sub("", text).lower()


def folded_answer(text: str) -> str:
    """Two answers agree when this is the same: no spacing, no dollar signs, one spelling of fractions. No mathematics is done."""
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", _LOOKS.sub("", text))
    return text.replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac").rstrip(".")


def last_boxed(text: str) -> str:
    """What stands in the last ``\\boxed{}``, or ``\\boxed 9``, of a solution; empty where there is none or its braces do not close."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return ""
    box = boxes[-1]
    if box[1] != "{":
        return box[1]
    depth = 1
    for index in range(box.end(), len(text)):
        if text[index - 1] != "\\":
            depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[box.end() : index].strip()
    return ""


def after_hashes(text: str) -> str:
    """GSM8K's answer: what follows the last ``####``, without the commas of thousands; empty where there is none."""
    _, mark, answer = text.rpartition("####")
    return re.sub(r"(?<=\d),(?=\d{3})", "", answer).strip() if mark else ""


def plain_answer(value: Any) -> str:
    """An answer column as text: whole floats as integers, no padding zeros, no outer dollar signs; several answers joined by commas."""
    match value:
        case None:
            return ""
        case list():
            return ", ".join(plain_answer(item) for item in value)
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case str():
            text = value.strip().removeprefix("$").removesuffix("$").strip()
            return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text
        case _:
            raise UserError(
                f"an answer is a {type(value).__name__}, where text, a number or a list of these is read: {value!r}."
            )


ANSWERS = {"column": plain_answer, "last-boxed": last_boxed, "after-hashes": after_hashes}
