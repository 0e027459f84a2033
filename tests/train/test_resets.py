"""Restarts in failed responses: what is sampled, counted and recorded, and that what stands before a restart has no gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.equations.grpo import group_advantage
from tests.equations.resets import shared_prefix_loss
from tests.models import known_model, tiny_qwen3
from tests.oracle.small_world import LETTERS, LOGITS, LONGEST, SETTINGS, Letters, Rule, outcome, policy, right_after
from tests.train.conftest import Trained
from tests.train.test_update import RECIPE, batch, training
from tokencredit.config import Recipe, Sampling
from tokencredit.credit import assign
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.policy import Scorer
from tokencredit.records import Problem, Rollout
from tokencredit.train import resets
from tokencredit.train.mismatch import sampler_logprobs
from tokencredit.train.resets import ResetSampler
from tokencredit.train.rollouts import Collected, RolloutBatch, Sampler
from tokencredit.train.update import Updater

PLAIN = Recipe(
    clip_low=0.2, clip_high=0.2, kl_coef=0, aggregation="sequence-mean", dynamic_sampling=False, max_refills=0
)
SAMPLING = Sampling(temperature=SETTINGS.temperature, top_p=1.0, max_prompt_tokens=1, max_response_tokens=LONGEST)
DRAWS = 12


class Named(Letters):
    """Tells the token of an id too."""

    def convert_ids_to_tokens(self, index: int) -> str:
        return [*LETTERS, "<end>"][index]


class Always:
    """Every answer has the same verdict."""

    def __init__(self, verdict: str) -> None:
        self.verdict = verdict

    def grade_many(self, pairs):
        return [SimpleNamespace(outcome=self.verdict) for _ in pairs]


@pytest.fixture(autouse=True)
def steps_of_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The letters of the small world know no sentences."""
    monkeypatch.setattr(resets, "first_tokens", lambda texts: [*range(len(texts))])


def sampler(group_size: int = 8, pool: object | None = None) -> Sampler:
    """Of the small world, whose four prompts are of one token each."""
    engine = TransformersEngine(known_model(LOGITS), Named(), 256)
    prompts = SimpleNamespace(draw=lambda number: (Problem(f"problem-{number % 4}", "", "gold"), (number % 4,)))
    return Sampler(engine, pool or Rule(), prompts, SAMPLING, group_size, seed=0)


@cache
def collected(restart: str = "random-step", **changes: object) -> Collected:
    return ResetSampler(sampler(**changes), Named(), restart).collect(DRAWS, PLAIN, 0)


def responses(draw: int, samples: int = 12) -> list[Rollout]:
    """The first responses to the prompt of a draw, sampled without resets."""
    return plain_responses()[draw][:samples]


@cache
def plain_responses() -> list[list[Rollout]]:
    plain = sampler()
    asked = [plain.asked(draw, sample) for draw in range(DRAWS) for sample in range(16)]
    answered = plain.answered(plain.engine, asked, PLAIN, Collected([], 0))
    return [answered[16 * draw : 16 * draw + 16] for draw in range(DRAWS)]


def pairs(found: Collected) -> list[tuple[list[Rollout], list[Rollout]]]:
    """By prompt its two groups. In the small world nearly every prompt has a failed response."""
    assert len(found.groups) == 2 * DRAWS
    return list(zip(found.groups[::2], found.groups[1::2], strict=True))


def test_a_prompt_s_second_group_goes_on_from_its_first_failed_response() -> None:
    cut = []
    for draw, (fresh, restarted) in enumerate(pairs(collected())):
        known = responses(draw)
        failed = next(rollout for rollout in known if rollout.outcome == "wrong")
        assert fresh == [rollout for rollout in known if rollout != failed][:4]
        (begun,) = {rollout.begun for rollout in restarted}
        cut.append(begun)
        assert begun < len(failed.response.token_ids)
        assert len(restarted) == 4
        for rollout in restarted:
            whole = rollout.response
            assert whole.token_ids[:begun] == failed.response.token_ids[:begun]
            assert whole.logprobs[:begun] == failed.response.logprobs[:begun]
            assert len(whole.logprobs) == len(whole.token_ids) <= LONGEST
            assert rollout.outcome == outcome(whole.text)
            assert rollout.prompt_tokens == (draw % 4,)
        assert len({rollout.sample for rollout in [*known, *restarted]}) == 16
    assert len(set(cut)) > 2


def test_the_control_restarts_where_the_response_begins() -> None:
    for draw, (fresh, restarted) in enumerate(pairs(collected("beginning"))):
        assert fresh == pairs(collected())[draw][0]
        assert restarted == responses(draw, 16)[12:]


@pytest.mark.slow
def test_what_follows_a_restart_is_the_policy_s_own() -> None:
    """The share of right responses is that of the policy after the beginning, within four and a half standard errors."""
    for fresh, restarted in pairs(collected(group_size=800)):
        first = restarted[0]
        begun = first.response.token_ids[: first.begun]
        truth = right_after(begun) if begun else expected(first.prompt_tokens[0])
        share = np.mean([rollout.outcome == "right" for rollout in restarted])
        assert abs(share - truth) <= 4.5 * np.sqrt(truth * (1 - truth) / len(restarted)) + 1e-9
        assert len(fresh) == 400


def expected(prompt: int) -> float:
    """The probability of a right response to a prompt."""
    return sum(p * right_after((token,)) for token, p in enumerate(policy(prompt)) if p)


@pytest.mark.slow
def test_the_solve_rate_is_that_of_the_policy() -> None:
    """Counted among as many for each prompt, the failed one too; the group without it is right more often, and is not counted."""
    found = collected(group_size=800)
    assert found.sampled == DRAWS * 401
    truth = np.mean([expected(prompt) for prompt in range(4)])
    error = np.sqrt(truth * (1 - truth) / found.sampled)
    assert abs(found.right / found.sampled - truth) < 4.5 * error
    assert found.drawn == DRAWS


def test_what_resets_took_is_counted() -> None:
    found = collected()
    groups, everything = pairs(found), [rollout for draw in range(DRAWS) for rollout in responses(draw, 5)]
    assert all(any(rollout.outcome == "wrong" for rollout in responses(draw, 5)) for draw in range(DRAWS))
    suffixes = [rollout for _, restarted in groups for rollout in restarted]
    tokens = sum(len(rollout.response.token_ids) for rollout in everything)
    tokens += sum(len(rollout.response.token_ids) - rollout.begun for rollout in suffixes)
    assert found.resets == {
        "reset_groups": DRAWS,
        "reset_place": pytest.approx(found.resets["reset_place"]),
        "reset_solve_rate": pytest.approx(np.mean([rollout.outcome == "right" for rollout in suffixes])),
        "reset_prefix_tokens": sum(rollout.begun for rollout in suffixes),
        "sampled_tokens": tokens,
    }
    assert 0.1 < found.resets["reset_place"] < 0.6
    assert collected("beginning").resets["reset_prefix_tokens"] == 0


def test_a_prompt_without_a_failed_response_has_one_group_of_full_size() -> None:
    found = collected(pool=Always("right"))
    assert [len(group) for group in found.groups] == [8] * DRAWS
    assert (found.right, found.sampled) == (DRAWS * 5, DRAWS * 5)
    assert found.resets["reset_groups"] == 0
    assert found.resets["reset_place"] is found.resets["reset_solve_rate"] is None
    assert found.resets["sampled_tokens"] == sum(
        len(rollout.response.token_ids) for draw in range(DRAWS) for rollout in responses(draw)
    )


def test_what_could_not_be_graded_has_not_failed_and_is_in_no_group() -> None:
    found = collected(pool=Always("ungraded"))
    assert (found.groups, found.ungraded, found.resets["reset_groups"]) == ([], DRAWS * 12, 0)


def test_the_sampler_and_the_trainer_agree_on_every_token_of_a_restarted_response() -> None:
    found = RolloutBatch(collected().groups)
    trained, _ = Scorer(known_model(LOGITS), SETTINGS.temperature).score(found.sequences, 1000)
    torch.testing.assert_close(sampler_logprobs(found.rollouts), trained, atol=1e-5, rtol=0)


def test_the_column_says_it_of_each_token() -> None:
    found = RolloutBatch(collected().groups)
    expected = [rollout.begun for rollout in found.rollouts for _ in rollout.response.token_ids]
    assert resets.begun(None)(1, found, None).tolist() == expected


def test_each_group_has_a_mean_and_a_deviation_of_its_own() -> None:
    found = collected()
    whole = RolloutBatch(found.groups)
    apart = [
        value for group in found.groups for value in group_advantage([each.reward for each in group], [0] * len(group))
    ]
    torch.testing.assert_close(whole.advantage, torch.tensor(apart))
    merged = [
        value
        for two in pairs(found)
        for value in group_advantage([each.reward for group in two for each in group], [0] * 8)
    ]
    assert (whole.advantage - torch.tensor(merged)).abs().max() > 0.1


def gradient(step: Callable[[Updater], object], scorer: Scorer) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    updater = Updater(scorer, training(grad_clip=1e9), RECIPE.model_copy(update={"aggregation": "sequence-mean"}))
    updater.optimizer.step = lambda: seen.extend(parameter.grad.flatten() for parameter in scorer.parameters())
    step(updater)
    return torch.cat(seen)


def test_the_gradient_is_that_of_the_suffixes_after_their_prefixes() -> None:
    """The paper's loss of suffixes alone, by one pass of the model for each; whatever the credit of the prefixes is."""
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    begun = torch.tensor([len(sequence.response) // 2 for sequence in sequences])
    signals = dataclasses.replace(signals, begun=begun[signals.response])
    credit = assign("rrpo", signals)
    found = gradient(lambda updater: updater.update(sequences, signals, credit), scorer)

    suffixes = []
    for sequence, first in zip(sequences, begun.tolist(), strict=True):
        tokens = torch.tensor([[*sequence.prompt, *sequence.response]])
        start = len(sequence.prompt) + first
        logprob = scorer.model(tokens).logits[0, start - 1 : -1].log_softmax(-1)
        suffixes.append(list(logprob.gather(-1, tokens[0, start:, None]).squeeze(-1)))
    loss = shared_prefix_loss(signals.advantage.tolist(), suffixes)
    expected = torch.cat([each.flatten() for each in torch.autograd.grad(loss, [*scorer.parameters()])])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)

    other = dataclasses.replace(credit, advantage=credit.advantage.masked_fill(~credit.keep, 100.0))
    assert torch.equal(gradient(lambda updater: updater.update(sequences, signals, other), scorer), found)
    whole = assign("rrpo", dataclasses.replace(signals, begun=signals.begun * 0))
    assert (gradient(lambda updater: updater.update(sequences, signals, whole), scorer) - found).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rrpo", "rrpo-beginning"])
def test_a_run_says_where_responses_restarted(name: str, trained: Callable[[str], Trained]) -> None:
    run = trained(name)
    tokens, metrics = run.tokens, run.metrics
    assert (tokens["keep"] == (tokens["position"] >= tokens["begun"])).all()
    restarted = tokens[tokens["sample"] >= 6]
    assert (tokens.loc[tokens["sample"] < 6, "begun"] == 0).all()
    assert (restarted.groupby(["step", "problem_id"])["begun"].nunique() == 1).all()
    assert (restarted["begun"] > 0).any() == (name == "rrpo")
    groups = tokens.assign(second=tokens["sample"] >= 6).groupby(["step", "problem_id", "second", "sample"])
    sums = groups["group_advantage"].first().groupby(["step", "problem_id", "second"]).sum()
    assert sums.abs().max() < 1e-6
    assert metrics["updates"].tolist() == [2] * 5
    assert metrics["reset_groups"].between(1, 4).all()
    assert (metrics["sampled_tokens"] > metrics["tokens"] - metrics["reset_prefix_tokens"]).all()
    if name == "rrpo":
        assert metrics["reset_place"].between(0, 1, inclusive="left").all()
        other = pd.DataFrame(trained("rrpo-beginning").metrics)
        assert not np.allclose(metrics["loss"], other["loss"])
