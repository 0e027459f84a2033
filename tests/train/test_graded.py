"""Grading goes on beside sampling, and changes neither the order nor the outcome."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from tokencredit.records import Request, Response
from tokencredit.train.graded import Graded, sample_and_grade

PROMPTS, GOLDS = ((1,), (2,), (1,), (3,), (2,)), ("a", "b", "a", "b", "b")


@dataclass
class Told:
    """Ends its responses in a given order, each with its place as text, and calls ``between`` after each."""

    order: tuple[int, ...]
    between: object = None

    def sample(self, requests, *, temperature, top_p, max_tokens, on_response) -> list[Response]:
        responses = [Response(str(place), (1,), "stop") for place in range(len(requests))]
        for place in self.order:
            on_response(place, responses[place])
            if self.between:
                self.between(place)
        return responses


class Pool:
    """Grades a pair by writing it out."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []
        self.called = threading.Event()

    def grade_many(self, pairs: list[tuple[str, str]]) -> list[str]:
        self.calls.append(pairs)
        self.called.set()
        return [f"{gold}{text}" for gold, text in pairs]


def graded(engine: Told, pool: Pool) -> Graded:
    requests = [Request(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    return sample_and_grade(engine, pool, requests, list(GOLDS), temperature=1.0, top_p=1.0, max_tokens=4)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 3, 0, 1)])
def test_every_response_has_the_grade_of_its_own_gold(order: tuple[int, ...]) -> None:
    found = graded(Told(order), Pool())
    assert [response.text for response in found.responses] == ["0", "1", "2", "3", "4"]
    assert found.grades == ["a0", "b1", "a2", "b3", "b4"]


def test_the_responses_to_a_problem_are_graded_together() -> None:
    pool = Pool()
    graded(Told((0, 1, 2, 3, 4)), pool)
    assert pool.calls == [[("a", "0"), ("a", "2")], [("b", "3")], [("b", "1"), ("b", "4")]]


def test_a_problem_is_graded_before_the_others_are_sampled() -> None:
    pool = Pool()

    def wait(place: int) -> None:
        if place == 2:  # the last of the first problem
            assert pool.called.wait(60)

    graded(Told((0, 2, 1, 3, 4), wait), pool)


def test_what_goes_wrong_in_either_is_raised() -> None:
    class Broken(Pool):
        def grade_many(self, pairs):
            raise RuntimeError("no grader")

    def fail(place: int) -> None:
        raise RuntimeError("no sampler")

    with pytest.raises(RuntimeError, match="no grader"):
        graded(Told((0, 1, 2, 3, 4)), Broken())
    with pytest.raises(RuntimeError, match="no sampler"):
        graded(Told((0, 1, 2, 3, 4), fail), Pool())
