"""Which problems of a benchmark are in a training set: near-duplicates by shared runs of words.

A benchmark problem *overlaps* with a training problem when at least 60 % of its different runs of ten words occur there. A problem of
fewer than ten words overlaps only with a training problem of exactly the same words. It is *similar* to a training problem with which it
does not overlap when at least 75 % of its words are in runs of four words that occur there: a text of which every ninth word was
changed has no run of ten words left. What words are: ``words.py``; other scripts are not seen, and a problem without any word is not
compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.data import MANIFEST, PROBLEMS
from tokencredit.data.text import folded_answer
from tokencredit.data.words import words

LENGTH = 10
THRESHOLD = 0.6
RULE = (
    f"at least {THRESHOLD:.0%} of the benchmark problem's {LENGTH}-word shingles inside one training problem; "
    f"problems of fewer than {LENGTH} words: the same words"
)
SHORT_RUN = 4
COVERED = 0.75
SIMILAR = (
    f"no overlap, but at least {COVERED:.0%} of the words in runs of {SHORT_RUN} words inside one training problem; "
    f"problems of fewer than {LENGTH} words: never"
)
COLUMNS = ["problem_id", "problem", "answer"]


def overlapping_pairs(train: pd.DataFrame, benchmark: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs ``{benchmark_id, train_id, share, same_answer}`` in the benchmark's order, the most similar training problem first.

    Both tables have the columns ``problem_id``, ``problem`` and ``answer``. ``same_answer`` compares the answers as texts. Time grows with
    the words of both tables: the benchmark's shingles are indexed, each training problem is looked up once.
    """
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    totals: list[int] = []
    for number, text in enumerate(benchmark["problem"]):
        shingles = _shingles(words(text))
        totals.append(len(shingles))
        for shingle in shingles:
            index[shingle].append(number)

    found: list[tuple[int, float, int]] = []
    for row, text in enumerate(train["problem"]):
        shared = Counter(number for shingle in _shingles(words(text)) for number in index.get(shingle, ()))
        # Sets of one size: a long problem shares only long shingles, and a short one only its whole self.
        found += [
            (number, count / totals[number], row)
            for number, count in shared.items()
            if count >= THRESHOLD * totals[number]
        ]

    found.sort(key=lambda pair: (pair[0], -pair[1], pair[2]))
    columns = [table[column].tolist() for table in (benchmark, train) for column in ("problem_id", "answer")]
    benchmark_ids, golds, train_ids, answers = columns
    return [
        {
            "benchmark_id": benchmark_ids[number],
            "train_id": train_ids[row],
            "share": round(share, 4),
            "same_answer": folded_answer(golds[number]) == folded_answer(answers[row]),
        }
        for number, share, row in found
    ]


def similar_pairs(train: pd.DataFrame, benchmark: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs ``{benchmark_id, train_id, share}`` in the benchmark's order, the most similar training problem first.

    Tables as in ``overlapping_pairs``; ``share``: of the benchmark problem's words, those in common runs of ``SHORT_RUN`` words.
    """
    index: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    lengths: list[int] = []
    for number, text in enumerate(benchmark["problem"]):
        sequence = words(text)
        lengths.append(len(sequence))
        if len(sequence) >= LENGTH:
            for start in range(len(sequence) - SHORT_RUN + 1):
                index[sequence[start : start + SHORT_RUN]].append((number, start))
    found: list[tuple[int, float, int]] = []
    for row, text in enumerate(train["problem"]):
        sequence = words(text)
        starts: dict[int, list[int]] = defaultdict(list)
        for run in {sequence[start : start + SHORT_RUN] for start in range(len(sequence) - SHORT_RUN + 1)}:
            for number, start in index.get(run, ()):
                starts[number].append(start)
        for number, places in starts.items():
            if len(places) * SHORT_RUN >= COVERED * lengths[number]:
                covered = {place + step for place in places for step in range(SHORT_RUN)}
                if len(covered) >= COVERED * lengths[number]:
                    found.append((number, len(covered) / lengths[number], row))
    found.sort(key=lambda pair: (pair[0], -pair[1], pair[2]))
    benchmark_ids, train_ids = benchmark["problem_id"].tolist(), train["problem_id"].tolist()
    return [
        {"benchmark_id": benchmark_ids[number], "train_id": train_ids[row], "share": round(share, 4)}
        for number, share, row in found
    ]


def overlap_report(train_dir: Path, benchmark_dir: Path) -> dict[str, Any]:
    """The overlap of two prepared data sets, each a folder with ``problems.parquet`` and ``manifest.json``."""
    train, benchmark = (files.read_parquet(folder / PROBLEMS, COLUMNS) for folder in (train_dir, benchmark_dir))
    names = [files.read_json(folder / MANIFEST)["dataset"] for folder in (train_dir, benchmark_dir)]
    pairs = overlapping_pairs(train, benchmark)
    touched = {pair["benchmark_id"] for pair in pairs}
    similar = [pair for pair in similar_pairs(train, benchmark) if pair["benchmark_id"] not in touched]
    return {
        "train": names[0],
        "benchmark": names[1],
        "rule": RULE,
        "benchmark_problems": len(benchmark),
        "not_compared": sum(not words(text) for text in benchmark["problem"]),
        "overlapping": len(touched),
        "same_answer": len({pair["benchmark_id"] for pair in pairs if pair["same_answer"]}),
        "share": len(touched) / len(benchmark),
        "pairs": pairs,
        "similar_rule": SIMILAR,
        "similar": len({pair["benchmark_id"] for pair in similar}),
        "similar_pairs": similar,
    }


def _shingles(sequence: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The different runs of ten words; of a shorter text the whole, which equals no run of a longer one."""
    if 0 < len(sequence) < LENGTH:
        return {sequence}
    return {sequence[start : start + LENGTH] for start in range(len(sequence) - LENGTH + 1)}
