"""The rows of an embedded pool are what their sources say, of a pool that is read those of the file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tokencredit import files
from tokencredit.config import EmbeddedPool, FilePool
from tokencredit.data.embedded import split_of
from tokencredit.data.embedded_tokenizer import check_text
from tokencredit.data.tasks import TASKS
from tokencredit.data_recipe.pool import embedded_pool, read_pool, without_problems
from tokencredit.errors import UserError
from tokencredit.grading import extract_answer

COUNTS = {"right": 40, "wrong_answer": 30, "wrong_format": 20, "duplicate": 25, "other_task": 15}


def settings(**changes: int) -> EmbeddedPool:
    return EmbeddedPool(kind="embedded", seed=3, tiers=[1], **{**COUNTS, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(TASKS))
def test_rows_are_what_their_source_says(task: str) -> None:
    rows = embedded_pool(settings(), task)
    assert Counter(rows["source"]) == {name.replace("_", "-"): count for name, count in COUNTS.items()}
    assert rows.equals(embedded_pool(settings(), task))
    for prompt, response in zip(rows["prompt"], rows["response"], strict=True):
        check_text(f"{prompt}\n{response}", task)
    by = {source: own for source, own in rows.groupby("source")}
    answers = {source: own["response"].map(lambda text: extract_answer(text)[0]) for source, own in by.items()}
    assert not answers["right"].isna().any()
    assert answers["wrong-format"].isna().all()
    assert answers["other-task"].isna().all()
    whole = by["other-task"]["prompt"] + by["other-task"]["response"]
    single = [*whole, *(prompt for name in ("right", "wrong-answer", "wrong-format") for prompt in by[name]["prompt"])]
    assert len(set(single)) == len(single)
    assert all(split_of(text) == "train" for text in single)
    copies = by["duplicate"].groupby("prompt")["response"]
    assert sorted(copies.size()) == [5, 10, 10]
    assert all(1 < own.nunique() <= len(own) / 2 + 1 for _, own in copies)


def test_a_wrong_answer_ends_a_right_solution() -> None:
    """The last result of the steps is the answer; the box holds it in right rows, and another number in wrong ones."""
    rows = embedded_pool(settings(), "word-problems")
    for source, own in rows[rows["source"].isin(["right", "wrong-answer", "duplicate"])].groupby("source"):
        last = own["response"].str.extract(r"= (\d+)\.(?!.*=)")[0]
        boxed = own["response"].str.extract(r"\\boxed\{ (\d+)\}")[0]
        assert (last == boxed).all() if source != "wrong-answer" else (last != boxed).all()


def test_problems_that_are_asked_are_taken_out() -> None:
    rows = embedded_pool(settings(), "word-problems")
    asked = rows["prompt"].iloc[0]
    left = without_problems(rows, [f" {asked.upper()} ", "Something else"])
    assert len(left) == len(rows) - (rows["prompt"] == asked).sum()
    assert asked not in set(left["prompt"])
    assert left.index.tolist() == list(range(len(left)))


def pinned(path: Path, table: pd.DataFrame, **changes: object) -> FilePool:
    table.to_parquet(path)
    return FilePool(**{"kind": "file", "file": path.name, "rows": len(table), "sha256": files.sha256(path), **changes})


def test_a_pool_is_read_as_it_is_pinned(tmp_path: Path) -> None:
    table = pd.DataFrame({"prompt": ["1 + 1?", "2 + 2?"], "response": ["2", "4"], "source": ["a", "b"], "more": [1, 2]})
    path = tmp_path / "rows.parquet"
    found = read_pool(pinned(path, table), tmp_path)
    assert found.equals(table[["source", "prompt", "response"]])
    wrong = [
        (pinned(path, table, rows=3), tmp_path, "has 2 rows; data_recipe.pool.rows = 3"),
        (pinned(path, table, sha256="0" * 64), tmp_path, "data_recipe.pool.sha256 = '0000"),
        (pinned(path, table), None, "TOKENCREDIT_DATA names no folder"),
    ]
    for settings_, root, sentence in wrong:
        with pytest.raises(UserError, match=sentence):
            read_pool(settings_, root)
    for odd in (None, " "):
        chosen = pinned(path, table.assign(response=["2", odd]))
        with pytest.raises(UserError, match="response of row 1 is"):
            read_pool(chosen, tmp_path)
