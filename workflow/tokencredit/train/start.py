"""``python -m tokencredit.train.start``: a study's supervised start, from its base model to a model that knows the form of an answer."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tokencredit import cli, files, progress
from tokencredit.base import load_manifest
from tokencredit.base.checked import load_checked
from tokencredit.base.store import MANIFEST
from tokencredit.base.supervised import Example, new_optimizer, updates
from tokencredit.config import Model, Study, load_study
from tokencredit.config.study_keys import Sampling, Start
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, micro_batches
from tokencredit.policy.packing import layout_of
from tokencredit.prompts import encode_answer, encode_prompt, end_of_solution
from tokencredit.provenance import environment
from tokencredit.records import Problem, problems_from
from tokencredit.study import code
from tokencredit.train import checkpoint
from tokencredit.train.checkpoint import Progress
from tokencredit.train.lock import exclusive
from tokencredit.train.processes import Processes, joined
from tokencredit.train.sharding import ready

MODEL, LOG = "model", "train.jsonl"
_EVERY = 25  # updates between checkpoints
_RECENT = 20  # updates, the last ones, whose mean loss is told

app = cli.new_app("Train a study's model on solutions before RL; a killed start goes on from its last checkpoint.")


@app.command()
def main(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    model: Annotated[Path, typer.Option(help="Folder of the base model, with model.json.")],
    data: Annotated[Path, typer.Option(help="problems.parquet of the data set with solutions.")],
    out: Annotated[Path, typer.Option(help="The folder to make, e.g. results/STUDY/start.")],
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
) -> None:
    """Write the folder OUT; its model.json comes last, so that a folder with a manifest is whole."""
    spec = StartSpec(load_study(config, study), model, data, out)
    with joined(spec.study.training) as processes, exclusive(out):
        start(spec, processes)
    cli.made([out / MANIFEST])


@dataclass(frozen=True)
class StartSpec:
    """A supervised start: the study that asks for it, and the files that it reads and writes."""

    study: Study
    model_dir: Path
    data: Path
    out: Path

    @property
    def settings(self) -> Start:
        if self.study.start is None:
            raise UserError(f"{self.study.name}: start: this key is missing; the study has no supervised start.")
        return self.study.start

    @property
    def model(self) -> Model:
        return self.study.config.models[self.study.model_name]

    def digests(self) -> dict[str, str]:
        """Digests of everything that decides the result."""
        return {
            "config": files.digest_of(self.study.start_config()),
            "model": load_manifest(self.model_dir)["sha256"],
            "data": files.sha256(self.data),
            "code": code.starting(),
        }


def start(spec: StartSpec, processes: Processes) -> None:
    """Train the model of ``spec`` on solutions, from a checkpoint if there is one, and write its folder.

    The loss is the cross-entropy of the solutions' tokens, in passes of ``micro_batch_tokens`` in the study's precision, by the head that
    RL scores with: no array of [tokens, vocabulary] is made.
    """
    settings, training, started = spec.settings, spec.study.training, time.monotonic()
    (spec.out / MANIFEST).unlink(missing_ok=True)
    learned = solved(spec.data, settings)
    policy, tokenizer = load_checked(
        spec.model_dir,
        spec.model,
        [problem for problem, _ in learned],
        longest=training.sampling.longest,
        device=processes.device,
        sampled=False,
    )
    examples = make_examples(learned, tokenizer, spec.model, settings, training.sampling, spec.data)
    scorer = ready(Scorer(policy), training, processes)

    def losses(batch: list[Example]) -> Iterator[Tensor]:
        sequences = [Sequence(tuple(example.prompt), tuple(example.solution)) for example in batch]
        for part in micro_batches(sequences, training.micro_batch_tokens, layout_of(policy)):
            yield -scorer([sequences[index] for index in part])[0].sum()

    digests = spec.digests()
    digest = files.digest_of(digests)
    work = spec.out / "work" / digest[:12]
    optimizer = new_optimizer(policy, settings)
    stored = checkpoint.restore(work, digest, policy, optimizer, processes.device)
    done = stored.step if stored else 0
    records = files.read_jsonl(work / LOG)[:done] if done else []
    work.mkdir(parents=True, exist_ok=True)
    with (
        (work / LOG).open("w", encoding="utf-8") as log,
        progress.bar(f"{spec.study.name}/start", settings.steps, done=done) as bar,
    ):
        log.writelines(json.dumps(record) + "\n" for record in records)
        for record in updates(policy, optimizer, examples, settings, losses, done):
            if not math.isfinite(record["loss"]) or not math.isfinite(record["grad_norm"]):
                raise UserError(
                    f"{spec.study.name}: the supervised start diverged at update {record['step']}; lower start.learning_rate."
                )
            records.append(record)
            log.write(json.dumps(record) + "\n")
            progress.show_loss(bar, record["loss"])
            if record["step"] % _EVERY == 0 and record["step"] < settings.steps:
                log.flush()
                checkpoint.save(work, Progress(record["step"], 0), digest, policy, optimizer)
    _publish(spec, policy, tokenizer, work / LOG)
    recent = [record["loss"] for record in records[-_RECENT:]]
    files.write_json(
        spec.out / MANIFEST,
        {
            "model": spec.study.model_name,
            "kind": "started",
            "path": MODEL,
            "revision": None,
            "sha256": files.sha256(spec.out / MODEL),
            "base": load_manifest(spec.model_dir),
            "config": spec.study.start_config(),
            "digests": digests,
            "config_digest": digests["config"],
            "code_digest": digests["code"],
            "environment": environment(str(processes.device)),
            "parameters": sum(parameter.numel() for parameter in policy.parameters()),
            "examples": len(examples),
            "loss": sum(recent) / len(recent),
            "tokens": records[-1]["tokens"],
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    shutil.rmtree(spec.out / "work")


def solved(data: Path, settings: Start) -> list[tuple[Problem, str]]:
    """The problems of ``data`` that have a solution, in their order, each with the text to be learned after its prompt."""
    table = files.read_parquet(data)
    texts = table["solution"] if "solution" in table else [None] * len(table)
    pairs = [
        (problem, settings.solution.replace("{answer}", problem.answer).replace("{solution}", text))
        for problem, text in zip(problems_from(table), texts, strict=True)
        if isinstance(text, str) and text.strip()
    ]
    if not pairs:
        raise UserError(
            f"{data}: start.dataset = {settings.dataset!r}: none of its {len(table)} problems has a solution."
        )
    return pairs


def make_examples(
    learned: list[tuple[Problem, str]],
    tokenizer: PreTrainedTokenizerBase,
    model: Model,
    settings: Start,
    sampling: Sampling,
    data: Path,
) -> list[Example]:
    """The first ``settings.examples`` of ``learned`` that fit into ``sampling``, as tokens: the prompt that RL gives, the text, the end."""
    end = end_of_solution(tokenizer, model.prompt, f"{data}: the tokenizer of {settings.dataset!r}'s model")
    examples = []
    for problem, text in learned:
        prompt = encode_prompt(tokenizer, model.prompt, problem)
        solution = [*encode_answer(tokenizer, text), end]
        if len(prompt) <= sampling.max_prompt_tokens and len(solution) <= sampling.max_response_tokens:
            examples.append(Example(list(prompt), solution))
        if len(examples) == settings.examples:
            return examples
    raise UserError(
        f"{data}: start.examples = {settings.examples}: only {len(examples)} of {len(learned)} problems with a solution fit into "
        f"{sampling.max_prompt_tokens} tokens of prompt and {sampling.max_response_tokens} of response."
    )


def _publish(spec: StartSpec, policy: Any, tokenizer: PreTrainedTokenizerBase, log: Path) -> None:
    shutil.rmtree(spec.out / MODEL, ignore_errors=True)
    policy.eval().save_pretrained(spec.out / MODEL)
    tokenizer.save_pretrained(spec.out / MODEL)
    shutil.copyfile(log, spec.out / LOG)


if __name__ == "__main__":
    cli.run(app)
