"""Responses and their grades: a problem's are graded while others are still being sampled."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tokencredit.engines import Engine
from tokencredit.grading import Grade, GradingPool
from tokencredit.records import Request, Response


@dataclass(frozen=True)
class Graded:
    """Responses and grades in the order of their requests, and the seconds until the last response."""

    responses: list[Response]
    grades: list[Grade]
    seconds_sample: float


def sample_and_grade(
    engine: Engine,
    pool: GradingPool,
    requests: list[Request],
    golds: list[str],
    *,
    temperature: float,
    top_p: float,
    max_tokens: int,
) -> Graded:
    """One response for each request, graded against the gold in the same place.

    The responses to one problem are graded together once the last of them has ended, in another thread: the copies of an answer that hangs
    cost one time limit.
    """
    number: dict[tuple[tuple[int, ...], str], int] = {}
    problem_of = [
        number.setdefault((request.prompt_tokens, gold), len(number))
        for request, gold in zip(requests, golds, strict=True)
    ]
    asked = Counter(problem_of)
    answers: list[dict[int, str]] = [{} for _ in number]  # of each problem, by the place of the request
    grading: list[tuple[list[int], Future[list[Grade]]]] = []
    with contextlib.ExitStack() as stack:
        grader = ThreadPoolExecutor(max_workers=1)
        stack.callback(grader.shutdown, cancel_futures=True)

        def on_response(place: int, response: Response) -> None:
            found = answers[problem_of[place]]
            found[place] = response.text
            if len(found) == asked[problem_of[place]]:
                pairs = [(golds[each], text) for each, text in found.items()]
                grading.append((list(found), grader.submit(pool.grade_many, pairs)))

        started = time.monotonic()
        responses = engine.sample(
            requests, temperature=temperature, top_p=top_p, max_tokens=max_tokens, on_response=on_response
        )
        seconds_sample = time.monotonic() - started
        grades = {place: grade for places, done in grading for place, grade in zip(places, done.result(), strict=True)}
    return Graded(responses, [grades[place] for place in range(len(requests))], seconds_sample)
