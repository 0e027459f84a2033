"""Maj@k: the majority vote over the responses to one question, in which equal answers are one class, right or wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations

_GOLD = None  # the class of the gold; all others are texts


def maj_at_k(answers: Sequence[str | None], outcomes: Sequence[str], equal: Collection[tuple[str, str]] = ()) -> float:
    """The majority vote's score on one question, in [0, 1], over its k responses.

    ``answers``: the extracted answer of each response, None where there is none; ``outcomes``: "right", "wrong" or "ungraded";
    ``equal``: those of ``undecided_pairs`` that the grader found equal. Votes are counted over classes of equal answers: all answers
    that were graded right are one class (each equals the gold); answers of one text, or that are linked by ``equal``, are one class too. A
    response without an answer does not vote. Of t classes that share the most votes each wins with chance 1/t, so that a tie scores 1/t.
    Raises ``ValueError`` if there are no responses or the lengths differ.
    """
    votes = _votes(answers, outcomes)
    classes = {text: text for text in votes}

    def first(text: str | None) -> str | None:
        while classes[text] != text:
            text = classes[text]
        return text

    for one, other in equal:
        classes[first(other)] = first(one)
    joined: Counter[str | None] = Counter()
    for text, count in votes.items():
        joined[first(text)] += count
    most = max(joined.values(), default=0)
    winners = [text for text, count in joined.items() if count == most]
    return 1 / len(winners) if _GOLD in winners else 0.0


def undecided_pairs(answers: Sequence[str | None], outcomes: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of wrong answers, as texts in order, whose equality can change the vote's score; none for most questions.

    Without them the right answers win (more votes than all wrong ones together) or lose (fewer than one wrong text has). Answers that the
    grader could not read are compared by their texts only. Errors as in ``maj_at_k``.
    """
    votes = _votes(answers, outcomes)
    right = votes.pop(_GOLD, 0)
    if not votes or right > votes.total() or right < max(votes.values()):
        return []
    wrong = {
        text_of(answer)
        for answer, outcome in zip(answers, outcomes, strict=True)
        if outcome == "wrong" and answer is not None
    }
    return list(combinations(sorted(wrong & votes.keys()), 2))


def text_of(answer: str) -> str:
    """An answer's text as it votes: without dollar signs, a final full stop, and white space beyond single spaces."""
    return " ".join(answer.replace("$", "").split()).rstrip(".").rstrip()


def _votes(answers: Sequence[str | None], outcomes: Sequence[str]) -> Counter[str | None]:
    """How many responses gave each text, all right ones and those of a right one's text under ``_GOLD``."""
    if not outcomes or len(answers) != len(outcomes):
        raise ValueError(f"one answer and one outcome per response are needed; got {len(answers)} and {len(outcomes)}.")
    pairs = list(zip(answers, outcomes, strict=True))
    right = {text_of(answer) for answer, outcome in pairs if outcome == "right" and answer is not None}
    votes: Counter[str | None] = Counter()
    for answer, outcome in pairs:
        if outcome == "right":
            votes[_GOLD] += 1
        elif answer is not None:
            votes[_GOLD if text_of(answer) in right else text_of(answer)] += 1
    return votes
