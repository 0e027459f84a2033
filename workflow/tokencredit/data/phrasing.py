"""How the solutions of every embedded task begin, go on and end: stylistic forks, where any of several words will do."""

from __future__ import annotations

import random

OPENINGS = ("Okay", "Right", "Sure", "Well", "Hmm", "Good", "Fine", "Yes")
PAUSES = (".", "!", ",")
CONNECTIVES = (" Then", " Next", " Now", " Here", " And")
CLOSINGS = (" So the answer is", " The answer is", " Answer:", " Result:", " In total", " Altogether")
BOXED = " \\boxed{{ {n}}}"


def opening(rng: random.Random) -> str:
    return rng.choice(OPENINGS) + rng.choice(PAUSES)


def closing(number: int, rng: random.Random) -> str:
    return rng.choice(CLOSINGS) + BOXED.format(n=number)


def phrases() -> list[str]:
    """Texts that hold every word and sign of these."""
    return [
        *(word + pause for word in OPENINGS for pause in PAUSES),
        *CONNECTIVES,
        *(words + BOXED.format(n=0) for words in CLOSINGS),
    ]
