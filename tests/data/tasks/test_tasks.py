"""What every embedded task has to hold, whichever there are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tokencredit.config import Config
from tokencredit.config.tables import TASKS as CONFIGURED
from tokencredit.data import embedded
from tokencredit.data.embedded_tokenizer import build_tokenizer, check_text
from tokencredit.data.tasks import TASKS
from tokencredit.errors import UserError


def test_the_configuration_allows_the_tasks_that_there_are() -> None:
    assert sorted(TASKS) == CONFIGURED


@pytest.mark.parametrize(
    ("file", "kind", "name"),
    [("models.yaml", "models", "embedded-1m-paths"), ("datasets.yaml", "datasets", "toy-paths-train")],
)
def test_a_task_that_there_is_not_is_refused(file: str, kind: str, name: str, tmp_path: Path) -> None:
    for path in Path("config").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        head, found, rest = text.partition(f"  {name}:\n") if path.name == file else (text, "", "")
        (tmp_path / path.name).write_text(head + found + rest.replace("graph-paths", "graph-path", 1), encoding="utf-8")
    with pytest.raises(UserError) as error:
        Config(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / file}: {kind}.{name}.task = 'graph-path': not known; "
        f"allowed: {', '.join(CONFIGURED)} (did you mean 'graph-paths'?)."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_task_speaks_its_own_vocabulary_and_tells_the_kind_of_every_token(name: str) -> None:
    task, tokenizer, rng = TASKS[name], build_tokenizer(name), random.Random(0)
    for problem in embedded.sample_problems(list(task.TIERS), 60, 0, "pretrain", name):
        for solution in (task.sample_solution(problem, rng), task.careful_solution(problem, rng, mistakes=False)):
            check_text(f"{problem.text}\n{solution}", name)
            tokens = [tokenizer.decode([each]) for each in tokenizer.encode(solution)]
            assert "".join(tokens) == solution
            kinds = task.kinds(tokens, problem.text if task.KINDS_NEED_PROBLEM else "")
            assert len(kinds) == len(tokens)
            assert all(kinds)
        assert solution.endswith(f"\\boxed{{ {problem.answer}}}")
        assert all(0 <= int(number) <= task.LARGEST for number in str(problem.answer).split(", "))


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_problems_of_all_splits_and_tiers_can_be_had(name: str) -> None:
    for split in ("pretrain", "train", "test"):
        for tier in TASKS[name].TIERS:
            assert len(embedded.generate_problems([tier], 100, 1, split, name)) == 100


@pytest.mark.parametrize("name", ["word-problems", "graph-paths", "all-results"])
def test_words_of_which_any_will_do_decide_the_same_and_ways_of_working_differ(name: str) -> None:
    """At its forks a task's own texts have several words and fewer decisions; numbers and copied words decide themselves."""
    task, tokenizer, rng = TASKS[name], build_tokenizer(name), random.Random(0)
    words: dict[int, set[str]] = {place: set() for place in (0, 1, 2)}
    for problem in embedded.sample_problems(list(task.TIERS), 60, 0, "pretrain", name):
        tokens = [tokenizer.decode([each]) for each in tokenizer.encode(task.sample_solution(problem, rng))]
        for place, found in words.items():
            found.add(tokens[place])
    decisions = {place: {task.decision(word) for word in found} for place, found in words.items()}
    assert {place: len(found) for place, found in words.items()} == {0: 8, 1: 3, 2: 6}
    assert {place: len(found) for place, found in decisions.items()} == {0: 1, 1: 1, 2: 2}
    assert task.decision(" 7") == " 7"
