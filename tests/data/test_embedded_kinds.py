"""What each token of a solution does, on solutions of the generator."""

from __future__ import annotations

import random

from tokencredit.data import embedded
from tokencredit.data.embedded_kinds import token_kinds
from tokencredit.data.embedded_tokenizer import build_tokenizer


def pieces(text: str) -> list[str]:
    tokenizer = build_tokenizer()
    return [tokenizer.decode([each]) for each in tokenizer.encode(text, add_special_tokens=False)]


def test_a_careful_solution() -> None:
    tokens = pieces("Okay! slowly: Then 3 + 4 = 7. Next 7 - 2 = 5. Result: \\boxed{ 5}")
    kinds = dict(enumerate(token_kinds(tokens)))
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
    kinds = token_kinds([*pieces("Hmm. roughly: In total \\boxed{ 19}"), "<eos>"])
    assert kinds[:6] == ["style fork", "style fork", "strategy fork", "routine", "style fork", "routine"]
    assert kinds[6:] == ["routine", "answer", "routine", "routine"]


def test_every_solution_has_one_answer_and_a_result_for_every_equals_sign() -> None:
    rng = random.Random(0)
    for problem in embedded.sample_problems([1, 2, 3], 60, 0, "pretrain"):
        tokens = pieces(embedded.sample_solution(problem, rng))
        kinds = token_kinds(tokens)
        assert kinds.count("answer") == 1
        assert kinds.count("result") == tokens.count(" =")
        assert kinds.count("strategy fork") == 1 + tokens[2:].count(".")
        assert kinds.count("style fork") == 3
