"""How an array is cut that would be too large at once."""

from __future__ import annotations

from collections.abc import Iterator


def slices(length: int, size: int) -> list[slice]:
    """``length`` places in runs of ``size``, the last of the rest."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def portions(counts: list[int], most: int) -> Iterator[slice]:
    """Runs of places that have at most ``most`` items together, ``counts`` of each place; a place with more stands alone."""
    start = total = 0
    for place, count in enumerate(counts):
        if total + count > most and place > start:
            yield slice(start, place)
            start, total = place, 0
        total += count
    if counts:
        yield slice(start, len(counts))
