"""The gate between sampler and trainer: what it measures, and what it lets through."""

from __future__ import annotations

import math

import pytest
import torch

from tests.models import known_model
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.records import Request, Response, Rollout
from tokencredit.seeds import derive_seed
from tokencredit.train.mismatch import invalid_by_mismatch, mismatch, sampler_logprobs


class Numbers:
    """What an engine needs of a tokenizer whose texts nobody reads; nothing ends a response."""

    eos_token_id = None

    def decode(self, ids, **_: object) -> str:
        return " ".join(map(str, ids))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return known_model(2 * torch.randn(12, 12, dtype=torch.float64))


def sample(model, temperature: float = 1.0, top_p: float = 1.0, count: int = 400) -> list[tuple[Sequence, Response]]:
    requests = [Request((index % 12,), derive_seed("mismatch", index)) for index in range(count)]
    responses = TransformersEngine(model, Numbers()).sample(
        requests, temperature=temperature, top_p=top_p, max_tokens=20
    )
    return [
        (Sequence(request.prompt_tokens, response.token_ids), response)
        for request, response in zip(requests, responses, strict=True)
    ]


def measured(model, samples: list[tuple[Sequence, Response]], temperature: float = 1.0) -> dict[str, float]:
    """The mismatch of samples under ``model`` as the trainer at ``temperature``."""
    rollout = torch.tensor([logprob for _, response in samples for logprob in response.logprobs])
    return mismatch(rollout, Scorer(model, temperature).score([sequence for sequence, _ in samples], 4096)[0])


def test_by_hand() -> None:
    old = torch.tensor([-1.0, -2.0, -0.5, -3.0], dtype=torch.float64)
    rollout = old - torch.tensor([0.0, math.log(3), math.log(0.4), math.log(1.5)], dtype=torch.float64)
    found = mismatch(rollout, old)
    ratios = [1.0, 3.0, 0.4, 1.5]
    assert found["mismatch_kl"] == pytest.approx(sum(r - 1 - math.log(r) for r in ratios) / 4)
    assert found["mismatch_abs"] == pytest.approx(sum(abs(math.log(r)) for r in ratios) / 4)
    assert found["mismatch_outside"] == 0.5
    assert (found["mismatch_q01"], found["mismatch_q50"], found["mismatch_max"]) == pytest.approx((0.4, 1.0, 3.0))


@pytest.mark.slow
@pytest.mark.parametrize("top_p", [1.0, 0.7])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_equal_models_do_not_differ_whatever_the_sampling(model, temperature: float, top_p: float) -> None:
    """With top-p below 1 the log-probs stay those of the full distribution on both sides: like is compared with like."""
    found = measured(model, sample(model, temperature, top_p), temperature)
    assert 0 <= found["mismatch_kl"] < 1e-9
    assert found["mismatch_abs"] < 1e-5
    assert found["mismatch_outside"] == 0


@pytest.mark.slow
def test_renormalised_log_probs_of_top_p_would_be_seen(model) -> None:
    """A sampler that reported the restricted distribution would be off by the logarithm of the nucleus's mass."""
    samples = sample(model, top_p=0.7)
    old = Scorer(model).score([sequence for sequence, _ in samples], 4096)[0]
    assert mismatch(old - math.log(0.8), old)["mismatch_abs"] == pytest.approx(-math.log(0.8), abs=1e-5)
    assert mismatch(old - math.log(0.8), old)["mismatch_kl"] > 0.01


@pytest.mark.slow
def test_kl_is_that_of_the_two_distributions(model) -> None:
    """The k3 estimate over samples of one model is KL(sampler || trainer), here of known distributions and against their exact sum."""
    torch.manual_seed(4)
    logits = model.lm_head.weight.T.detach()
    other = known_model(logits + 0.3 * torch.randn(12, 12, dtype=torch.float64))
    samples = sample(model, count=3000)
    found = measured(other, samples)["mismatch_kl"]
    ours, theirs = (torch.log_softmax(each.lm_head.weight.T.detach(), -1) for each in (model, other))
    by_state = (ours.exp() * (ours - theirs)).sum(-1)
    states = torch.tensor([state for s, _ in samples for state in (*s.prompt, *s.response[:-1])])
    assert found == pytest.approx(float(by_state[states].mean()), rel=0.05)


@pytest.mark.slow
def test_a_wrong_temperature_passes_no_bound(model) -> None:
    assert measured(model, sample(model, temperature=0.8), temperature=1.0)["mismatch_kl"] > 0.01


@pytest.mark.parametrize(("side", "who"), [(0, "sampler"), (1, "trainer")])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_not_finite_is_an_error(side: int, who: str, value: float) -> None:
    pair = [torch.tensor([-1.0, -2.0]), torch.tensor([-1.0, -2.0])]
    pair[side][1] = value
    with pytest.raises(UserError, match=f"the {who}'s log-probs of 1 of 2"):
        mismatch(*pair)


def test_rows_that_do_not_match_are_a_defect() -> None:
    for pair in ((torch.zeros(2), torch.zeros(3)), (torch.zeros(0), torch.zeros(0))):
        with pytest.raises(ValueError, match="two log-probs for each"):
            mismatch(*pair)


def test_the_samplers_log_probs_in_the_order_of_the_tokens() -> None:
    def rollout(*logprobs: float, tokens: int) -> Rollout:
        return Rollout("p", 0, (1,), Response("", (1,) * tokens, "stop", logprobs), "right", 1.0)

    assert sampler_logprobs([rollout(-1.0, -2.0, tokens=2), rollout(-3.0, tokens=1)]).tolist() == [-1, -2, -3]
    with pytest.raises(UserError, match="gave 0 log-probs for the 3 tokens of a response to problem p"):
        sampler_logprobs([rollout(-1.0, tokens=1), rollout(tokens=3)])


def test_the_verdict_names_the_first_step_and_the_worst() -> None:
    lines = [{"step": step, "mismatch_kl": kl} for step, kl in [(1, 0.001), (2, 0.01), (3, 0.02), (5, 0.4)]]
    lines.insert(3, {"step": 4})  # a step without a group has no tokens
    assert invalid_by_mismatch(lines, 0.5) is None
    assert invalid_by_mismatch(lines[:2], 0.01) is None
    assert invalid_by_mismatch(lines, 0.01) == (
        "at step 3 the sampler was 0.02 nats a token from the trainer, more than mismatch_kl = 0.01 allows (2 of 5 steps, at most 0.4)"
    )
