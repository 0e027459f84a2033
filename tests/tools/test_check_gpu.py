"""``tokencredit check-gpu``: each check passes here, and fails when what it checks is broken; what it wrote is read by the plan."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.engines import policy_engine
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.policy.packing import Packed, SharedPrompts
from tokencredit.records import Request, Response
from tokencredit.tools.node import case, numbers, report, runs, speed
from tokencredit.tools.node.checks import CHECKS, check
from tokencredit.tools.node.commands import run
from tokencredit.tools.node.node import LeftOutError, Node

ROOT = Path(__file__).parents[2]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
UPDATES = ("update in float64", "update in float32", "update in bf16")

pytestmark = pytest.mark.slow


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(Path("config"), tmp_path, DEVICE)


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started processes import what this one does, and take one core each."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


# ---------------------------------------------------------------- one process


@pytest.mark.parametrize("name", ["head", "packing", *UPDATES])
def test_a_check_passes(name: str, node: Node) -> None:
    assert check(name, node)["outcome"] == "passed"


def test_the_case_has_clipped_and_unclipped_tokens_and_several_passes() -> None:
    made = case.new_case(Path("config"))
    ratio = (case.exact(made).logprob - made.signals.old_logprob).exp()
    gains = ratio * made.signals.token_advantage > ratio.clamp(0.8, 1.28) * made.signals.token_advantage
    assert 0.1 < float(gains.double().mean()) < 0.4
    assert float((ratio == 1).double().mean()) > 0.1
    assert sum(map(len, made.sequences)) > made.training.micro_batch_tokens


def hot(*given: Any) -> Scorer:
    scorer = REAL_SCORER(*given)
    scorer.temperature = 1.01
    return scorer


def steep(*given: Any) -> Scorer:
    """A hundredth too much of one gradient."""
    scorer = REAL_SCORER(*given)
    scorer.model.get_input_embeddings().weight.register_hook(lambda gradient: 1.01 * gradient)
    return scorer


REAL_SCORER, REAL_STATS = case.trained_scorer, numbers.token_stats


@pytest.mark.parametrize("name", ["update in float64", "update in float32"])
@pytest.mark.parametrize(("mistake", "sentence"), [(hot, "logprob off by"), (steep, "gradient off by")])
def test_a_wrong_update_is_found(
    mistake: Callable[..., Scorer], sentence: str, name: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "trained_scorer", mistake)
    found = check(name, node)
    assert found["outcome"] == "failed"
    assert sentence in found["told"]


def test_an_update_in_bf16_that_is_far_off_is_found(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def steeper(*given: Any) -> Scorer:
        scorer = REAL_SCORER(*given)
        scorer.model.get_input_embeddings().weight.register_hook(lambda gradient: 1.5 * gradient)
        return scorer

    monkeypatch.setattr(case, "trained_scorer", steeper)
    assert check("update in bf16", node)["outcome"] == "failed"


def test_a_wrong_head_is_found(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        numbers, "token_stats", lambda states, weight, target: REAL_STATS(states, weight, target, 1.001)
    )
    assert "the head in float32: log-probs or entropies off by" in check("head", node)["told"]
    monkeypatch.setattr(
        numbers, "token_stats", lambda states, weight, target: REAL_STATS(states, weight.detach() + 0 * weight, target)
    )
    assert "a gradient off by" in check("head", node)["told"]


class NoBorders(Packed):
    """A packed row whose tokens see the sequences before their own."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.inputs = {"input_ids": self.ids}


class NoBlocks(SharedPrompts):
    """Tokens that see all of the row."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.inputs.pop("shared")


@pytest.mark.parametrize(("layout", "wrong"), [("Packed", NoBorders), ("SharedPrompts", NoBlocks)])
def test_a_key_that_a_layout_dropped_is_found(
    layout: str, wrong: type, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, layout, wrong)
    found = check("packing", node)
    assert found["outcome"] == "failed"
    assert f"layout {wrong.__name__} off by" in found["told"]


def test_what_cannot_be_tried_says_why(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "find_spec", lambda _: None)
    assert check("vLLM", node) == {"outcome": "left out", "told": "vLLM is not installed here"}
    on_cpu = Node(node.config, node.scratch, torch.device("cpu"))
    assert check("flash-attn", on_cpu) == {"outcome": "left out", "told": "flash-attn needs a GPU"}


# ---------------------------------------------------------------- several processes


def test_a_sharded_update_is_that_of_one_process(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "of 2 processes and of one" in runs.sharding(node)
    made = torch.load(node.scratch / "sharded.pt", weights_only=False)
    for each in made.values():
        # As plain FSDP does.
        each.gradient.update({name: gradient / 2 for name, gradient in each.gradient.items()})
    torch.save(made, node.scratch / "sharded.pt")
    monkeypatch.setattr(runs, "_start", lambda *_, **__: None)
    monkeypatch.setattr(runs, "_end", lambda _: None)
    assert "an update in 2 processes: gradient off by 0.5" in check("sharding", node)["told"]


class Copy:
    """An engine with weights of its own, as vLLM is, computed by transformers."""

    name = "copy"

    def __init__(self, model: Any, tokenizer: Any, temperature: float, **_: object) -> None:
        self.model, self.temperature = copy.deepcopy(model), temperature
        self.inner = TransformersEngine(self.model, tokenizer)

    def sample(self, requests: list[Request], temperature: float, **settings: Any) -> list[Response]:
        return self.inner.sample(requests, temperature=temperature, **settings)

    def score(self, sequences: list[Sequence]) -> Tensor:
        return Scorer(self.model, self.temperature).score(sequences, 4096)[0]

    def push_weights(self, weights: Any) -> None:
        for name, weight in weights:
            self.model.get_parameter(name).data.copy_(weight)

    def sleep(self) -> None:
        pass

    def close(self) -> None:
        pass


class Hot(Copy):
    def __init__(self, model: Any, tokenizer: Any, temperature: float, **_: object) -> None:
        super().__init__(model, tokenizer, 1.2 * temperature)


class Forgetful(Copy):
    def push_weights(self, weights: Any) -> None:
        super().push_weights((name, weight) for name, weight in weights if "embed" not in name)


class HotSamples(Copy):
    def sample(self, requests: list[Request], temperature: float, **settings: Any) -> list[Response]:
        return super().sample(requests, temperature=1.5 * temperature, **settings)


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (Copy, None),
        (Hot, "at the start: the engine's log-probs of"),
        (Forgetful, "after a push: the engine's log-probs of"),
        (HotSamples, "KL(sampler, trainer) off by"),
    ],
)
def test_an_engine_that_is_no_copy_of_the_policy_is_found(
    engine: type[Copy], sentence: str | None, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_engine, "load_engine", lambda _, *given, **options: engine(*given, **options))
    on_cpu = Node(node.config, node.scratch, torch.device("cpu"))
    if sentence is None:
        assert "nats from the trainer after a push" in runs.mirror(on_cpu, "copy")
        return
    with pytest.raises(UserError) as caught:
        runs.mirror(on_cpu, "copy")
    assert sentence in str(caught.value)


def test_a_run_that_is_killed_is_resumed_to_the_byte(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not where the weights of its checkpoint moved while it was down: in a copy, as ``runs.resume`` leaves it."""
    results, found = runs._results, {}

    def also_damaged(made: Any, out: Path) -> dict[str, str]:
        if out.name == "killed":
            damaged = Path(shutil.copytree(out, out.with_name("damaged")))
            for path in damaged.glob("work/*/checkpoints/*/trained.safetensors"):
                save_file({name: weight + 1e-3 for name, weight in load_file(path).items()}, path)
            found["damaged"] = results(made, damaged)
        found[out.name] = results(made, out)
        return found[out.name]

    monkeypatch.setattr(runs, "_results", also_damaged)
    assert "files equal byte for byte" in runs.resume(node)

    monkeypatch.setattr(runs, "_inputs", lambda _: SimpleNamespace(run=killed_at_once))
    monkeypatch.setattr(runs, "_results", lambda _, out: found["damaged" if out.name == "killed" else "undisturbed"])
    with pytest.raises(UserError, match=r"differs from the same undisturbed: .*metrics\.jsonl"):
        runs.resume(Node(node.config, node.scratch / "again", DEVICE))


def test_a_device_that_repeats_nothing_is_no_broken_resume(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = iter(range(3))
    monkeypatch.setattr(runs, "_inputs", lambda _: SimpleNamespace(run=killed_at_once))
    monkeypatch.setattr(runs, "_results", lambda made, out: {"metrics.jsonl": str(next(numbered))})
    with pytest.raises(LeftOutError, match=r"two undisturbed runs differ too, in metrics\.jsonl"):
        runs.resume(node)


def killed_at_once(out: Path) -> Any:
    files.write_json(out / "work/0/checkpoints/step-000001/state.json", {})
    return SimpleNamespace(process=SimpleNamespace(poll=lambda: None, kill=lambda: None, wait=lambda: -9))


# ---------------------------------------------------------------- the command


def test_a_check_that_crashes_or_hangs_is_a_sentence(tmp_path: Path) -> None:
    crash = [sys.executable, "-c", "raise RuntimeError('CUDA error: an illegal memory access')"]
    assert run(crash, tmp_path / "log", 60) == "ended with status 1: RuntimeError: CUDA error: an illegal memory access"
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)")
    parent = f"import os, subprocess; os.chdir({str(tmp_path)!r}); subprocess.run([{sys.executable!r}, 'sleeper.py'])"
    assert run([sys.executable, "-c", parent], tmp_path / "log", 5) == "did not end within 5 s and was killed"
    assert not alive(int((tmp_path / "pid").read_text()))


def alive(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process of this number still runs after so long at most; one that is dead and not yet buried does not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """The command with a few checks and benchmarks: its result, and what it wrote."""
    chosen = {name: CHECKS[name] for name in ("packing", "flash-attn")}
    monkeypatch.setattr(report, "CHECKS", chosen)
    monkeypatch.setattr(speed, "benchmarks", lambda _: CHEAP)

    def call(*options: str) -> tuple[Any, dict[str, Any]]:
        out = tmp_path / "node.json"
        done = CliRunner().invoke(app, ["check-gpu", "--out", str(out), *options])
        return done, files.read_json(out)

    return call


CHEAP = [
    speed.Benchmark(
        "step", "ours", "embedded-1m", "train_step.py", "--trainer ours --rows 16 --updates 1 --response 8 --repeats 1"
    ),
    speed.Benchmark("sampling", "none", "embedded-1m", "sampling.py", "", package="no_such_package"),
]


def test_what_was_found_is_printed_and_written(called: Callable[..., tuple[Any, dict[str, Any]]]) -> None:
    done, record = called()
    assert done.exit_code == 0, done.output
    assert [each["outcome"] for each in record["checks"]] == ["passed", "left out"]
    step, left_out, *others = record["speeds"]
    assert {each["left_out"] for each in others} == (set() if DEVICE.type == "cuda" else {"takes a GPU"})
    assert step["seconds"]["total"] > step["seconds"]["update"] > 0
    assert (step["responses"], step["architecture"]["layers"], step["layers_of_model"]) == (16, 4, 4)
    assert left_out["left_out"] == "the package no_such_package is not installed here"
    assert {"commit", "processor", "torch", "transformers", "node"} <= record["machine"].keys()
    assert {len(digest) for digest in record["digests"].values()} == {64}
    for told in ("packing", "passed", "flash-attn needs a GPU", "the package no_such_package is not installed here"):
        assert told in " ".join(done.output.split())


def test_a_failed_check_is_the_exit_status(
    called: Callable[..., tuple[Any, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "run", lambda *_: "ended with status -11: it said nothing")
    done, record = called("--without-speed")
    assert done.exit_code == 1
    assert "This node computes wrong numbers: packing, flash-attn." in " ".join(done.output.split())
    assert record["checks"][0] | {"seconds": 0} == {
        "name": "packing",
        "outcome": "failed",
        "told": "ended with status -11: it said nothing",
        "seconds": 0,
    }


def test_benchmarks_end_when_the_time_is_up(tmp_path: Path) -> None:
    begun: list[str] = []
    (found,) = speed.measured(CHEAP[:1], tmp_path, time.monotonic() + 1, begun.append)
    assert (found["left_out"], begun) == ("no time was left", [])


def test_every_benchmark_of_a_node_is_a_script_with_these_options() -> None:
    for on_gpu in (False, True):
        for each in speed.benchmarks(on_gpu):
            assert (speed.FOLDER / each.script).is_file()
            asked = [part for part in each.options.split() if part.startswith("--")]
            text = (speed.FOLDER / each.script).read_text(encoding="utf-8")
            assert all(f"    {option[2:].replace('-', '_')}: " in text for option in asked), each


# ---------------------------------------------------------------- a second device


@pytest.fixture(scope="module")
def on_far(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("far") / "found.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "workflow")])}
    subprocess.run([sys.executable, "-m", "tests.tools.checks_on_second_device", str(out)], check=True, env=environment)
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["head", "packing", *UPDATES])
def test_a_check_passes_on_a_device_that_is_not_the_cpu(name: str, on_far: dict[str, Any]) -> None:
    assert on_far["checks"][name]["outcome"] == "passed", on_far["checks"][name]


def test_a_tensor_left_on_the_cpu_fails_a_check(on_far: dict[str, Any]) -> None:
    assert len(on_far["plants"]) == 3
    for told in on_far["plants"].values():
        assert "some of its tensors are on far, and some on the CPU" in told
