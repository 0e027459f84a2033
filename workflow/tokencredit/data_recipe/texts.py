"""What the texts of a pool tell without a model: the entropy of their words, and which of them are the same or nearly so."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

RUN = 5  # words of a shingle
LEAST = 0.5  # similarity from which pairs are kept
_BANDS, _DEEP = 42, 3  # a pair of similarity 0.5 is missed with chance (1 - 0.5^3)^42 = 0.4 %


def word_entropy(text: str) -> float:
    """Shannon entropy, bits, of the distribution of a text's words (the unigram case of arXiv 2605.12944's N-gram filter)."""
    counts = np.array(list(Counter(text.split()).values()), float)
    shares = counts / counts.sum() if counts.size else counts
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def first_of_equal(texts: Sequence[str]) -> np.ndarray:
    """[N] int64: for each text the place of the first that is the same but for case and white space."""
    places: dict[str, int] = {}
    return np.array([places.setdefault(" ".join(text.split()).casefold(), place) for place, text in enumerate(texts)])


def similar_pairs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (earlier, later, similarity) of texts whose Jaccard similarity, of runs of ``RUN`` words, is at least ``LEAST``.

    Candidates share a band of MinHashes (Broder 1997; banding as in Leskovec, Rajaraman and Ullman, chapter 3); the similarity is exact.
    """
    shingles = [_shingles(text) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, own in enumerate(shingles):
        for band, key in enumerate(_bands(own)):
            buckets[band, key].append(place)
    candidates = sorted({pair for places in buckets.values() for pair in combinations(places, 2)})
    found = [
        (one, other, similarity)
        for one, other in candidates
        if (similarity := _jaccard(shingles[one], shingles[other])) >= LEAST
    ]
    earlier, later, similarity = zip(*found, strict=True) if found else ((), (), ())
    return np.array(earlier, np.int64), np.array(later, np.int64), np.array(similarity, float)


def _shingles(text: str) -> frozenset[int]:
    words = text.casefold().split()
    runs: Iterable[list[str]] = (words[start : start + RUN] for start in range(max(1, len(words) - RUN + 1)))
    return frozenset(
        int.from_bytes(hashlib.blake2b(" ".join(run).encode(), digest_size=8).digest(), "big") for run in runs
    )


def _bands(shingles: frozenset[int]) -> list[bytes]:
    with np.errstate(over="ignore"):
        hashes = np.fromiter(shingles, np.uint64)[:, None] * _ODD + _SHIFT
    least = (hashes >> np.uint64(32)).min(0).reshape(_BANDS, _DEEP)
    return [band.tobytes() for band in least]


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)


_DRAWN = np.random.default_rng(0).integers(0, 2**63, size=(2, _BANDS * _DEEP), dtype=np.uint64)
_ODD, _SHIFT = _DRAWN[0] * np.uint64(2) + np.uint64(1), _DRAWN[1]
