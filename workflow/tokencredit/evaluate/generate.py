"""Responses of one model to one benchmark: prompts, seeds, sampling, and the table that grading reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tokencredit import files, provenance
from tokencredit.config import Row, Sampling, Study
from tokencredit.errors import UserError
from tokencredit.evaluate.contract import COLUMNS, read_problems
from tokencredit.prompts import encode_prompts
from tokencredit.records import Problem, Request, Response
from tokencredit.seeds import derive_seed
from tokencredit.study import code

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from tokencredit.engines import Engine

# Of a GPU that nothing else works on; and tokens of a pass that scores a few short sequences.
_MEMORY_SHARE, _BUDGET = 0.9, 4096


def evaluation_dtype(study: Study) -> torch.dtype:
    """Models are evaluated in the precision of the training's passes."""
    import torch

    return torch.bfloat16 if study.training.mixed_precision == "bf16" else torch.float32


def evaluation_engine(
    study: Study, policy: PreTrainedModel, tokenizer: Any, template: str, problems: Sequence[Problem]
) -> Engine:
    """The study's engine around ``policy``; one with weights of its own has to give the policy's log-probs first, or is a ``UserError``."""
    from tokencredit.engines import load_engine

    evaluation, sampling = study.evaluation, study.evaluation.sampling
    if evaluation.engine == "transformers":
        return load_engine("transformers", policy, tokenizer)

    from tokencredit.engines.canary import BOUNDS, watch
    from tokencredit.engines.lengths import boundaries, positions, text_config
    from tokencredit.policy import Scorer

    longest = min(sampling.longest, positions(policy))
    engine = load_engine(
        evaluation.engine,
        policy,
        tokenizer,
        longest=longest,
        temperature=sampling.temperature,
        dtype=policy.dtype,
        memory_share=_MEMORY_SHARE,
    )
    scorer = Scorer(policy, sampling.temperature)
    watch(
        engine,
        lambda sequences: scorer.score(sequences, _BUDGET)[0],
        encode_prompts(tokenizer, template, problems, sampling.max_prompt_tokens),
        vocabulary=text_config(policy).vocab_size,
        sampling=sampling,
        longest=longest,
        crossings=boundaries(policy, longest),
        bound=BOUNDS[study.training.mixed_precision],
    )
    return engine


def generate_responses(
    engine: Engine,
    tokenizer: Any,
    template: str,
    problems: Sequence[Problem],
    samples: int,
    sampling: Sampling,
    seed: int,
    benchmark: str,
    positions: int,
    progress: bool = False,
) -> pd.DataFrame:
    """``samples`` responses to every problem, one row each (columns ``COLUMNS``), in the problems' order.

    The seed of a response derives from (seed, benchmark, problem, sample) only, so that all models of a study meet the same sampling
    noise: comparisons between them are paired. A prompt that leaves no room for the longest response in the model's ``positions`` has
    shorter ones. ``progress`` shows a bar.
    """
    prompts = encode_prompts(tokenizer, template, problems, sampling.max_prompt_tokens)
    keys = [(problem.problem_id, sample) for problem in problems for sample in range(samples)]
    seeds = [derive_seed(seed, "evaluation", benchmark, problem_id, sample) for problem_id, sample in keys]
    requests = [Request(prompts[index // samples], sampling_seed) for index, sampling_seed in enumerate(seeds)]
    limits = [min(sampling.max_response_tokens, positions - len(request.prompt_tokens)) for request in requests]
    if min(limits) < 1:
        raise UserError(
            f"{benchmark}: a prompt has {max(map(len, prompts))} tokens; the model has {positions} positions."
        )
    responses: dict[int, Response] = {}
    for limit in sorted(set(limits), reverse=True):
        places = [place for place, own in enumerate(limits) if own == limit]
        sampled = engine.sample(
            [requests[place] for place in places],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=limit,
            progress=progress,
        )
        responses |= zip(places, sampled, strict=True)
    rows = [
        (problem_id, sample, response.text, len(response.token_ids), response.finish_reason, sampling_seed)
        for (problem_id, sample), sampling_seed, (_, response) in zip(
            keys, seeds, sorted(responses.items()), strict=True
        )
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def generate_row(
    study: Study, row: Row, benchmark: str, model_dir: Path, problems: Path, progress: bool = False
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The responses of the model of a row, in ``model_dir``, to a benchmark of its study, and where they came from."""
    import torch

    from tokencredit.base.checked import load_checked
    from tokencredit.engines.lengths import positions

    chosen = read_problems(problems, study, benchmark)
    model = study.config.models[row.model]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    samples_itself = study.evaluation.engine == "transformers"
    policy, tokenizer = load_checked(
        model_dir,
        model,
        chosen,
        longest=study.evaluation.sampling.longest,
        dtype=evaluation_dtype(study),
        device=device if samples_itself else "cpu",  # an engine with weights of its own has the device for itself
        sampled=samples_itself,
    )
    table = generate_responses(
        evaluation_engine(study, policy, tokenizer, model.prompt, chosen),
        tokenizer,
        model.prompt,
        chosen,
        study.benchmarks[benchmark].samples,
        study.evaluation.sampling,
        study.evaluation.seed,
        benchmark,
        positions(policy),
        progress,
    )
    return table, generation_metadata(study, row, benchmark, model_dir, problems, device)


def generation_metadata(
    study: Study, row: Row, benchmark: str, model_dir: Path, problems: Path, device: str
) -> dict[str, Any]:
    """Where a table of generations came from: settings, and digests of everything that decided it."""
    model = study.config.models[row.model]
    return {
        "study": study.name,
        "row": row.name,
        "seed": row.seed,
        "benchmark": benchmark,
        "samples": study.benchmarks[benchmark].samples,
        "sampling": study.evaluation.sampling.model_dump(mode="json"),
        "evaluation_seed": study.evaluation.seed,
        "engine": study.evaluation.engine,
        "dtype": str(evaluation_dtype(study)).removeprefix("torch."),
        "prompt_sha256": files.digest_of(model.prompt),
        "model": row.model,
        "model_sha256": files.sha256(model_dir),
        "data_sha256": files.sha256(problems),
        "config_digest": files.digest_of(study.evaluation_config(row, benchmark)),
        "code_digest": code.generation(study.evaluation.engine),
        "environment": provenance.environment(device),
    }
