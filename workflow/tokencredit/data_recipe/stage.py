"""The three jobs of a search for a data recipe: the pool with its signals, a search, and a recipe that is trained on and tested."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pydantic import TypeAdapter

from tokencredit import files
from tokencredit.base import load_manifest
from tokencredit.config import EmbeddedPool, Step, Study
from tokencredit.config.data_recipe_keys import ALONE, ALONE_OPERATORS, FULL, RANDOM_ROWS
from tokencredit.data_recipe import texts
from tokencredit.data_recipe.operators import Pool, Steps, digest, execute, state
from tokencredit.data_recipe.pool import embedded_pool, read_pool, without_problems
from tokencredit.data_recipe.search import Decision, Evaluation, Search
from tokencredit.data_recipe.signals import model_signals
from tokencredit.data_recipe.tuning import Questions, Workbench
from tokencredit.errors import UserError
from tokencredit.prompts import encode_prompt
from tokencredit.provenance import environment
from tokencredit.records import Problem, problems_from
from tokencredit.study import code, settings
from tokencredit.study.paths import RECIPES, PoolFolder, SearchFolder, TunedFolder

_STEPS = TypeAdapter(tuple[Step, ...])


def make_pool(
    study: Study, model_dir: Path, validation: Path, tests: dict[str, Path], data_root: Path | None, out: Path
) -> list[Path]:
    """Write the rows of the study's pool with their signals, and the pairs of rows that are alike.

    Rows about problems of the validation and of the ``tests`` are left out, and rows longer than the study's training allows; both are
    counted. ``UserError`` where no row is left.
    """
    recipe, sampling = study.data_recipe, study.training.sampling
    chosen = recipe.pool
    read = embedded_pool(chosen, study.model_task) if isinstance(chosen, EmbeddedPool) else read_pool(chosen, data_root)
    asked = validation_questions(study, validation)
    tested = [problem for name, path in tests.items() for problem in test_questions(study, name, path).problems]
    apart = without_problems(read, [problem.problem for problem in [*asked.problems, *tested]])
    with Workbench(study, model_dir, asked.problems) as bench:
        sequences = bench.sequences(apart)
        fits = [len(each) <= sampling.longest and len(each.prompt) <= sampling.max_prompt_tokens for each in sequences]
        rows = apart[fits].reset_index(drop=True)
        if rows.empty:
            raise UserError(
                f"data_recipe.pool: none of its {len(read)} rows is left: {len(read) - len(apart)} are about problems of the validation or "
                f"of the tests, {len(apart)} are longer than training.sampling allows."
            )
        target = [
            encode_prompt(bench.tokenizer, bench.template, problem) for problem in asked.problems[: recipe.target]
        ]
        signals = model_signals(
            bench.policy,
            [each for each, fit in zip(sequences, fits, strict=True) if fit],
            bench.end,
            target,
            study.training.micro_batch_tokens,
        )
    whole = (rows["prompt"] + "\n" + rows["response"]).tolist()
    table = rows.join(signals).assign(
        same=texts.first_of_equal(whole), **{"word-entropy": [texts.word_entropy(text) for text in whole]}
    )
    pairs = pd.DataFrame(dict(zip(("earlier", "later", "similarity"), texts.similar_pairs(whole), strict=True)))
    about = {
        **_made_with(study, model_dir, code.pool(study)),
        "settings": settings.pool(study),
        "read": len(read),
        "left_out": {"in validation or tests": len(read) - len(apart), "too long": len(apart) - len(rows)},
        "problems_sha256": {name: files.sha256(path) for name, path in {"validation": validation, **tests}.items()},
    }
    folder = PoolFolder(out)
    for path, found in ((folder.pairs, pairs), (folder.pool, table)):
        files.write_parquet(path, found, about)
    counts = ", ".join(f"{count} {source}" for source, count in rows["source"].value_counts().items())
    print(
        f"{len(rows)} rows ({counts}); left out: {about['left_out']}; {len(pairs)} pairs of rows are alike", flush=True
    )
    return list(folder.tables)


def search(
    study: Study, name: str, seed: int, model_dir: Path, pool_dir: Path, validation: Path, out: Path
) -> list[Path]:
    """Run the search ``name`` under ``seed``: decide, train, score, until all evaluations are there; write its history.

    Each finished evaluation is kept below ``work``, under what decides it: a search that was killed goes on with the next one.
    """
    about = {
        **_made_with(study, model_dir, code.search(study)),
        "settings": settings.search(study, name),
        "seed": seed,
        "pool_sha256": {path.name: files.sha256(path) for path in PoolFolder(pool_dir).tables},
        "validation_sha256": files.sha256(validation),
    }
    folder = SearchFolder(out)
    work = folder.work / files.digest_of(about)[:12]
    pool, rows = load_pool(pool_dir)
    asked = validation_questions(study, validation)
    searching = Search(name, seed, study.data_recipe, pool)
    records: list[dict[str, Any]] = []
    while (kept := work / f"{len(records)}.json").is_file():
        records.append(files.read_json(kept))
    if records:
        print(f"going on after {len(records)} evaluations", flush=True)
    with Workbench(study, model_dir, asked.problems) as bench:
        sequences = bench.sequences(rows)
        while len(records) < study.data_recipe.evaluations:
            decision = searching.decide([evaluation_of(record, searching) for record in records])
            chosen = searching.rows(decision.recipe)
            tuned = bench.tune([sequences[row] for row in chosen], seed)
            started = time.monotonic()
            scores = bench.score(asked)
            records.append(
                {
                    "kind": decision.kind,
                    "parent": decision.parent,
                    "recipe": [step.model_dump() for step in decision.recipe],
                    "candidates": decision.candidates,
                    "rows": len(chosen),
                    "rows_sha256": digest(chosen),
                    "state": state(chosen, pool),
                    "score": float(scores["right"].sum() / scores["n"].sum()),
                    "right": scores["right"].tolist(),
                    "loss": tuned.loss,
                    "trained_tokens": tuned.tokens,
                    "sampled_tokens": int(scores["tokens"].sum()),
                    "seconds_tuning": tuned.seconds,
                    "seconds_scoring": time.monotonic() - started,
                }
            )
            files.write_json(work / f"{len(records) - 1}.json", records[-1])
            print(told(len(records) - 1, records[-1]), flush=True)
    table = pd.DataFrame(records)
    for column in ("recipe", "candidates", "state"):
        table[column] = [json.dumps(value) for value in table[column]]
    table["parent"] = table["parent"].astype("Int64")
    table.insert(0, "evaluation", range(len(table)))
    files.write_parquet(folder.history, table, about)
    shutil.rmtree(folder.work)
    return [folder.history]


def tune(
    study: Study,
    line: str,
    seed: int,
    model_dir: Path,
    pool_dir: Path,
    validation: Path,
    tests: dict[str, Path],
    found: dict[str, Path],
    out: Path,
) -> list[Path]:
    """Train on the rows of the recipe of ``line``, score on the validation and, once, on the ``tests``; write the model and the scores.

    ``found``: the history of each search that says which recipe it is.
    """
    pool, rows = load_pool(pool_dir)
    recipe = recipe_of(study, line, len(pool), found)
    chosen = execute(recipe, pool, seed)
    if not len(chosen):
        raise UserError(
            f"data_recipe.recipes.{line}: keeps no row of the pool, whose sources are {', '.join(pool.sources)}."
        )
    asked = validation_questions(study, validation)
    tested = [test_questions(study, name, path) for name, path in tests.items()]
    folder = TunedFolder(out)
    folder.manifest.unlink(missing_ok=True)
    with Workbench(study, model_dir, asked.problems) as bench:
        tuned = bench.tune(bench.sequences(rows.iloc[chosen]), seed)
        scores = pd.concat([bench.score(questions) for questions in (asked, *tested)], ignore_index=True)
        bench.policy.save_pretrained(out)
        bench.tokenizer.save_pretrained(out)
    about = {
        **_made_with(study, model_dir, code.tuning(study)),
        "settings": settings.tuning(study, line),
        "line": line,
        "seed": seed,
        "recipe": [step.model_dump() for step in recipe],
        "rows": len(chosen),
        "rows_sha256": digest(chosen),
        "state": state(chosen, pool),
        "loss": tuned.loss,
        "trained_tokens": tuned.tokens,
        "seconds_tuning": round(tuned.seconds, 2),
        "pool_sha256": {path.name: files.sha256(path) for path in PoolFolder(pool_dir).tables},
        "problems_sha256": {name: files.sha256(path) for name, path in {"validation": validation, **tests}.items()},
        "found_sha256": {name: files.sha256(path) for name, path in found.items()},
    }
    files.write_parquet(folder.scores, scores, about)
    base = load_manifest(model_dir)
    weights = folder.folder / "model.safetensors"
    files.write_json(
        folder.manifest,
        {
            "model": study.model_name,
            "kind": "tuned",
            "path": ".",
            "folder": f"{study.home}/{RECIPES}/tuned/{line}/seed{seed}",  # below the results
            "revision": None,
            "sha256": files.sha256(weights if weights.is_file() else folder.folder),
            "parameters": base.get("parameters"),
            "tuned_from": base["sha256"],
            **about,
        },
    )
    return [folder.manifest, folder.scores]


def recipe_of(study: Study, line: str, size: int, found: dict[str, Path]) -> Steps:
    """The recipe of a line of the table. ``size``: rows of the pool; ``found``: the histories of the searches that say it."""
    declared = study.data_recipe.recipes
    if line in declared:
        return tuple(declared[line])
    if line == FULL:
        return ()
    if line.startswith(ALONE):
        return (ALONE_OPERATORS[line.removeprefix(ALONE)],)
    ((_, path),) = found.items()
    history = files.read_parquet(path, ["evaluation", "recipe", "rows", "score"]).sort_values("evaluation")
    winner = history.loc[history["score"].idxmax()]  # of equal ones the first
    if line == RANDOM_ROWS:
        return _STEPS.validate_python([{"operator": "random", "fraction": winner["rows"] / size}])
    return _STEPS.validate_json(winner["recipe"])


def load_pool(folder: Path) -> tuple[Pool, pd.DataFrame]:
    """The pool with its signals, and its texts."""
    paths = PoolFolder(folder)
    table = files.read_parquet(paths.pool)
    return Pool(table.drop(columns=["prompt", "response"]), files.read_parquet(paths.pairs)), table


def validation_questions(study: Study, path: Path) -> Questions:
    """What a search scores on."""
    return _questions(study, study.data_recipe.validation.benchmark, study.validation, path)


def test_questions(study: Study, name: str, path: Path) -> Questions:
    """A benchmark that the study is evaluated on."""
    return _questions(study, name, study.benchmarks[name], path)


def evaluation_of(record: dict[str, Any], searching: Search) -> Evaluation:
    """An evaluation as a search sees it. ``UserError`` where its rows are not those that the recipe keeps now."""
    recipe = _STEPS.validate_python(record["recipe"])
    rows = searching.rows(recipe)
    if digest(rows) != record["rows_sha256"]:
        raise UserError(
            f"data_recipe: the recipe {record['recipe']} keeps other rows than when it was evaluated; search again."
        )
    decision = Decision(record["kind"], recipe, record["parent"], record["candidates"])
    return Evaluation(decision, rows, record["state"], record["score"])


def told(number: int, record: dict[str, Any]) -> str:
    """An evaluation in a line of the log."""
    steps = " > ".join(" ".join(str(value) for value in step.values()) for step in record["recipe"]) or "everything"
    kept = {
        name.removeprefix("source:"): value for name, value in record["state"].items() if name.startswith("source:")
    }
    shares = ", ".join(f"{name} {100 * value:.0f} %" for name, value in kept.items())
    return (
        f"{number} {record['kind']}: {100 * record['score']:.1f} % right with {record['rows']} rows ({shares}): {steps}"
    )


def _questions(study: Study, name: str, benchmark: Any, path: Path) -> Questions:
    problems: Sequence[Problem] = problems_from(files.read_parquet(path, ["problem_id", "problem", "answer"]))
    expected = study.config.benchmarks[name].problems
    if len(problems) != expected:
        raise UserError(f"{path}: has {len(problems)} problems; benchmarks.{name}.problems = {expected}.")
    return Questions(name, list(problems[: benchmark.problems]), benchmark.samples, study.grader_of(name))


def _made_with(study: Study, model_dir: Path, code_digest: str) -> dict[str, Any]:
    return {
        "study": study.name,
        "model_sha256": load_manifest(model_dir)["sha256"],
        "code_digest": code_digest,
        "environment": {
            **environment("cuda" if torch.cuda.is_available() else "cpu"),
            "scikit-learn": metadata.version("scikit-learn"),
        },
    }
