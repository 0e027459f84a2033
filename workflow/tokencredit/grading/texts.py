"""Words: against words, choices and mathematics."""

from __future__ import annotations

from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import as_fraction
from tokencredit.grading.reading.answers import NUMBER_WORDS, Choice, Expression, Text, Value
from tokencredit.grading.regions import UndecidedError


def same_text(gold: Value, answer: Value) -> bool:
    """Whether two answers, of which one at least is a text, are the same. Raises ``UndecidedError`` where words may mean it."""
    if isinstance(gold, Text) and isinstance(answer, Text):
        if gold.folded == answer.folded:
            return True
        if len(gold.words) == 1 and len(answer.words) == 1:
            return False
        raise UndecidedError("the two are words that differ, or mathematics that is compared as text and differs")
    if isinstance(gold, Choice) or isinstance(answer, Choice):
        choice, text = (gold, answer) if isinstance(gold, Choice) else (answer, gold)
        if choice.text and choice.text.casefold() == text.folded.casefold():
            return True
        if not choice.text and len(text.words) == 1:
            return choice.letter.casefold() == text.folded.casefold()
    text, other = (gold, answer) if isinstance(gold, Text) else (answer, gold)
    if text.words and not isinstance(other, Text) and not NUMBER_WORDS.intersection(text.words):
        spelt = _spelt(other)
        return spelt is not None and spelt.casefold() == text.folded.casefold()
    if text is answer and text.number is not None and isinstance(other, Expression):
        value = as_fraction(form(other.node))
        if value is not None and text.number not in (value, 100 * value):
            return False
    unread = "gold" if isinstance(gold, Text) else "boxed answer"
    reason = gold.reason if isinstance(gold, Text) else answer.reason
    raise UndecidedError(f"the {unread} cannot be read as mathematics: {reason}")


def _spelt(value: Value) -> str | None:
    """The letters that an expression is a product of, in their order: VW, and the words that it may be."""
    if not isinstance(value, Expression):
        return None
    letters: list[str] = []
    pending = [value.node]
    while pending:
        node = pending.pop()
        if node.op == "mul":
            pending += node.args[::-1]
        elif node.op in ("name", "e", "imaginary"):
            letters.append({"e": "e", "imaginary": "i"}.get(node.op) or node.args[0])
        else:
            return None
    return "".join(letters)
