"""A data recipe as a function: from a pool to the rows that it keeps, and what can be told of them without training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tokencredit.config.data_recipe_keys import DropSource, ExactDuplicates, Filter, NearDuplicates, RandomRows, Step
from tokencredit.seeds import generator

Steps = tuple[Step, ...]
SIGNALS = ("ifd", "varentropy", "word-entropy", "relevance")


@dataclass(frozen=True)
class Pool:
    """The rows of a pool with their signals.

    ``table``: columns source, tokens (of the response), same (place of the first equal row) and ``SIGNALS``; [N]. ``pairs``: columns
    earlier, later, similarity of rows that are alike.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def sources(self) -> list[str]:
        return sorted(self.table["source"].unique())

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        return {name: self.table[name].to_numpy() for name in self.table}

    @cached_property
    def alike(self) -> dict[int, list[tuple[int, float]]]:
        """By row: the rows before it that it is like, with their similarity."""
        found: dict[int, list[tuple[int, float]]] = {}
        for earlier, later, similarity in self.pairs[["earlier", "later", "similarity"]].itertuples(index=False):
            found.setdefault(later, []).append((earlier, similarity))
        return found


def execute(recipe: Sequence[Step], pool: Pool, seed: int) -> np.ndarray:
    """The rows [n] int64, in the pool's order, that ``recipe`` keeps; no operator keeps none but ``drop-source``, which may.

    ``seed`` decides random rows alone. The same recipe, pool and seed give the same rows.
    """
    rows = np.arange(len(pool))
    for step in recipe:
        rows = _kept(step, rows, pool, seed)
    return rows


def _kept(step: Step, rows: np.ndarray, pool: Pool, seed: int) -> np.ndarray:
    if isinstance(step, Filter):
        values = pool.columns[step.operator][rows]
        return _best(rows, values if step.keep == "high" else -values, step.fraction)
    if isinstance(step, RandomRows):
        return _best(rows, generator("data recipe", seed, "random rows").random(len(pool))[rows], step.fraction)
    if isinstance(step, ExactDuplicates):
        return rows[np.sort(np.unique(pool.columns["same"][rows], return_index=True)[1])]
    if isinstance(step, NearDuplicates):
        return _dissimilar(rows, pool, step.similarity)
    return rows[pool.columns["source"][rows] != step.source]


def _best(rows: np.ndarray, values: np.ndarray, fraction: float) -> np.ndarray:
    """The ``fraction`` of the rows of highest value, at least one of any; of equal ones the first."""
    count = max(1, round(fraction * len(rows)))
    return rows[np.sort(np.argsort(-values, kind="stable")[:count])]


def _dissimilar(rows: np.ndarray, pool: Pool, similarity: float) -> np.ndarray:
    kept: set[int] = set()
    for row in rows.tolist():
        if not any(other in kept and found >= similarity for other, found in pool.alike.get(row, ())):
            kept.add(row)
    return np.array(sorted(kept), np.int64)


def digest(rows: np.ndarray) -> str:
    """What tells one set of rows from another."""
    return hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()


def state(rows: np.ndarray, pool: Pool) -> dict[str, float]:
    """The state vector z(S) of the rows (arXiv 2605.12944, Table 8, as far as it goes here): shares and means, each about in [0, 1].

    retained, tokens: shares of the pool's rows and response tokens. Means of signals are relative to the pool's, halved and cut at 1;
    relevance, a cosine, is moved to [0, 1], and spread is its standard deviation. drift: total variation between the sources of the rows
    and of the pool. source:…: of each source the share of its rows that are kept.
    """
    every, own = pool.columns, {name: values[rows] for name, values in pool.columns.items()}
    found = {"retained": len(rows) / len(pool), "tokens": own["tokens"].sum() / every["tokens"].sum()}
    for name in ("ifd", "varentropy", "word-entropy"):
        mean = every[name].mean()
        found[name] = min(own[name].mean() / mean, 2.0) / 2 if mean > 0 and len(rows) else 0.0
    found["relevance"] = (1 + own["relevance"].mean()) / 2 if len(rows) else 0.0
    found["spread"] = own["relevance"].std() if len(rows) else 0.0
    shares = {source: (own["source"] == source).sum() / max(1, len(rows)) for source in pool.sources}
    before = {source: (every["source"] == source).mean() for source in pool.sources}
    found["drift"] = sum(abs(shares[source] - before[source]) for source in pool.sources) / 2
    for source in pool.sources:
        found[f"source:{source}"] = (own["source"] == source).sum() / (every["source"] == source).sum()
    return {name: float(value) for name, value in found.items()}


def slot(step: Step) -> str:
    """What a recipe has at most once: an operator, or one operator on one source."""
    return f"{step.operator}:{step.source}" if isinstance(step, DropSource) else step.operator


def encoded(recipe: Sequence[Step], sources: Sequence[str]) -> np.ndarray:
    """psi(r): for each slot whether the recipe has it (-1 where it keeps the low end) and its parameter, 0 where it has it not.

    The order of operators is not in it, as in the paper; the state vector sees what order changes.
    """
    slots = [*SIGNALS, "random", "exact-duplicates", "near-duplicates", *(f"drop-source:{name}" for name in sources)]
    place = {name: index for index, name in enumerate(slots)}
    found = np.zeros((len(slots), 2))
    for step in recipe:
        if isinstance(step, Filter):
            found[place[slot(step)]] = (1 if step.keep == "high" else -1), step.fraction
        elif isinstance(step, RandomRows):
            found[place[slot(step)]] = 1, step.fraction
        else:
            found[place[slot(step)]] = 1, getattr(step, "similarity", 0)
    return found.ravel()
