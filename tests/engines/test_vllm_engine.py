"""vLLM against transformers: the same distribution, log-probs and endings.

Runs where vLLM is installed (``make test-vllm``), on a CPU.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from tests.engines.vllm_cases import LONGEST, apart, ask, new_model, requests_for, sequences_of
from tokencredit.engines import load_engine, vllm_engine
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer
from tokencredit.records import Request
from tokencredit.seeds import derive_seed

if find_spec("vllm") is None:
    # Not importorskip: what importing vLLM does to its process is tested too.
    pytest.skip(
        "vLLM is not installed here: make test-vllm runs these in an environment of its own", allow_module_level=True
    )


def test_vllm_leaves_its_process_as_it_was(vllm_tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """First of all tests here, so that its import is part of it, and where nobody has said how many threads there may be."""
    assert "vllm" not in sys.modules
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)

    def state() -> dict[str, object]:
        return {
            "torch": (torch.initial_seed(), torch.get_rng_state().sum().item()),
            "numpy": np.random.get_state()[1].sum(),
            "random": random.getstate(),
            "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
            "environment": [os.environ.get(name) for name in ("OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING")],
            "threads": (torch.get_num_threads(), torch.set_num_threads, os.sched_getaffinity(0)),
        }

    before = state()
    engine = load_engine("vllm", new_model(tied=True), vllm_tokenizer, longest=LONGEST, batch_size=8)
    try:
        assert "vllm" in sys.modules
        after = state()
        assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}
    finally:
        engine.close()
        torch.set_num_threads(threads)


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_log_probs_equal_those_of_transformers_before_top_p(case, prompts, top_p: float) -> None:
    model, engine = case
    assert apart(engine, model, requests_for(prompts), top_p=top_p) < 1e-4


def test_log_probs_at_another_temperature(warm, prompts) -> None:
    model, engine = warm
    assert apart(engine, model, requests_for(prompts), temperature=0.7) < 1e-4


def test_log_probs_that_vllm_cannot_say_are_left_out(case, warm, prompts) -> None:
    requests = requests_for(prompts[:2])
    assert all(response.logprobs == () for response in ask(case[1], requests, temperature=0.7))
    assert all(response.logprobs == () for response in ask(warm[1], requests, temperature=0.7, top_p=0.8))


def test_scores_equal_those_of_transformers(case, warm, prompts) -> None:
    for (model, engine), temperature in ((case, 1.0), (warm, 0.7)):
        requests = requests_for(prompts[:3], samples=1)
        sequences = sequences_of(requests, ask(TransformersEngine(model, engine.tokenizer), requests))
        expected = Scorer(model, temperature).score(sequences, 4096)[0]
        torch.testing.assert_close(engine.score(sequences), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (1.0, 0.7), (0.6, 0.9)])
def test_both_engines_sample_from_one_distribution(case, prompts, temperature: float, top_p: float) -> None:
    """First tokens of 3,000 samples each, and their lengths: neither tells the engines apart."""
    model, engine = case
    requests = [Request(prompts[0], derive_seed("distribution", k)) for k in range(3000)]
    sampled = [
        ask(each, requests, temperature=temperature, top_p=top_p, max_tokens=6)
        for each in (engine, TransformersEngine(model, engine.tokenizer))
    ]
    for feature in (lambda response: response.token_ids[0], lambda response: response.token_ids[:2][-1]):
        counts = [
            np.bincount([feature(r) for r in responses], minlength=model.config.vocab_size) for responses in sampled
        ]
        table = np.stack(counts)
        rare = table.sum(0) < 20
        table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], axis=1)
        table = table[:, table.sum(0) > 0]
        assert table.shape[1] > 2
        assert chi2_contingency(table).pvalue > 1e-3


def test_a_sample_depends_on_its_own_seed_only(case, prompts) -> None:
    _, engine = case
    requests = requests_for(prompts)
    together = [response.token_ids for response in ask(engine, requests)]
    assert [response.token_ids for response in ask(engine, requests)] == together
    assert [response.token_ids for response in ask(engine, requests[::-1])][::-1] == together
    assert [ask(engine, [request])[0].token_ids for request in requests[:5]] == together[:5]
    assert ask(engine, []) == []


def test_more_prompts_than_a_pass_reads_or_the_cache_holds_change_nothing(
    vllm_tokenizer, prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts wait for the next pass, and responses that lost their place in the cache are taken up again where they were."""
    monkeypatch.setattr(vllm_engine, "_CPU_CACHE_BYTES", 2 * 2**20)
    model = new_model(tied=True)
    engine = load_engine("vllm", model, vllm_tokenizer, longest=LONGEST, batch_size=200)
    try:
        requests = requests_for([a + b for a in prompts for b in prompts[:4]])
        assert sum(len(request.prompt_tokens) for request in requests) > 2 * vllm_engine._CPU_BATCH_TOKENS
        responses = ask(engine, requests, max_tokens=60)
        scarce = [ask(engine, [request], max_tokens=60)[0].token_ids for request in requests[::20]]
        assert [response.token_ids for response in responses[::20]] == scarce
        told = torch.tensor([logprob for response in responses for logprob in response.logprobs])
        expected = Scorer(model).score(sequences_of(requests, responses), 4096)[0]
        assert float((told - expected).abs().max()) < 1e-4
    finally:
        engine.close()


def test_other_seeds_give_other_samples_up_to_the_largest(case, prompts) -> None:
    """On a CPU vLLM's generators read the lower 32 bits of a seed, which hashes spread as well as any."""
    _, engine = case
    seeds = [0, 1, 2, 2**31, 2**32 - 1, 2**63 - 2**32 + 3, *(derive_seed("seed", k) for k in range(10))]
    responses = ask(engine, [Request(prompts[0], seed) for seed in seeds])
    assert len({response.token_ids for response in responses}) == len(seeds)
    assert ask(engine, [Request(prompts[0], 2**63 - 1)])


def test_endings_and_texts_are_those_of_transformers(case, prompts) -> None:
    """An end token ends a response and belongs to it, and is no part of its text."""
    model, engine = case
    requests = requests_for(prompts, samples=20)
    for each in (engine, TransformersEngine(model, engine.tokenizer)):
        responses = ask(each, requests, max_tokens=12)
        assert {response.finish_reason for response in responses} == {"stop", "length"}
        for response in responses:
            *body, last = response.token_ids
            assert (response.finish_reason == "stop") == (last in engine.end_tokens)
            assert response.finish_reason == "stop" or len(response.token_ids) == 12
            assert not set(body) & engine.end_tokens
            ids = body if response.finish_reason == "stop" else response.token_ids
            assert response.text == engine.tokenizer.decode(ids, skip_special_tokens=True)
            assert len(response.logprobs) == len(response.token_ids)


def test_an_end_token_at_the_last_place_that_is_left_is_an_end(case, prompts) -> None:
    model, engine = case
    requests = requests_for(prompts, samples=20)
    for each in (engine, TransformersEngine(model, engine.tokenizer)):
        responses = ask(each, requests)
        request, response = next((a, b) for a, b in zip(requests, responses, strict=True) if b.finish_reason == "stop")
        (again,) = ask(each, [request], max_tokens=len(response.token_ids))
        assert (again.token_ids, again.finish_reason, again.text) == (response.token_ids, "stop", response.text)


def test_a_prompt_that_leaves_no_room_is_an_error(case, prompts) -> None:
    with pytest.raises(UserError, match=r"take 1\d\d tokens; this engine was made for 160"):
        ask(case[1], [Request(prompts[0], 0)], max_tokens=LONGEST)
