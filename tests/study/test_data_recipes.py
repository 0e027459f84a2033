"""The jobs of a search for a data recipe: which there are, what they read, and what decides them."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.config.conftest import FILES, STUDY, Spoil, message_of
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.data_recipes import titles, tuned
from tokencredit.study.jobs import Job, jobs_of
from tokencredit.study.rules import Graph

VALIDATION = ("datasets.yaml", "datasets.held-out", {**FILES["datasets.yaml"]["datasets"]["toy-train"], "seed": 2})
BENCHMARK = (
    "benchmarks.yaml",
    "benchmarks.held-out",
    {"title": "H", "dataset": "held-out", "samples": 4, "problems": 100},
)
SEARCH: dict[str, Any] = {
    "pool": {
        "kind": "embedded",
        "seed": 0,
        "tiers": [1],
        "right": 10,
        "wrong_answer": 10,
        "wrong_format": 0,
        "duplicate": 0,
        "other_task": 0,
    },
    "validation": {"benchmark": "held-out", "problems": 20},
    "searches": ["gp", "random"],
    "seeds": [0, 1],
    "tuning": {"steps": 4, "batch": 2, "learning_rate": 0.001, "warmup_steps": 1, "weight_decay": 0.0},
    "recipes": {"known": [{"operator": "drop-source", "source": "wrong-answer"}]},
}


def changed(*changes: Any) -> dict[str, Any]:
    search = copy.deepcopy(SEARCH)
    for path, value in zip(changes[::2], changes[1::2], strict=True):
        *parents, last = path.split(".")
        tree = search
        for part in parents:
            tree = tree[part]
        tree[last] = value
    return search


def jobs(spoil: Spoil, *changes: Any) -> dict[str, Job]:
    folder = spoil(*VALIDATION, *BENCHMARK, STUDY, "data_recipe", changed(*changes))
    return {str(job): job for job in jobs_of(load_study(folder, "one"))}


def test_every_search_and_every_line_is_a_job(spoil: Spoil) -> None:
    found = jobs(spoil)
    assert Counter(job.rule for job in found.values() if job.rule in ("pool", "search", "tune")) == {
        "pool": 1,
        "search": 2 * 2,
        "tune": (2 + 1 + 1 + 1) * 2 + 11,
    }
    assert "prepare held-out" in found
    assert found["tune random-rows/seed1"].inputs["found"] == [
        Path("results/one/data-recipe/search/gp/seed1/history.parquet")
    ]
    assert found["tune alone-ifd-low/seed0"].inputs["found"] == []
    assert "tune alone-ifd-low/seed1" not in found
    assert {"table search", "figure search"} <= found.keys()


def test_no_search_reads_a_test(spoil: Spoil) -> None:
    tested = Path("results/data/toy-test/problems.parquet")
    for name, job in jobs(spoil).items():
        if job.rule == "search":
            read = [path for given in job.inputs.values() for path in (given if isinstance(given, list) else [given])]
            assert tested not in read, name
            assert job.config() == jobs(spoil)[name].config()
    assert tested in jobs(spoil)["tune gp/seed0"].inputs["tests"]


def test_training_starts_from_the_model_unless_from_a_winner(spoil: Spoil) -> None:
    plain, begun = (jobs(spoil, "start", start)["train grpo/seed0"] for start in (None, 1))
    assert plain.inputs["model"] == Path("results/models/small/model.json")
    without = {str(job): job for job in jobs_of(load_study(spoil(), "one"))}
    assert plain.config() == without["train grpo/seed0"].config()
    folder = Path("results/one/data-recipe/tuned/gp/seed1")
    assert (begun.inputs["model"], begun.model) == (folder / "model.json", folder)
    assert begun.config()["winner"] == ("gp", 1)


def test_what_decides_a_search_is_decided_by_nothing_else(spoil: Spoil) -> None:
    before = {name: job.config() for name, job in jobs(spoil).items() if job.rule in ("pool", "search", "tune")}

    def moved(*changes: Any) -> set[str]:
        found = jobs(spoil, *changes)
        return {found[name].rule for name, config in before.items() if found[name].config() != config}

    assert moved("recipes.known", [{"operator": "exact-duplicates"}]) == {"tune"}
    assert moved("proposals", 7) == {"search"}
    assert moved("tuning.steps", 5) == {"search", "tune"}
    assert moved("pool.seed", 1) == {"pool"}  # the others follow by its content
    assert moved("start", 0) == set()


def test_a_study_without_a_search_has_none_of_it(spoil: Spoil) -> None:
    folder = spoil()
    study = load_study(folder, "one")
    assert tuned(study) == []
    assert not {job.rule for job in jobs_of(study)} & {"pool", "search", "tune"}
    assert "data_recipe" not in study.file.model_dump()
    with pytest.raises(UserError, match="allowed: none, for it has no `data_recipe`"):
        Graph(folder, asked="one").job("search", SimpleNamespace(study="one", search="gp", seed="0"))


def test_a_job_is_found_by_its_wildcards(spoil: Spoil) -> None:
    graph = Graph(spoil(*VALIDATION, *BENCHMARK, STUDY, "data_recipe", SEARCH), asked="one")
    one = {"study": "one", "seed": "0"}
    assert graph.job("search", SimpleNamespace(**one, search="random")).name == "random/seed0"
    assert graph.job("tune", SimpleNamespace(**one, line="known")).name == "known/seed0"
    assert graph.job("pool", SimpleNamespace(**one)).outputs[0] == "results/one/data-recipe/pool/pool.parquet"
    with pytest.raises(UserError, match=r"first/seed0 is not a search job of study one; allowed: gp/seed0, "):
        graph.job("search", SimpleNamespace(**one, search="first"))


def test_every_line_has_a_title_of_its_own(spoil: Spoil) -> None:
    found = titles(load_study(spoil(*VALIDATION, *BENCHMARK, STUDY, "data_recipe", SEARCH), "one"))
    assert list(found)[:5] == ["gp", "random", "random-rows", "full", "known"]
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("validation.benchmark", "easy"), "a search that scores on a test leaves none"),
        (("validation.benchmark", "hard"), "data_recipe.validation.benchmark = 'hard'"),
        (("validation.problems", 101), "held-out has 100 problems"),
        (("pool", {"kind": "file", "file": "a", "rows": 1, "sha256": "0" * 64}), "its pool must be 'embedded'"),
        (("probes", 16), "probes = 16 must not exceed evaluations = 15"),
        (("start", 2), "start = 2 must be one of seeds"),
        (("tuning.warmup_steps", 5), "tuning.warmup_steps = 5 must not exceed"),
        (("searches", ["gp", "gp"]), "'gp' is listed 2 times"),
        (("recipes", {"full": []}), "every table of a search has a line of this name"),
        (("recipes", {"alone-x": []}), "every table of a search has a line of this name"),
        (
            ("recipes", {"a": [{"operator": "drop-source", "source": "wrong"}]}),
            "data_recipe.recipes.a: source = 'wrong'",
        ),
        (
            ("recipes", {"a": [{"operator": "ifd", "fraction": 0.5}]}),
            "data_recipe.recipes.a.0.keep: this key is missing",
        ),
        (("recipes", {"a": [{"operator": "random"}]}), "data_recipe.recipes.a.0.fraction: this key is missing"),
        (("recipes", {"a": [{"operator": "random", "fraction": 0.5, "kep": 1}]}), "recipes.a.0.kep: unknown key"),
        (("recipes", {"a": [{"operator": "mona"}]}), "data_recipe.recipes.a.0.operator = 'mona': must be one of"),
        (("recipes", {"a": [{"fraction": 0.5}]}), "data_recipe.recipes.a.0.operator: this key is missing"),
    ],
)
def test_a_wrong_search_is_one_sentence(spoil: Spoil, changes: tuple, sentence: str) -> None:
    said = message_of(spoil(*VALIDATION, *BENCHMARK, STUDY, "data_recipe", changed(*changes)))
    assert sentence in said


def test_a_base_model_that_training_does_not_start_from_is_not_measured(spoil: Spoil) -> None:
    oracle = {"policies": ["base"], "seed": 0, "continuations": 4}
    given = (*VALIDATION, *BENCHMARK, STUDY, "data_recipe", changed("start", 0), STUDY, "oracle", oracle)
    assert "data_recipe.start" in message_of(spoil(*given))
    load_study(spoil(*given[:-1], {**oracle, "policies": ["grpo"]}), "one")
