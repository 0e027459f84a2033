"""The decode loop: one response for each request, reproducible alone or in company, with the log-probs of a full forward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tests.models import tiny_qwen3
from tokencredit.engines import load_engine
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.records import Request, Response
from tokencredit.seeds import derive_seed

END = 22


class Letters:
    """What the engine needs of a tokenizer: ids are letters of the alphabet."""

    eos_token_id = END

    def decode(self, ids, **_: object) -> str:
        return "".join(chr(97 + token) for token in ids)


@pytest.fixture(scope="module")
def model():
    return tiny_qwen3()


def ask(model, requests: list[Request], batch_size: int = 256, **changes: float) -> list[Response]:
    settings = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 12} | changes
    return TransformersEngine(model, Letters(), batch_size).sample(requests, **settings)


def some_requests(prompts: int = 9, samples: int = 5) -> list[Request]:
    rng = np.random.default_rng(3)
    texts = [tuple(rng.integers(0, END, rng.integers(1, 9)).tolist()) for _ in range(prompts)]
    return [Request(text, derive_seed("test", index, k)) for index, text in enumerate(texts) for k in range(samples)]


def full_logprobs(model, request: Request, response: Response, temperature: float) -> torch.Tensor:
    ids = torch.tensor([[*request.prompt_tokens, *response.token_ids]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(request.prompt_tokens) - 1 : -1]
    return torch.log_softmax(logits / temperature, -1).gather(-1, torch.tensor(response.token_ids)[:, None]).squeeze(-1)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.3, 0.8)])
def test_logprobs_equal_a_full_forward_pass(model, temperature: float, top_p: float) -> None:
    requests = some_requests()
    for request, response in zip(requests, ask(model, requests, temperature=temperature, top_p=top_p), strict=True):
        expected = full_logprobs(model, request, response, temperature)
        torch.testing.assert_close(torch.tensor(response.logprobs, dtype=torch.float64), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_response_depends_on_its_own_request_only(model) -> None:
    requests = some_requests()
    together = ask(model, requests)
    for batch_size in (1, 7):
        assert [r.token_ids for r in ask(model, requests, batch_size)] == [r.token_ids for r in together]
    backwards = ask(model, requests[::-1], 4)[::-1]
    assert [r.token_ids for r in backwards] == [r.token_ids for r in together]
    assert [ask(model, [request])[0].token_ids for request in requests[:6]] == [r.token_ids for r in together[:6]]


def test_the_same_seed_gives_the_same_sample_and_other_seeds_others(model) -> None:
    prompt = (1, 2, 3)
    first, again, *others = ask(model, [Request(prompt, seed) for seed in (5, 5, 6, 7, 8)])
    assert first == again
    assert len({first.token_ids, *(other.token_ids for other in others)}) == 4


def test_sampled_pairs_of_tokens_follow_the_model(model) -> None:
    prompt, count = (4, 9), 20_000
    responses = ask(model, [Request(prompt, derive_seed("pair", k)) for k in range(count)], 5000, max_tokens=2)
    with torch.no_grad():
        first = torch.softmax(model(torch.tensor([prompt])).logits[0, -1], -1)
        second = torch.softmax(model(torch.tensor([[*prompt, token] for token in range(23)])).logits[:, -1], -1)
    expected = first[:, None] * second
    expected = torch.cat([expected[:END].flatten(), first[END:]]) * count  # nothing follows the end token
    counts = np.zeros(len(expected))
    for response in responses:
        a, *rest = response.token_ids
        counts[a * 23 + rest[0] if rest else -1] += 1
    assert chisquare(counts, expected.numpy()).pvalue > 1e-3


def test_finish_reasons_and_lengths(model) -> None:
    requests = some_requests(samples=30)
    responses = ask(model, requests, max_tokens=20)
    assert {response.finish_reason for response in responses} == {"stop", "length"}
    for response in responses:
        ended = response.token_ids[-1] == END
        assert response.finish_reason == ("stop" if ended else "length")
        assert ended or len(response.token_ids) == 20
        assert END not in response.token_ids[:-1]
        assert len(response.logprobs) == len(response.token_ids)
        assert response.text == Letters().decode(response.token_ids[:-1] if ended else response.token_ids)


def test_every_end_token_of_the_model_ends_a_response(model) -> None:
    model.generation_config.eos_token_id = [7, END]
    try:
        responses = ask(model, some_requests(samples=30), max_tokens=20)
    finally:
        model.generation_config.eos_token_id = None
    assert {r.token_ids[-1] for r in responses if r.finish_reason == "stop"} == {7, END}
    assert all(7 not in r.token_ids[:-1] for r in responses)


def test_as_many_responses_as_requests_and_none_for_none(model) -> None:
    requests = some_requests(prompts=4, samples=3)
    assert len(ask(model, requests, 5)) == 12
    assert ask(model, []) == []
    assert all(len(response.token_ids) == 1 for response in ask(model, requests, max_tokens=1))


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_and_the_gradients_are_left_as_they_were(training: bool) -> None:
    model = tiny_qwen3().train(training)
    ask(model, some_requests(prompts=2))
    assert model.training is training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.is_grad_enabled()


def test_an_unknown_engine_is_an_error_that_lists_the_known(model) -> None:
    assert load_engine("transformers", model, Letters(), batch_size=3).batch_size == 3
    with pytest.raises(UserError, match=r"'telepathy' is not known; allowed: transformers"):
        load_engine("telepathy", model, Letters())


def test_a_request_may_have_a_limit_of_its_own(model) -> None:
    """It gets the beginning of what it would get without."""
    requests = some_requests()
    limits = [1 + index % 14 for index in range(len(requests))]
    whole = ask(model, requests)
    cut = ask(model, [replace(each, max_tokens=limit) for each, limit in zip(requests, limits, strict=True)], 7)
    assert [each.token_ids for each in cut] == [
        each.token_ids[:limit] for each, limit in zip(whole, limits, strict=True)
    ]
    assert {each.finish_reason for each in cut} == {"stop", "length"}
