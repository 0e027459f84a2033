"""Figure 9: the tokens of high entropy."""

from __future__ import annotations

from tokencredit.analysis import style
from tokencredit.analysis.credit import words
from tokencredit.analysis.store import Store


def draw(store: Store) -> style.Drawn:
    """Words sized by weight, and the highest ranked, of the base policy's rollouts."""
    return words.draw(store, "high")
