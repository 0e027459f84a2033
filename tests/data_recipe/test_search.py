"""The search as a function of its history: phases, resumption, rankers, and whether it finds what is there to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.data_recipe.test_operators import recipe, top
from tokencredit.config import DataRecipe
from tokencredit.data_recipe import ranking
from tokencredit.data_recipe import search as search_module
from tokencredit.data_recipe.operators import Pool, digest, encoded, state
from tokencredit.data_recipe.ranking import Point, Scene
from tokencredit.data_recipe.search import ANY, EDIT, PROBE, RESEED, Decision, Evaluation, Search, standing
from tokencredit.errors import UserError


def settings(**changes: object) -> DataRecipe:
    return DataRecipe.model_validate(
        {
            "pool": {
                "kind": "embedded",
                "seed": 0,
                "tiers": [1],
                "right": 1,
                "wrong_answer": 0,
                "wrong_format": 0,
                "duplicate": 0,
                "other_task": 0,
            },
            "validation": {"benchmark": "easy"},
            "searches": ["gp"],
            "seeds": [0],
            "tuning": {"steps": 1, "batch": 1, "learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.0},
            **changes,
        }
    )


def large_pool() -> Pool:
    """Two hundred rows, of which a third are wrong; nothing but their source tells them."""
    rng = np.random.default_rng(1)
    signals = {name: rng.random(200) for name in ("ifd", "varentropy", "word-entropy", "relevance")}
    sources = ["right", "wrong", "other"] * 66 + ["right"] * 2
    table = pd.DataFrame({"source": sources, "tokens": [10] * 200, "same": range(200), **signals})
    return Pool(table, pd.DataFrame({"earlier": [], "later": [], "similarity": []}))


def share_right(rows: np.ndarray, pool: Pool) -> float:
    """A score that knows the rows: those that are not wrong, and a little for many."""
    return float((pool.columns["source"][rows] != "wrong").mean() + 0.1 * len(rows) / len(pool))


def run(search: Search, count: int, score: Callable[[np.ndarray, Pool], float] = share_right) -> list[Evaluation]:
    history: list[Evaluation] = []
    while len(history) < count:
        decision = search.decide(history)
        rows = search.rows(decision.recipe)
        history.append(Evaluation(decision, rows, state(rows, search.pool), score(rows, search.pool)))
    return history


@pytest.fixture(autouse=True)
def few_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the fit of the process's parameters, which takes most of a decision's time."""
    monkeypatch.setattr(ranking, "RESTARTS", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gp", "random", "first", "random-recipes"])
def test_a_search_that_stopped_goes_on_as_if_it_had_not(name: str) -> None:
    whole = run(Search(name, 3, settings(), large_pool()), 7)
    again = Search(name, 3, settings(), large_pool())
    assert again.decide(whole[:6]) == whole[6].decision
    assert again.decide(whole[:3]) == whole[3].decision


def test_a_search_evaluates_no_rows_twice_and_its_probes_are_those_of_every_ranker() -> None:
    pool = large_pool()
    searches = {name: run(Search(name, 0, settings(), pool), 9) for name in ("gp", "random", "first")}
    for history in searches.values():
        assert len({digest(each.rows) for each in history}) == 9
        assert [each.decision.kind for each in history[:4]] == [PROBE] * 3 + [EDIT]
    assert len({str([each.recipe for each in history[:3]]) for history in searches.values()}) == 1
    assert len({str([each.recipe for each in history]) for history in searches.values()}) == 3


@pytest.mark.slow
def test_the_winner_drops_the_wrong_source() -> None:
    """In as many evaluations as the paper's, under at least two of three seeds."""
    pool, found = large_pool(), []
    for seed in range(3):
        history = run(Search("gp", seed, settings(), pool), 15)
        winner = max(history, key=lambda each: each.score)
        found.append(float((pool.columns["source"][winner.rows] == "wrong").mean()))
    assert sorted(found)[:2] == [0, 0]


def of(kind: str, score: float, parent: int | None = None) -> Evaluation:
    return Evaluation(Decision(kind, (), parent), np.arange(1), {}, score)


@pytest.mark.parametrize(
    ("history", "parent", "failures"),
    [
        ([of(PROBE, 0.1), of(PROBE, 0.3), of(PROBE, 0.3)], 1, 0),
        ([of(PROBE, 0.1), of(PROBE, 0.3), of(PROBE, 0.2), of(EDIT, 0.3), of(EDIT, 0.2)], 1, 2),
        ([of(PROBE, 0.1), of(PROBE, 0.3), of(PROBE, 0.2), of(EDIT, 0.2), of(EDIT, 0.4)], 4, 0),
        ([of(PROBE, 0.5), of(PROBE, 0.3), of(PROBE, 0.2), of(EDIT, 0.2), of(RESEED, 0.1), of(EDIT, 0.1)], 4, 1),
    ],
)
def test_what_is_edited_next(history: list[Evaluation], parent: int, failures: int) -> None:
    assert standing(history, 3) == (parent, failures)


def test_a_search_begins_anew_after_so_many_failures() -> None:
    search = Search("first", 0, settings(patience=2), large_pool())
    history = run(search, 12, score=lambda rows, pool: len(rows) / 1000 if len(rows) < 60 else 0.0)
    kinds = [each.decision.kind for each in history]
    assert RESEED in kinds
    for place in (place for place, kind in enumerate(kinds) if kind == RESEED):
        assert standing(history[:place], 3)[1] >= 2
        assert standing(history[: place + 1], 3) == (place, 0)
        assert history[place].decision.parent is None


def test_a_search_without_an_edit_left_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search("first", 0, settings(patience=100), large_pool())
    history = run(search, 5)
    assert search.decide(history).kind == EDIT
    monkeypatch.setattr(search_module.edits, "proposals", lambda *_: [])
    assert search.decide(history).kind == RESEED
    monkeypatch.setattr(search, "_begun_anew", lambda _: None)
    anything = search.decide(history)
    assert anything.kind == ANY
    assert all(not np.array_equal(search.rows(anything.recipe), each.rows) for each in history)


@pytest.mark.slow
def test_a_pool_with_nothing_more_to_try_ends_a_search_with_a_sentence() -> None:
    table = large_pool().table.head(2)
    small = Pool(table, pd.DataFrame({"earlier": [], "later": [], "similarity": []}))
    for name in ("gp", "random-recipes"):
        with pytest.raises(UserError, match="data_recipe: "):
            run(Search(name, 0, settings(), small), 15)


def test_what_a_ranker_chose_from_is_kept() -> None:
    gp, random = (run(Search(name, 0, settings(), large_pool()), 4)[3].decision for name in ("gp", "random"))
    assert [candidate["chosen"] for candidate in gp.candidates].count(True) == 1
    chosen = next(candidate for candidate in gp.candidates if candidate["chosen"])
    assert chosen["recipe"] == [step.model_dump() for step in gp.recipe]
    bounds = [candidate["mean"] + candidate["deviation"] for candidate in gp.candidates]
    assert chosen["mean"] + chosen["deviation"] == max(bounds)
    assert "mean" not in random.candidates[0]


def test_a_ranker_of_another_kind_sees_history_states_and_beliefs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a language model would be given; its choice is the one that is run."""
    seen: list[Scene] = []

    def last(scene: Scene) -> int:
        seen.append(scene)
        return len(scene.candidates) - 1

    monkeypatch.setitem(ranking.RANKERS, "first", last)
    decision = run(Search("first", 0, settings(), large_pool()), 4)[3].decision
    assert decision.recipe == seen[0].candidates[-1].recipe
    assert [point.score is None for point in seen[0].history] == [False] * 3
    assert len(seen[0].beliefs[0]) == len(seen[0].candidates) == 5
    assert "source:wrong" in seen[0].candidates[0].state


def test_the_process_is_that_of_plain_linear_algebra() -> None:
    """Posterior mean and deviation by the normal equations, at the kernel's parameters that were fitted."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    rng = np.random.default_rng(0)
    x, y, asked = rng.random((8, 3)), rng.random(8), rng.random((4, 3))
    fitted = []
    original = GaussianProcessRegressor.fit

    def fit(self: GaussianProcessRegressor, *given: np.ndarray) -> GaussianProcessRegressor:
        fitted.append(original(self, *given))
        return fitted[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GaussianProcessRegressor, "fit", fit)
        mean, deviation = ranking.believed(x, y, asked, seed=5)
    constant, length = np.exp(fitted[0].kernel_.theta)

    def matern(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        scaled = np.sqrt(5) * np.linalg.norm(one[:, None] - other[None], axis=-1) / length
        return constant * (1 + scaled + scaled**2 / 3) * np.exp(-scaled)

    weights = matern(asked, x) @ np.linalg.inv(matern(x, x) + ranking.NOISE * np.eye(8))
    assert mean == pytest.approx(y.mean() + weights @ (y - y.mean()), abs=1e-9)
    variance = constant - np.einsum("mn,mn->m", weights, matern(asked, x))
    assert deviation == pytest.approx(y.std() * np.sqrt(variance), abs=1e-9)


def test_the_bound_weighs_what_is_not_known(pool: Pool) -> None:
    low, drop = (recipe(step) for step in (top("ifd", "low", 0.5), {"operator": "drop-source", "source": "wrong"}))
    rows = [np.arange(6), np.arange(12)]
    points = [Point(of, state(own, pool), score) for of, own, score in zip((low, ()), rows, (0.2, 0.4), strict=True)]
    scenes = [Scene(points, [Point(drop, points[0].state)], pool.sources, k, seed=0) for k in (0.0, 2.0)]
    mean, deviation = scenes[0].beliefs
    assert scenes[0].bounds == pytest.approx(mean)
    assert scenes[1].bounds == pytest.approx(mean + 2 * deviation)
    assert deviation[0] > 0
    assert len(encoded(low, pool.sources)) == 2 * (7 + 3)
