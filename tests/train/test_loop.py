"""A whole run on a model of a few thousand parameters: records, resume, stop, refusal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tests.train.conftest import CoinPool, Trained
from tokencredit import files
from tokencredit.base import load_policy, load_tokenizer
from tokencredit.base.pretrain import new_tokenizer
from tokencredit.credit import QUADRANTS
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.prompts import encode_prompt
from tokencredit.train import checkpoint, loop
from tokencredit.train.heartbeat import Heartbeat
from tokencredit.train.lock import exclusive
from tokencredit.train.loop import Run, train
from tokencredit.train.run_spec import RunSpec
from tokencredit.train.update import Updater

RESULTS = ("metrics.jsonl", "rollouts.parquet", "evaluations.parquet", "probe.parquet")


def digests(out: Path) -> dict[str, str]:
    weights = {"weights": files.sha256(out / "model" / "model.safetensors")}
    return {name: files.sha256(out / name) for name in RESULTS} | weights


def refuse(*_: object) -> None:
    raise AssertionError("trained again")


def test_a_run_leaves_its_records_and_no_work_behind(spec: RunSpec) -> None:
    assert train(spec)
    run = files.read_json(spec.out / "run.json")
    assert (run["cell"], run["seed"], run["steps"], run["invalid"]) == ("eapo", 0, 5, None)
    assert run["files"] == {name: files.sha256(spec.out / name) for name in RESULTS}
    assert not (spec.out / "work").exists()

    lines = files.read_jsonl(spec.out / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    for line in lines:
        assert sum(line[f"tokens_{quadrant}"] for quadrant in QUADRANTS) == pytest.approx(1)
        assert sum(line[f"mass_{quadrant}"] for quadrant in QUADRANTS) == pytest.approx(1)
        assert line["kl_ref"] is None
        assert line["updates"] == 2

    rollouts = files.read_parquet(spec.out / "rollouts.parquet")
    assert sorted(rollouts["step"].unique()) == [1, 2, 4, 5]
    ratio = rollouts["advantage"] / rollouts["group_advantage"]
    assert ratio.between(0.9 - 1e-6, 1.1 + 1e-6).all()
    assert ratio.std() > 0
    evaluations = files.read_parquet(spec.out / "evaluations.parquet")
    assert evaluations.groupby("step").size().to_dict() == {0: 8, 2: 8, 4: 8, 5: 8}
    probe = files.read_parquet(spec.out / "probe.parquet")
    start = probe[probe["step"] == 0]
    assert (start["entropy"] - start["base_entropy"]).abs().max() < 1e-5
    assert (probe[probe["step"] == 5]["entropy"] - probe[probe["step"] == 5]["base_entropy"]).abs().max() > 1e-4


@pytest.mark.slow
# Before any checkpoint; an adapter; a history of entropies; a random choice at every update; restarts.
@pytest.mark.parametrize(
    ("name", "killed_in"),
    [("eapo", 4), ("eapo", 1), ("arca", 4), ("entroreg-adaptive", 4), ("clip-cov", 4), ("rrpo", 4)],
)
def test_a_killed_run_that_goes_on_equals_an_unkilled_one(
    name: str, killed_in: int, spec: RunSpec, trained: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = replace(spec, name=name)
    whole_step = Updater.step

    def dying(self: Updater, step: int, *arguments: object) -> object:
        if step == killed_in:
            raise KeyboardInterrupt
        return whole_step(self, step, *arguments)

    monkeypatch.setattr(Updater, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        train(killed)
    # Step 3 lies after the checkpoint of step 2; a kill may also cut a line short.
    (work,) = killed.out.glob("work/*")
    metrics = work / "metrics.jsonl"
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == list(range(1, killed_in))
    with metrics.open("a") as file:
        file.write('{"step": 4, "solve_ra')
    monkeypatch.setattr(Updater, "step", whole_step)
    assert train(killed)
    assert digests(killed.out) == digests(trained(name).spec.out)


@pytest.mark.slow
def test_an_adapter_is_checkpointed_alone_and_merged_at_the_end(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saved model is a plain one, with the base's names, and thinks what the policy thought at its last step."""
    arca = replace(spec, name="arca")
    kept: dict[str, set[str]] = {}
    whole_step = Run.step

    def watching(self: Run, step: int) -> object:
        for path in arca.out.glob("work/*/checkpoints/*/trained.safetensors"):
            kept[path.parent.name] = set(load_file(path))
        return whole_step(self, step)

    monkeypatch.setattr(Run, "step", watching)
    assert train(arca)
    assert set(kept) == {"step-000002", "step-000004"}
    assert all("lora" in name for names in kept.values() for name in names)

    model, base = load_policy(arca.out / "model"), load_policy(spec.model_dir)
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in base.named_parameters()}
    tokens = files.read_parquet(arca.out / "rollouts.parquet")
    probe = files.read_parquet(arca.out / "probe.parquet")
    last = probe[probe["step"] == 5]
    texts = tokens[tokens["step"] == 1].assign(response=lambda table: (table["position"] == 0).cumsum())
    prompts = {problem.problem_id: problem for problem in arca.problems()}
    tokenizer = load_tokenizer(spec.model_dir)
    sequences = [
        Sequence(
            encode_prompt(tokenizer, spec.model.prompt, prompts[text["problem_id"].iloc[0]]), tuple(text["token_id"])
        )
        for _, text in texts.groupby("response")
    ]
    assert len(last) == len(texts)
    entropy = Scorer(model).score(sequences, 10_000)[1]
    assert abs(last["entropy"].to_numpy() - entropy.numpy()).max() < 1e-4
    assert abs(Scorer(base).score(sequences, 10_000)[1] - entropy).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops_and_the_run_goes_on(
    spec: RunSpec, number: int, trained: Callable[[str], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_step = Updater.step

    def signalled(self: Updater, step: int, *arguments: object) -> object:
        if step == 3:
            os.kill(os.getpid(), number)
        return whole_step(self, step, *arguments)

    monkeypatch.setattr(Updater, "step", signalled)
    assert not train(spec)
    assert not (spec.out / "run.json").exists()
    assert sorted(path.name for path in spec.out.glob("work/*/checkpoints/*")) == ["step-000002", "step-000003"]
    monkeypatch.setattr(Updater, "step", whole_step)
    assert train(spec)
    assert digests(spec.out) == digests(trained("eapo").spec.out)


@pytest.mark.slow
def test_a_signal_in_the_last_step_leaves_only_publishing(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    last, whole_step = spec.study.training.steps, Updater.step

    def signalled(self: Updater, step: int, *arguments: object) -> object:
        if step == last:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole_step(self, step, *arguments)

    monkeypatch.setattr(Updater, "step", signalled)
    assert not train(spec)
    assert not (spec.out / "run.json").exists()
    monkeypatch.setattr(Updater, "step", refuse)
    assert train(spec)
    assert files.read_json(spec.out / "run.json")["steps"] == last


def test_a_signal_ends_a_run_that_waits_for_another(spec: RunSpec) -> None:
    with exclusive(spec.out):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert not train(spec)
    assert not (spec.out / "run.json").exists()


@pytest.mark.slow
def test_a_checkpoint_of_another_configuration_is_refused(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Updater, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(spec)
    (work,) = spec.out.glob("work/*")
    monkeypatch.undo()
    monkeypatch.setattr(loop, "GradingPool", CoinPool)
    other = replace(spec, seed=1)
    own = files.digest_of({**other.digests(), "seed": 1})[:12]
    (work / "checkpoints" / "step-000002").mkdir(parents=True)
    files.write_json(work / "checkpoints/step-000002/state.json", {"step": 2, "drawn": 8, "run_digest": "f" * 64})
    shutil.move(work, work.parent / own)
    before = files.sha256(work.parent / own / "checkpoints")
    with pytest.raises(UserError, match="belongs to another configuration, seed or code"):
        train(other)
    assert files.sha256(work.parent / own / "checkpoints") == before


@pytest.mark.slow
def test_a_run_says_in_which_phase_it_is(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, str]] = []
    whole_phase = Heartbeat.phase

    def listening(self: Heartbeat, step: int, name: str) -> None:
        whole_phase(self, step, name)
        written = json.loads(self.path.read_text())
        assert self.minutes == spec.study.training.watchdog_minutes
        assert (written["rank"], written["pid"]) == (0, os.getpid())
        told.append((written["step"], written["phase"]))

    monkeypatch.setattr(Heartbeat, "phase", listening)
    assert train(spec)
    assert told[:2] == [(0, "start"), (0, "resume")]
    assert [name for step, name in told if step == 1] == ["sample", "score", "update"]
    assert [name for step, name in told if step == 2] == ["sample", "score", "update", "evaluate", "save"]


@pytest.mark.slow
def test_another_seed_is_another_run_and_the_same_seed_the_same(
    spec: RunSpec, trained: Callable[[str], Trained]
) -> None:
    before = digests(trained("eapo").spec.out)
    for name, seed in (("again", 0), ("other", 1)):
        train(replace(spec, out=spec.out.parent / name, seed=seed))
    assert digests(spec.out.parent / "again") == before
    assert digests(spec.out.parent / "other")["metrics.jsonl"] != before["metrics.jsonl"]


@pytest.mark.slow
def test_grpo_with_kl_records_the_divergence_from_the_reference(trained: Callable[[str], Trained]) -> None:
    lines = files.read_jsonl(trained("grpo").spec.out / "metrics.jsonl")
    assert lines[-1]["kl_ref"] > lines[0]["kl_ref"] >= 0


@pytest.mark.slow
def test_rollout_tokens_carry_their_own_text_and_entropy(trained: Callable[[str], Trained]) -> None:
    """The stored tokens of a response, joined, are the response; positions count from 0."""
    spec = trained("eapo").spec
    rollouts = files.read_parquet(spec.out / "rollouts.parquet")
    tokenizer = new_tokenizer(spec.study.config.models["embedded-smoke"])
    for _, response in rollouts.groupby(["step", "problem_id", "sample"]):
        assert response["position"].tolist() == list(range(len(response)))
        assert tokenizer.convert_ids_to_tokens(response["token_id"].tolist()) == response["token"].tolist()
    assert pd.api.types.is_float_dtype(rollouts["entropy"])


@pytest.mark.slow
def test_a_run_without_a_single_mixed_group_says_so(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that solves nothing gives dynamic sampling no group: an error names it, no empty result is published."""
    wrong = type("Grade", (), {"outcome": "wrong"})
    monkeypatch.setattr(CoinPool, "grade_many", lambda _, pairs: [wrong for _ in pairs])
    with pytest.raises(UserError, match="nothing was trained"):
        train(spec)
    assert not (spec.out / "run.json").exists()


@pytest.mark.slow
def test_a_lost_line_of_a_step_before_the_checkpoint_is_an_error(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine that dies may leave it, which has not written everything to its disk."""
    whole_step = Run.step

    def dying(self: Run, step: int) -> object:
        if step == 4:
            raise KeyboardInterrupt
        return whole_step(self, step)

    monkeypatch.setattr(Run, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        train(spec)
    (metrics,) = spec.out.glob("work/*/metrics.jsonl")
    metrics.write_text(metrics.read_text().partition("\n")[2])
    monkeypatch.setattr(Run, "step", whole_step)
    with pytest.raises(UserError, match=r"metrics.jsonl: 1 of the 2 steps before the checkpoint have a line"):
        train(spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("Error while serializing: 28")]
)
def test_a_checkpoint_that_cannot_be_written_is_a_sentence(
    error: Exception, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        if list(spec.out.glob("work/*/checkpoints/step-000002")):
            raise error
        save_file(*_)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(
        UserError, match=r"step-000004: the checkpoint cannot be written: .*; earlier ones are untouched"
    ):
        train(spec)
    assert [path.name for path in spec.out.glob("work/*/checkpoints/*")] == ["step-000002"]
