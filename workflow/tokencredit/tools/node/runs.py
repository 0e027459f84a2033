"""Checks that take processes of their own: weights in pieces, an engine with weights of its own, a run that is killed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from tokencredit import files
from tokencredit.base.pretrain import new_tokenizer, pretrained
from tokencredit.config import EmbeddedModel, load_study
from tokencredit.data.embedded import generate_problems
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.errors import UserError
from tokencredit.policy import Sequence
from tokencredit.records import Request, Rollout
from tokencredit.seeds import derive_seed
from tokencredit.tools.node.case import BASE, STUDY, apart, computed, new_case
from tokencredit.tools.node.commands import Running, start
from tokencredit.tools.node.node import LeftOutError, Node, demand
from tokencredit.tools.node.numbers import within
from tokencredit.train.mismatch import mismatch, sampler_logprobs
from tokencredit.train.sharding import trained_scorer

_BASE_STEPS = 200  # of pretraining: enough for some right responses
_PUSHED = 1.05  # times the weights before, after a push


def sharding(node: Node) -> str:
    """An update of weights sharded over all GPUs (FSDP2 through NCCL) against that of one; without GPUs over two processes (gloo)."""
    gpus = torch.cuda.device_count() if node.on_gpu else 0
    if gpus == 1:
        raise LeftOutError("one GPU is visible, and FSDP2 through NCCL takes two")
    count, out = gpus or 2, node.scratch / "sharded.pt"
    _end(_start("tokencredit.tools.node.sharded", node.config, out, count, log=out.with_suffix(".log")))
    case, told = new_case(node.config), []
    for precision, found in torch.load(out, weights_only=False).items():
        error = apart(found, computed(case, node.alone, precision))
        within(f"an update in {count} processes", error, precision)
        told.append(f"{error.gradient:.1g}")
    through = "NCCL" if gpus else "gloo; NCCL takes GPUs"
    return f"gradients of {count} processes and of one, {' and '.join(told)} of their length apart in float64 and bf16 ({through})"


def vllm(node: Node) -> str:
    """vLLM as a run has it: start, canary, sleep, a push, which wakes it, the canary again, samples."""
    if find_spec("vllm") is None:
        raise LeftOutError("vLLM is not installed here")
    return mirror(node, "vllm")


def mirror(node: Node, engine: str) -> str:
    """The same of any ``engine`` that has weights of its own."""
    case = new_case(node.config)
    precision = "bf16" if node.on_gpu else "no"
    training = case.training.model_copy(update={"engine": engine, "engine_memory": 0.1, "mixed_precision": precision})
    study = load_study(node.config, STUDY)
    policy = case.model.float().to(node.device)
    scorer = trained_scorer(policy, training, node.alone)
    prompts = list(dict.fromkeys(sequence.prompt for sequence in case.sequences))

    def score(sequences: list[Sequence]) -> Tensor:
        return scorer.score(sequences, training.micro_batch_tokens)[0]

    sampling = PolicyEngine(
        training, policy, new_tokenizer(_base(study.config.models[study.model_name])), score, prompts
    )
    try:
        awake = _free(node)
        sampling.rest()
        freed = _free(node) - awake
        if node.on_gpu and freed <= 0:
            raise UserError(f"{engine} asleep holds no less of the GPU's memory than awake.")
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.mul_(_PUSHED)
        canary = sampling.follow("after a push")["canary_mean"]
        requests = [Request(prompt, derive_seed("node check", place)) for place, prompt in enumerate(prompts)]
        responses = sampling.engine.sample(
            requests,
            temperature=training.sampling.temperature,
            top_p=training.sampling.top_p,
            max_tokens=training.sampling.max_response_tokens,
        )
    finally:
        sampling.close()
    rollouts = [
        Rollout("", place, request.prompt_tokens, response, "wrong", -1.0)
        for place, (request, response) in enumerate(zip(requests, responses, strict=True))
    ]
    drawn = [Sequence(rollout.prompt_tokens, rollout.response.token_ids) for rollout in rollouts]
    kl = mismatch(sampler_logprobs(rollouts), score(drawn))["mismatch_kl"]
    demand(f"{engine}'s samples", {"KL(sampler, trainer)": (kl, training.mismatch_kl)})
    memory = f"{freed / 2**20:,.0f} MiB freed asleep" if node.on_gpu else "no memory to free on a CPU"
    return f"{memory}; {canary:.1g} nats from the trainer after a push; KL of samples {kl:.1g} nats a token"


def resume(node: Node) -> str:
    """A run that is killed after its first checkpoint and started again, against the same undisturbed: every byte of its results."""
    made = _inputs(node)
    whole = _results(made, node.scratch / "undisturbed")
    killed = node.scratch / "killed"
    running = made.run(killed)
    while not any(killed.glob("work/*/checkpoints/step-*/state.json")):
        if running.process.poll() is not None:
            _end(running)
            raise UserError("a run left no checkpoint.")
        time.sleep(0.01)
    running.process.kill()
    running.process.wait()
    if (killed / "run.json").exists():
        raise LeftOutError("the run was finished before it could be killed")
    different = _different(_results(made, killed), whole)
    if different and (unsteady := _different(_results(made, node.scratch / "again"), whole)):
        raise LeftOutError(f"here two undisturbed runs differ too, in {', '.join(unsteady)}")
    if different:
        raise UserError(
            f"a run that was killed and started again differs from the same undisturbed: {', '.join(different)}."
        )
    return f"{len(whole)} files equal byte for byte"


@dataclass(frozen=True)
class _Inputs:
    """What a run reads."""

    config: Path
    model: Path
    data: Path
    curve: Path

    def run(self, out: Path) -> Running:
        named = {
            "config": self.config,
            "study": STUDY,
            "method": BASE,
            "seed": 0,
            "model": self.model,
            "data": self.data,
        }
        named |= {"curve-data": self.curve, "out": out}
        options = (part for name, value in named.items() for part in (f"--{name}", value))
        return _start("tokencredit.train", *options, log=out.with_suffix(".log"))


def _inputs(node: Node) -> _Inputs:
    """A small model that solves a few problems, and the problems."""
    study = load_study(node.config, STUDY)
    settings = _base(study.config.models[study.model_name])
    few = {"steps": _BASE_STEPS, "problems": _BASE_STEPS * settings.pretraining.batch}
    model = node.scratch / "model"
    model.mkdir(parents=True)
    pretrained(settings.model_copy(update={"pretraining": settings.pretraining.model_copy(update=few)}), model)
    digest = files.sha256(model / "model.safetensors")
    files.write_json(
        model / "model.json", {"model": study.model_name, "kind": "embedded", "path": ".", "sha256": digest}
    )
    tables = {split: node.scratch / split / "problems.parquet" for split in ("train", "test")}
    for split, path in tables.items():
        files.write_parquet(path, generate_problems([1], 64, 1, split, settings.task))
    return _Inputs(node.config, model, tables["train"], tables["test"])


def _base(model: object) -> EmbeddedModel:
    assert isinstance(model, EmbeddedModel)
    return model


def _results(made: _Inputs, out: Path) -> dict[str, str]:
    """The digests of what a run leaves but for its seconds."""
    _end(made.run(out))
    run = files.read_json(out / "run.json")
    return {**run["files"], "model": run["model_sha256"]}


def _different(some: dict[str, str], others: dict[str, str]) -> list[str]:
    return sorted(name for name in some.keys() | others.keys() if some.get(name) != others.get(name))


def _free(node: Node) -> int:
    """Bytes of the GPU that nobody holds."""
    if not node.on_gpu:
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(node.device)[0]


def _start(module: str, *arguments: object, log: Path) -> Running:
    return start([sys.executable, "-m", module, *map(str, arguments)], log)


def _end(running: Running) -> None:
    """Wait for the end; ``UserError`` where it is not a good one."""
    if trouble := running.trouble():
        raise UserError(f"{running.process.args[2]} {trouble}")
