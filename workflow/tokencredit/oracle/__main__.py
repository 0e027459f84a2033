"""Command line of the oracle: ``measure`` a policy at the states of stored responses."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli, files
from tokencredit.config import load_study
from tokencredit.config.claim_keys import BASE
from tokencredit.errors import UserError
from tokencredit.oracle import measured_rows, oracle_code, oracle_config, source_runs
from tokencredit.provenance import environment

app = cli.new_app("Measure the credit of tokens: try every plausible next token and continue from it.")

_BUDGET = 4096  # tokens of a pass that scores a few short sequences


@app.callback()
def oracle() -> None:
    """Measure the credit of tokens: try every plausible next token and continue from it."""


@app.command()
def measure(
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")],
    study: Annotated[str, typer.Option(help="Name of the study.")],
    policy: Annotated[str, typer.Option(help="`base`, or a trained cell; one of the study's `oracle.policies`.")],
    seed: Annotated[int, typer.Option(help="Training seed of the runs whose responses are the states.")],
    model_dir: Annotated[Path, typer.Option(help="Folder of the policy that is measured.")],
    run: Annotated[list[Path], typer.Option(help="Folder of a run with stored responses; may be repeated.")],
    data: Annotated[list[Path], typer.Option(help="problems.parquet of a training set; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder to write states.parquet and branches.parquet to.")],
) -> None:
    """Write the states of stored responses, and how continuations from each plausible next token ended.

    Of the base model the states are those of the first step, whose responses it sampled itself. Of a trained cell they are those of its
    last step, and the policy is its final model, one step's updates later than the one that sampled them: states are prefixes, and at each
    of them the counts are the final policy's own.
    """
    resolved = load_study(config, study)
    row = next((each for each in measured_rows(resolved) if (each.name, each.seed) == (policy, seed)), None)
    if row is None:
        paths = [each.path for each in measured_rows(resolved)]
        raise UserError(
            f"{policy}/seed{seed} is not measured in study {study}; allowed: {', '.join(paths) or 'none, it has no oracle'}."
        )
    expected = [each.path for each in source_runs(resolved, row)]
    if sorted(expected) != sorted(f"{folder.parent.name}/{folder.name}" for folder in run):
        raise UserError(
            f"--run: {policy}/seed{seed} is measured at the responses of {', '.join(expected)}, and no others."
        )

    # Heavy imports wait until the cheap checks are done.
    import torch

    from tokencredit.base.checked import load_checked
    from tokencredit.evaluate.generate import evaluation_dtype
    from tokencredit.grading import GradingPool
    from tokencredit.oracle.measure import Oracle, Settings, check_sampled_by
    from tokencredit.oracle.responses import stored_responses
    from tokencredit.policy import Scorer
    from tokencredit.prompts import encode_prompt
    from tokencredit.records import problems_from
    from tokencredit.train.engine import PolicyEngine

    training, sampling = resolved.training, resolved.training.sampling
    template = resolved.config.models[resolved.model_name].prompt
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problems = [problem for path in data for problem in problems_from(files.read_parquet(path))]
    model, tokenizer = load_checked(
        model_dir,
        resolved.config.models[resolved.model_name],
        problems,
        longest=training.sampling.longest,
        dtype=evaluation_dtype(resolved),
        device=device,
        sampled=training.engine == "transformers",
    )
    step = 1 if policy == BASE else training.steps
    responses = stored_responses(run, step, problems, lambda problem: encode_prompt(tokenizer, template, problem))
    metadata = {
        "study": study,
        "policy": policy,
        "seed": seed,
        "step": step,
        "states": "the base model's own responses" if policy == BASE else "responses sampled one step's updates before",
        **oracle_config(resolved),
        "dtype": str(evaluation_dtype(resolved)).removeprefix("torch."),
        "model_sha256": files.sha256(model_dir),
        "data_sha256": {str(path.parent.name): files.sha256(path) for path in data},
        "rollouts_sha256": {folder.parent.name: files.sha256(folder / "rollouts.parquet") for folder in run},
        "code_digest": oracle_code(training.engine),
        "environment": environment(device),
    }
    work = out / "work" / files.digest_of(metadata)[:12]
    settings = Settings(
        **resolved.oracle.model_dump(exclude={"policies"}),
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
        with GradingPool() as pool:
            measuring = Oracle(model, engine.engine, pool, tokenizer, settings)
            states, tokens = measuring.states(responses)
            if policy == BASE:
                check_sampled_by(states, responses, training.mixed_precision, model_dir)
            print(measuring.cost(states, tokens), flush=True)
            branches = measuring.branches(responses, tokens, work, progress=sys.stderr.isatty())
    finally:
        engine.close()
    made = [out / "states.parquet", out / "branches.parquet"]
    for path, table in zip(made, (states, branches), strict=True):
        files.write_parquet(path, table, metadata)
    shutil.rmtree(out / "work")
    cli.made(made)


if __name__ == "__main__":
    cli.run(app)
