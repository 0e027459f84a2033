"""The optional columns: what each is made from, what cannot be had, and that no micro-batch is seen in them."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.conftest import MODEL, TEACHER, CoinPool, tiny_spec
from tokencredit import files
from tokencredit.base import load_policy, load_tokenizer
from tokencredit.base.pretrain import build_model
from tokencredit.config import Study
from tokencredit.credit.columns import COLUMNS, MEASURED
from tokencredit.credit.signals import KINDS
from tokencredit.data.embedded import sample_problems
from tokencredit.data.tasks import TASKS
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, add_lora, attention_entropy
from tokencredit.prompts import prompt_of
from tokencredit.records import Response, Rollout
from tokencredit.train import columns
from tokencredit.train.columns import MAKERS, Columns, Source
from tokencredit.train.processes import Processes
from tokencredit.train.recorder import Recorder
from tokencredit.train.rollouts import Prompts, RolloutBatch
from tokencredit.train.run_spec import RunSpec


@pytest.fixture
def source(tiny: Path, tmp_path: Path) -> Source:
    """IW-OPD's: a run with a teacher."""
    spec = tiny_spec(tiny, "iw-opd", tmp_path / "run")
    tokenizer = load_tokenizer(spec.model_dir)
    policy = load_policy(spec.model_dir)
    sampling = spec.study.training.sampling
    prompts = Prompts(spec.problems(), tokenizer, spec.model.prompt, sampling.max_prompt_tokens, spec.seed)
    scorer = Scorer(policy, sampling.temperature)
    return Source(spec, policy, scorer, tokenizer, prompts, Recorder(tmp_path / "work"), Processes())


def batch_of(source: Source, logprobs: bool = True) -> RolloutBatch:
    """Three groups of two responses of 1 to 6 tokens; the third group has the prompt of the first."""
    random = torch.Generator().manual_seed(0)
    groups = []
    for draw in (0, 1, 0):
        problem, prompt = source.prompts.draw(draw)
        group = []
        for sample in range(2):
            length = int(torch.randint(1, 7, (1,), generator=random))
            tokens = tuple(torch.randint(2, 100, (length,), generator=random).tolist())
            own = tuple(-0.5 * place for place in range(length)) if logprobs else ()
            response = Response("", tokens, "stop", own)
            group.append(
                Rollout(problem.problem_id, sample, prompt, response, "right" if sample else "wrong", 2.0 * sample - 1)
            )
        groups.append(group)
    return RolloutBatch(groups)


def column(source: Source, name: str, step: int = 1, batch: RolloutBatch | None = None) -> Tensor:
    batch = batch or batch_of(source)
    ones = torch.ones(len(batch.position))
    empty = batch.signals(-ones, ones)
    return getattr(Columns([name], source).fill(step, batch, empty), name)


def measuring(source: Source, method: str, tiny: Path) -> Source:
    """The same source of another method's run, with what it takes to continue responses."""
    spec, training = tiny_spec(tiny, method, source.spec.out), source.spec.study.training
    engine = PolicyEngine(training, source.policy, source.tokenizer, lambda some: source.scorer.score(some, 1)[0], [])
    return replace(source, spec=spec, sampling=engine, pool=CoinPool(1))


def with_training(source: Source, **changes: object) -> Source:
    """The same source with another setting of training."""
    study = source.spec.study
    file = study.file.model_copy(update={"training": study.training.model_copy(update=changes)})
    return replace(source, spec=replace(source.spec, study=Study(study.name, file, study.config)))


def test_every_column_that_is_named_can_be_made() -> None:
    assert {*MAKERS, "logprob"} == set(COLUMNS)


@pytest.mark.slow
# A step is found in texts, and where a response restarted is known from sampling.
@pytest.mark.parametrize("name", sorted({*MAKERS} - {"response_step", "begun"}))
def test_the_micro_batch_budget_changes_no_column(name: str, source: Source, tiny: Path) -> None:
    source.recorder.line("metrics", {"step": 1, "entropy": 1.25})
    if name in MEASURED:
        source = measuring(source, {"value": "vine", "information": "measured-information"}[name], tiny)
    adapter = add_lora(source.policy, 4, 8, seed=0) if name == "residual_norm" else None
    source = replace(source, adapter=adapter)
    for parameter in source.policy.parameters():  # so that the adapter moves something
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    whole, split = (column(with_training(source, micro_batch_tokens=budget), name, step=2) for budget in (10_000, 30))
    torch.testing.assert_close(torch.as_tensor(whole), torch.as_tensor(split), atol=1e-5, rtol=0)
    assert torch.as_tensor(whole).abs().sum() > 0


def test_noise_is_the_tokens_own_at_every_step(source: Source) -> None:
    batch = batch_of(source)
    noise = column(source, "noise", step=1, batch=batch)
    assert torch.equal(column(source, "noise", step=1, batch=batch), noise)
    assert ((noise >= 0) & (noise < 1)).all()
    assert len(noise.unique()) == len(noise)  # the third group has the problem of the first, and noise of its own
    other_seed = replace(source, spec=replace(source.spec, seed=1))
    for other in (column(source, "noise", step=2, batch=batch), column(other_seed, "noise", step=1, batch=batch)):
        assert not torch.isin(other, noise).any()
    # A longer response before a token leaves the token's noise as it is.
    first = batch.rollouts[0]
    longer = replace(first, response=replace(first.response, token_ids=(*first.response.token_ids, 5)))
    groups = [[longer, batch.rollouts[1]], batch.rollouts[2:4], batch.rollouts[4:]]
    length = len(first.response.token_ids)
    moved = column(source, "noise", step=1, batch=RolloutBatch(groups))
    assert torch.equal(torch.cat([moved[:length], moved[length + 1 :]]), noise)


def test_the_reference_and_the_teacher_score_the_same_tokens(source: Source, tiny: Path) -> None:
    batch = batch_of(source)
    for name, model in (("ref_logprob", MODEL), ("teacher_logprob", TEACHER)):
        expected = Scorer(load_policy(tiny / "models" / model)).score(batch.sequences, 10_000)[0]
        torch.testing.assert_close(column(source, name, batch=batch), expected, atol=1e-6, rtol=0)
    assert not torch.allclose(column(source, "ref_logprob"), column(source, "teacher_logprob"), atol=1e-2)


def test_the_reference_stays_when_the_policy_moves(source: Source) -> None:
    reference = Columns(["ref_logprob"], source)
    batch = batch_of(source)
    empty = batch.signals(torch.zeros(len(batch.position)), torch.zeros(len(batch.position)))
    before = reference.fill(1, batch, empty).ref_logprob
    with torch.no_grad():
        for parameter in source.policy.parameters():
            parameter.mul_(2)
    assert torch.equal(reference.fill(2, batch, empty).ref_logprob, before)


def test_the_informed_policy_reads_the_answer_before_it_scores(source: Source) -> None:
    """By hand: the privileged prompt's text, encoded, before each response."""
    batch = batch_of(source)
    answers = {problem.problem_id: problem for problem in source.spec.problems()}
    sequences = []
    for rollout in batch.rollouts:
        problem = answers[rollout.problem_id]
        text = prompt_of(f"{{problem}} Answer: {problem.answer}.\n", problem.problem)
        sequences.append(Sequence(tuple(source.tokenizer.encode(text)), rollout.response.token_ids))
    for name, expected in zip(
        ("privileged_logprob", "privileged_entropy"), source.scorer.score(sequences, 10_000), strict=True
    ):
        torch.testing.assert_close(column(source, name, batch=batch), expected, atol=1e-6, rtol=0)


def test_the_contrast_is_another_problem_with_the_same_answer(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, told = batch_of(source), []
    encode = columns.encode_privileged_prompt
    monkeypatch.setattr(
        columns,
        "encode_privileged_prompt",
        lambda tokenizer, model, problem: told.append(problem) or encode(tokenizer, model, problem),
    )
    own = {problem.problem_id: problem for problem in source.spec.problems()}
    first = column(source, "contrast_logprob", batch=batch)
    for rollout, problem in zip(batch.rollouts, told, strict=True):
        assert problem.answer == own[rollout.problem_id].answer
        assert problem.problem == own[problem.problem_id].problem != own[rollout.problem_id].problem
    assert len({problem.problem_id for problem in told}) > 2
    assert torch.equal(column(source, "contrast_logprob", batch=batch), first)
    assert not torch.equal(column(source, "contrast_logprob", step=2, batch=batch), first)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{problem} Answer:{answer}", "cannot read '"),
        ("{problem} Certainly {answer}", "cannot read ' Certainly'"),
        ("{problem}" + " Answer" * 160 + " {answer}", "models.embedded-smoke reads 160"),
    ],
)
def test_a_privileged_prompt_that_cannot_be_used_is_refused(
    source: Source, prompt: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = source.spec.study.config.models
    monkeypatch.setitem(models, MODEL, models[MODEL].model_copy(update={"privileged_prompt": prompt}))
    with pytest.raises(UserError, match=said):
        Columns(["privileged_logprob"], source)


def test_the_samplers_log_probs_are_taken_as_they_are(source: Source) -> None:
    batch = batch_of(source)
    assert torch.equal(column(source, "rollout_logprob", batch=batch), -0.5 * batch.position.float())
    with pytest.raises(UserError, match="gave 0 log-probs for"):
        column(source, "rollout_logprob", batch=batch_of(source, logprobs=False))


def test_attention_is_the_middle_layers(source: Source) -> None:
    settings = source.spec.model.model_copy(update={"layers": 3})
    source, batch = replace(source, policy=build_model(settings, source.tokenizer)), batch_of(source)
    first, middle, last = (attention_entropy(source.policy, batch.sequences, layer, 10_000) for layer in range(3))
    found = column(source, "attention_entropy", batch=batch)
    assert torch.equal(found, middle)
    assert not torch.allclose(found, first)
    assert not torch.allclose(found, last)


def test_a_task_with_a_kind_of_its_own_is_refused(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The problem's text is read where the task needs it, and nowhere else."""
    task, seen = TASKS[source.spec.model.task], []
    monkeypatch.setattr(task, "kinds", lambda tokens, problem: seen.append(problem) or ["routine"] * len(tokens))
    assert set(column(source, "kind").tolist()) == {KINDS.index("routine")}
    assert set(seen) == {""}
    monkeypatch.setattr(task, "KINDS_NEED_PROBLEM", True)
    column(source, "kind")
    assert seen[-1] == source.prompts.draw(0)[0].problem
    monkeypatch.setattr(task, "kinds", lambda tokens, problem: ["detour"] * len(tokens))
    with pytest.raises(UserError, match="calls a token 'detour'; credit by kind knows style fork, "):
        column(source, "kind")


def test_every_task_tells_kinds_that_credit_knows() -> None:
    """Of its own worked solutions, whose words and signs are all of the task's."""
    for name, task in TASKS.items():
        for problem in sample_problems(list(task.TIERS), 12, 0, "train", name):
            solution = task.careful_solution(problem, random.Random(0), mistakes=False)
            tokens = re.findall(r"\s?\w+|\s?[^\w\s]", solution)
            assert {*task.kinds(tokens, problem.text)} <= {*KINDS}, name


def test_progress_and_history_are_of_the_steps_that_lie_behind(source: Source) -> None:
    assert [column(source, "progress", step=step) for step in (1, 2, 5)] == [0.0, 0.2, 0.8]
    source.recorder.resume_at(0)
    assert column(source, "entropy_history").tolist() == []
    for line in ({"step": 1, "entropy": 0.1}, {"step": 2}, {"step": 3, "entropy": 0.7}):
        source.recorder.line("metrics", line)
    assert column(source, "entropy_history", step=4).tolist() == [0.1, 0.7]


def test_a_teacher_with_another_vocabulary_is_refused(source: Source, tmp_path: Path, tiny: Path) -> None:
    other = tmp_path / "other"
    tokenizer = load_tokenizer(tiny / "models" / TEACHER)
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(other)
    files.write_json(other / "config.json", {})
    with pytest.raises(UserError, match=r"another vocabulary than .*: 1 entries differ"):
        Columns(["teacher_logprob"], replace(source, spec=replace(source.spec, teacher_dir=other)))


def test_a_cell_and_its_teacher_belong_together(source: Source) -> None:
    spec: RunSpec = source.spec
    with pytest.raises(UserError, match="--teacher: none is given, and the teacher of iw-opd is tiny-teacher"):
        replace(spec, teacher_dir=None)
    with pytest.raises(UserError, match=r"--teacher: .* is given, and the teacher of eapo is nobody"):
        replace(spec, name="eapo")


@pytest.mark.slow
def test_the_teacher_and_the_control_decide_the_run(source: Source, tiny: Path) -> None:
    spec = source.spec
    assert spec.digests()["teacher"] == files.read_json(spec.teacher_dir / "model.json")["sha256"]
    assert replace(spec, teacher_dir=tiny / "models" / MODEL).digests() != spec.digests()
    plain, control = (tiny_spec(tiny, name, spec.out) for name in ("forking", "forking-shuffled"))
    assert "teacher" not in plain.digests()
    assert plain.digests()["config"] != control.digests()["config"]
    assert plain.digests()["code"] != control.digests()["code"]


def test_columns_that_are_not_asked_for_stay_open(source: Source) -> None:
    batch = batch_of(source)
    signals = batch.signals(torch.zeros(len(batch.position)), torch.zeros(len(batch.position)))
    filled = Columns(["noise"], source).fill(1, batch, signals)
    assert [name for name in COLUMNS if getattr(filled, name) is not None] == ["noise"]
