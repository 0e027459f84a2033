"""The overlap report: its rule at its edges, and the known near-duplicates of the real sets."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest

from tests.data.conftest import House, record
from tokencredit import files
from tokencredit.config import Config
from tokencredit.data import PROBLEMS
from tokencredit.data.overlap import overlap_report, overlapping_pairs, similar_pairs
from tokencredit.data.prepare import prepare
from tokencredit.data.sources import open_source


def table(*rows: tuple[str, str], prefix: str) -> pd.DataFrame:
    return pd.DataFrame(
        [(f"{prefix}{number}", *item) for number, item in enumerate(rows)], columns=["problem_id", "problem", "answer"]
    )


def counting(count: int, start: int = 0) -> str:
    return " ".join(f"w{chr(97 + (start + index) % 26)}{'x' * ((start + index) // 26)}" for index in range(count))


def pairs(train: list[tuple[str, str]], benchmark: list[tuple[str, str]]) -> list[tuple[str, str, float, bool]]:
    found = overlapping_pairs(table(*train, prefix="t"), table(*benchmark, prefix="b"))
    return [(pair["benchmark_id"], pair["train_id"], pair["share"], pair["same_answer"]) for pair in found]


def test_share_of_the_benchmark_shingles() -> None:
    # 24 words are 15 shingles; the first 18 words hold 9 of them, 60 %; the first 17 only 8.
    problem = counting(24)
    at, below = " ".join(problem.split()[:18]), " ".join(problem.split()[:17])
    assert pairs([(at, "1")], [(problem, "1")]) == [("b0", "t0", 0.6, True)]
    assert pairs([(below, "1")], [(problem, "1")]) == []


def test_both_halves_must_be_in_one_training_problem() -> None:
    problem = counting(40)
    split = problem.split()
    assert pairs([(" ".join(split[:25]), "1"), (" ".join(split[15:]), "1")], [(problem, "1")]) == []


def test_a_longer_training_problem_still_holds_the_test_problem() -> None:
    problem = counting(20)
    assert pairs([(f"Look: {problem} {counting(30, 50)}", "2")], [(problem, "1")]) == [("b0", "t0", 1.0, False)]


def test_case_punctuation_and_spacing_do_not_matter() -> None:
    assert pairs(
        [("Let $ f(x)=x^{2}+3x+1 $ for ALL real x; what is f(10)?", r"\dfrac{1}{2}")],
        [("let $f(x) = x^2 + 3x + 1$ for all real $x$. What is $f(10)$?", r"$\frac{1}{2}$")],
    ) == [("b0", "t0", 1.0, True)]


def test_short_problems_need_the_same_words() -> None:
    train = [
        ("Evaluate $ \\log_8 2 $", "1/3"),
        ("Evaluate $\\log_8 2$ and tell me why it is so small a number", "1/3"),
        ("求和", "1"),
    ]
    assert pairs(train, [("Evaluate $\\log_8 2$.", "1/3")]) == [("b0", "t0", 1.0, True)]
    assert pairs(train, [("求積", "1")]) == []  # a problem without words is not compared


def test_most_similar_first() -> None:
    problem = counting(24)
    near = " ".join(problem.split()[:20])
    assert pairs([(near, "1"), (problem, "2")], [(problem, "1")]) == [
        ("b0", "t1", 1.0, False),
        ("b0", "t0", 0.7333, True),
    ]


def test_every_ninth_word_changed_is_similar_and_no_overlap() -> None:
    problem = counting(45)
    changed = " ".join("other" if place % 9 == 8 else word for place, word in enumerate(problem.split()))
    often = " ".join("other" if place % 5 == 4 else word for place, word in enumerate(problem.split()))
    for text, found in ((changed, [("b0", "t0", 0.8889)]), (often, [("b0", "t0", 0.8)]), (counting(45, 100), [])):
        tables = table((f"Look. {text} {counting(9, 300)}", "1"), prefix="t"), table((problem, "1"), prefix="b")
        assert overlapping_pairs(*tables) == []
        assert [(pair["benchmark_id"], pair["train_id"], pair["share"]) for pair in similar_pairs(*tables)] == found


def test_other_numbers_in_a_short_sentence_are_not_similar() -> None:
    train, benchmark = (
        "What is the greatest common divisor of 40 and 48?",
        "What is the greatest common divisor of 39 and 91?",
    )
    assert similar_pairs(table((train, "8"), prefix="t"), table((benchmark, "13"), prefix="b")) == []
    assert similar_pairs(table(("a b c d", "1"), prefix="t"), table(("a b c d", "1"), prefix="b")) == []


def test_the_report_counts_similar_problems_beside_the_others(house: House) -> None:
    problem = counting(45)
    changed = " ".join("other" if place % 9 == 8 else word for place, word in enumerate(problem.split()))
    house.pack("practice", [record(0), record(1, problem=changed)])
    house.pack("exam", [record(0), record(1, problem=problem), record(2), record(3)])
    for name in ("practice", "exam"):
        prepare(house.config, name, house.out / name, house.root)
    report = overlap_report(house.out / "practice", house.out / "exam")
    assert (report["overlapping"], report["similar"]) == (1, 1)
    assert report["similar_pairs"] == [{"benchmark_id": "p/1", "train_id": "p/1", "share": 0.8889}]


def test_report_of_two_prepared_sets(house: House) -> None:
    for name in ("practice", "exam"):
        prepare(house.config, name, house.out / name, house.root)
    report = overlap_report(house.out / "practice", house.out / "exam")
    assert (report["train"], report["benchmark"], report["benchmark_problems"]) == ("practice", "exam", 4)
    assert (report["overlapping"], report["share"], report["same_answer"], report["not_compared"]) == (4, 1.0, 4, 0)
    assert report["pairs"][0] == {"benchmark_id": "p/0", "train_id": "p/0", "share": 1.0, "same_answer": True}


# ---------------------------------------------------------------- the real sets

# The files name the sets as the data root does.
NAMES = {
    "amc23": "amc23",
    "amc83": "amc83",
    "math500": "math-500",
    "olympiadbench": "olympiadbench",
    "aime24": "aime24",
    "aime25": "aime25",
}
COUNTS = {
    "dapo-17k": {"amc23": 21, "amc83": 40, "math500": 19, "olympiadbench": 51},
    "deepscaler": {"math500": 21, "olympiadbench": 8},
}
KNOWN = {"dapo-17k": "dapo_eval_near_duplicates.json", "deepscaler": "deepscaler_eval_near_duplicates.json"}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("train", KNOWN)
def test_known_near_duplicates(train: str, real_config: Config, data_root: Path) -> None:
    def rows(name: str) -> pd.DataFrame:
        return pd.DataFrame([vars(row) for row in open_source(name, real_config.datasets[name], data_root).rows])

    known: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    for pair in json.loads((data_root / KNOWN[train]).read_text()):
        known[pair["eval"]][pair["eval_id"]] = pair
    tests = {file_name: rows(name) for file_name, name in NAMES.items()}
    for file_name, table in tests.items():
        table["problem_id"] = f"{file_name}:" + table["problem_id"]
    # One pass over the training problems for all benchmarks.
    found = overlapping_pairs(rows(train), pd.concat(tests.values(), ignore_index=True))
    for file_name in NAMES:
        of_file = [pair for pair in found if pair["benchmark_id"].startswith(f"{file_name}:")]
        touched = {pair["benchmark_id"] for pair in of_file}
        assert len(touched) == COUNTS[train].get(file_name, 0)
        assert touched == {f"{file_name}:{identity}" for identity in known[file_name]}
        for identity, pair in known[file_name].items():
            of_this = [item for item in of_file if item["benchmark_id"] == f"{file_name}:{identity}"]
            (same,) = [item for item in of_this if item["train_id"] == pair["train_id"]]
            # The known shares take a number in words for a word.
            assert same["share"] == pytest.approx(pair["shingle_share"], abs=0.016)
            if pair["eval_answer"] == pair["train_answer"]:
                assert same["same_answer"]


@pytest.mark.slow
@pytest.mark.real_data
def test_training_sets_as_they_are_used(real_config: Config, data_root: Path, tmp_path: Path) -> None:
    """Dropping repeats and conflicts hides no overlap."""
    for train, counts in COUNTS.items():
        for name in (train, *(NAMES[benchmark] for benchmark in counts)):
            prepare(real_config, name, tmp_path / name, data_root)
        tables = {name: files.read_parquet(tmp_path / NAMES[name] / PROBLEMS) for name in counts}
        tested = [table.assign(problem_id=f"{name}:" + table["problem_id"]) for name, table in tables.items()]
        pairs = overlapping_pairs(files.read_parquet(tmp_path / train / PROBLEMS), pd.concat(tested, ignore_index=True))
        touched = {pair["benchmark_id"] for pair in pairs}
        assert Counter(identity.partition(":")[0] for identity in touched) == counts
