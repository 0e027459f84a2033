"""Tables and figures of a synthetic study: complete, marked, and the same when made again."""

from __future__ import annotations

import copy
import importlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_study import METHODS, PROBLEMS, make_study
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.analysis import figures, layout, score_layout, scores, style, summary, tables
from tokencredit.analysis.__main__ import app
from tokencredit.analysis.credit.proxy import mutual_information
from tokencredit.analysis.figures.figure11 import COLUMNS, choose, place, shown
from tokencredit.analysis.store import Store, UndeclaredError
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study import exhibits
from tokencredit.study.exhibits import EXHIBITS, exhibits_of, inputs, planned
from tokencredit.study.paths import RunFolder

REAL_CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def table1(store: Store) -> pd.DataFrame:
    return scores.table1(store)


@pytest.mark.slow
def test_planning_imports_nothing_heavy() -> None:
    code = "import sys, tokencredit.study.rules as a; print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.slow
def test_plan_follows_the_study(store: Store, tmp_path: Path) -> None:
    assert planned(store.study) == {
        "tables": ["table1", "table3", "diagnostics"],
        "figures": [*(f"figure{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)), "diagnostics"],
    }
    small = make_study(tmp_path, ["grpo", "eapo"], (0,))
    assert planned(small) == {
        "tables": ["table1", "diagnostics"],
        "figures": [*(f"figure{number}" for number in (1, 3, 4, 6, 8, 9, 10, 11)), "diagnostics"],
    }
    assert inputs(small, "figure", "figure4") == [
        "synthetic/runs/grpo/seed0/run.json",
        "synthetic/runs/grpo/seed0/rollouts.parquet",
    ]


@pytest.mark.parametrize("name", [path.stem for path in sorted((REAL_CONFIG / "studies").glob("*.yaml"))])
def test_every_study_of_the_repository_can_be_planned(name: str) -> None:
    study = load_study(REAL_CONFIG, name)
    for entry in exhibits_of(study):
        assert inputs(study, entry.kind, entry.name)


@pytest.mark.slow
def test_every_input_exists(store: Store) -> None:
    for entry in exhibits_of(store.study):
        assert all(path.is_file() for path in entry.inputs(store.paths))


def test_every_module_of_a_table_or_figure_has_an_entry_and_every_entry_a_module() -> None:
    folders = {"table": Path(tables.__file__).parent, "figure": Path(figures.__file__).parent}
    modules = {(kind, path.stem) for kind, folder in folders.items() for path in folder.glob("[!_]*.py")}
    assert modules == {(entry.kind, entry.name) for entry in EXHIBITS}


@pytest.mark.slow
def test_a_table_or_figure_that_reads_what_it_does_not_declare_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = exhibits.exhibit("figure", "figure6")
    less = replace(entry, reads=lambda paths: (path for path in entry.reads(paths) if path.name != "probe.parquet"))
    monkeypatch.setitem(exhibits._BY_NAME, ("figure", "figure6"), less)
    with pytest.raises(UndeclaredError, match=r"runs/\w+/seed\d/probe.parquet: is read and not declared"):
        figures.make(store, "figure6", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(Path(figures.__file__).parents[1].rglob("*.py")), ids=lambda path: path.stem)
def test_records_are_read_through_the_store_alone(path: Path) -> None:
    """What opens files elsewhere in the analysis reads what the analysis itself made, or asks the store for leave."""
    allowed = {
        "store.py",
        "style.py",
        "viewer.py",
        "exhibits.py",
        "origins.py",
        "costs.py",
        "write.py",
        "commit.py",
        "overview.py",
        "so_far.py",
        "template.py",
    }
    opens = re.search(
        r"read_parquet|read_json|read_csv|read_text|read_bytes|\bopen\(", path.read_text(encoding="utf-8")
    )
    assert not opens or path.name in allowed or path.parent.name == "tables"


@pytest.mark.slow
def test_table1_has_every_line_with_its_n(table1: pd.DataFrame) -> None:
    assert len(table1) == (1 + len(METHODS)) * 4
    measured = table1[table1["benchmark"] != "mean"]
    assert (measured["questions"] == PROBLEMS).all()
    assert (measured["samples"] == 8).all()
    assert ((table1["avg_low"] < table1["avg"]) & (table1["avg"] < table1["avg_high"])).all()
    for column in ("temperature", "grader", "data_sha256", "code_digest", "model_sha256"):
        assert (table1[column] != "").all()


@pytest.mark.slow
def test_the_mean_is_the_mean_of_the_benchmarks(table1: pd.DataFrame) -> None:
    for _, records in table1.groupby("method"):
        parts, mean = records.iloc[:-1], records.iloc[-1]
        assert mean["avg"] == pytest.approx(parts["avg"].mean())
        if not np.isnan(mean["difference"]):
            assert mean["difference"] == pytest.approx(parts["difference"].mean())


@pytest.mark.slow
def test_a_benchmark_beside_the_others_is_shown_and_moves_no_mean(store: Store, table1: pd.DataFrame) -> None:
    """The means are then those of the other two; its own numbers are what they were."""
    uses = store.study.evaluation.benchmarks
    besides = [use.model_copy(update={"beside": use.benchmark == "toy-tier2"}) for use in uses]
    study = copy.copy(store.study)
    study.__dict__.pop("averaged", None)
    study.evaluation = study.evaluation.model_copy(update={"benchmarks": besides})
    table = scores.table1(Store(study, store.results))
    assert table["benchmark"].unique().tolist() == ["toy-tier1", "toy-tier3", "mean", "toy-tier2"]
    whole, now = (each.set_index(["method", "benchmark"]) for each in (table1, table))
    for method in METHODS:
        assert now.loc[(method, "toy-tier2"), "difference"] == pytest.approx(
            whole.loc[(method, "toy-tier2"), "difference"], nan_ok=True
        )
        others = [whole.loc[(method, name)] for name in ("toy-tier1", "toy-tier3")]
        mean = now.loc[(method, "mean")]
        assert mean["avg"] == pytest.approx(np.mean([each["avg"] for each in others]))
        assert mean["questions"] == 2 * PROBLEMS
        assert mean["difference"] == pytest.approx(np.mean([each["difference"] for each in others]), nan_ok=True)
    shown = score_layout.wide(table, Store(study, store.results))
    assert [head for head, _ in shown.columns][-1] == f"Tier 2 (n = {PROBLEMS}), beside"
    assert "Tier 2: beside the others, in no mean and no claim." in shown.notes
    assert summary.headings(Store(study, store.results))[3:5] == ["Mean", "Tier 2, Avg@8, beside"]


@pytest.mark.slow
def test_seeds_are_averaged_and_not_pooled(store: Store, table1: pd.DataFrame) -> None:
    record = table1.set_index(["method", "benchmark"]).loc[("grpo", "toy-tier2")]
    by_seed = [
        store.scores(row).query("benchmark == 'toy-tier2'")["right"].mean() / 8 * 100
        for row in store.study.rows
        if row.name == "grpo"
    ]
    assert record["avg"] == pytest.approx(np.mean(by_seed))
    assert record["seed_spread"] == pytest.approx(np.std(by_seed, ddof=1))
    assert record["questions"] == PROBLEMS


@pytest.mark.slow
def test_marks(table1: pd.DataFrame) -> None:
    by = table1.set_index(["method", "benchmark"])
    assert by.loc[("eapo", "toy-tier1"), "overlapping"] == 2
    assert by.loc[("eapo", "toy-tier3"), "overlapping"] == 0
    assert by.loc[("base", "toy-tier1"), "overlapping"] == 0
    assert by.loc[("eapo", "mean"), "overlapping"] == 4
    assert by.loc[("hapo", "mean"), "reconstruction"]
    assert "not finite" in by.loc[("nlr", "mean"), "invalid"]
    assert np.isnan(by.loc[("nlr", "mean"), "difference"])
    assert np.isnan(by.loc[("grpo", "mean"), "difference"])
    assert (table1["p_holm"].dropna() >= table1["p"].dropna()).all()


@pytest.mark.slow
def test_table3_compares_variants_with_eapo(store: Store) -> None:
    table = scores.table3(store).drop_duplicates("method").set_index("method")["reference"]
    assert table["eapo-without-nhr"] == "eapo"
    assert table["phr"] == table["eapo"] == "grpo"


def test_printed_numbers_stand_beside_the_same_model() -> None:
    """Config of the paper's study, no results: the numbers of Table 1 and 2 are found by this project's names."""
    found = Store(load_study(REAL_CONFIG, "paper-7b"), Path("none")).targets("tables")
    study = load_study(REAL_CONFIG, "paper-7b")
    here = found[(found["model"] == study.model_name) & (found["table"] == "table1") & (found["method"] == "eapo")]
    assert set(study.averaged) <= set(here["benchmark"])
    store = Store(study, Path("none"))
    assert scores._printed(store, "table1", "eapo", "aime24", "avg") == float(
        here[(here["benchmark"] == "aime24") & (here["metric"] == "avg")]["value"].iloc[0]
    )
    assert scores._pass_k(store, "math-500", 256, "table1") == 4
    assert scores._pass_k(store, "math-500", 2, "table1") == 2


@pytest.mark.slow
def test_printed_curves_are_drawn_on_the_same_model() -> None:
    store = Store(load_study(REAL_CONFIG, "paper-quadrants"), Path("none"))
    _, axes = style.figure(2, 2)
    importlib.import_module("tokencredit.analysis.figures.figure2")._printed(store, list(axes.flat))
    assert [len(axis.lines) for axis in axes.flat] == [4, 4, 4, 5]
    _, axes = style.figure(1, 1)
    figure5 = importlib.import_module("tokencredit.analysis.figures.figure5")
    figure5._printed(store, axes.flat[0], "math-500", style.lines(store.study))
    assert len(axes.flat[0].lines) == 5


def test_a_short_score_table_is_refused(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["grpo"], (0,))
    path = tmp_path / "results" / "synthetic" / "eval" / "base" / "seed0" / "scores.parquet"
    files.write_parquet(path, files.read_parquet(path).iloc[1:], files.parquet_metadata(path))
    with pytest.raises(UserError, match=r"scores.parquet: toy-tier1: 39 questions .* asks for 40"):
        scores.table1(Store(study, tmp_path / "results"))


@pytest.mark.slow
def test_every_figure_and_table_is_made(store: Store, made: Path) -> None:
    for name in planned(store.study)["figures"]:
        assert all((made / "figures" / f"{name}.{suffix}").stat().st_size > 200 for suffix in ("pdf", "png", "csv"))
        sidecar = files.read_json(made / "figures" / f"{name}.json")
        assert re.search(r"\d", sidecar["note"])
        assert sidecar["files"].keys() == set(inputs(store.study, "figure", name))


@pytest.mark.slow
def test_figures_are_reproducible(store: Store, made: Path, tmp_path: Path) -> None:
    drawn = importlib.import_module("tokencredit.analysis.figures.figure6").draw(store)
    style.save(drawn, "figure6", store, tmp_path)
    for suffix in ("pdf", "png", "csv", "json"):
        assert (tmp_path / f"figure6.{suffix}").read_bytes() == (made / "figures" / f"figure6.{suffix}").read_bytes()


@pytest.mark.slow
def test_latex_is_escaped_and_regular(store: Store, made: Path) -> None:
    text = (made / "tables" / "table1.tex").read_text()
    assert layout.escape_latex("50 % of $x_1 & \\input{a}") == r"50 \% of \$x\_1 \& \textbackslash{}input\{a\}"
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {7}
    assert r"\textdagger{}" in text
    assert r"\textdaggerdbl{}2" in text


@pytest.mark.slow
def test_summary_lists_aims_and_files(store: Store, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_summary(store)
    text = capsys.readouterr().out
    assert "the base solves 30-60 % of tier 1" in text
    assert "figure2.{pdf,png,csv}" in text
    assert len(summary.aims(store, scores.table1(store))) == 6


@pytest.mark.slow
def test_command_line_refuses_unknown_figures(store: Store, tmp_path: Path) -> None:
    arguments = ["--config", str(store.study.config.folder), "--study", "synthetic", "--results", str(store.results)]
    result = CliRunner().invoke(app, ["figures", *arguments, "--out", str(tmp_path), "--only", "figure7"])
    assert isinstance(result.exception, UserError)
    assert "it has figure1, figure2, figure3" in str(result.exception)


@pytest.mark.slow
def test_methods_keep_their_colour_in_every_study(store: Store, tmp_path: Path) -> None:
    small = style.lines(make_study(tmp_path, ["grpo", "nhr"], (0,)))
    full = style.lines(store.study)
    assert list(small) == ["base", "grpo", "nhr"]
    assert all(full[name].colour == line.colour for name, line in small.items())
    assert len({(line.colour, str(line.dash)) for line in full.values()}) == len(full)


def test_panels_are_lettered_beyond_the_alphabet() -> None:
    _, axes = style.figure(1, 1)
    for index, name in ((0, "(a) x"), (25, "(z) x"), (26, "(aa) x"), (53, "(bbb) x")):
        style.letter(axes.flat[0], index, "x")
        assert axes.flat[0].get_title(loc="left") == name


def test_mutual_information_sees_what_is_there() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"seed": 0, "problem_id": "a", "sample": np.repeat(np.arange(400), 10), "entropy": rng.uniform(0, 1, 4000)}
    )
    frame["reward"] = np.where(frame["sample"] % 2, 1.0, -1.0)
    edges = np.linspace(0, 1, 51)
    measured, chance = mutual_information(frame, edges, shuffles=20)
    assert measured == pytest.approx(chance, abs=0.003)
    assert chance == pytest.approx(49 / (2 * 4000), rel=0.3)
    frame["entropy"] = np.where(frame["reward"] > 0, 0.2, 0.8)
    assert mutual_information(frame, edges, shuffles=5)[0] == pytest.approx(np.log(2))


def test_heat_map_text_is_plain() -> None:
    assert [shown(letter) for letter in "a \n\x00$"] == ["a", "␣", "⏎", "\N{REPLACEMENT CHARACTER}", "$"]
    tokens = pd.DataFrame({"position": range(4), "token": ["ab\n", "x" * 200, " c", ""]})
    laid = place(tokens)
    assert laid["line"].tolist() == [0, 1, 2, 2]
    assert laid["text"].str.len().max() == 58


@pytest.mark.slow
def test_heat_map_takes_both_polarities_of_one_problem(store: Store) -> None:
    chosen = choose(store.tokens(RunFolder.rollouts, "eapo", COLUMNS))
    assert chosen["problem_id"].nunique() == 1
    assert chosen.groupby("reward")["sample"].nunique().to_dict() == {-1: 1, 1: 1}


@pytest.mark.slow
def test_heat_map_of_a_model_that_solves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    figure11 = importlib.import_module("tokencredit.analysis.figures.figure11")
    read = store.tokens
    without = lambda *arguments: read(*arguments).assign(reward=-1.0, group_advantage=0.0, advantage=0.0)  # noqa: E731
    monkeypatch.setattr(store, "tokens", without)
    drawn = figure11.draw(store)
    assert (drawn.table["credit"] == 1).all()
    assert drawn.table["reward"].unique().tolist() == [-1]
