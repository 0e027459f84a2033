"""A study that is a part of another: what it has of its whole, where its files are, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tokencredit.config import Config, Study, load_study
from tokencredit.errors import UserError
from tokencredit.study.jobs import jobs_of
from tokencredit.study.rules import Graph

from .conftest import STUDY, Spoil

ORACLE = {"policies": ["base", "eapo"], "seed": 0, "continuations": 4}
PART = {"title": "Part", "part_of": "one", "methods": ["eapo", "grpo"], "seeds": [1]}


def write(folder: Path, name: str = "part", **changes: Any) -> Path:
    """The configuration with a part of its study; a key that is changed to ``...`` is left out."""
    content = {key: value for key, value in {**PART, **changes}.items() if value is not ...}
    (folder / f"studies/{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def part_of(folder: Path, **changes: Any) -> Study:
    return load_study(write(folder, **changes), "part")


def test_a_part_is_its_whole_but_for_what_it_says(spoil: Spoil) -> None:
    part = part_of(spoil(STUDY, "oracle", ORACLE))
    whole = load_study(spoil(STUDY, "oracle", ORACLE), "one")
    assert (part.name, part.home, part.title) == ("part", "one", "Part")
    assert (whole.name, whole.home) == ("one", "one")
    assert [row.path for row in part.rows] == ["base/seed0", "eapo/seed1", "grpo/seed1"]
    assert (part.reference, part.model_name, part.resources) == (whole.reference, whole.model_name, whole.resources)
    for row in part.rows:
        assert row == whole.row(row.name, row.seed)
        assert part.evaluation_config(row, "easy") == whole.evaluation_config(row, "easy")
    assert {name: part.training_config(name) for name in part.methods} == {
        name: whole.training_config(name) for name in part.methods
    }


def test_the_oracle_is_the_wholes_or_its_own_or_none(spoil: Spoil) -> None:
    folder = spoil(STUDY, "oracle", ORACLE)
    own = ORACLE | {"policies": ["grpo"]}
    assert part_of(folder).oracle == load_study(folder, "one").oracle
    assert part_of(folder, oracle=own).oracle.policies == ["grpo"]
    assert part_of(folder, oracle=None).oracle is None


def test_the_jobs_on_models_and_answers_are_the_wholes(spoil: Spoil) -> None:
    """No job of a part but the oracle and what is shown has files below its own folder; all others are jobs of the whole."""
    config = Config(write(spoil(STUDY, "oracle", ORACLE)))
    part, whole = jobs_of(config.study("part")), {str(unit): unit for unit in jobs_of(config.study("one"))}
    own = [unit for unit in part if unit.rule in ("oracle", "table", "figure", "report")]
    assert {unit.rule for unit in own} == {"oracle", "table", "figure", "report"}
    assert all(path.startswith("results/part/") for unit in own for path in unit.outputs)
    shared = [unit for unit in part if unit not in own]
    assert {"audit", "train", "generate", "grade", "score"} < {unit.rule for unit in shared}
    assert [whole[str(unit)] for unit in shared] == shared


def test_the_graph_builds_what_a_part_shows_from_the_files_of_its_whole(spoil: Spoil) -> None:
    graph = Graph(write(spoil(STUDY, "oracle", ORACLE)), asked="part")
    runs = [f"results/one/runs/{method}/seed1/run.json" for method in ("eapo", "grpo")]
    scores = [f"results/one/eval/{row}/scores.parquet" for row in ("base/seed0", "eapo/seed1", "grpo/seed1")]
    assert graph.runs("part") == runs
    assert graph.scores("part") == scores
    assert "results/part/index.html" in graph.everything("part")
    w = SimpleNamespace(study="part", policy="eapo", seed="1", exhibit="table1")
    oracle, table, page = (graph.job(rule, w) for rule in ("oracle", "table", "report"))
    assert list(map(str, oracle.inputs["runs"])) == runs[:1]
    assert str(oracle.model) == "results/one/runs/eapo/seed1/model"
    assert list(map(str, oracle.inputs["audits"])) == ["results/one/audit/easy.json"]
    shown, read = (set(map(str, job.inputs["records"])) for job in (table, page))
    assert {*runs, *scores} < shown
    assert {*runs, *scores, "results/one/audit/easy.json"} < read
    assert not any(path.startswith("results/one/tables") for path in read)


def test_the_base_is_measured_at_the_responses_of_the_parts_runs(spoil: Spoil) -> None:
    graph = Graph(write(spoil(STUDY, "oracle", {**ORACLE, "policies": ["base"]}), methods=["grpo"]), asked="part")
    w = SimpleNamespace(study="part", policy="base", seed="1")
    oracle = graph.job("oracle", w)
    assert list(map(str, oracle.inputs["runs"])) == ["results/one/runs/grpo/seed1/run.json"]
    assert str(oracle.model) == "results/models/small"


@pytest.mark.parametrize(
    ("rule", "wildcards"),
    [
        ("train", {"method": "eapo"}),
        ("generate", {"row": "eapo"}),
        ("score", {"row": "base"}),
        ("audit", {"benchmark": "easy"}),
    ],
)
def test_nothing_is_trained_or_evaluated_below_a_part(spoil: Spoil, rule: str, wildcards: dict[str, str]) -> None:
    graph = Graph(write(spoil()), asked="part")
    with pytest.raises(UserError, match=r"part is a part of study one .* ask for them below results/one\."):
        graph.job(rule, SimpleNamespace(study="part", seed="1", **wildcards))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": ["grpo", "eapo-strong"]}, "methods = 'eapo-strong': is not in study one; allowed: grpo, eapo"),
        ({"methods": ["eapo"]}, "methods: 'grpo' is missing, the reference of study one"),
        ({"methods": ["grpo", "grpo"]}, "methods: 'grpo' is listed 2 times"),
        ({"methods": []}, "methods: must have at least one entry"),
        ({"seeds": [0, 7]}, "seeds = 7: is not in study one; allowed: 0, 1."),
        ({"seeds": ...}, "seeds: this key is missing"),
        ({"part_of": "on"}, "part_of = 'on': not known; allowed: one, other (did you mean 'one'?)"),
        ({"part_of": "part"}, "part_of = 'part': is this study itself; name the whole."),
        ({"part_of": ..., "partof": "one"}, "partof: unknown key; allowed: title, part_of, methods"),
        ({"part_of": "other"}, "part_of = 'other': is a part itself; name the whole."),
        ({"training": {}}, "training: unknown key; allowed: title, part_of, methods, seeds, oracle"),
        ({"methods": ["grpo"]}, "oracle: this key is missing, and study one measures 'eapo'"),
        ({"methods": ["grpo"], "oracle": ORACLE}, "oracle.policies = 'eapo': not known; allowed: base, grpo"),
    ],
)
def test_what_is_wrong_in_a_part_is_one_sentence(spoil: Spoil, changes: dict[str, Any], sentence: str) -> None:
    folder = write(spoil(STUDY, "oracle", ORACLE), name="other")
    with pytest.raises(UserError) as raised:
        part_of(folder, **changes)
    assert str(raised.value).startswith(f"{folder / 'studies/part.yaml'}: ")
    assert sentence in str(raised.value)


def test_what_is_wrong_in_the_whole_is_named_there(spoil: Spoil) -> None:
    with pytest.raises(UserError, match=r"studies/one\.yaml: training\.steps = 0"):
        part_of(spoil(STUDY, "training.steps", 0))
