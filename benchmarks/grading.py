"""How fast answers are graded: the pool with two workers, against Math-Verify's ``parse`` and ``verify`` in a plain loop.

``python benchmarks/grading.py`` grades 32 responses to each question of MATH-500 both ways in one run, prints answers per second, and
writes them as JSON with the counts and the disagreements. Problems come from where studies take them: the folder that
``TOKENCREDIT_DATA`` names, else the Hub.

The questions, solutions and gold answers are real; the samples are built from them: once as a *mixture* in which the samples of a question
repeat each other as a model's do, and once *all distinct*, so that what repetition gains can be told from the rest. ``--generations`` and
``--problems`` add responses that a study's model has sampled.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from math_verify import parse, verify
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tokencredit import files
from tokencredit.config import Config
from tokencredit.data.rows import Row
from tokencredit.data.sources import open_source
from tokencredit.grading import Grade, GradingPool, extract_answer
from tokencredit.grading.pool import TIMEOUT, available_cores
from tokencredit.records import problems_from
from tokencredit.tools.node.machine import machine

Pairs = list[tuple[str, str]]  # a gold and a response

QUESTIONS = "math-500"
OTHERS = "deepscaler"  # its golds are the wrong answers
EARLIER = "math-train"  # its golds are what a running pool has graded before
TARGET = 10  # times the plain loop
EXAMPLES = 20  # disagreements that are written out
FEWEST = 40  # golds that make a kind of their own
_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"\\d?frac\{(\d+)\}\{(\d+)\}")


@dataclass(frozen=True)
class Mixture:
    """What the samples of a question are.

    A question's solve rate comes from Beta(``alpha``, ``beta``), 0.7 on average. A right sample has the gold as it is written or, by chance
    ``rewritten``, another way to write it. A wrong one has the gold of another problem that looks like the question's (``Golds``): by
    chance ``new / (new + wrong samples so far)`` a new one, else what an earlier wrong sample of the question had.
    """

    no_box: float = 0.03  # the solution, cut off
    prose: float = 0.01  # words in the box
    alpha: float = 1.2
    beta: float = 0.5
    rewritten: float = 0.15
    new: float = 4.0


class Golds:
    """Different gold answers by their looks: the text with 0 for each number; where few share that, with letters or without."""

    def __init__(self, golds: Iterable[str]) -> None:
        different = sorted(set(golds))
        random.Random(0).shuffle(different)
        self._shapes: defaultdict[str | bool, list[str]] = defaultdict(list)
        for gold in different:
            self._shapes[_shape(gold)].append(gold)
            self._shapes[_has_letters(gold)].append(gold)

    def kind(self, gold: str) -> str | bool:
        return _shape(gold) if len(self._shapes[_shape(gold)]) >= FEWEST else _has_letters(gold)

    def like(self, gold: str) -> list[str]:
        """Golds that look like ``gold``, in a fixed random order."""
        return self._shapes[self.kind(gold)]


def _shape(text: str) -> str:
    return re.sub(r"\d+", "0", text).replace(" ", "")


def _has_letters(text: str) -> bool:
    return bool(re.search("[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", text)))


def main(
    samples: Annotated[int, typer.Option(help="Responses to each question.")] = 32,
    questions: Annotated[int, typer.Option(help="Questions of MATH-500, from the first.")] = 500,
    workers: Annotated[int, typer.Option(help="Grading processes.")] = 2,
    repeats: Annotated[
        int, typer.Option(help="Runs of each pool of several, with workers of its own; the median counts.")
    ] = 3,
    generations: Annotated[Path | None, typer.Option(help="generations.parquet of a study, to be graded too.")] = None,
    problems: Annotated[Path | None, typer.Option(help="problems.parquet of its data set.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="TOKENCREDIT_DATA", help="Folder of data sets.")] = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/grading.json"),
) -> None:
    """Grade the mixture, the distinct answers and a study's responses, by the plain loop and by the pool."""
    if (generations is None) != (problems is None):
        raise typer.BadParameter("--generations and --problems belong together: give both or neither.")
    rows = [row for row in dataset(QUESTIONS, data) if row.solution][:questions]
    wrong = Golds(row.answer for row in dataset(OTHERS, data))
    earlier = [(row.answer, rf"\boxed{{{row.answer}}}") for row in dataset(EARLIER, data)]
    sets = {
        "mixture": list(mixture(rows, wrong, samples, Mixture())),
        "all distinct": list(all_distinct(rows, wrong, samples)),
    }
    if generations is not None:
        sets["sampled"] = sampled(generations, problems)
    load = os.getloadavg()[0]
    record = {
        "questions": {"dataset": QUESTIONS, "count": len(rows), "samples": samples},
        "mixture": {**asdict(Mixture()), "wrong_answers": f"golds of {OTHERS}"},
        "running_pool": f"has graded the {len(set(earlier)):,} different golds of {EARLIER}",
        "sampled": None if generations is None else generations.as_posix(),
        "timeout_s": {"pool": TIMEOUT, "plain": "5 for each parse, 5 for verify"},
        "sets": {name: measure(name, pairs, earlier, workers, repeats) for name, pairs in sets.items()},
        "target": TARGET,
        "cores": available_cores(),
        "load_before": load,
        "machine": machine("cpu"),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(record)
    print(f"made {out}")


# ---------------------------------------------------------------- what is graded


def dataset(name: str, data: Path | None) -> list[Row]:
    """The problems of a data set that have a gold."""
    return [row for row in open_source(name, Config("config").datasets[name], data).rows if row.answer]


def mixture(rows: list[Row], wrong: Golds, samples: int, settings: Mixture) -> Iterator[tuple[str, str]]:
    """Samples of each question, question by question, as ``Mixture`` says."""
    for row in rows:
        chance = random.Random(row.problem_id)
        solve_rate = chance.betavariate(settings.alpha, settings.beta)
        mistakes: list[str] = []
        for _ in range(samples):
            draw = chance.random()
            if draw < settings.no_box:
                yield row.answer, row.solution[: len(row.solution) // 2].replace(r"\boxed", "")
                continue
            if draw < settings.no_box + settings.prose:
                answer = rf"\text{{{' '.join(re.findall('[A-Za-z]+', row.solution)[:6])}}}"
            elif chance.random() < solve_rate:
                answer = chance.choice(forms(row.answer)) if chance.random() < settings.rewritten else row.answer
            else:
                is_new = chance.random() < settings.new / (settings.new + len(mistakes))
                answer = chance.choice(wrong.like(row.answer) if is_new else mistakes)
                mistakes.append(answer)
            yield row.answer, response(row, answer)


def all_distinct(rows: list[Row], wrong: Golds, samples: int) -> Iterator[tuple[str, str]]:
    """The gold and golds like it, no answer twice to a question, and none again before all of its kind have been used."""
    decks: dict[str | bool, Iterator[str]] = {}
    for row in rows:
        deck = decks.setdefault(wrong.kind(row.answer), itertools.cycle(wrong.like(row.answer)))
        answers = {row.answer: None}
        while len(answers) < samples:
            answers[next(deck)] = None
        yield from ((row.answer, response(row, answer)) for answer in answers)


def sampled(generations: Path, problems: Path) -> Pairs:
    """The golds and responses of a study's table of generations."""
    gold = {problem.problem_id: problem.answer for problem in problems_from(files.read_parquet(problems))}
    table = files.read_parquet(generations, ["problem_id", "response"])
    return [(gold[row.problem_id], row.response) for row in table.itertuples(index=False)]


def response(row: Row, answer: str) -> str:
    """The question's solution with ``answer`` in its box."""
    before, box, after = row.solution.rpartition(rf"\boxed{{{row.answer}}}")
    return rf"{before}\boxed{{{answer}}}{after}" if box else rf"{row.solution} That is, $\boxed{{{answer}}}$."


def forms(gold: str) -> list[str]:
    """Other ways to write a gold; the gold itself where none is known."""
    if _INTEGER.fullmatch(gold):
        return [f"{gold}.0", f"x = {gold}", rf"\frac{{{2 * int(gold)}}}{{2}}"]
    rewritten = (
        gold.replace(r"\frac", r"\dfrac"),
        gold.replace(r"\left", "").replace(r"\right", ""),
        _FRACTION.sub(r"\1/\2", gold),
        gold.replace("+", " + ").replace("-", "- "),
    )
    return [text for text in dict.fromkeys(rewritten) if text != gold] or [gold]


# ---------------------------------------------------------------- how it is graded


def measure(name: str, pairs: Pairs, earlier: Pairs, workers: int, repeats: int) -> dict[str, Any]:
    """Seconds of the plain loop, once, and of new and running pools, with what they found."""
    answers = [extract_answer(text).answer for _, text in pairs]
    different = {(gold, answer) for (gold, _), answer in zip(pairs, answers, strict=True) if answer is not None}
    seconds, equal, timeouts = plain(name, pairs)
    pools = {
        "new pool of 1": [pool(pairs, [], 1)],
        f"new pool of {workers}": [pool(pairs, [], workers) for _ in range(repeats)],
        f"running pool of {workers}": [pool(pairs, earlier, workers) for _ in range(repeats)],
    }
    (_, grades), *_ = pools[f"new pool of {workers}"]
    return {
        "responses": len(pairs),
        "without_answer": sum(answer is None for answer in answers),
        "different_pairs": len(different),
        "different_share": len(different) / len(pairs),
        "different_answers": len({answer for _, answer in different}),
        "plain": {
            "seconds": seconds,
            "answers_per_second": len(pairs) / seconds,
            "equal": sum(equal),
            "timeouts": timeouts,
        },
        "pools": {kind: summary(runs, len(pairs), seconds) for kind, runs in pools.items()},
        "verdicts": comparison(pairs, answers, equal, grades),
    }


def summary(runs: list[tuple[float, list[Grade]]], responses: int, plain_seconds: float) -> dict[str, Any]:
    seconds = statistics.median(seconds for seconds, _ in runs)
    _, grades = runs[-1]
    return {
        "seconds": seconds,
        "seconds_of_runs": [seconds for seconds, _ in runs],
        "answers_per_second": responses / seconds,
        "times_plain": plain_seconds / seconds,
        "outcomes": dict(sorted(Counter(grade.outcome for grade in grades).items())),
        "timeouts": sum("took longer" in (grade.reason or "") for grade in grades),
    }


def plain(name: str, pairs: Pairs) -> tuple[float, list[bool], int]:
    """Seconds, verdicts and time-outs of Math-Verify as its manual shows it, with the limits that it sets itself."""
    timeouts = Timeouts()
    logging.getLogger("math_verify").addHandler(timeouts)
    started = time.perf_counter()
    equal = [
        verify(parse(f"${gold}$"), parse(text))
        for gold, text in track(pairs, f"plain loop, {name}", console=Console(stderr=True))
    ]
    seconds = time.perf_counter() - started
    logging.getLogger("math_verify").removeHandler(timeouts)
    return seconds, equal, timeouts.count


class Timeouts(logging.Handler):
    """Counts what Math-Verify says only in its log."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage().startswith("Timeout during")


def pool(pairs: Pairs, earlier: Pairs, workers: int) -> tuple[float, list[Grade]]:
    """Seconds and grades of a pool that has graded ``earlier``; with nothing earlier, the start of its workers counts."""
    with GradingPool(workers) as graders:
        graders.grade_many(earlier)
        started = time.perf_counter()
        grades = graders.grade_many(pairs)
        return time.perf_counter() - started, grades


def comparison(pairs: Pairs, answers: list[str | None], equal: list[bool], grades: list[Grade]) -> dict[str, Any]:
    """How often the outcomes go with Math-Verify's verdicts. What is ungraded disagrees with neither."""
    counts: Counter[str] = Counter()
    disagreements: Counter[tuple[str, str | None, str]] = Counter()
    for (gold, _), answer, same, grade in zip(pairs, answers, equal, grades, strict=True):
        counts[f"{grade.outcome}, plain {'equal' if same else 'not equal'}"] += 1
        if grade.outcome == ("wrong" if same else "right"):
            disagreements[gold, answer, grade.outcome] += 1
    return {
        "counts": dict(sorted(counts.items())),
        "disagreements": disagreements.total(),
        "different_disagreements": len(disagreements),
        "examples": [
            {"gold": gold, "answer": answer, "pool": outcome, "responses": count}
            for (gold, answer, outcome), count in disagreements.most_common(EXAMPLES)
        ],
    }


def show(record: dict[str, Any]) -> None:
    questions = record["questions"]
    title = f"{questions['samples']} responses to {questions['count']} questions, {record['cores']} cores"
    table = Table("responses", "different", "graded by", "answers/s", "times plain", "time-outs", title=title)
    for name, found in record["sets"].items():
        share = f"{found['different_share']:.0%} of {found['responses']:,}"
        table.add_row(name, share, *line("plain loop", found["plain"], 1))
        for kind, measured in found["pools"].items():
            table.add_row("", "", *line(kind, measured, measured["times_plain"]))
    console = Console(width=int(os.environ.get("COLUMNS", "100")))
    console.print(table)
    for name, found in record["sets"].items():
        verdicts = found["verdicts"]
        print(f"{name}: {verdicts['disagreements']} disagree ({verdicts['different_disagreements']} different pairs)")


def line(kind: str, measured: dict[str, Any], times: float) -> tuple[str, ...]:
    return kind, f"{measured['answers_per_second']:,.0f}", f"{times:.1f}", str(measured["timeouts"])


if __name__ == "__main__":
    typer.run(main)
