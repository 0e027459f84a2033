"""A supervised start: what is learned, that it is resumed, refused in sentences, and that everything in its study goes on from it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.train.conftest import MODEL, tiny_spec
from tokencredit import files
from tokencredit.base import load_manifest, load_policy, load_tokenizer
from tokencredit.base.pretrain import solution_loss
from tokencredit.base.supervised import batches
from tokencredit.config import Study
from tokencredit.config.study_keys import Start
from tokencredit.data.embedded import pretraining_texts
from tokencredit.errors import UserError
from tokencredit.policy import Scorer
from tokencredit.study.jobs import jobs_of
from tokencredit.train import checkpoint, start
from tokencredit.train.processes import ALONE
from tokencredit.train.start import StartSpec, make_examples, solved

SETTINGS = Start(dataset="toy-train", examples=12, epochs=3, batch=4, learning_rate=0.01, warmup_steps=2)


def asked(study: Study, settings: Start = SETTINGS) -> Study:
    """The tiny study with a start, and room for its solutions."""
    sampling = study.training.sampling.model_copy(update={"max_response_tokens": 90})
    training = study.training.model_copy(update={"sampling": sampling, "micro_batch_tokens": 100})
    return Study(study.name, study.file.model_copy(update={"start": settings, "training": training}), study.config)


@pytest.fixture
def spec(tiny: Path, tmp_path: Path) -> StartSpec:
    rows = [
        {"problem_id": str(k), "problem": problem, "answer": "1", "solution": None if k == 1 else solution}
        for k, (problem, solution) in enumerate(pretraining_texts([1], 15, 0))
    ]
    files.write_parquet(tmp_path / "problems.parquet", pd.DataFrame(rows))
    study = asked(tiny_spec(tiny, "grpo", tmp_path).study)
    return StartSpec(study, tiny / "models" / MODEL, tmp_path / "problems.parquet", tmp_path / "start")


@pytest.mark.slow
def test_the_model_learns_the_solutions_and_its_folder_is_whole(spec: StartSpec) -> None:
    start.start(spec, ALONE)
    manifest = load_manifest(spec.out)
    log = files.read_jsonl(spec.out / "train.jsonl")
    assert [record["step"] for record in log] == list(range(1, 10))
    assert manifest["examples"] == 12
    assert manifest["sha256"] == files.sha256(spec.out / "model")
    assert manifest["base"]["model"] == MODEL
    assert not (spec.out / "work").exists()

    before, after = load_policy(spec.model_dir), load_policy(spec.out)
    assert not torch.equal(before.get_output_embeddings().weight, after.get_output_embeddings().weight)
    tokenizer = load_tokenizer(spec.out)
    examples = make_examples(
        solved(spec.data, SETTINGS), tokenizer, spec.model, SETTINGS, spec.study.training.sampling, spec.data
    )
    third = pretraining_texts([1], 15, 0)[2][1]  # the second has no solution
    assert tokenizer.decode(examples[1].solution) == f"{third}<eos>"
    one, other = (solution_loss(model, examples, tokenizer.pad_token_id).item() for model in (before, after))
    assert other < 0.9 * one


@pytest.mark.slow
def test_the_first_loss_is_that_of_the_plain_cross_entropy(spec: StartSpec) -> None:
    """By the head that RL scores with, in several passes: the loss of pretraining, which makes all logits at once."""
    start.start(spec, ALONE)
    policy, tokenizer = load_policy(spec.model_dir), load_tokenizer(spec.model_dir)
    examples = make_examples(
        solved(spec.data, SETTINGS), tokenizer, spec.model, SETTINGS, spec.study.training.sampling, spec.data
    )
    first = next(batches(examples, SETTINGS))
    normaliser = SETTINGS.batch * sum(len(example.solution) for example in examples) / len(examples)
    expected = solution_loss(policy, first, tokenizer.pad_token_id).item() / normaliser
    assert files.read_jsonl(spec.out / "train.jsonl")[0]["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_killed_start_goes_on_and_ends_the_same(spec: StartSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    start.start(spec, ALONE)
    killed = dataclasses.replace(spec, out=spec.out.with_name("killed"))
    monkeypatch.setattr(start, "_EVERY", 3)
    save = checkpoint.save

    def last(folder: Path, progress: checkpoint.Progress, *args: object) -> None:
        save(folder, progress, *args)
        if progress.step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", last)
    with pytest.raises(KeyboardInterrupt):
        start.start(killed, ALONE)
    assert not (killed.out / "model.json").exists()
    monkeypatch.setattr(checkpoint, "save", save)
    trained: list[int] = []
    score = Scorer.forward
    monkeypatch.setattr(Scorer, "forward", lambda self, some, **named: trained.append(1) or score(self, some, **named))
    start.start(killed, ALONE)
    assert len(trained) < 3 * 4 + 3  # the three updates that were left, and the check at load
    one, other = (load_file(each.out / "model/model.safetensors") for each in (spec, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (spec.out / "train.jsonl").read_bytes() == (killed.out / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (dict(examples=15), "start.examples = 15: only 14 of 14 problems with a solution fit into"),
        (dict(learning_rate=1e30, warmup_steps=0), "the supervised start diverged at update"),
    ],
)
def test_a_start_that_cannot_be_is_refused(spec: StartSpec, changes: dict, match: str) -> None:
    wanted = dataclasses.replace(spec, study=asked(spec.study, SETTINGS.model_copy(update=changes)))
    with pytest.raises(UserError, match=match):
        start.start(wanted, ALONE)
    assert not (spec.out / "model.json").exists()


def test_a_data_set_without_solutions_is_refused(spec: StartSpec) -> None:
    files.write_parquet(spec.data, files.read_parquet(spec.data).drop(columns="solution"))
    with pytest.raises(UserError, match=r"start\.dataset = 'toy-train': none of its 15 problems has a solution"):
        start.start(spec, ALONE)


def test_the_text_that_is_learned_may_box_the_answer(tmp_path: Path) -> None:
    table = pd.DataFrame([{"problem_id": "1", "problem": "2 + 2?", "answer": "{4}", "solution": "2 + 2 = {answer}"}])
    files.write_parquet(tmp_path / "p.parquet", table)
    settings = SETTINGS.model_copy(update={"solution": "{solution}\nSo \\boxed{{answer}}."})
    assert solved(tmp_path / "p.parquet", settings)[0][1] == "2 + 2 = {answer}\nSo \\boxed{{4}}."


def test_everything_of_the_study_starts_from_it(spec: StartSpec) -> None:
    jobs = jobs_of(spec.study, "results")
    (own,) = [job for job in jobs if job.rule == "start"]
    made, released = own.outputs[0], f"results/models/{MODEL}/model.json"
    assert made == f"results/{spec.study.name}/start/model.json"
    assert str(own.inputs["model"]) == released
    users = [job.rule for job in jobs if made in {str(path) for path in _flat(job.inputs)}]
    assert {"train", "oracle", "generate"} <= set(users)
    assert [job.rule for job in jobs if released in {str(path) for path in _flat(job.inputs)}] == ["start"]
    assert spec.study.training_config("grpo")["start"]["examples"] == 12
    assert math.isclose(SETTINGS.steps, 9)


def _flat(inputs: dict) -> list:
    return [path for each in inputs.values() for path in (each if isinstance(each, list) else [each])]


def test_a_study_without_a_start_is_written_as_before(tiny: Path, tmp_path: Path) -> None:
    study = tiny_spec(tiny, "grpo", tmp_path).study
    assert "start" not in json.dumps(study.training_config("grpo"))
    assert "start" not in study.file.model_dump()
    assert not [job for job in jobs_of(study) if job.rule == "start"]
