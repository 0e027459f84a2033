"""Measured columns against a world that can be enumerated, and what measuring must not do: repeat itself, go stale, or go astray."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tests.models import known_model
from tests.oracle.small_world import END, LOGITS, LONGEST, SETTINGS, Letters, Rule, outcome, policy, right_after
from tokencredit.credit import METHODS, TokenSignals
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.oracle.estimate import exact_information
from tokencredit.policy import Scorer
from tokencredit.records import Problem, Request, Response, Rollout
from tokencredit.train import measuring
from tokencredit.train.columns import Columns, Source
from tokencredit.train.measuring import forks
from tokencredit.train.processes import ALONE
from tokencredit.train.recorder import Recorder
from tokencredit.train.rollouts import RolloutBatch
from tokencredit.train.steps import first_tokens, step_numbers


class Sampling:
    """An engine that is kept at the policy's weights, and what was asked of it."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine, self.asked = self, []
        self._sample = engine.sample

    def follow(self, when: str) -> None:
        self.asked.append("follow")

    def rest(self) -> None:
        self.asked.append("rest")

    def sample(self, requests: list[Request], **settings: float) -> list[Response]:
        self.asked.append("sample")
        return self._sample(requests, **settings)


@pytest.fixture
def source(tmp_path) -> Source:
    return make_source(tmp_path)


def make_source(folder, credit: str = "vine", times: int = 8, tolerance: float = 0.0, batch_size: int = 256) -> Source:
    """The world of ``small_world`` as a trainer's; its four prompts are of one token each."""
    model = known_model(LOGITS)
    sampling = SimpleNamespace(temperature=SETTINGS.temperature, top_p=1.0, max_response_tokens=LONGEST)
    method = SimpleNamespace(credit=credit, measure=SimpleNamespace(continuations=times, tolerance=tolerance))
    problems = [(Problem(f"problem-{prompt}", "", "gold"), (prompt,)) for prompt in range(4)]
    return Source(
        spec=SimpleNamespace(method=method, seed=0, study=SimpleNamespace(training=SimpleNamespace(sampling=sampling))),
        policy=model,
        scorer=Scorer(model, SETTINGS.temperature),
        tokenizer=Letters(),
        prompts=SimpleNamespace(problems=problems),
        recorder=Recorder(folder),
        processes=ALONE,
        sampling=Sampling(TransformersEngine(model, Letters(), batch_size)),
        pool=Rule(),
    )


def batch_of(source: Source, samples: int = 4) -> RolloutBatch:
    """A group for each prompt, sampled by the policy."""
    groups = []
    for problem, prompt in source.prompts.problems:
        sampled = source.sampling._sample(
            [Request(prompt, 1000 * prompt[0] + sample) for sample in range(samples)],
            temperature=SETTINGS.temperature,
            top_p=1.0,
            max_tokens=LONGEST,
        )
        groups.append(
            [
                Rollout(problem.problem_id, sample, prompt, each, outcome(each.text), reward(each))
                for sample, each in enumerate(sampled)
            ]
        )
    return RolloutBatch(groups)


def reward(response: Response) -> float:
    return 1.0 if outcome(response.text) == "right" else -1.0


def fill(source: Source, *names: str, step: int = 1) -> tuple[RolloutBatch, TokenSignals, dict[str, int]]:
    batch = batch_of(source)
    columns = Columns(names, source)
    return batch, columns.fill(step, batch, batch.signals(*source.scorer.score(batch.sequences, 10_000))), columns.costs


def exact_values(batch: RolloutBatch) -> list[float]:
    """V before each token."""
    found = []
    for rollout in batch.rollouts:
        for position in range(len(rollout.response.token_ids)):
            begun = (*rollout.prompt_tokens, *rollout.response.token_ids[:position])
            found.append(sum(p * right_after((*begun[1:], token)) for token, p in enumerate(policy(begun[-1])) if p))
    return found


@pytest.mark.slow
def test_values_are_those_of_the_policy(tmp_path) -> None:
    """At each state within four and a half standard errors of what enumeration says, so without bias."""
    batch, signals, _ = fill(make_source(tmp_path, times=400), "value", "state")
    truth = torch.tensor(exact_values(batch))
    error = (truth * (1 - truth) / 400).sqrt()
    assert ((signals.value - truth).abs() <= 4.5 * error + 1e-6).all()
    assert truth.min() < 0.01 < 0.25 < truth.max()
    state, value = signals.state, signals.value
    assert torch.equal(value, value[[state.tolist().index(each) for each in state.tolist()]])


@pytest.mark.slow
def test_information_is_that_of_the_policy(tmp_path) -> None:
    batch, signals, _ = fill(make_source(tmp_path, "measured-information", times=2000), "information", "state")
    truth = []
    for rollout in batch.rollouts:
        tokens = rollout.response.token_ids
        for position in range(len(tokens)):
            right = [right_after((*tokens[:position], token)) for token in range(5)]
            truth.append(
                exact_information(policy((*rollout.prompt_tokens, *tokens)[position]), torch.tensor(right).numpy())
            )
    error = signals.information - torch.tensor(truth)
    assert error.abs().max() < 0.06
    assert abs(float(error.mean())) < 0.006
    assert max(truth) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [0.0, 0.3, 0.6])
def test_a_value_that_is_not_measured_is_within_the_tolerance(tmp_path, monkeypatch, tolerance: float) -> None:
    """With exact values where states are measured, every other lies as near as is said."""
    source = make_source(tmp_path, tolerance=tolerance)
    truth = exact_values(batch_of(source))
    asked = []

    def values(self: object, step: int, batch: RolloutBatch, wanted: Tensor) -> dict[int, float]:
        asked.append(int(wanted.sum()))
        return {row: truth[row] for row in wanted.nonzero().squeeze(1).tolist()}

    monkeypatch.setattr(measuring.Measuring, "values", values)
    _, signals, _ = fill(source, "value")
    error = (signals.value - torch.tensor(truth)).abs()
    assert error.max() <= tolerance + 1e-6
    assert (error.max() > 0.05) == (asked[0] < len(truth)) == (tolerance > 0)


def test_forks_by_hand() -> None:
    """Two responses; what is missed adds up from the end, and starts again where a state is measured."""
    missed = torch.tensor([0.5, 0.04, 0.04, 0.04, 0.25, 0.0])
    position = torch.tensor([0, 1, 2, 3, 0, 1])
    everywhere = position >= 0
    assert forks(missed, position, everywhere, 0.1).tolist() == [True, True, False, False, True, False]
    assert forks(missed, position, everywhere, 0.0).tolist() == [True, True, True, True, True, False]
    assert forks(missed, position, position == 0, 0.3).tolist() == [True, False, False, False, False, False]


def test_steps_end_with_sentences_and_lines() -> None:
    texts = ["It", " is", " 3", ".", "14", ".", " So", "!", "\n", "Yes", "No", "?", "?"]
    position = torch.tensor([*range(10), 0, 1, 2])
    assert step_numbers(texts, position).tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 0, 0, 0]
    assert first_tokens(texts[:10]) == [0, 6, 8, 9]


@pytest.mark.slow
def test_each_different_state_is_measured_once_and_its_tokens_are_counted(source: Source) -> None:
    batch, signals, costs = fill(source, "value", "state")
    states = {
        (rollout.problem_id, rollout.response.token_ids[:position])
        for rollout in batch.rollouts
        for position in range(len(rollout.response.token_ids))
    }
    assert len(states) == len(signals.state.unique()) < len(signals.state)
    assert costs["measured_starts"] == len(states)
    assert costs["measured_continuations"] == 8 * len(states)
    assert costs["measured_prefix_tokens"] == sum(1 + len(begun) for _, begun in states)
    assert costs["measured_continuations"] < costs["measured_tokens"] <= 8 * sum(LONGEST - len(b) for _, b in states)


@pytest.mark.slow
def test_a_measurement_is_a_function_of_seed_step_and_state(tmp_path) -> None:
    """Not of batches, nor of what was measured before: a run that is resumed has the same."""
    first = fill(make_source(tmp_path), "value")[1].value
    again = make_source(tmp_path, batch_size=7)
    fill(again, "value", step=9)
    assert torch.equal(fill(again, "value")[1].value, first)
    assert not torch.equal(fill(again, "value", step=2)[1].value, first)
    other = make_source(tmp_path)
    other.spec.seed = 1
    assert not torch.equal(fill(other, "value")[1].value, first)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["value", "information"])
def test_the_policy_of_now_is_measured(name: str, tmp_path) -> None:
    """An engine with weights of its own is told of them before it samples, and put to rest afterwards."""
    credit = {"value": "vine", "information": "eapo-measured"}[name]
    source = make_source(tmp_path, credit, times=40)
    columns, batch = Columns([name], source), batch_of(source)
    signals = batch.signals(*source.scorer.score(batch.sequences, 10_000))
    before = getattr(columns.fill(1, batch, signals), name)
    assert source.sampling.asked == ["follow", "sample", "rest"]
    with torch.no_grad():
        source.policy.lm_head.weight[END] += 50  # from now on every response ends at once
    after = getattr(columns.fill(1, batch, signals), name)
    ended = [
        outcome(Letters().decode(rollout.response.token_ids[:position], True)) == "right"
        for rollout in batch.rollouts
        for position in range(len(rollout.response.token_ids))
    ]
    expected = torch.tensor(ended).float() if name == "value" else torch.zeros(len(ended))
    torch.testing.assert_close(after, expected, atol=1e-6, rtol=0)
    assert (before - after).abs().max() > 0.05


def test_what_cannot_be_graded_is_taken_from_the_next_state(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tests.oracle.small_world.outcome", lambda text: "ungraded")
    source = make_source(tmp_path)
    _, signals, _ = fill(source, "value")
    assert torch.equal(signals.value, signals.right.float())


def test_only_beginnings_of_steps_are_measured_for_steps(tmp_path, monkeypatch) -> None:
    source = make_source(tmp_path, "vine-steps")
    monkeypatch.setattr(measuring, "token_texts", lambda tokenizer, ids: [". abcd"[each] for each in ids])
    wanted = []
    monkeypatch.setattr(measuring.Measuring, "values", lambda self, step, batch, rows: wanted.append(rows) or {})
    batch, signals, _ = fill(source, *METHODS["vine-steps"].columns)
    begins = (batch.position == 0) | (signals.response_step != signals.response_step.roll(1))
    assert not wanted[0][~begins].any()
    assert begins.sum() >= wanted[0].sum() >= len(batch.rollouts)
    assert (~begins).any()


def test_a_method_that_measures_needs_what_measures(source: Source) -> None:
    with pytest.raises(ValueError, match="the columns of credit 'vine' need `measure`, an engine and a grading pool"):
        Columns(["value"], dataclasses.replace(source, pool=None))
