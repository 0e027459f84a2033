"""Replayed responses."""

from __future__ import annotations

import pytest

from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.engines.scripted import ScriptedEngine
from tokencredit.errors import UserError
from tokencredit.records import Request

PROMPT, OTHER = " How many coins in the end?\n", " How many pens in the end?\n"


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def ask(engine: ScriptedEngine, tokenizer, prompts: list[str], max_tokens: int = 20):
    requests = [Request(tuple(tokenizer(prompt).input_ids), seed) for seed, prompt in enumerate(prompts)]
    return engine.sample(requests, temperature=1.0, top_p=1.0, max_tokens=max_tokens)


def test_texts_come_back_in_the_order_of_each_prompt(tokenizer) -> None:
    engine = ScriptedEngine({PROMPT: [" The answer is", " Result:"], OTHER: [" In total"]}, tokenizer)
    for _ in range(2):  # a second call starts again
        responses = ask(engine, tokenizer, [PROMPT, OTHER, PROMPT])
        assert [response.text for response in responses] == [" The answer is", " In total", " Result:"]
        assert all(response.finish_reason == "stop" for response in responses)
        assert all(response.token_ids[-1] == tokenizer.eos_token_id for response in responses)


def test_a_long_text_is_cut_at_the_limit(tokenizer) -> None:
    engine = ScriptedEngine({PROMPT: [" The answer is"]}, tokenizer)
    (response,) = ask(engine, tokenizer, [PROMPT], max_tokens=2)
    assert (response.text, response.finish_reason, len(response.token_ids)) == (" The answer", "length", 2)


def test_missing_and_too_few_texts_are_errors(tokenizer) -> None:
    engine = ScriptedEngine({PROMPT: [" Result:"]}, tokenizer)
    with pytest.raises(UserError, match="no response to the prompt ' How many pens"):
        ask(engine, tokenizer, [OTHER])
    with pytest.raises(UserError, match=r"has 1 responses to the prompt .* number 2 was asked for"):
        ask(engine, tokenizer, [PROMPT, PROMPT])
