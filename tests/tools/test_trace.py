"""From a number to its files, and from one run to another: what is chosen, what is found to differ, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.errors import UserError
from tokencredit.tools import select_rows
from tokencredit.tools.regrade import changed

TABLE = pd.DataFrame(
    {
        "method": ["grpo", "grpo", "eapo", "eapo"],
        "benchmark": ["aime24", "mean", "aime24", "mean"],
        "k": ["1", "2", "1", "2"],
        "step": ["2", "2", "2", "3"],
        "avg": ["10", "11", "12", ""],
    }
)
HERE = Path("table1.csv")
KEYS = select_rows.keys_of(TABLE)


def test_words_choose_rows() -> None:
    assert select_rows.choose(TABLE, ["eapo", "aime24"], HERE, KEYS)["avg"].tolist() == ["12"]
    assert select_rows.choose(TABLE, ["aime24", "mean", "grpo"], HERE, KEYS)["avg"].tolist() == ["10", "11"]
    assert select_rows.choose(TABLE, ["k=2", "grpo"], HERE, KEYS)["avg"].tolist() == ["11"]
    assert len(select_rows.choose(TABLE, [], HERE, KEYS)) == 4


def test_the_keys_of_an_entry_choose_rows_too(shown: Path) -> None:
    """Of the table of experiments ``experiment`` is one, of a figure that somebody adds any column."""
    table = shown.with_name("experiments.csv")
    files.write_text(
        table, "experiment,contrast,outcome\nharmless,a above b,supported\nuseful,a above b,contradicted\n"
    )
    shown.with_suffix(".json").rename(table.with_suffix(".json"))
    done, said = traced(table, "useful")
    assert done.exit_code == 0, done.output
    assert [row["outcome"] for row in said["rows"]] == ["contradicted"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["aime25"], r"aime25 is no value of method \(grpo, eapo\); nor of benchmark \(aime24, mean\)"),
        (["2"], "2 is a value of step and of k; write step=2 or k=2"),
        (["eapo", "step=3", "aime24"], "no row has eapo and step=3 and aime24 together"),
    ],
)
def test_words_that_choose_nothing_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=f"table1.csv: {sentence}"):
        select_rows.choose(TABLE, words, HERE, KEYS)


def test_cells_that_moved() -> None:
    after = TABLE.assign(avg=["10", "11", "13", "5"])
    found = changed(TABLE, after)
    assert found[["method", "benchmark", "column", "before", "after"]].to_numpy().tolist() == [
        ["eapo", "aime24", "avg", "12", "13"],
        ["eapo", "mean", "avg", "", "5"],
    ]
    assert changed(TABLE, TABLE.iloc[::-1]).empty
    twice = pd.concat([TABLE.iloc[:1], TABLE.iloc[:1].assign(avg="7")])
    assert changed(twice, twice.assign(avg=["10", "8"]))["before"].tolist() == ["7"]


RUN = {
    "method": "eapo",
    "seed": 0,
    "steps": 3,
    "config": {"training": {"learning_rate": 1e-4, "group_size": 4}},
    "config_digest": "1" * 64,
    "code_digest": "2" * 64,
    "environment": {"torch": "2.1", "device": "cpu"},
    "seconds": 3.0,
}


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """A table on one trained row and one benchmark, with every file behind it."""
    results = tmp_path / "results"
    study = results / "toy"
    problems, weights = results / "data/toy-tier1/problems.parquet", results / "models/base/model.safetensors"
    for path in (problems, weights, results / "data/overlap/toy-train--toy-tier1.json", study / "audit/toy-tier1.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    run, row = study / "runs/eapo/seed0", study / "eval/eapo/seed0"
    files.write_text(run / "metrics.jsonl", '{"step": 1}\n')
    files.write_text(run / "model/config.json", "{}")
    digests = {"model": files.sha256(weights), "data toy-tier1": files.sha256(problems)}
    recorded = {"files": {"metrics.jsonl": files.sha256(run / "metrics.jsonl")}, "model": {"model": "base"}}
    files.write_json(run / "run.json", RUN | recorded | {"digests": digests})
    for name in ("generations", "grades"):
        files.write_parquet(row / f"toy-tier1/{name}.parquet", pd.DataFrame({"sample": [0]}))
    entry = {
        **{f"{name}_sha256": files.sha256(row / f"toy-tier1/{name}.parquet") for name in ("generations", "grades")},
        **{"data_sha256": files.sha256(problems), "model_sha256": files.sha256(run / "model"), "model": "base"},
        **{"engine": "transformers", "dtype": "float32", "evaluation_seed": 0, "sampling": {"temperature": 1.0}},
        **{"grader": "math-verify 1", "grading": {"timeout_s": 10}, "code_digest": "3" * 64, "environment": {}},
    }
    files.write_parquet(row / "scores.parquet", pd.DataFrame({"n": [1]}), {"benchmarks": {"toy-tier1": entry}})
    path = study / "tables/table1.csv"
    files.write_text(path, "method,benchmark,avg,reference\neapo,toy-tier1,50,\n")
    read = [run / "run.json", row / "scores.parquet", results / "data/overlap/toy-train--toy-tier1.json"]
    origin = {"name": "table1", "study": "toy", "code_digest": "4" * 64, "made": {"table1.csv": files.sha256(path)}}
    origin["files"] = {name.relative_to(results).as_posix(): files.sha256(name) for name in read}
    files.write_json(path.with_suffix(".json"), origin)
    return path


def traced(shown: Path, *words: str) -> tuple[Result, dict[str, Any]]:
    config = Path(__file__).parents[2] / "config"
    done = CliRunner().invoke(app, ["trace", str(shown), *words, "--config", str(config), "--json"])
    return done, json.loads(done.output) if done.exit_code in (0, 1) and done.output else {}


def paths(source: dict[str, Any]) -> dict[str, str]:
    """The state of a file and of every file behind it, by its name below the results."""
    found = {source["path"].split("/results/")[1]: source["state"]}
    for below in source["behind"]:
        found |= paths(below)
    return found


def test_every_file_behind_a_number_is_followed(shown: Path) -> None:
    done, said = traced(shown, "eapo", "toy-tier1")
    assert done.exit_code == 0, done.output
    assert said["rows"] == [{"method": "eapo", "benchmark": "toy-tier1", "avg": "50", "reference": ""}]
    assert paths(said["source"]) == {
        "toy/tables/table1.csv": "as recorded",
        "toy/eval/eapo/seed0/scores.parquet": "as recorded",
        "toy/eval/eapo/seed0/toy-tier1/grades.parquet": "as recorded",
        "toy/eval/eapo/seed0/toy-tier1/generations.parquet": "as recorded",
        "data/toy-tier1/problems.parquet": "as recorded",
        "toy/audit/toy-tier1.json": "not recorded",
        "toy/runs/eapo/seed0/model": "as recorded",
        "toy/runs/eapo/seed0/run.json": "as recorded",
        "toy/runs/eapo/seed0/metrics.jsonl": "as recorded",
        "models/base/model.safetensors": "as recorded",
        "data/overlap/toy-train--toy-tier1.json": "as recorded",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("toy/tables/table1.csv", "toy/eval/eapo/seed0/toy-tier1/grades.parquet", "data/toy-tier1/problems.parquet"),
        *(
            "toy/runs/eapo/seed0/metrics.jsonl",
            "toy/runs/eapo/seed0/model/config.json",
            "models/base/model.safetensors",
        ),
    ],
)
def test_a_file_that_changed_is_named(shown: Path, name: str) -> None:
    path = shown.parents[2] / name
    path.write_bytes(path.read_bytes() + b"\n")
    done, said = traced(shown)
    assert done.exit_code == 1
    wrong = name.removesuffix("/config.json")
    assert [sentence.split(": ")[0].split("/results/")[1] for sentence in said["differences"]] == [wrong]
    assert "has changed: sha256 " in said["differences"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["toy/eval/eapo/seed0/scores.parquet", "toy/runs/eapo/seed0/run.json", "toy/runs/eapo/seed0/model"]
)
def test_a_file_that_is_missing_is_named(shown: Path, name: str) -> None:
    path = shown.parents[2] / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    done, said = traced(shown)
    assert done.exit_code == 1
    assert any(f"/results/{name}: is not there; sha256 " in sentence for sentence in said["differences"])
    plain = CliRunner().invoke(app, ["trace", str(shown), "--config", str(Path(__file__).parents[2] / "config")])
    assert plain.exit_code == 1
    assert f"{name}: is not there" in plain.output


VERDICT = "method,benchmark,step,verdict,files\neapo,training,1,consistent,{files}\n"


@pytest.mark.parametrize(
    "named", ["runs/eapo/seed0/metrics.jsonl", "runs/eapo/seed0/run.json runs/eapo/seed0/metrics.jsonl"]
)
def test_a_verdict_on_training_rests_on_the_files_of_its_run(shown: Path, named: str) -> None:
    """With the record of the run or, as older tables name them, without: a table of training that changed is found."""
    table, run = shown.with_name("verdicts.csv"), shown.parents[1] / "runs/eapo/seed0"
    files.write_text(table, VERDICT.format(files=named))
    origin = files.read_json(shown.with_suffix(".json")) | {"made": {table.name: files.sha256(table)}}
    origin["files"]["toy/runs/eapo/seed0/metrics.jsonl"] = files.sha256(run / "metrics.jsonl")
    files.write_json(table.with_suffix(".json"), origin)
    done, said = traced(table, "eapo")
    assert done.exit_code == 0
    assert paths(said["source"])["toy/runs/eapo/seed0/metrics.jsonl"] == "as recorded"
    files.write_text(run / "metrics.jsonl", '{"step": 2}\n')
    done, said = traced(table, "eapo")
    assert done.exit_code == 1
    assert "metrics.jsonl: has changed" in said["differences"][0]


@pytest.fixture
def measured(shown: Path) -> Path:
    """The table `oracle` of a part of another study: the base and a trained cell, measured at the responses of one run of the whole."""
    results = shown.parents[2]
    study, run = results / "toy-core", results / "toy-full/runs/eapo/seed0"
    shutil.copytree(results / "toy/runs/eapo/seed0", run)
    files.write_text(run / "rollouts.parquet", "responses")
    record = files.read_json(run / "run.json")
    files.write_json(run / "run.json", record | {"files": {"rollouts.parquet": files.sha256(run / "rollouts.parquet")}})
    models = {"base": results / "models/base", "eapo": run / "model"}
    for policy, model in models.items():
        about = {
            **{"study": "toy-core", "policy": policy, "seed": 0, "step": 1, "oracle": {"continuations": 4}},
            **{"model_sha256": files.sha256(model), "code_digest": "6" * 64, "environment": {}},
            "data_sha256": {"toy-tier1": files.sha256(results / "data/toy-tier1/problems.parquet")},
            "rollouts_sha256": {"eapo": files.sha256(run / "rollouts.parquet")},
        }
        for name in ("states", "branches"):
            files.write_parquet(study / f"oracle/{policy}/seed0/{name}.parquet", pd.DataFrame({name: [1]}), about)
    path = study / "tables/oracle.csv"
    files.write_text(path, "policy,part,information\nbase,all,0.1\neapo,all,0.2\n")
    read = {file.relative_to(results).as_posix(): files.sha256(file) for file in study.rglob("*.parquet")}
    made = {"made": {path.name: files.sha256(path)}, "files": dict(sorted(read.items()))}
    files.write_json(path.with_suffix(".json"), {"study": "toy-core", "code_digest": "7" * 64, **made})
    return path


RESPONSES = {
    "toy-full/runs/eapo/seed0/rollouts.parquet": "as recorded",
    "toy-full/runs/eapo/seed0/run.json": "not recorded",
    "models/base/model.safetensors": "as recorded",
    "data/toy-tier1/problems.parquet": "as recorded",
}


@pytest.mark.parametrize(("policy", "model"), [("base", "models/base"), ("eapo", "toy-full/runs/eapo/seed0/model")])
def test_measured_credit_is_followed_to_the_responses_and_the_model(measured: Path, policy: str, model: str) -> None:
    done, said = traced(measured, policy)
    assert done.exit_code == 0, done.output
    tables = {f"toy-core/oracle/{policy}/seed0/{name}.parquet": "as recorded" for name in ("states", "branches")}
    assert paths(said["source"]) == {
        "toy-core/tables/oracle.csv": "as recorded",
        **tables,
        **RESPONSES,
        model: "as recorded",
    }
    # Both tables are of one measurement, and what is behind it is followed once.
    assert [bool(each["behind"]) for each in said["source"]["behind"]] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "policies"),
    [
        ("toy-full/runs/eapo/seed0/rollouts.parquet", ["base", "eapo"]),
        ("toy-full/runs/eapo/seed0/model/config.json", ["eapo"]),
        ("models/base/model.safetensors", ["base", "eapo"]),
        ("data/toy-tier1/problems.parquet", ["base", "eapo"]),
        ("toy-core/oracle/eapo/seed0/branches.parquet", ["eapo"]),
    ],
)
def test_what_changed_behind_measured_credit_is_named(measured: Path, name: str, policies: list[str]) -> None:
    path = measured.parents[2] / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert [policy for policy in ("base", "eapo") if traced(measured, policy)[0].exit_code == 1] == policies
    assert name.removesuffix("/config.json") in " ".join(traced(measured)[1]["differences"])


def test_tables_of_two_measurements_are_followed_apart(measured: Path) -> None:
    """Branches that were measured at other responses than the states lead to theirs."""
    branches = measured.parents[1] / "oracle/base/seed0/branches.parquet"
    about = files.parquet_metadata(branches) | {"rollouts_sha256": {"eapo": "8" * 64}}
    files.write_parquet(branches, files.read_parquet(branches), about)
    said = traced(measured, "base")[1]
    changed = [sentence.split("/results/")[1].split(": ")[0] for sentence in said["differences"]]
    assert changed == [
        "toy-core/oracle/base/seed0/branches.parquet",
        "toy-full/runs/eapo/seed0/rollouts.parquet",
    ]


def test_measured_credit_whose_run_is_missing_says_so(measured: Path) -> None:
    run = measured.parents[2] / "toy-full/runs/eapo/seed0"
    shutil.rmtree(run)
    done, said = traced(measured, "base")
    assert done.exit_code == 1
    assert any("runs/eapo/seed0/rollouts.parquet: is not there; sha256 " in each for each in said["differences"])


def test_columns_that_rest_on_other_rows_are_named(shown: Path) -> None:
    files.write_text(shown, "method,avg,reference,p_holm,over_base\neapo,50,,0.01,\nbase,40,,,\n")
    origin = files.read_json(shown.with_suffix(".json"))
    origin["files"]["toy/eval/base/seed0/scores.parquet"] = "5" * 64
    files.write_json(shown.with_suffix(".json"), origin | {"made": {shown.name: files.sha256(shown)}})
    assert traced(shown, "eapo")[1]["rest_on_more"] == ["p_holm"]
    plain = CliRunner().invoke(
        app, ["trace", str(shown), "eapo", "--config", str(Path(__file__).parents[2] / "config")]
    )
    assert "p_holm: rest on other rows too, whose files are not followed" in plain.output
    assert traced(shown)[1]["rest_on_more"] == []


def test_a_table_is_named_from_its_own_folder(shown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry is found there too, and with it the keys by which a row is named."""
    table = shown.with_name("experiments.csv")
    files.write_text(table, "experiment,outcome\nuseful,supported\n")
    origin = files.read_json(shown.with_suffix(".json")) | {"made": {table.name: files.sha256(table)}}
    files.write_json(table.with_suffix(".json"), origin)
    monkeypatch.chdir(table.parent)
    config = Path(__file__).parents[2] / "config"
    done = CliRunner().invoke(app, ["trace", table.name, "useful", "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == ["useful", "  outcome supported"]


def test_a_file_without_an_origin_is_refused(shown: Path) -> None:
    files.write_json(shown.with_suffix(".json"), {"study": "other"})
    done, _ = traced(shown)
    assert "is not the origin of a table or figure of study toy" in str(done.exception)
    shown.with_suffix(".json").unlink()
    assert "table1.json: no such file" in str(traced(shown)[0].exception)


# ---------------------------------------------------------------- two runs


def compared(first: dict[str, Any], second: dict[str, Any], folder: Path) -> Result:
    for name, run in (("a", first), ("b", second)):
        files.write_json(folder / name / "run.json", run)
    return CliRunner().invoke(app, ["compare", str(folder / "a"), str(folder / "b" / "run.json"), "--json"])


def test_what_two_runs_differ_in_is_all_that_is_printed(tmp_path: Path) -> None:
    other = RUN | {"seed": 1, "seconds": 9.0, "environment": {"torch": "2.2", "device": "cpu", "vllm": "1"}}
    other |= {"config": {"training": {"learning_rate": 2e-4, "group_size": 4}}, "code_digest": "5" * 64}
    done = compared(RUN, other, tmp_path)
    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "seed": {"first": 0, "second": 1},
        "config.training.learning_rate": {"first": 1e-4, "second": 2e-4},
        "code_digest": {"first": "2" * 64, "second": "5" * 64},
        "environment.torch": {"first": "2.1", "second": "2.2"},
        "environment.vllm": {"first": None, "second": "1"},
    }


def test_runs_that_differ_in_time_alone_are_equal(tmp_path: Path) -> None:
    assert compared(RUN, RUN | {"seconds": 9.0}, tmp_path).exit_code == 0


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    done = compared(RUN, {"title": "a"}, tmp_path)
    assert "run.json: does not say what it was made with" in str(done.exception)
