"""vLLM's weights follow the policy's, and where they do not the canary and the gate see it."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import pytest
import torch

from tests.engines.vllm_cases import LONGEST, apart, ask, canary_of, new_model, requests_for, sequences_of, stirred
from tokencredit.engines import load_engine
from tokencredit.engines.canary import BOUNDS
from tokencredit.engines.weights import plain_weights
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, add_lora
from tokencredit.train.mismatch import mismatch

if find_spec("vllm") is None:
    pytest.skip(
        "vLLM is not installed here: make test-vllm runs these in an environment of its own", allow_module_level=True
    )


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


def test_the_canary_catches_a_stale_head(case, prompts, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_in_low_precision_it_stays_within_that_bound(vllm_tokenizer, prompts) -> None:
    """The trainer's passes are autocast from float32 weights, the engine's weights are bfloat16."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, vllm_tokenizer, longest=LONGEST, dtype=torch.bfloat16, batch_size=64)
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


@pytest.mark.parametrize("left_out", ["model.norm", "layers.1.self_attn.q_norm", "embed_tokens"])
def test_a_push_that_leaves_a_weight_behind_is_an_error(
    case, prompts, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that moved too little to be seen in a log-prob."""
    from tokencredit.engines.vllm_worker import WeightReceiver

    model, engine = case
    receive = WeightReceiver.receive_weights
    with monkeypatch.context() as patch:
        patch.setattr(
            WeightReceiver,
            "receive_weights",
            lambda self, weights: receive(self, [(name, weight) for name, weight in weights if left_out not in name]),
        )
        with pytest.raises(
            UserError, match=f"did not take over 1 of [0-9]+ weights that can be compared, .*{left_out}"
        ):
            engine.push_weights(plain_weights(stirred(model, 1e-6)))
    engine.push_weights(plain_weights(model))


def test_a_model_without_room_for_the_longest_sequence_is_an_error(case, vllm_tokenizer) -> None:
    model, _ = case
    with pytest.raises(UserError, match=r"may take 100000 tokens.*; the model has positions for"):
        load_engine("vllm", model, vllm_tokenizer, longest=100_000)
