"""What each token of a solution does, on solutions of the generator."""

from __future__ import annotations

import random

import pytest

from tokencredit.data import embedded
from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.data.tasks import graph_paths, word_problems


def pieces(text: str, task: str = "word-problems") -> list[str]:
    tokenizer = build_tokenizer(task)
    return [tokenizer.decode([each]) for each in tokenizer.encode(text, add_special_tokens=False)]


def test_a_careful_solution() -> None:
    tokens = pieces("Okay! slowly: Then 3 + 4 = 7. Next 7 - 2 = 5. Result: \\boxed{ 5}")
    kinds = dict(enumerate(word_problems.kinds(tokens, "")))
    named = {kind: [tokens[place] for place in kinds if kinds[place] == kind] for kind in set(kinds.values())}
    assert named == {
        "style fork": ["Okay", "!", " Then"],
        "strategy fork": [" slowly", " Next", " Result"],
        "result": [" 7", " 5"],
        "answer": [" 5"],
        "copied number": [" 3", " 4", " 7", " 2"],
        "routine": [":", " +", " =", ".", " -", " =", ".", ":", " \\boxed{", "}"],
    }


def test_a_shortcut() -> None:
    kinds = word_problems.kinds([*pieces("Hmm. roughly: In total \\boxed{ 19}"), "<eos>"], "")
    assert kinds[:6] == ["style fork", "style fork", "strategy fork", "routine", "style fork", "routine"]
    assert kinds[6:] == ["routine", "answer", "routine", "routine"]


@pytest.mark.slow
def test_every_solution_has_one_answer_and_a_result_for_every_equals_sign() -> None:
    rng = random.Random(0)
    for problem in embedded.sample_problems([1, 2, 3], 60, 0, "pretrain"):
        tokens = pieces(word_problems.sample_solution(problem, rng))
        kinds = word_problems.kinds(tokens, "")
        assert kinds.count("answer") == 1
        assert kinds.count("result") == tokens.count(" =")
        assert kinds.count("strategy fork") == 1 + tokens[2:].count(".")
        assert kinds.count("style fork") == 3


ROADS = "Roads: BC 4, AB 3, AK 9, CE 2, CD 5, EJ 1, CL 8. From A to D?"


def of_kind(kind: str, solution: str) -> list[str]:
    tokens = pieces(solution, "graph-paths")
    kinds = graph_paths.kinds(tokens, ROADS)
    return [token for token, own in zip(tokens, kinds, strict=True) if own == kind]


def test_a_walk_through_a_graph() -> None:
    walk = "Well! carefully: Now AB 3 makes 3. Then BC 4 makes 7. And CD 5 makes 12. Result: \\boxed{ 12}"
    assert of_kind("branch", walk) == [" AB", " CD"]
    assert of_kind("style fork", walk) == ["Well", "!", " Now"]
    assert of_kind("strategy fork", walk) == [" carefully", " Then", " And", " Result"]
    assert of_kind("result", walk) == [" 3", " 7", " 12"]
    assert of_kind("copied number", walk) == [" 3", " 4", " 5"]
    assert of_kind("answer", walk) == [" 12"]
    assert of_kind("routine", walk)[:4] == [":", " makes", ".", " BC"]


def test_a_branch_is_where_the_walk_is_and_the_problem_has_several_roads() -> None:
    assert of_kind("branch", "Yes. boldly: Here AK 9 makes 9. Answer: \\boxed{ 9}") == [" AK"]
    # None leads on from K; one that is not there from B; from where that ends there are several.
    assert of_kind("branch", "Yes. boldly: Here AK 9 makes 9. Then KB 3 makes 12. Now BA 3 makes 15. And FC") == [
        " AK",
        " FC",
    ]
    assert of_kind("branch", "Yes. boldly: In total \\boxed{ 0}") == []


def test_every_fork_of_a_solution_is_a_branch() -> None:
    for problem in embedded.sample_problems([1, 2, 3], 60, 0, "pretrain", "graph-paths"):
        tokens = pieces(graph_paths.careful_solution(problem, random.Random(0), mistakes=False), "graph-paths")
        kinds = graph_paths.kinds(tokens, problem.text)
        assert kinds.count("branch") == graph_paths.TIERS[problem.tier].forks
        assert (kinds.count("answer"), kinds.count("result")) == (1, len(problem.path) - 1)
