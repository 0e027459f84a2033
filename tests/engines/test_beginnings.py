"""Prompts that begin alike: their beginnings are computed once, and each response is that of its own prompt alone."""

from __future__ import annotations

import pytest
import torch

from tests.architectures import END, VERIFIED, tiny
from tokencredit.engines.beginnings import trunks
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.records import Request
from tokencredit.seeds import derive_seed

LONG = tuple(1 + number % 17 for number in range(24))  # longer than the windows of the tiny models
OTHER = (*LONG[:10], 19, 18, 17, 16, 15, 14)
PROMPTS = [LONG[:length] for length in (1, 5, 12, 13, 24)] + [(*LONG[:12], token) for token in (18, 19)] + [OTHER, (3,)]


class Letters:
    """What the engine needs of a tokenizer."""

    eos_token_id = END

    def decode(self, ids, **_: object) -> str:
        return "".join(chr(97 + token) for token in ids)


def test_a_trunk_is_a_context_that_a_prompt_begins_and_that_begins_no_other() -> None:
    found = trunks([(1, 2), (1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 9, 9), (7,)])
    assert found == {
        (1, 2): (1, 2, 3),
        (1, 2, 3, 4): (1, 2, 3),
        (1, 2, 3, 5): (1, 2, 3),
        (1, 2, 9, 9): (1, 2, 9),
        (7,): (1, 2, 3),
    }
    for prompt, trunk in found.items():
        assert trunk[: len(prompt) - 1] == prompt[:-1]


@pytest.mark.parametrize("prompts", [[], [(1,), (2,)], [(1, 2, 3), (4, 5)], [(1, 2, 3)] * 4])
def test_prompts_that_share_nothing_are_computed_as_they_are(prompts: list[tuple[int, ...]]) -> None:
    assert trunks(prompts) == {prompt: prompt for prompt in prompts}


@pytest.mark.slow
@pytest.mark.parametrize("name", VERIFIED)
def test_the_log_probs_are_those_of_each_prompt_alone(name: str) -> None:
    """Windows, sinks, ropes and ALiBi included: the beginnings of a trunk are moved beside the padding, positions stay."""
    model = tiny(*VERIFIED[name])
    requests = [
        Request(prompt, derive_seed(index, sample)) for index, prompt in enumerate(PROMPTS) for sample in (0, 1)
    ]
    responses = TransformersEngine(model, Letters(), 7).sample(requests, temperature=1.0, top_p=1.0, max_tokens=8)
    for request, response in zip(requests, responses, strict=True):
        ids = torch.tensor([[*request.prompt_tokens, *response.token_ids]])
        with torch.no_grad():
            logits = model(ids).logits[0, len(request.prompt_tokens) - 1 : -1]
        expected = torch.log_softmax(logits, -1).gather(-1, torch.tensor(response.token_ids)[:, None]).squeeze(-1)
        torch.testing.assert_close(torch.tensor(response.logprobs), expected, atol=1e-4, rtol=0)


def test_what_is_shared_is_passed_once_and_changes_no_response() -> None:
    model = tiny(*VERIFIED["qwen3"])
    passed: list[int] = []
    model.register_forward_pre_hook(lambda _, args, named: passed.append(named["input_ids"].numel()), with_kwargs=True)
    states = [Request(LONG[:length], derive_seed(length, sample)) for length in range(2, 25) for sample in range(3)]
    engine = TransformersEngine(model, Letters())
    together = engine.sample(states, temperature=1.0, top_p=1.0, max_tokens=1)
    assert passed == [len(LONG) - 1, 23]  # the trunk, and the last token of each of the 23 states
    alone = [engine.sample([state], temperature=1.0, top_p=1.0, max_tokens=1)[0] for state in states]
    assert [each.token_ids for each in together] == [each.token_ids for each in alone]
