"""``tokencredit regrade``: grade the stored responses of a study again by the installed grader, beside the old grades.

The new results folder links to what is not graded: problems, responses, training runs. The rewards of training stay those of the grader of
that time. Grades, scores and tables are made anew and compared with the old ones.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from tokencredit import cli, files
from tokencredit.config import Study, load_study
from tokencredit.errors import UserError
from tokencredit.grading.pool import TIMEOUT, GradingPool, available_cores
from tokencredit.study.exhibits import planned
from tokencredit.study.jobs import jobs_of
from tokencredit.study.paths import Paths
from tokencredit.tools import select_rows
from tokencredit.tools.integrity import check_exhibit, files_of_job

LINKED = ("prepare", "overlap", "pool", "search", "tune", "train", "oracle", "attribute", "generate")
ORIGINS = ("grader", "code_digest")  # columns that say how a row was made
OUTCOMES = ("verdict", "outcome")
EXAMPLES = 10


def regrade(
    study: str, out: Path, config: Path, results: Path, timeout: float | None = None, workers: int | None = None
) -> None:
    """Audit the grader, grade, score and make the tables anew in ``out``; print which grades, cells and outcomes changed.

    ``timeout``: seconds of wall time per answer; ``workers``: grading processes. Both have the grader's default.
    """
    resolved = load_study(config, study)
    if out.exists():
        raise UserError(f"{out}: is there already; grades are never written over others.")
    old = _old_grades(resolved, results)
    workers = workers or available_cores()
    with _whole(out) as made:
        _link(resolved, results, made)
        _audit(resolved, made, workers)
        with contextlib.ExitStack() as stack:
            pools = {
                name: stack.enter_context(GradingPool(workers, timeout or TIMEOUT, grader=name))
                for name in {resolved.grader_of(benchmark) for benchmark in resolved.benchmarks}
            }
            grades = _grade(resolved, old, made, pools)
        tables = _tables(resolved, made)
    _show(grades, [_moved(Paths(resolved, results).table(name), Paths(resolved, out).table(name)) for name in tables])
    cli.made([out])


def changed(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """One line per value that differs between two tables of text: its keys, column, before, after; empty where there was or is none.

    Rows are matched by their key columns, and by their order where these do not tell them apart.
    """
    keys = [name for name in select_rows.keys_of(before) if name in after]
    joined = pd.concat({"before": _long(before, keys), "after": _long(after, keys)}, axis=1).fillna("")
    return joined[joined["before"] != joined["after"]].reset_index().drop(columns="occurrence")


def _long(table: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Every value of a table by the keys of its row, how often these came before, and its column."""
    kept = table.drop(columns=[name for name in ORIGINS if name in table])
    kept = kept.assign(occurrence=kept.groupby(keys).cumcount() if keys else range(len(kept)))
    return kept.set_index([*keys, "occurrence"]).rename_axis(columns="column").stack()


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that becomes it when the block ends well, and vanishes when it does not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        yield made
        made.chmod(0o755)
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _old_grades(study: Study, results: Path) -> dict[tuple[str, str], pd.DataFrame]:
    """The grades that the new ones are held against, by row and benchmark: whole, scored, and what the old tables were made from.

    Raises ``UserError`` where they are not, before anything is graded.
    """
    from tokencredit.analysis.store import Store
    from tokencredit.evaluate.contract import read_problems
    from tokencredit.evaluate.counts import check_counts

    store, old = Store(study, results), {}
    for row in study.rows:
        for name, benchmark in study.benchmarks.items():
            path = store.paths.evaluation(row).answers(name).grades
            problems = read_problems(store.paths.dataset(benchmark.dataset).problems, study, name)
            old[row.path, name] = files.read_parquet(path, ["problem_id", "sample", "outcome", "answer"])
            check_counts(path, old[row.path, name], [problem.problem_id for problem in problems], benchmark.samples)
        store.scores(row)  # of these grades
    for name in planned(study)["tables"]:
        check_exhibit(store, "table", name)
    return old


def _link(study: Study, results: Path, out: Path) -> None:
    for job in jobs_of(study, str(results)):
        for path in files_of_job(job) if job.rule in LINKED else []:
            if not path.is_file():
                raise UserError(f"{path}: no such file; only a finished study is graded again.")
            link = out / path.relative_to(results)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())


def _audit(study: Study, out: Path, workers: int) -> None:
    """The gate before all grading: it holds for another grader too."""
    from tokencredit.grading.__main__ import audit

    paths = Paths(study, out)
    for name, benchmark in study.benchmarks.items():
        audit(
            problems=paths.dataset(benchmark.dataset).problems,
            benchmark=name,
            out=paths.audit(name),
            workers=workers,
            grader=study.grader_of(name),
            **benchmark.audit.model_dump(),
        )


def _grade(
    study: Study, old: dict[tuple[str, str], pd.DataFrame], out: Path, pools: dict[str, GradingPool]
) -> pd.DataFrame:
    """Grade and score every row into ``out``; one line per response, with its outcome before and after."""
    from tokencredit.evaluate.grade import grade_generations
    from tokencredit.evaluate.score import score_row

    compared, paths = [], Paths(study, out)
    for row in study.rows:
        folder = paths.evaluation(row)
        for name, benchmark in study.benchmarks.items():
            problems, answers = paths.dataset(benchmark.dataset).problems, folder.answers(name)
            graded, about = grade_generations(answers.generations, problems, pools[study.grader_of(name)])
            files.write_parquet(answers.grades, graded, about)
            before, keys = old[row.path, name], ["problem_id", "sample"]
            both = before.merge(graded, on=keys, suffixes=("_before", "_after"), validate="one_to_one")
            compared.append(both.assign(row=row.path, benchmark=name))
        scores, about = score_row(study.whole, row, folder.folder, out / "data")
        files.write_parquet(folder.scores, scores, about)
    return pd.concat(compared, ignore_index=True)


def _tables(study: Study, out: Path) -> list[str]:
    from tokencredit.analysis.store import Store
    from tokencredit.analysis.tables import make

    names = planned(study)["tables"]
    for name in names:
        make(Store(study, out), name, Paths(study, out).table(name).parent)
    return names


def _moved(before: Path, after: Path) -> pd.DataFrame:
    return changed(select_rows.read(before), select_rows.read(after)).assign(table=before.stem)


def _show(grades: pd.DataFrame, moved: list[pd.DataFrame]) -> None:
    console = Console(highlight=False, markup=False, width=200)
    other = grades[grades["outcome_before"] != grades["outcome_after"]]
    console.print(f"{len(other)} of {len(grades)} grades changed")
    counts = other.groupby(["outcome_before", "outcome_after"]).size().reset_index(name="responses")
    examples = ["row", "benchmark", "problem_id", "sample", "answer_after", "outcome_before", "outcome_after"]
    _print(console, counts)
    _print(console, other[examples].head(EXAMPLES))
    for table in moved:
        name = table["table"].iloc[0] if len(table) else ""
        decided = table["column"].isin(OUTCOMES)
        if name:
            console.print(f"{name}: {len(table)} cells moved, {decided.sum()} of them outcomes")
        _print(console, table[decided].drop(columns="table"))
        _print(console, table[~decided].drop(columns="table").head(EXAMPLES))
    if not any(len(table) for table in moved):
        console.print("no cell of any table moved")


def _print(console: Console, table: pd.DataFrame) -> None:
    if table.empty:
        return
    shown = Table(*table.columns, box=None, pad_edge=False)
    for line in table.astype(object).fillna("").itertuples(index=False):
        shown.add_row(*map(str, line))
    console.print(shown)
