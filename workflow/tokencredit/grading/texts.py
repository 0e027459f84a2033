"""Words: against words, choices and mathematics."""

from __future__ import annotations

from tokencredit.grading.reading.answers import Choice, Expression, Text, Value
from tokencredit.grading.reading.tokens import words
from tokencredit.grading.regions import UndecidedError

_NUMBER_WORDS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third quarter fourth fifth dozen once "
    "twice infinity infinite infinitely many none no not nothing empty all any every everything real reals undefined set solution "
    "solutions exist exists unknown constant positive negative integer integers degrees percent pi root square minus plus times over or "
    "and equal equals x y n"
)


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
    if text.words and not isinstance(other, Text) and not _NUMBER_WORDS.intersection(text.words):
        spelt = _spelt(other)
        return spelt is not None and spelt.casefold() == text.folded.casefold()
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
