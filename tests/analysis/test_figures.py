"""The numbers in the figures, computed again from stored records without the package; text that looks like markup; the paper in grey."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats
from synthetic_study import CURVE, PROBLEMS, SAMPLES, TIERS, make_study

from tokencredit.analysis import labels, style
from tokencredit.analysis.credit import words
from tokencredit.analysis.figures.figure3 import front
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import inputs, planned
from tokencredit.study.selection import alpha_sweep, without_entropy_term

pytestmark = pytest.mark.slow  # they draw

ROOT = Path(__file__).parents[2]
SWEEP = ["grpo", "dapo", "eapo", "eapo-alpha-0.1", "eapo-alpha-0.5", "eapo-phi-4.0", "eapo-per-update", "eapo-shuffled"]


def drawn(store: Store, name: str) -> style.Drawn:
    return importlib.import_module(f"tokencredit.analysis.figures.{name}").draw(store)


def texts(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.findobj(Text)]


def add_source(folder: Path, name: str, table: pd.DataFrame, file: str) -> None:
    """Give the synthetic study a table or figure of the paper to show again."""
    path = folder / "config" / "targets.yaml"
    tolerances = yaml.safe_load((ROOT / "config" / "targets.yaml").read_text())["tolerances"]
    source = {"title": name, "file": file, "study": "synthetic"}
    path.write_text(yaml.safe_dump({"confidence": 0.9, "tolerances": tolerances, "sources": {name: source}}))
    table.to_csv(folder / "config" / "targets" / f"{file}.csv", index=False)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with three alphas of EAPO, and methods that differ from EAPO in something else; the paper's Table 9 beside it."""
    folder = tmp_path_factory.mktemp("sweep")
    make_study(folder, SWEEP, (0, 1))
    lines = [
        ("eapo", "toy-tier1", 61.5),
        ("eapo", "mean", 55.0),
        ("eapo-alpha-0.1", "mean", 54.0),
        ("dapo", "mean", 1.0),
    ]
    table = pd.DataFrame(lines, columns=["method", "benchmark", "value"]).assign(table="table9", model="embedded-1m")
    add_source(
        folder, "table9", table.assign(metric="avg", k=SAMPLES, questions=40, samples=8, runs=1, se=1.0), "tables"
    )
    return folder


def opened(folder: Path) -> Store:
    return Store(load_study(folder / "config", "synthetic"), folder / "results")


# ---------------------------------------------------------------- figure 1


def test_the_plane_holds_the_means_of_the_steps(store: Store) -> None:
    table = drawn(store, "figure1").table.set_index(["quantity", "quadrant"])
    paths = [store.paths.home.joinpath("runs", "grpo", f"seed{seed}", "metrics.jsonl") for seed in (0, 1)]
    steps = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    for kind, scale in (("tokens", 100), ("mass", 100), ("entropy", 1)):
        for quadrant in ("phr", "plr", "nhr", "nlr"):
            values = [scale * step[f"{kind}_{quadrant}"] for step in steps if step[f"{kind}_{quadrant}"] is not None]
            line = table.loc[(kind, quadrant)]
            assert line["value"] == pytest.approx(np.mean(values))
            assert (line["low"], line["high"]) == pytest.approx(tuple(np.quantile(values, [0.05, 0.95])))
            assert line["steps"] == len(values)
    assert table.loc["tokens", "value"].sum() == pytest.approx(100)
    assert table.loc[("entropy", "phr"), "steps"] == table.loc[("entropy", "plr"), "steps"] - 2


def test_metrics_without_quadrants_are_refused(tmp_path: Path) -> None:
    store = Store(make_study(tmp_path, ["grpo"], (0,)), tmp_path / "results")
    path = store.paths.home.joinpath("runs", "grpo", "seed0", "metrics.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    short = [{key: value for key, value in line.items() if not key.startswith("tokens_")} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in short))
    with pytest.raises(UserError, match=r"metrics.jsonl: no step holds tokens_phr, .*Train it again"):
        drawn(store, "figure1")


# ---------------------------------------------------------------- figure 3


def test_the_front_holds_what_nothing_beats() -> None:
    tokens = pd.Series([1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 0.5])
    value = pd.Series([10.0, 20.0, 15.0, 20.0, 30.0, 29.0, 99.0])
    without = pd.Series([False] * 6 + [True])
    assert front(tokens, value, without) == [True, True, False, False, True, False, False]
    same = pd.Series([1.0, 1.0])
    assert front(same, same, pd.Series([False, False])) == [True, True]


def test_accuracy_and_length_are_those_of_the_scores(store: Store) -> None:
    table = drawn(store, "figure3").table
    ends = table[table["panel"] == "plane"].set_index("method")
    assert set(ends.index) == {row.name for row in store.study.rows}
    for method, seeds in (("eapo", (0, 1)), ("base", (0,))):
        parts = [
            pd.read_parquet(store.paths.home.joinpath("eval", method, f"seed{seed}", "scores.parquet"))
            for seed in seeds
        ]
        parts = [part[part["benchmark"] == "toy-tier2"].set_index("problem_id") for part in parts]
        shares = sum(part["right"] / part["n"] for part in parts) / len(seeds)
        lengths = sum(part["tokens"] for part in parts) / len(seeds)
        line = ends.loc[method]
        assert line["value"] == pytest.approx(100 * shares.mean())
        assert line["low"] < line["value"] < line["high"]
        assert line["tokens"] == pytest.approx(lengths.mean())
        reach = stats.t.ppf(0.975, PROBLEMS - 1) * lengths.std(ddof=1) / math.sqrt(PROBLEMS)
        assert (line["tokens_low"], line["tokens_high"]) == pytest.approx(
            (line["tokens"] - reach, line["tokens"] + reach)
        )
    assert not ends.loc["nlr", "front"]  # an invalid run
    assert ends["front"].any()


def test_the_curves_are_those_of_the_evaluations(store: Store) -> None:
    table = drawn(store, "figure3").table
    curve = table[(table["panel"] == "curve") & (table["method"] == "phr")].set_index("step")["value"]
    parts = [
        pd.read_parquet(store.paths.home.joinpath("runs", "phr", f"seed{seed}", "evaluations.parquet"))
        for seed in (0, 1)
    ]
    right = pd.concat(parts).assign(right=lambda part: 100.0 * (part["outcome"] == "right")).groupby("step")["right"]
    assert right.size().eq(2 * CURVE * SAMPLES).all()
    pd.testing.assert_series_equal(curve, right.mean(), check_names=False, check_index_type=False)


def test_names_in_the_plane_lie_apart(store: Store) -> None:
    fig = drawn(store, "figure3").figure
    fig.draw_without_rendering()
    axis = fig.axes[-1]
    names = [text.get_window_extent() for text in axis.texts]
    assert len(names) == len({row.name for row in store.study.rows})
    for index, box in enumerate(names):
        assert not any(box.overlaps(other) for other in names[:index])


def test_names_go_to_the_nearest_free_place() -> None:
    fig = style.page(3, 3)
    axis = style.panels(fig, 1, 1).flat[0]
    axis.set(xlim=(0, 1), ylim=(0, 1))
    fig.draw_without_rendering()
    labels.place(axis, [labels.Label(0.5, 0.5, name, "black") for name in ("$one_{", "two", "three", "four")])
    boxes = [text.get_window_extent() for text in axis.texts]
    assert [text.get_text() for text in axis.texts] == ["$one_{", "two", "three", "four"]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_of_many_methods_the_points_are_numbered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    figure3 = importlib.import_module("tokencredit.analysis.figures.figure3")
    monkeypatch.setattr(figure3, "NAMED", 5)
    shown = figure3.titles(store)
    assert shown["base"] == "Base model"
    assert [title.split()[0] for name, title in shown.items() if name != "base"] == [str(n) for n in range(1, 10)]
    plane = [text.get_text() for text in figure3.draw(store).figure.axes[-1].texts]
    assert plane == ["Base model", *(str(n) for n in range(1, 10))]


def test_figure_3_is_made_where_the_curve_has_scores() -> None:
    study = load_study(ROOT / "config", "paper-1.5b")
    assert "figure3" in planned(study)["figures"]
    evaluation = study.file.evaluation
    others = [use for use in evaluation.benchmarks if use.benchmark != study.training.curve.benchmark]
    file = study.file.model_copy(update={"evaluation": evaluation.model_copy(update={"benchmarks": others})})
    assert "figure3" not in planned(type(study)(study.name, file, study.config))["figures"]


# ---------------------------------------------------------------- figure 7


def test_the_sweep_is_what_differs_in_alpha_alone(sweep: Path) -> None:
    study = opened(sweep).study
    assert alpha_sweep(study) == {"eapo-alpha-0.1": 0.1, "eapo": 0.2, "eapo-alpha-0.5": 0.5}
    assert without_entropy_term(study) == "dapo"
    assert "figure7" in planned(study)["figures"]


def test_one_alpha_is_no_sweep(store: Store) -> None:
    assert alpha_sweep(store.study) == {}
    assert "figure7" not in planned(store.study)["figures"]
    alphas = alpha_sweep(load_study(ROOT / "config", "paper-7b"))
    assert list(alphas.values()) == [0.1, 0.2, 0.3, 0.4, 0.5, 1.0]


def test_alpha_is_read_from_the_parameters(tmp_path: Path) -> None:
    make_study(tmp_path, SWEEP, (0,))
    path = tmp_path / "config" / "methods.yaml"
    tables = yaml.safe_load(path.read_text())
    tables["methods"]["eapo-alpha-0.1"]["params"]["alpha"] = 0.9
    path.write_text(yaml.safe_dump(tables, sort_keys=False))
    assert list(alpha_sweep(opened(tmp_path).study).items())[-1] == ("eapo-alpha-0.1", 0.9)


def test_the_sweep_holds_seeds_and_benchmarks(sweep: Path) -> None:
    store = opened(sweep)
    table = drawn(store, "figure7").table
    bars = table[table["panel"] != "curve"]
    here = bars[bars["source"] == "here"]
    assert set(here["method"]) == {"dapo", "eapo", "eapo-alpha-0.1", "eapo-alpha-0.5"}
    parts = [
        pd.read_parquet(store.paths.home.joinpath("eval", "eapo", f"seed{seed}", "scores.parquet")) for seed in (0, 1)
    ]
    runs = [
        100 * part.groupby("benchmark")[["right", "n"]].sum().pipe(lambda sums: sums["right"] / sums["n"])
        for part in parts
    ]
    panels = here.groupby([here["seed"].notna(), here["benchmark"] == "mean"])["panel"].unique()
    assert [panel.tolist() for panel in panels] == [["bars"], ["sweep and bars"], ["not drawn"], ["sweep"]]
    own = here[here["method"] == "eapo"].set_index(["benchmark", "seed"])["value"]
    for seed in (0, 1):
        assert own[("mean", seed)] == pytest.approx(runs[seed].mean())
        for benchmark in TIERS:
            assert own[(benchmark, seed)] == pytest.approx(runs[seed][benchmark])
    mean = here[(here["method"] == "eapo") & (here["benchmark"] == "mean") & here["seed"].isna()].iloc[0]
    assert mean["value"] == pytest.approx(np.mean(runs))
    assert mean["low"] < mean["value"] < mean["high"]
    printed = bars[bars["source"] == "paper"].set_index(["method", "benchmark"])["value"]
    assert printed.to_dict() == {("eapo", "toy-tier1"): 61.5, ("eapo", "mean"): 55.0, ("eapo-alpha-0.1", "mean"): 54.0}


def test_the_sweep_of_a_study_without_targets_has_no_paper(sweep: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path, ["grpo", "eapo", "eapo-alpha-0.5"], (0,))
    figure = drawn(Store(study, tmp_path / "results"), "figure7")
    assert set(figure.table["source"]) == {"here"}
    assert "paper" not in texts(figure.figure)
    assert "GRPO, which is α = 0 but for clipping" in figure.note
    with_targets = drawn(opened(sweep), "figure7")
    assert "paper" in texts(with_targets.figure)
    assert "DAPO, which is α = 0." in with_targets.note


# ---------------------------------------------------------------- invalid runs


@pytest.mark.parametrize("name", ["figure2", "figure3", "figure5", "figure6"])
def test_an_invalid_run_is_marked_and_named(name: str, store: Store) -> None:
    figure = drawn(store, name)
    assert figure.table.groupby("method")["invalid"].agg(["any", "all"]).query("any or all").index.tolist() == ["nlr"]
    assert any(text.startswith("NLR") and text.endswith("✗") for text in texts(figure.figure))
    assert "Invalid: NLR, seed 1: the loss was not finite at step 29." in figure.note.replace(" (reconstruction)", "")


def test_an_invalid_alpha_is_marked(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(sweep)
    reason = {"eapo-alpha-0.5": "seed 0: x", "dapo": "seed 1: y"}
    monkeypatch.setattr(store, "invalid", lambda name: reason.get(name, ""))
    figure = drawn(store, "figure7")
    assert {"α = 0.5 ✗", "α = 0: DAPO ✗", "DAPO ✗"} <= set(texts(figure.figure))
    assert figure.note.count("Invalid: DAPO, seed 1: y; ") == 1
    marked = figure.table[figure.table["invalid"]]
    assert set(marked["method"]) == set(reason)
    assert set(marked["source"]) == {"here"}


def test_figure_5_rests_on_the_runs_that_it_says_are_invalid() -> None:
    study = load_study(ROOT / "config", "paper-quadrants")
    assert "paper-quadrants/runs/nlr/seed1/run.json" in inputs(study, "figure", "figure5")


# ---------------------------------------------------------------- figures 9 and 10


def test_mean_entropies_are_those_of_the_rollouts(store: Store) -> None:
    parts = [
        pd.read_parquet(store.paths.home.joinpath("runs", "grpo", f"seed{seed}", "rollouts.parquet")) for seed in (0, 1)
    ]
    tokens = pd.concat([part[part["step"] == 1].assign(seed=seed) for seed, part in enumerate(parts)])
    means, counts = (tokens.groupby("token")["entropy"].agg(kind) for kind in ("mean", "size"))
    for name, rising, apart in (("figure9", False, means >= tokens["entropy"].mean()), ("figure10", True, None)):
        table = drawn(store, name).table.set_index("token")
        assert table["value"].is_monotonic_increasing if rising else table["value"].is_monotonic_decreasing
        assert set(table.index) == set(means[(apart if apart is not None else means < tokens["entropy"].mean())].index)
        assert table["count"].to_dict() == counts[table.index].to_dict()
        np.testing.assert_allclose(table["value"], means[table.index], rtol=1e-5)


def test_the_interval_of_a_token_is_over_problems() -> None:
    """Forty problems of eight responses and two seeds, in all of which the token has the entropy of the problem."""
    responses = {"seed": np.tile([0, 1], 160), "sample": np.tile(range(8), 40)}
    frame = pd.DataFrame({"problem_id": np.repeat(range(40), 8), **responses, "token_id": 1, "token": "x"})
    of_problems = np.random.default_rng(0).gamma(2, 0.2, 40)
    frame["entropy"] = of_problems.repeat(8)
    line = words.ranked(frame, "high", 5).iloc[0]
    reach = stats.t.ppf(0.975, 39) * of_problems.std(ddof=1) / math.sqrt(40)
    assert line["high"] - line["value"] == pytest.approx(reach)
    assert line["problems"] == 40
    alone = words.ranked(frame.assign(problem_id="p"), "high", 5).iloc[0]
    assert math.isnan(alone["high"])
    assert words.ranked(frame, "high", 321).empty


def test_tokens_that_look_like_markup_are_drawn_as_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = ["$", "$x$", "_", "{", "}", "$x_{", "<b>", "&", "\\frac{", "^", "\n", "", "x" * 40]
    read = store.tokens

    def renamed(*arguments: object) -> pd.DataFrame:
        table = read(*arguments)
        kinds = sorted(table["token"].unique())
        named = {token: odd[index % len(odd)] for index, token in enumerate(kinds)}
        return table.assign(token=table["token"].map(named))

    monkeypatch.setattr(store, "tokens", renamed)
    shown = set()
    for name in ("figure9", "figure10"):
        figure = drawn(store, name)
        style.save(figure, name, store, tmp_path)
        shown |= set(texts(figure.figure))
    assert {"$", "$x$", "_", "{", "$x_{", "<b>", "\\frac{", "⏎", "∅", "x" * 13 + "…"} <= shown


def test_no_frequent_token_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "LEAST", 10**6)
    figure = drawn(store, "figure9")
    assert figure.table.empty
    assert "no token occurs often enough" in texts(figure.figure)


def test_rows_of_words_keep_their_order_around_the_middle() -> None:
    assert words.rows([3, 3, 3, 3, 3], 6) == [[2, 3], [0, 1], [4]]
    assert words.rows([9, 1], 6) == [[1], [0]]
    assert words.rows([], 6) == [[]]


# ---------------------------------------------------------------- the paper in grey, and the same bytes


def test_the_paper_is_drawn_in_grey_where_the_study_is_to_show_it(tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo", "eapo"], (0, 1))
    lines = [("eapo", "avg", 51.0), ("eapo", "tokens", 40.0), ("grpo", "avg", 48.0), ("grpo", "tokens", 33.0)]
    table = pd.DataFrame(
        [*lines, ("forking", "avg", 1.0), ("forking", "tokens", 1.0)], columns=["method", "metric", "value"]
    )
    add_source(tmp_path, "figure3", table.assign(figure="figure3", benchmark="toy-tier2"), "figure3")
    figure = drawn(opened(tmp_path), "figure3")
    paper = figure.table[figure.table["source"] == "paper"].set_index("method")[["tokens", "value"]]
    assert paper.to_dict("index") == {"eapo": {"tokens": 40, "value": 51}, "grpo": {"tokens": 33, "value": 48}}
    grey = [line for line in figure.figure.axes[-1].lines if line.get_color() == style.PAPER]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in grey] == [(40, 51), (33, 48)]
    assert "paper" in figure.note


@pytest.mark.parametrize(("name", "file"), [("figure2", "figure2"), ("figure5", "figure5")])
def test_curves_of_the_paper_come_with_their_key(tmp_path: Path, name: str, file: str) -> None:
    study = make_study(tmp_path, ["grpo", "phr", "nlr"], (0,))
    without = drawn(Store(study, tmp_path / "results"), name)
    assert "paper" not in texts(without.figure)
    assert set(without.table["source"]) == {"here"}
    table = pd.read_csv(ROOT / "config" / "targets" / f"{file}.csv").replace({"benchmark": {"aime24": "toy-tier1"}})
    add_source(tmp_path, name, table, file)
    figure = drawn(opened(tmp_path), name)
    assert texts(figure.figure).count("paper") == 1
    own = table[table["method"].isin(["base", "grpo", "phr", "nlr"])]
    own = own[own["benchmark"] == "toy-tier1"] if name == "figure5" else own
    values = figure.table.loc[figure.table["source"] == "paper", "value"]
    assert sorted(values) == sorted(own["pass_percent" if name == "figure5" else "value"])


@pytest.mark.parametrize("name", ["figure1", "figure3", "figure9", "figure10"])
def test_a_second_drawing_has_the_same_bytes(store: Store, tmp_path: Path, name: str) -> None:
    made = [style.save(drawn(store, name), name, store, tmp_path / again) for again in ("first", "second")]
    assert all(first.read_bytes() == second.read_bytes() for first, second in zip(*made, strict=True))


def test_a_second_sweep_has_the_same_bytes(sweep: Path, tmp_path: Path) -> None:
    made = [style.save(drawn(opened(sweep), "figure7"), "figure7", opened(sweep), tmp_path / part) for part in "ab"]
    assert all(first.read_bytes() == second.read_bytes() for first, second in zip(*made, strict=True))
