"""The measurement of one policy, from stored responses to the tables that the analysis reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from tokencredit import files
from tokencredit.base.checked import load_checked
from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.evaluate.generate import evaluation_dtype
from tokencredit.grading import GradingPool
from tokencredit.oracle.measure import Oracle, Settings, check_sampled_by
from tokencredit.oracle.responses import stored_responses
from tokencredit.policy import Scorer
from tokencredit.prompts import encode_prompt
from tokencredit.provenance import environment
from tokencredit.records import problems_from
from tokencredit.study import code
from tokencredit.study import settings as decided
from tokencredit.study.paths import MeasurementFolder, RunFolder

_BUDGET = 4096  # tokens of a pass that scores a few short sequences


def measure_policy(
    study: Study, row: Row, model_dir: Path, runs: list[Path], data: list[Path], out: Path, progress: bool = False
) -> list[Path]:
    """Measure the policy of ``row``, in ``model_dir``, at the responses that ``runs`` stored; the tables made in ``out``.

    Of the base model the states are those of the first step, whose responses it sampled itself; of a trained method those of its last.
    """
    training, sampling = study.training, study.training.sampling
    template = study.config.models[study.model_name].prompt
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problems = [problem for path in data for problem in problems_from(files.read_parquet(path))]
    model, tokenizer = load_checked(
        model_dir,
        study.config.models[study.model_name],
        problems,
        longest=sampling.longest,
        dtype=evaluation_dtype(study),
        device=device,
        sampled=training.engine == "transformers",
    )
    step = 1 if row.name == BASE else training.steps
    responses = stored_responses(runs, step, problems, lambda problem: encode_prompt(tokenizer, template, problem))
    metadata = {
        "study": study.name,
        "policy": row.name,
        "seed": row.seed,
        "step": step,
        "states": "the base model's own responses"
        if row.name == BASE
        else "responses sampled one step's updates before",
        **decided.measurement(study),
        "dtype": str(evaluation_dtype(study)).removeprefix("torch."),
        "model_sha256": files.sha256(model_dir),
        "data_sha256": {str(path.parent.name): files.sha256(path) for path in data},
        "rollouts_sha256": {folder.parent.name: files.sha256(RunFolder(folder).rollouts) for folder in runs},
        "code_digest": code.oracle(training.engine),
        "environment": environment(device),
    }
    work = out / "work" / files.digest_of(metadata)[:12]
    settings = Settings(
        **study.oracle.model_dump(exclude={"policies"}),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_response_tokens,
    )
    scorer = Scorer(model, sampling.temperature)
    engine = PolicyEngine(
        training,
        model,
        tokenizer,
        lambda sequences: scorer.score(sequences, _BUDGET)[0],
        [each.prompt for each in responses],
    )
    try:
        with GradingPool(grader=study.grader) as pool:
            measuring = Oracle(model, engine.engine, pool, tokenizer, settings)
            states, tokens = measuring.states(responses)
            if row.name == BASE:
                check_sampled_by(states, responses, training.mixed_precision, model_dir)
            print(measuring.cost(states, tokens), flush=True)
            branches = measuring.branches(responses, tokens, work, progress)
    finally:
        engine.close()
    made = list(MeasurementFolder(out).tables)
    for path, table in zip(made, (states, branches), strict=True):
        files.write_parquet(path, table, metadata)
    shutil.rmtree(out / "work")
    return made
