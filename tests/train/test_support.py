"""Ratios of policies restricted to what could be drawn: docs/top-p.md by hand, on the vocabulary as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError

from tests.architectures import VERIFIED, tiny
from tests.models import tiny_qwen3
from tests.train.test_update import RECIPE, batch, training
from tokencredit.credit import TokenCredit
from tokencredit.policy import Scorer, Sequence
from tokencredit.train import loop, support
from tokencredit.train.processes import ALONE
from tokencredit.train.run_spec import RunSpec
from tokencredit.train.support import Support, supports
from tokencredit.train.update import Credit, Updater

TOP_P = 0.8


def moved(scorer: Scorer) -> None:
    with torch.no_grad():
        for index, parameter in enumerate(scorer.parameters()):
            parameter += 0.05 * torch.arange(parameter.numel()).reshape(parameter.shape).add(index).sin()


def by_hand(
    scorer: Scorer, sequence: Sequence, inside: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """[n] log(pi(o) / pi(S)) and [n, V] S, by sorting the whole distribution; S given or, with the token drawn, the nucleus."""
    ids = torch.tensor([sequence.prompt + sequence.response])
    count = len(sequence.response)
    logprob = (scorer.model(ids, use_cache=False).logits[0, -count - 1 : -1] / scorer.temperature).log_softmax(-1)
    target = torch.tensor(sequence.response)[:, None]
    if inside is None:
        order = logprob.argsort(dim=-1, descending=True)
        before = logprob.exp().gather(-1, order).cumsum(-1) - logprob.exp().gather(-1, order)
        inside = torch.zeros_like(logprob, dtype=torch.bool).scatter(-1, order, before < TOP_P)
        inside = inside.scatter(-1, target, True)
    mass = logprob.masked_fill(~inside, -torch.inf).logsumexp(-1)
    return logprob.gather(-1, target)[:, 0] - mass, inside


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [2**22, 64])
@pytest.mark.parametrize("name", ["qwen3", "gemma2, windows and soft caps", "phi, head bias", "granite, logit scale"])
def test_supports_and_restricted_log_probs_are_those_of_the_whole_distribution(
    name: str, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "_NUMBERS", numbers)
    scorer = Scorer(tiny(*VERIFIED[name]).double(), temperature=0.7)
    sequences = [Sequence((1, 2, 3), (4, 5, 6, 7)), Sequence((8,), (9, 10)), Sequence((3, 1), tuple(range(11, 20)))]
    drawn = supports(scorer, sequences, 12, TOP_P)
    old = [by_hand(scorer, sequence) for sequence in sequences]
    for found, (logprob, inside) in zip(drawn, old, strict=True):
        torch.testing.assert_close(found.logprob, logprob.float(), atol=1e-5, rtol=0)
        assert found.counts.tolist() == inside.sum(-1).tolist()
        assert found.tokens.tolist() == inside.nonzero()[:, 1].tolist()

    moved(scorer)
    now = scorer(sequences, also=Support.joined(drawn).logprob_now)[2]
    expected = torch.cat(
        [by_hand(scorer, sequence, inside)[0] for sequence, (_, inside) in zip(sequences, old, strict=True)]
    )
    torch.testing.assert_close(now, expected, atol=1e-6, rtol=0)  # some norms are float32 in any dtype
    towards = torch.linspace(-1, 1, len(now), dtype=now.dtype)
    weights = list(scorer.parameters())
    obtained, wanted = (
        torch.autograd.grad((towards * value).sum(), weights, allow_unused=True) for value in (now, expected)
    )
    for one, other in zip(obtained, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def gradient(scorer: Scorer, loss: Callable[[], object]) -> torch.Tensor:
    scorer.zero_grad()
    loss()
    return torch.cat([parameter.grad.flatten() for parameter in scorer.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("budget", [10_000, 20])
def test_an_update_takes_the_ratio_of_restricted_policies(budget: int) -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    drawable = supports(scorer, sequences, 100, TOP_P)
    old = [by_hand(scorer, sequence) for sequence in sequences]
    moved(scorer)
    updater = Updater(scorer, training(grad_clip=1e9, micro_batch_tokens=budget), RECIPE)
    found: list[torch.Tensor] = []
    updater.optimizer.step = lambda: found.append(torch.cat([each.grad.flatten() for each in scorer.parameters()]))
    credit = TokenCredit(signals.advantage[signals.response], signals.every_token)
    metrics = updater.update(sequences, signals, credit, drawable=drawable)

    def loss() -> None:
        now = torch.cat([by_hand(scorer, s, inside)[0] for s, (_, inside) in zip(sequences, old, strict=True)])
        ratio = (now - torch.cat([logprob.detach() for logprob, _ in old])).exp()
        clipped = ratio.clamp(1 - RECIPE.clip_low, 1 + RECIPE.clip_high)
        (-torch.minimum(ratio * credit.advantage, clipped * credit.advantage).mean()).backward()

    torch.testing.assert_close(found[0], gradient(scorer, loss), atol=1e-7, rtol=1e-4)
    assert metrics["kl_old"] > 0


def test_before_the_first_update_every_restricted_ratio_is_one() -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    drawable = supports(scorer, sequences, 100, TOP_P)
    metrics, _ = Updater(scorer, training(prompts_per_update=4), RECIPE).step(
        1, sequences, signals, Credit("grpo", {}), drawable
    )
    assert metrics["ratio_max"] == 1
    assert metrics["kl_old"] == 0


@pytest.mark.parametrize("surrogate", ["clip", "unclipped", "cispo", "reinforce"])
def test_the_score_of_the_restricted_policy_has_mean_zero_where_the_full_one_has_not(surrogate: str) -> None:
    """Every token that could be drawn, each with its probability as the weight, and one reward: nothing is to be learned."""
    scorer = Scorer(tiny_qwen3())
    first = Sequence((1, 2, 3), (4,))
    _, inside = by_hand(scorer, first)
    tokens = inside[0].nonzero()[:, 0].tolist()
    sequences = [Sequence(first.prompt, (token,)) for token in tokens]
    drawable = [
        dataclasses.replace(each, tokens=torch.tensor(tokens), counts=torch.tensor([len(tokens)]))
        for each in supports(scorer, sequences, 100, TOP_P)
    ]
    logprob, entropy = scorer.score(sequences, 100)
    _, template = batch(scorer)
    count = torch.arange(len(tokens))
    signals = dataclasses.replace(
        template,
        response=count,
        position=0 * count,
        entropy=entropy,
        old_logprob=logprob,
        reward=torch.ones(len(tokens)),
        advantage=torch.ones(len(tokens)),
        group=0 * count,
        noise=None,
        control_noise=None,
    )
    credit = TokenCredit(logprob.softmax(0), signals.every_token, surrogate=surrogate)
    norms = []
    for given in (None, drawable):
        updater = Updater(scorer, training(grad_clip=1e9), RECIPE)
        updater.optimizer.step = lambda: None
        norms.append(updater.update(sequences, signals, credit, moved=False, drawable=given)["grad_norm"])
    assert norms[0] > 1e-3
    assert norms[1] < 1e-6 * norms[0] + 1e-9


def test_supports_of_several_processes_are_put_back_in_their_order() -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, _ = batch(scorer)
    found = ALONE.each(scorer, sequences, 30, lambda some: supports(scorer, some, 30, TOP_P))
    for one, sequence in zip(found, sequences, strict=True):
        (alone,) = supports(scorer, [sequence], 30, TOP_P)
        assert torch.equal(one.tokens, alone.tokens)
        assert torch.equal(one.counts, alone.counts)


def test_a_study_at_top_p_1_has_no_nucleus() -> None:
    with pytest.raises(ValidationError, match=r"ratio_over = 'nucleus' has no effect at sampling\.top_p = 1"):
        training(ratio_over="nucleus")
    assert "ratio_over" not in training().model_dump()


@pytest.mark.slow
def test_a_run_restricts_its_ratios_where_its_study_says_so(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[Support] | None] = []
    step = Updater.step

    def watched(self: Updater, *args: object) -> object:
        given.append(args[-1])
        return step(self, *args)

    monkeypatch.setattr(Updater, "step", watched)
    sampling = spec.study.training.sampling.model_copy(update={"top_p": TOP_P})
    monkeypatch.setattr(
        spec.study,
        "training",
        spec.study.training.model_copy(update={"ratio_over": "nucleus", "sampling": sampling, "steps": 1}),
    )
    assert loop.train(spec)
    assert len(given) == 1
    assert all(int(each.counts.max()) > 1 for each in given[0])
