"""Command line of grading: ``audit`` the grader on a benchmark, ``explain`` one verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli, files
from tokencredit.errors import UserError
from tokencredit.grading.pool import TIMEOUT, GradingPool, available_cores
from tokencredit.records import DEFAULT, Bounds

app = cli.new_app("Audit the grader.")

ProblemsOption = Annotated[Path, typer.Option(help="problems.parquet of the benchmark's data set.")]
WorkersOption = Annotated[int | None, typer.Option(help="Grading processes; by default one per core.", min=1)]
TimeoutOption = Annotated[float, typer.Option(help="Seconds of wall time per answer.")]
GraderOption = Annotated[str, typer.Option(help="Name of the grader.")]


@app.command()
def audit(
    problems: ProblemsOption,
    benchmark: Annotated[str, typer.Option(help="Name of the benchmark, for the report.")],
    out: Annotated[Path, typer.Option(help="JSON file to write if the audit passes.")],
    workers: WorkersOption = None,
    timeout: TimeoutOption = TIMEOUT,
    grader: GraderOption = DEFAULT,
    mutants_right: Annotated[float, typer.Option(help="Largest share of the mutants that may be right.", min=0)] = (
        Bounds.mutants_right
    ),
    rewritings_not_right: Annotated[
        float, typer.Option(help="Largest share of the rewritings that may not be right.", min=0)
    ] = Bounds.rewritings_not_right,
    seed: Annotated[
        int | None, typer.Option(help="Seed of mutants and rewritings, as a report has it; a random one without it.")
    ] = None,
) -> None:
    """Golds and rewritings must be graded right, junk and mutants not; else the findings go beside OUT and this fails."""
    from tokencredit.grading.audit import audit as audit_benchmark
    from tokencredit.grading.audit import why_failed
    from tokencredit.records import problems_from

    table = files.read_parquet(problems, ["problem_id", "problem", "answer"])
    if table.empty:
        raise UserError(f"{problems}: has no problems, so there is nothing to audit the grader on.")
    bounds = Bounds(mutants_right, rewritings_not_right)
    with GradingPool(workers or available_cores(), timeout, grader=grader) as pool:
        findings = audit_benchmark(problems_from(table), benchmark, pool, bounds, seed)
    failed = out.with_suffix(".failed.json")
    if not findings["passed"]:
        files.write_json(failed, findings)
        raise UserError(f"the grader audit failed on {benchmark}: {why_failed(findings)} Findings: {failed}.")
    failed.unlink(missing_ok=True)
    files.write_json(out, findings)
    print(
        f"{benchmark}: {findings['gold_right']} of {findings['gold_total']} golds right ({findings['gold_as_text']} compared as text), "
        f"{findings['junk_right']} of {findings['junk_total']} junk answers right, {findings['mutants_right']} of "
        f"{findings['mutants_total']} mutants right ({findings['mutants_equal']} others are equal), "
        f"{findings['rewritings_not_right']} of {findings['rewritings_total']} rewritings not right; seed {findings['seed']}"
    )
    cli.made([out])


@app.command()
def explain(
    gold: Annotated[str, typer.Argument(help="The gold answer.")],
    response: Annotated[str, typer.Argument(help="The response, with its answer in a box.")],
) -> None:
    """Say how both sides are read, and why the response is right, wrong or ungraded."""
    from tokencredit.grading.explain import explanation

    print("\n".join(explanation(gold, response)))


if __name__ == "__main__":
    cli.run(app)
