"""vLLM against transformers: the same distribution, log-probs and endings, and weights that follow the policy's.

Runs where vLLM is installed (``make test-vllm``), on a CPU.
"""

from __future__ import annotations

import copy
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from transformers import Qwen3ForCausalLM

from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Config, Sampling
from tokencredit.data.embedded import generate_problems
from tokencredit.engines import load_engine, vllm_engine
from tokencredit.engines.canary import BOUNDS, Canary, canary_sequences
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.engines.weights import plain_weights
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, add_lora
from tokencredit.records import Request, Response
from tokencredit.seeds import derive_seed
from tokencredit.train.mismatch import mismatch

if find_spec("vllm") is None:
    # Not importorskip: what importing vLLM does to its process is tested too.
    pytest.skip(
        "vLLM is not installed here: make test-vllm runs these in an environment of its own", allow_module_level=True
    )

LONGEST = 160
NAME = "embedded-smoke"


def new_model(tied: bool) -> Qwen3ForCausalLM:
    """An embedded model without training, with weights large enough that its next tokens are far from uniform."""
    settings = Config("config").models[NAME]
    model = build_model(settings, new_tokenizer(settings))
    if not tied:
        model.config.tie_word_embeddings = False
        torch.manual_seed(7)
        model = Qwen3ForCausalLM(model.config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model.eval()


def stirred(model: Qwen3ForCausalLM, scale: float, part: str = "") -> Qwen3ForCausalLM:
    """A copy of ``model`` whose weights with ``part`` in their name have moved by ``scale``, as training would move them."""
    other = copy.deepcopy(model)
    torch.manual_seed(11)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if part in name:
                parameter.add_(scale * torch.randn_like(parameter))
    return other


@pytest.fixture(scope="module")
def tokenizer():
    return new_tokenizer(Config("config").models[NAME])


@pytest.fixture(scope="module")
def prompts(tokenizer) -> list[tuple[int, ...]]:
    problems = generate_problems([1, 2], 12, 3, "train")["problem"]
    return [tuple(tokenizer(f"{problem}\n").input_ids) for problem in problems]


@pytest.fixture(scope="module", params=["tied", "untied"])
def case(request: pytest.FixtureRequest, tokenizer) -> Iterator[tuple[Qwen3ForCausalLM, object]]:
    """A model and an engine made for it, at temperature 1. A test that pushes other weights pushes the model's own again."""
    model = new_model(request.param == "tied")
    engine = load_engine("vllm", model, tokenizer, longest=LONGEST, batch_size=64)
    yield model, engine
    engine.close()


@pytest.fixture(scope="module")
def warm(tokenizer) -> Iterator[tuple[Qwen3ForCausalLM, object]]:
    """A model and an engine made for log-probs at temperature 0.7."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, tokenizer, longest=LONGEST, temperature=0.7, batch_size=64)
    yield model, engine
    engine.close()


def requests_for(prompts: list[tuple[int, ...]], samples: int = 4) -> list[Request]:
    return [
        Request(prompt, derive_seed("vllm", index, k)) for index, prompt in enumerate(prompts) for k in range(samples)
    ]


def ask(engine, requests: list[Request], **changes: float) -> list[Response]:
    return engine.sample(requests, **{"temperature": 1.0, "top_p": 1.0, "max_tokens": 24} | changes)


def sequences_of(requests: list[Request], responses: list[Response]) -> list[Sequence]:
    return [Sequence(a.prompt_tokens, b.token_ids) for a, b in zip(requests, responses, strict=True)]


def apart(engine, model, requests: list[Request], temperature: float = 1.0, **changes: float) -> float:
    """Largest |engine - transformers| of the log-probs of sampled tokens, nats."""
    responses = ask(engine, requests, temperature=temperature, **changes)
    told = torch.tensor([logprob for response in responses for logprob in response.logprobs])
    expected = Scorer(model, temperature).score(sequences_of(requests, responses), 4096)[0]
    assert len(told) == len(expected)
    return float((told - expected).abs().max())


def canary_of(engine, model, prompts, temperature: float = 1.0) -> Canary:
    sampling = Sampling(temperature=temperature, top_p=1.0, max_prompt_tokens=100, max_response_tokens=24)
    sequences = canary_sequences(engine, prompts, model.config.vocab_size, sampling)
    return Canary(engine, lambda s: Scorer(model, temperature).score(s, 4096)[0], sequences, BOUNDS["no"])


def test_vllm_leaves_its_process_as_it_was(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """First of all tests here, so that its import is part of it, and where nobody has said how many threads there may be."""
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
    engine = load_engine("vllm", new_model(tied=True), tokenizer, longest=LONGEST, batch_size=8)
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
    tokenizer, prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts wait for the next pass, and responses that lost their place in the cache are taken up again where they were."""
    monkeypatch.setattr(vllm_engine, "_CPU_CACHE_BYTES", 2 * 2**20)
    model = new_model(tied=True)
    engine = load_engine("vllm", model, tokenizer, longest=LONGEST, batch_size=200)
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


def test_pushed_weights_are_the_ones_that_sample(case, prompts) -> None:
    model, engine = case
    requests = requests_for(prompts)
    other = stirred(model, 0.05)
    assert apart(engine, other, requests) > 0.1
    engine.push_weights(plain_weights(other))
    assert apart(engine, other, requests) < 1e-4
    engine.push_weights(plain_weights(model))
    assert apart(engine, model, requests) < 1e-4


def test_an_adapter_is_pushed_merged(case, prompts) -> None:
    model, engine = case
    policy = copy.deepcopy(model)
    add_lora(policy, rank=2, alpha=4, seed=0)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    engine.push_weights(plain_weights(policy))
    requests = requests_for(prompts)
    assert apart(engine, policy, requests) < 1e-4
    assert apart(engine, model, requests) > 0.1
    engine.push_weights(plain_weights(model))


def test_a_sleeping_engine_samples_only_after_a_push(case, prompts) -> None:
    model, engine = case
    engine.sleep()
    engine.sleep()
    with pytest.raises(RuntimeError, match="push_weights wakes it"):
        ask(engine, requests_for(prompts[:1]))
    engine.push_weights(plain_weights(model))
    assert apart(engine, model, requests_for(prompts)) < 1e-4


def test_the_gate_passes_its_samples_with_top_p_too(case, prompts) -> None:
    model, engine = case
    requests = requests_for(prompts)
    responses = ask(engine, requests, top_p=0.8)
    told = torch.tensor([logprob for response in responses for logprob in response.logprobs])
    assert mismatch(told, Scorer(model).score(sequences_of(requests, responses), 4096)[0])["mismatch_kl"] < 1e-8


@pytest.mark.parametrize("scale", [0.05, 1e-3])
def test_the_canary_sings_while_the_weights_follow(case, prompts, scale: float) -> None:
    model, engine = case
    canary = canary_of(engine, model, prompts)
    canary.check("at the start")
    for step in range(1, 4):
        model_now = stirred(model, scale * step)
        canary.trainer = lambda s, model_now=model_now: Scorer(model_now).score(s, 4096)[0]
        assert canary.push(plain_weights(model_now), f"step {step}")["canary_max"] < 1e-4
    engine.push_weights(plain_weights(model))


def test_the_canary_catches_stale_weights(case, prompts) -> None:
    """Weights that were not pushed, after a move too small for the bound on their difference as well as after a large one."""
    model, engine = case
    for scale, words in ((0.05, "samples from other weights"), (1e-4, "still samples from old weights")):
        canary = canary_of(engine, model, prompts)
        canary.check("at the start")
        other = stirred(model, scale)
        canary.trainer = lambda s, other=other: Scorer(other).score(s, 4096)[0]
        with pytest.raises(UserError, match=words):
            canary.check("step 1")


def test_the_canary_catches_a_stale_head(tokenizer, prompts, case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What vLLM's reload leaves behind on a CPU where embeddings are tied, were the head not packed again."""
    from tokencredit.engines import vllm_worker

    model, engine = case
    canary = canary_of(engine, model, prompts)
    canary.check("at the start")
    other = stirred(model, 0.05)
    canary.trainer = lambda s: Scorer(other).score(s, 4096)[0]
    with monkeypatch.context() as patch:
        patch.setattr(vllm_worker, "refresh_head", lambda _: None)
        if model.config.tie_word_embeddings:
            with pytest.raises(UserError, match="step 1: the engine's log-probs"):
                canary.push(plain_weights(other), "step 1")
        else:
            canary.push(plain_weights(other), "step 1")
    engine.push_weights(plain_weights(model))


def test_the_canary_catches_a_wrong_temperature(case, warm, prompts) -> None:
    model, engine = case
    canary = canary_of(engine, model, prompts)
    canary.trainer = lambda s: Scorer(model, 0.9).score(s, 4096)[0]
    with pytest.raises(UserError, match="another temperature"):
        canary.check("at the start")
    model, engine = warm
    canary_of(engine, model, prompts, temperature=0.7).check("at the start")
    with pytest.raises(UserError, match="another temperature"):
        canary_of(engine, model, prompts, temperature=1.0).check("at the start")


def test_the_canary_catches_a_stale_prefix_cache(case, prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    """States of the old weights live on where a prompt fills whole blocks, and the last layer's weights hide nothing of it."""
    model, engine = case
    long = [prompt + prompts[0] for prompt in prompts[1:]]
    canary = canary_of(engine, model, long)
    canary.check("at the start")
    other = stirred(model, 0.02)
    canary.trainer = lambda s: Scorer(other).score(s, 4096)[0]
    with monkeypatch.context() as patch:
        patch.setattr(type(engine._llm), "reset_prefix_cache", lambda _: True)
        with pytest.raises(UserError, match="step 1: the engine's log-probs"):
            canary.push(plain_weights(other), "step 1")
    canary.push(plain_weights(other), "step 1")
    engine.push_weights(plain_weights(model))


def test_in_low_precision_it_stays_within_that_bound(tokenizer, prompts) -> None:
    """The trainer's passes are autocast from float32 weights, the engine's weights are bfloat16."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, tokenizer, longest=LONGEST, dtype=torch.bfloat16, batch_size=64)
    try:
        scorer = Scorer(model)
        scorer.forward = torch.autocast("cpu", torch.bfloat16)(scorer.forward)
        canary = canary_of(engine, model, prompts)
        canary.trainer, canary.bound = lambda s: scorer.score(s, 4096)[0], BOUNDS["bf16"]
        canary.check("at the start")
        other = stirred(model, 0.05)
        engine.push_weights(plain_weights(other))
        with pytest.raises(UserError, match="samples from other weights"):
            canary.check("step 1")
    finally:
        engine.close()


def test_in_a_process_of_its_own(tokenizer, prompts) -> None:
    """Weights travel as a file there; the results are those of the engine inside this process."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, tokenizer, longest=LONGEST, batch_size=64, separate=True)
    try:
        requests = requests_for(prompts)
        assert apart(engine, model, requests) < 1e-4
        other = stirred(model, 0.05)
        engine.push_weights(plain_weights(other))
        assert apart(engine, other, requests) < 1e-4
        canary_of(engine, other, prompts).check("step 1")
    finally:
        engine.close()


def test_in_each_of_two_trainers() -> None:
    """Every process has an engine of its own inside and asks it for what it likes; their group outlives the engines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    trainers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engines.one_of_two_trainers"],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [trainer.communicate(timeout=300) for trainer in trainers]
    finally:
        for trainer in trainers:
            trainer.kill()
    assert [trainer.returncode for trainer in trainers] == [0, 0], outputs
    assert [output.splitlines()[-1] for output, _ in outputs] == ["rank 0 agrees", "rank 1 agrees"]
    assert not any("Traceback" in errors for _, errors in outputs), outputs
