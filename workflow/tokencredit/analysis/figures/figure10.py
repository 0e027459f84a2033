"""Figure 10: the tokens of low entropy."""

from __future__ import annotations

from tokencredit.analysis import style
from tokencredit.analysis.credit import words
from tokencredit.analysis.store import Store


def draw(store: Store) -> style.Drawn:
    """Words sized by weight, and the lowest ranked, of the base policy's rollouts."""
    return words.draw(store, "low")
