"""The run's engine follows the policy, whichever engine it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models import tiny_qwen3
from tokencredit.config import Training, load_study
from tokencredit.engines import policy_engine
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.records import Request, Response

PROMPTS = [(1, 2, 3), (4, 5), (6,)]


class Numbers:
    """What an engine needs of a tokenizer whose texts nobody reads."""

    eos_token_id = 22

    def decode(self, ids, **_: object) -> str:
        return " ".join(map(str, ids))


class Copy:
    """An engine with weights of its own, as vLLM is, computed by transformers."""

    name = "copy"

    def __init__(self, model, tokenizer, **options: object) -> None:
        self.model, self.options = tiny_qwen3(), options
        self.inner = TransformersEngine(self.model, tokenizer)
        self.asleep, self.closed = False, False
        self.model.load_state_dict(model.state_dict())

    def sample(self, requests: list[Request], **settings: Any) -> list[Response]:
        assert not self.asleep
        return self.inner.sample(requests, **settings)

    def score(self, sequences: list[Sequence]) -> Tensor:
        assert not self.asleep
        return Scorer(self.model, self.options["temperature"]).score(sequences, 4096)[0]

    def push_weights(self, weights) -> None:
        self.asleep = False
        for name, weight in weights:
            self.model.get_parameter(name).data.copy_(weight)

    def sleep(self) -> None:
        self.asleep = True

    def close(self) -> None:
        self.closed = True


def training(engine: str) -> Training:
    settings = load_study("config", "smoke").training
    sampling = settings.sampling.model_copy(
        update={"temperature": 0.8, "max_prompt_tokens": 40, "max_response_tokens": 5}
    )
    return settings.model_copy(update={"engine": engine, "engine_memory": 0.3, "sampling": sampling})


def engine_for(policy, name: str) -> PolicyEngine:
    scorer = Scorer(policy, 0.8)
    return PolicyEngine(training(name), policy, Numbers(), lambda s: scorer.score(s, 4096)[0], PROMPTS)


def stir(policy) -> None:
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        policy_engine, "load_engine", lambda name, model, tokenizer, **options: Copy(model, tokenizer, **options)
    )


def test_an_engine_that_samples_from_the_policy_itself_has_nothing_to_follow() -> None:
    policy = tiny_qwen3()
    engine = engine_for(policy, "transformers")
    assert engine.engine.model is policy
    stir(policy)
    assert engine.follow("step 1") == {}
    engine.rest()
    engine.close()


@pytest.mark.usefixtures("copied")
def test_one_with_weights_of_its_own_is_made_for_the_study_and_follows() -> None:
    policy = tiny_qwen3()
    engine = engine_for(policy, "vllm")
    assert engine.engine.options == {
        "longest": 40 + 5,
        "temperature": 0.8,
        "dtype": torch.float32,
        "memory_share": 0.3,
        "separate": False,
    }
    engine.rest()
    stir(policy)
    assert engine.follow("step 1")["canary_max"] < 1e-6
    request = Request((1, 2), 7)
    settings = {"temperature": 0.8, "top_p": 1.0, "max_tokens": 5}
    assert engine.engine.sample([request], **settings) == TransformersEngine(policy, Numbers()).sample(
        [request], **settings
    )
    engine.close()
    assert engine.engine.closed


@pytest.mark.usefixtures("copied")
def test_one_that_does_not_follow_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_qwen3()
    engine = engine_for(policy, "vllm")
    stir(policy)
    monkeypatch.setattr(Copy, "push_weights", lambda *_: None)
    with pytest.raises(UserError, match="step 1: the engine's log-probs of"):
        engine.follow("step 1")


def test_it_samples_in_the_precision_of_the_passes() -> None:
    """What the sampler says of its tokens is what the trainer's passes under autocast say, to the rounding of the head's logits."""
    policy = tiny_qwen3().float()
    request = [Request((1, 2, 3), seed) for seed in range(8)]
    apart = {}
    for precision in ("no", "bf16"):
        settings = training("transformers").model_copy(update={"mixed_precision": precision})
        engine = PolicyEngine(settings, policy, Numbers(), lambda sequences: None, PROMPTS)
        responses = engine.engine.sample(request, temperature=1.0, top_p=1.0, max_tokens=5)
        sequences = [
            Sequence(each.prompt_tokens, answer.token_ids) for each, answer in zip(request, responses, strict=True)
        ]
        exact = Scorer(policy).score(sequences, 200)[0]
        apart[precision] = (
            (exact - torch.tensor([value for answer in responses for value in answer.logprobs])).abs().max()
        )
        assert torch.isfinite(exact).all()
    assert apart["no"] < 1e-5 < apart["bf16"] < 0.1
