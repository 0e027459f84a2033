"""Which stored responses are measured, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.oracle.responses import Taken, stored_responses
from tokencredit.records import Problem

PROBLEMS = [Problem("a", "What is a?", "1"), Problem("b", "What is b?", "2")]


def write_run(folder: Path, method: str, responses: dict[tuple[int, str, int], tuple[int, ...]]) -> Path:
    """A run with the tokens of each (step, problem, sample)."""
    lines = [
        {"step": step, "problem_id": problem, "sample": sample, "position": position, "token_id": token}
        for (step, problem, sample), tokens in responses.items()
        for position, token in enumerate(tokens)
    ]
    run = folder / method / "seed0"
    table = pd.DataFrame(lines).assign(token="x", old_logprob=-1.0, reward=1.0, quadrant=0)
    files.write_parquet(run / "rollouts.parquet", table)
    files.write_json(
        run / "run.json",
        {"cell": method, "config": {}, "files": {"rollouts.parquet": files.sha256(run / "rollouts.parquet")}},
    )
    return run


def read(*runs: Path, step: int = 1) -> list[Taken]:
    return stored_responses(list(runs), step, PROBLEMS, lambda problem: (len(problem.problem), int(problem.answer)))


def test_equal_responses_are_taken_once_and_others_stay_apart(tmp_path: Path) -> None:
    one = write_run(tmp_path, "grpo", {(1, "b", 0): (5, 6), (1, "a", 1): (7,), (9, "a", 0): (8,)})
    two = write_run(tmp_path, "dapo", {(1, "b", 0): (5, 6), (1, "a", 1): (7, 9), (1, "b", 1): (3,)})
    found = [(each.problem_id, each.cell, each.sample, each.token_ids) for each in read(one, two)]
    assert found == [
        ("a", "grpo", 1, (7,)),
        ("a", "dapo", 1, (7, 9)),
        ("b", "grpo", 0, (5, 6)),
        ("b", "dapo", 1, (3,)),
    ]
    assert {(each.gold, each.prompt) for each in read(one)} == {("1", (10, 1)), ("2", (10, 2))}
    assert [each.token_ids for each in read(one, step=9)] == [(8,)]


def test_a_table_that_changed_since_its_run_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, "grpo", {(1, "a", 0): (5, 6)})
    table = files.read_parquet(run / "rollouts.parquet")
    files.write_parquet(run / "rollouts.parquet", table.assign(token_id=1))
    with pytest.raises(UserError, match=r"is not the file that .*run\.json was written with"):
        read(run)


@pytest.mark.parametrize(
    ("responses", "sentence"),
    [
        ({(1, "c", 0): (5,)}, "c is not among the 2 training problems"),
        ({(2, "a", 0): (5,)}, r"holds no response of step 1; it has steps \[2\]"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, responses: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read(write_run(tmp_path, "grpo", responses))


def test_what_goes_on_from_a_failed_response_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path, "rrpo", {(1, "a", 0): (5, 6), (1, "a", 6): (5, 7), (1, "b", 6): (8,)})
    table = files.read_parquet(run / "rollouts.parquet")
    begun = ((table["problem_id"] == "a") & (table["sample"] == 6)).astype(int)
    files.write_parquet(run / "rollouts.parquet", table.assign(begun=begun))
    about = {"cell": "rrpo", "config": {"resets": "random-step"}}
    files.write_json(run / "run.json", about | {"files": {"rollouts.parquet": files.sha256(run / "rollouts.parquet")}})
    assert [(taken.problem_id, taken.sample) for taken in read(run)] == [("a", 0), ("b", 6)]


def test_a_step_that_draws_a_problem_twice_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, "grpo", {(1, "a", 0): (5, 6)})
    table = files.read_parquet(run / "rollouts.parquet")
    files.write_parquet(run / "rollouts.parquet", pd.concat([table, table]))
    digest = files.sha256(run / "rollouts.parquet")
    files.write_json(run / "run.json", {"cell": "grpo", "config": {}, "files": {"rollouts.parquet": digest}})
    with pytest.raises(UserError, match="draws a problem twice"):
        read(run)
