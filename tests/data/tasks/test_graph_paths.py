"""The task of paths in a graph: one way to the goal, solutions that walk it, and texts that go through the tokenizer unchanged."""

from __future__ import annotations

import random
import re

import pytest

from tokencredit.data import embedded
from tokencredit.data.embedded_tokenizer import build_tokenizer, check_text, vocabulary
from tokencredit.data.tasks import graph_paths
from tokencredit.errors import UserError
from tokencredit.files import digest_of

TASK = "graph-paths"
STEP = re.compile(r" ([A-Z])([A-Z]) (\d+) makes (\d+)\.")


def read(text: str) -> tuple[dict[tuple[str, str], int], str, str]:
    """The roads of a problem with their lengths, its start and its goal, read from its text alone."""
    start, goal = re.search(r"From ([A-Z]) to ([A-Z])\?$", text).groups()
    roads = re.findall(r" ([A-Z])([A-Z]) (\d+)", text)
    return {(here, there): int(length) for here, there, length in roads}, start, goal


def ways(roads: dict[tuple[str, str], int], here: str, goal: str) -> list[int]:
    """The lengths of all ways from ``here`` to ``goal``, by trying everything."""
    if here == goal:
        return [0]
    return [length + rest for (left, to), length in roads.items() if left == here for rest in ways(roads, to, goal)]


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_exactly_one_way_leads_to_the_goal_and_the_answer_is_its_length(tier: int) -> None:
    rule = graph_paths.TIERS[tier]
    for problem in embedded.sample_problems([tier], 200, 0, "test", TASK):
        roads, start, goal = read(problem.text)
        assert ways(roads, start, goal) == [problem.answer]
        leaving = [here for here, _ in roads]
        assert sum(leaving.count(place) > 1 for place in problem.path) == rule.forks
        assert rule.path[0] <= len(problem.path) - 1 <= rule.path[1]


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_a_careful_solution_walks_the_way_and_ends_with_its_length(tier: int) -> None:
    table = embedded.generate_problems([tier], 100, 3, "test", TASK)
    for text, answer, solution in zip(table.problem, table.answer, table.solution, strict=True):
        roads, here, goal = read(text)
        total = 0
        for left, there, length, after in STEP.findall(solution):
            assert (left, int(length)) == (here, roads[here, there])
            total += int(length)
            assert int(after) == total
            here = there
        assert here == goal
        assert solution.endswith(f"\\boxed{{ {answer}}}")
        assert total == int(answer)


def test_a_road_has_the_same_length_in_every_problem() -> None:
    lengths: dict[tuple[str, str], set[int]] = {}
    for problem in embedded.sample_problems([1, 2, 3], 600, 0, "train", TASK):
        for road, length in read(problem.text)[0].items():
            lengths.setdefault(road, set()).add(length)
    assert len(lengths) == 12 * 11
    assert all(len(found) == 1 for found in lengths.values())
    assert set.union(*lengths.values()) == set(graph_paths.LENGTHS)


@pytest.mark.slow
def test_no_answer_is_so_common_that_guessing_it_pays() -> None:
    for tier in graph_paths.TIERS:
        answers = embedded.generate_problems([tier], 1000, 0, "train", TASK).answer
        assert answers.value_counts(normalize=True).iloc[0] < 0.12


@pytest.mark.slow
def test_hasty_solutions_take_any_road_and_careful_ones_mostly_the_right_one() -> None:
    taken: dict[bool, list[bool]] = {True: [], False: []}
    for problem in embedded.sample_problems([2], 1500, 0, "pretrain", TASK):
        solution = graph_paths.sample_solution(problem, random.Random(problem.text))
        hasty = any(mode in solution for mode in graph_paths.HASTY)
        for here, there, (_, to, *_) in zip(problem.path, problem.path[1:], STEP.findall(solution), strict=False):
            if len(problem.roads[here]) > 1:
                taken[hasty].append(to == there)
            if to != there:
                break
    shares = {hasty: sum(right) / len(right) for hasty, right in taken.items()}
    assert shares[True] == pytest.approx(0.5, abs=0.05)
    assert shares[False] == pytest.approx(1 - graph_paths.WRONG_TURN / 2, abs=0.03)


def test_a_solution_never_takes_a_road_that_is_not_there() -> None:
    for problem in embedded.sample_problems([1, 2, 3], 600, 0, "pretrain", TASK):
        here = problem.path[0]
        for left, there, length, _ in STEP.findall(graph_paths.sample_solution(problem, random.Random(0))):
            assert left == here
            assert problem.roads[here][there] == int(length)
            here = there


@pytest.mark.slow
def test_splits_never_share_a_text_whatever_the_seeds() -> None:
    texts = {
        split: {each.text for seed in (0, 1) for each in embedded.sample_problems([1, 2, 3], 300, seed, split, TASK)}
        for split in ("pretrain", "train", "test")
    }
    assert len(set.union(*texts.values())) == sum(map(len, texts.values()))
    tiers = [{each.text for each in embedded.sample_problems([tier], 300, 0, "test", TASK)} for tier in (1, 2, 3)]
    assert len(set.union(*tiers)) == sum(map(len, tiers))
    assert {embedded.split_of(text) for text, _ in embedded.pretraining_texts([1], 100, 0, TASK)} == {"pretrain"}


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    first, again, other = (embedded.generate_problems([1, 2, 3], 90, seed, "train", TASK) for seed in (0, 0, 1))
    assert first.equals(again)
    assert len(set(first.problem) & set(other.problem)) < 5


def test_problems_texts_and_vocabulary_are_those_that_stored_results_were_made_with() -> None:
    problems = embedded.generate_problems([1, 2, 3], 300, 1, "train", TASK)
    made = (problems.to_dict("list"), embedded.pretraining_texts([1, 2, 3], 300, 0, TASK), vocabulary(TASK))
    assert [digest_of(each)[:12] for each in made] == ["c6a20064c2fa", "569cda23c5d5", "0ed869d8bf47"]


@pytest.mark.slow
def test_every_text_comes_back_exactly_and_every_word_is_used() -> None:
    tokenizer = build_tokenizer(TASK)
    used = set()
    for problem, solution in embedded.pretraining_texts([1, 2, 3], 1500, 11, TASK):
        ids = tokenizer(problem + "\n" + solution).input_ids
        assert tokenizer.decode(ids) == problem + "\n" + solution
        used.update(tokenizer.convert_ids_to_tokens(ids))
    words = vocabulary(TASK)
    assert len(words) == len(set(words)) == len(tokenizer)
    assert {word for word in words[2:] if not word.strip().isdecimal()} <= used


def test_the_other_tasks_words_are_not_known() -> None:
    with pytest.raises(UserError, match="cannot read"):
        check_text("Ana has 3 apples.", TASK)
    with pytest.raises(UserError, match="cannot read"):
        check_text("Roads: AB 3. From A to B?")


def test_an_unknown_tier_is_an_error() -> None:
    with pytest.raises(UserError, match=r"tiers: 4 is not a tier.*1, 2, 3"):
        embedded.generate_problems([4], 3, 0, "test", TASK)
