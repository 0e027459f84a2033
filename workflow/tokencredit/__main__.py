"""``tokencredit``: what a person asks of a study, a command each. Stages have commands of their own: ``python -m tokencredit.train``.

A command imports its code when it runs: help and completion answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tokencredit import cli
from tokencredit.cli import (
    CONFIG,
    RESULTS,
    BundleArgument,
    ConfigOption,
    JsonOption,
    ResultsOption,
    StudyOption,
    exit_unless,
)
from tokencredit.tools import bundle_commands

app = typer.Typer(
    help="What a person asks of a study.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes a quarter of a second to import
)
app.add_typer(bundle_commands.app, name="bundle", help="A study's records in one archive, or as an RO-Crate.")


@app.command()
def plan(
    study: StudyOption,
    config: ConfigOption = CONFIG,
    results: Annotated[
        Path, typer.Option(help="Folder of results: the speed of finished runs is measured there.")
    ] = RESULTS,
    response_tokens: Annotated[float | None, typer.Option(help="Mean length of responses.")] = None,
    prompt_tokens: Annotated[float | None, typer.Option(help="Mean length of prompts.")] = None,
    groups_sampled: Annotated[
        float | None, typer.Option(help="Groups sampled for each group trained on, under dynamic sampling.")
    ] = None,
    sampler_rows: Annotated[int | None, typer.Option(help="Responses decoded together.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Response tokens trained on per second of a step, by the whole job.")
    ] = None,
    sampling_tokens_per_second: Annotated[
        float | None, typer.Option(help="Response tokens sampled per second by one process.")
    ] = None,
    utilisation: Annotated[float | None, typer.Option(help="Share of a GPU's peak that passes reach.")] = None,
    reserve: Annotated[float | None, typer.Option(help="Share of a GPU's memory that is left free.")] = None,
    node: Annotated[
        Path | None,
        typer.Option(help="JSON of `tokencredit check-gpu`: how fast passes and sampling are on that node."),
    ] = None,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="Only the jobs that Snakemake would run now, by rule and by row.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: bytes, seconds, and the basis of each.")] = False,
) -> None:
    """Memory, disk and GPU-hours of a study, before it is launched.

    Exit status 2 where a job cannot fit in the memory that there is, and where what would run exceeds the study's budget.
    """
    from tokencredit.cost import Options
    from tokencredit.tools.plan import print_plan

    options = Options(
        response_tokens=response_tokens,
        prompt_tokens=prompt_tokens,
        groups_sampled=groups_sampled,
        sampler_rows=sampler_rows,
        tokens_per_second=tokens_per_second,
        sampling_tokens_per_second=sampling_tokens_per_second,
        utilisation=utilisation,
        reserve=reserve,
    )
    print_plan(study, options, config, results, remaining, as_json, node)


@app.command("check-gpu")
def check_gpu(
    config: ConfigOption = CONFIG,
    out: Annotated[
        Path | None, typer.Option(help="The JSON file to write; by default results/nodes/<name of the node>.json.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=1, help="A benchmark that is under way so long after the start is ended.")
    ] = 10.0,
    without_speed: Annotated[bool, typer.Option("--without-speed", help="Only whether the numbers are right.")] = False,
) -> None:
    """Whether this node computes right numbers, and how fast.

    Before a study starts: the trainer's parts against float64, then benchmarks at 1.5B and 7B. Exit status 1 where a check fails.
    """
    from tokencredit.tools.node.report import check_node

    exit_unless(check_node(config, out, minutes, not without_speed))


@app.command()
def status(study: StudyOption) -> None:
    """What of a study is done, running or failed, with the reason."""
    from tokencredit.tools.status import print_status

    print_status(study)


@app.command()
def watch(
    study: StudyOption,
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
    every: Annotated[
        float | None, typer.Option(min=0.5, help="Seconds between two looks: 5 in the terminal, 60 for the page.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show what there is, once, and end.")] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Write the study's page, as far as it can be made, to so-far/index.html.")
    ] = False,
) -> None:
    """Every training run of a study, live, or its page so far."""
    if page:
        from tokencredit.tools.watch_page import watch_page

        watch_page(study, config, results, every or 60.0, once)
    else:
        from tokencredit.tools.watch import watch

        watch(study, config, results, every or 5.0, once)


@app.command()
def note(
    study: StudyOption,
    text: Annotated[
        str | None, typer.Argument(help="What is to be remembered; without it the notes that there are.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="The method that it is about.")] = None,
    seed: Annotated[int | None, typer.Option(help="The training seed.")] = None,
    step: Annotated[int | None, typer.Option(help="The training step.")] = None,
    by: Annotated[str | None, typer.Option(help="Who writes it; by default Git's user.name, or the login.")] = None,
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
) -> None:
    """Write a note that stays with a study, or list them.

    With time and author; the page of the study shows it, at its step where it has one. No note is ever changed.
    """
    from tokencredit.tools import note as tool

    if text is None:
        tool.print_notes(study, config, results, [method, seed, step, by])
    else:
        tool.write(study, text, method, seed, step, by, config, results)


@app.command()
def export(
    study: StudyOption,
    to: Annotated[
        Literal["tensorboard", "csv"], typer.Option(help="TensorBoard's event files, a folder a run; or a CSV a run.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; what an earlier export wrote there is replaced.")],
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on while the study trains, until its last run is done.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks of --follow.")] = 5.0,
) -> None:
    """The steps of all training runs for TensorBoard, or as CSV.

    What metrics.jsonl and timing.jsonl hold, of runs that are finished or under way.
    """
    from tokencredit.tools.export import export

    export(study, to, out, config, results, every if follow else None)


@app.command("dry-run")
def dry_run() -> None:
    """Hold every study's graph against its configuration.

    Exit status 2 where the graph and the configuration do not say the same.
    """
    from tokencredit.tools.dry_run import check_studies

    check_studies()


@app.command()
def trace(
    exhibit: Annotated[Path, typer.Argument(help="CSV of a table or figure, below results/<study>/.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Values that choose its rows: eapo aime24; or column=value.")
    ] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """What a number of a table or figure rests on, file by file.

    Exit status 1 where a file is missing, or is not the one that the number was made from.
    """
    from tokencredit.tools.trace import print_trace

    exit_unless(print_trace(exhibit, words or [], config, as_json))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run's folder, its run.json, or a Parquet table of an evaluation.")],
    second: Annotated[Path, typer.Argument(help="The other.")],
    as_json: JsonOption = False,
) -> None:
    """What two runs were made with, held against each other.

    Every setting, seed, digest and version that differs. Exit status 1 where some do.
    """
    from tokencredit.tools.compare import print_comparison

    exit_unless(print_comparison(first, second, as_json))


@app.command()
def rebuild(
    bundle: BundleArgument,
    cores: Annotated[str, typer.Option(help="Cores, as snakemake takes them.")] = "all",
    part: Annotated[
        str | None, typer.Option(help="A study that these records are enough for; its page instead.")
    ] = None,
) -> None:
    """Make tables, figures and page from a bundle, without torch.

    Unpacks into this project's results, and compares every CSV. Exit status 1 where one differs. With --part nothing is compared.
    """
    from tokencredit.tools import bundle as tool

    exit_unless(tool.rebuild(bundle, cores, part))


@app.command()
def push(
    method: Annotated[str, typer.Argument(help="A trained method of the study.")],
    study: StudyOption,
    seed: Annotated[int, typer.Option(help="Its training seed.")],
    to: Annotated[str, typer.Option(help="Repository on the Hub, owner/name.")],
    out: Annotated[
        Path | None, typer.Option(help="Write model and card to this new folder, and upload nothing.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of a model trained from scratch; others keep that of their base.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Visible to everyone, where the repository is new.")] = False,
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
) -> None:
    """Give a trained model to the Hugging Face Hub, with a card.

    The card is written from the run's records: method, data, scores with intervals, overlaps, digests, how to load the model.
    """
    from tokencredit.tools.push import push

    push(study, method, seed, to, out, licence, public, config, results)


@app.command()
def regrade(
    study: StudyOption,
    out: Annotated[Path, typer.Option(help="Results folder to make; it must not be there.")],
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
    timeout: Annotated[float | None, typer.Option(help="Seconds of wall time per answer.")] = None,
    workers: Annotated[int | None, typer.Option(help="Grading processes; by default one per core.", min=1)] = None,
) -> None:
    """Grade stored responses again, and say what that changes.

    The grader is audited, grades, scores and tables are made anew: which grades, cells and outcomes changed.
    """
    from tokencredit.tools.regrade import regrade as grade_again

    grade_again(study, out, config, results, timeout, workers)


@app.command()
def accept(
    study: StudyOption,
    reason: Annotated[str, typer.Option(help="Why the change of code changes no number, in a sentence.")],
    by: Annotated[str | None, typer.Option(help="Who vouches for that; by default the user's name.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Results of this rule only; may be repeated.")] = None,
) -> None:
    """Let results stand after an edit that changes no number.

    Every finished result whose code digest changed, and nothing else; all are refused where anything else did.
    """
    from tokencredit.tools.accept import accept as vouch

    vouch(study, reason, by, rule)


@app.command()
def creditbench(
    method: Annotated[
        Path | None, typer.Argument(help="A file with a method of your own, .py; without it the leaderboard as it is.")
    ] = None,
    config: ConfigOption = CONFIG,
    out: Annotated[Path | None, typer.Option(help="Folder for leaderboard.csv and its figure.")] = None,
) -> None:
    """Hold the token weights of a method against measured credit.

    Beside every method that is known, in seconds, without training (docs/creditbench.md).
    """
    from tokencredit.tools.creditbench import print_board

    print_board(method, config, out)


@app.command()
def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit status 1 where a file is not what the code says.")
    ] = False,
    demo: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="table1.csv of the study `toy`: write README's table of the demo from it."
        ),
    ] = None,
) -> None:
    """Write all that is written from the code.

    Tables of keys in config/README.md, JSON schemas, docs/methods.md: those that are not current.
    """
    from tokencredit.tools import docs as tool

    if demo:
        tool.write_demo(demo)
    elif check:
        exit_unless(tool.check())
    else:
        tool.write()


def main() -> None:
    """The console script."""
    cli.run(app)


if __name__ == "__main__":
    main()
