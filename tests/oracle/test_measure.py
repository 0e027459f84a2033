"""What is measured at the states of responses, against a world that can be enumerated."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.oracle.small_world import END, LONGEST, SETTINGS, oracle, policy, responses, right_after
from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import Branches, advantages, exact_information, information
from tokencredit.oracle.measure import BRANCHES, KEY, LIKELY, REST, STATES, Oracle, check_sampled_by
from tokencredit.oracle.responses import Taken


def measured(measuring: Oracle, taken: list[Taken], work: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    states, tokens = measuring.states(taken)
    return states, measuring.branches(taken, tokens, work)


def prefixes(taken: list[Taken]) -> dict[tuple, tuple[int, tuple[int, ...]]]:
    """Of each state: the last token before it, and the response up to it."""
    return {
        (each.problem_id, each.cell, each.sample, position): (
            (*each.prompt, *each.token_ids)[position],
            each.token_ids[:position],
        )
        for each in taken
        for position in range(len(each.token_ids))
    }


@pytest.mark.parametrize("changes", [{}, {"top_p": 0.8}], ids=["whole", "nucleus"])
def test_the_states_are_those_of_the_policy(changes: dict[str, float], tmp_path: Path) -> None:
    measuring = oracle(**changes)
    taken = responses(measuring)
    states, branches = measured(measuring, taken, tmp_path)
    assert list(states) == STATES
    assert list(branches) == BRANCHES
    tokens = pd.concat([each.record["token_id"] for each in taken], ignore_index=True)
    assert (states["token_id"] == tokens).all()
    before = prefixes(taken)
    probability = branches.set_index([*KEY, "token_id"])["probability"]
    for state in states.itertuples():
        key = (state.problem_id, state.cell, state.sample, state.position)
        whole, restricted = policy(before[key][0]), policy(before[key][0], measuring.settings)
        assert state.entropy == pytest.approx(-np.sum(whole * np.log(whole)))
        assert state.logprob == pytest.approx(math.log(whole[state.token_id]))
        assert state.tried == pytest.approx(1)
        for token in np.flatnonzero(restricted):
            assert probability[(*key, token)] == pytest.approx(restricted[token])
        assert len(probability[key]) == np.count_nonzero(restricted)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"top_p": 0.8}], ids=["whole", "nucleus"])
def test_counts_estimates_and_advantages_cover_the_truth(changes: dict[str, float], tmp_path: Path) -> None:
    measuring = oracle(**changes)
    taken = responses(measuring, problems=16, samples=3)
    _, branches = measured(measuring, taken, tmp_path)
    before = prefixes(taken)
    inside, credit, decided = [], [], 0
    for key, found in branches.groupby(KEY):
        last, so_far = before[key]
        probability = policy(last, measuring.settings)
        truth = np.array([right_after((*so_far, token), measuring.settings) for token in found["token_id"]])
        trials = found["right"] + found["wrong"]
        if len(found) == 1:
            assert trials.item() == 0
            continue
        shared = np.ceil(SETTINGS.continuations * probability[found["token_id"]] / probability[found["token_id"]].sum())
        assert (trials == np.maximum(SETTINGS.fewest, shared)).all()
        for right, share, times in zip(found["right"], truth, trials, strict=True):
            if share in (0, 1):
                decided += 1
                assert right == share * times
        seen = Branches(found["probability"].to_numpy(), found["right"].to_numpy(), trials.to_numpy())
        own = probability[found["token_id"]]
        exact, estimate = exact_information(own, truth), information(seen)
        inside.append(estimate.low - 1e-9 <= exact <= estimate.high + 1e-9)
        advantage, se = advantages(seen)
        credit += list(abs(advantage - (truth - own @ truth)) <= 1.645 * se)
    assert len(inside) > 30
    assert decided > 30
    # 90 % are asked for, within three standard errors.
    for covered in (inside, credit):
        assert np.mean(covered) > 0.9 - 3 * math.sqrt(0.9 * 0.1 / len(covered))


@pytest.mark.slow
def test_nothing_depends_on_batches(tmp_path: Path) -> None:
    taken = responses(oracle(), problems=2)
    found = [measured(oracle(batch_size=size), taken, tmp_path / str(size))[1] for size in (7, 256)]
    pd.testing.assert_frame_equal(*found)


@pytest.mark.slow
def test_another_seed_gives_other_counts(tmp_path: Path) -> None:
    taken = responses(oracle())
    first, second = (measured(oracle(seed=seed), taken, tmp_path / str(seed))[1] for seed in (0, 1))
    assert (first["right"] != second["right"]).any()
    assert first.drop(columns=["right", "wrong"]).equals(second.drop(columns=["right", "wrong"]))


@pytest.mark.slow
def test_a_killed_measurement_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    measuring = oracle()
    taken = responses(measuring)
    _, whole = measured(measuring, taken, tmp_path / "whole")
    sample, calls = measuring.engine.sample, []

    def killed(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KilledError
        return sample(*args, **kwargs)

    measuring.engine.sample = killed
    with pytest.raises(KilledError):
        measured(measuring, taken, tmp_path / "killed")
    kept = sorted(path.name for path in (tmp_path / "killed").glob("*.parquet"))
    assert 0 < len(kept) < 4
    before = len(calls)
    measuring.engine.sample = lambda *args, **kwargs: (calls.append(1), sample(*args, **kwargs))[1]
    _, resumed = measured(measuring, taken, tmp_path / "killed")
    assert len(calls) - before < 4
    for name, table in (("one", whole), ("two", resumed)):
        files.write_parquet(tmp_path / name, table, {})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_few_candidates_are_tried_and_the_one_that_was_taken_is_among_them(tmp_path: Path) -> None:
    measuring = oracle(mass=0.5)
    taken = responses(measuring)
    states, branches = measured(measuring, taken, tmp_path)
    tried = branches.groupby(KEY)["probability"].agg(["sum", "size"]).reset_index()
    assert tried["sum"].to_numpy() == pytest.approx(states.sort_values(KEY)["tried"].to_numpy())
    assert (states["tried"] < 0.999).any()
    own = states.merge(branches, on=[*KEY, "token_id"])
    assert len(own) == len(states)
    alone = branches[branches.groupby(KEY)["token_id"].transform("size") == 1]
    assert len(alone) > 0
    assert (alone[["right", "wrong", "ungraded"]] == 0).all(axis=None)
    at_most_one = measured(oracle(most_tokens=1), taken, tmp_path / "one")[1].groupby(KEY).size()
    assert set(at_most_one) <= {1, 2}


@pytest.mark.slow
def test_all_tokens_that_are_not_tried_are_one_branch_which_is_what_they_are_worth(tmp_path: Path) -> None:
    """Its continuations begin with each of them as often as the policy would; what was measured without it stays as it is."""
    taken = responses(oracle(), problems=8, samples=3)
    without, found = (
        measured(oracle(mass=0.5, most_tokens=2, rest=rest), taken, tmp_path / str(rest)) for rest in (0, 400)
    )
    rest = found[1][found[1]["token_id"] == REST]
    pd.testing.assert_frame_equal(found[1].drop(index=rest.index).reset_index(drop=True), without[1])
    several = without[1].groupby(KEY).size().loc[lambda sizes: sizes > 1]
    assert len(rest) > 20
    assert set(rest[KEY].itertuples(index=False, name=None)) <= set(several.index)
    inside, before = [], prefixes(taken)
    for row in rest.itertuples():
        key = (row.problem_id, row.cell, row.sample, row.position)
        last, so_far = before[key]
        left = policy(last).copy()
        left[without[1].set_index(KEY).loc[[key], "token_id"]] = 0
        assert row.probability == pytest.approx(left.sum())
        assert row.right + row.wrong == 400
        truth = sum(share * right_after((*so_far, token)) for token, share in enumerate(left / left.sum()) if share)
        inside.append(abs(row.right / 400 - truth) <= 1.96 * math.sqrt(truth * (1 - truth) / 400) + 1e-9)
    assert np.mean(inside) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(inside))
    tried = found[0].set_index(KEY)["tried"]
    assert tried.loc[several.index].to_numpy() == pytest.approx(1)
    assert (found[0]["tried"] >= without[0]["tried"]).all()


def test_likely_tokens_are_continued_more_often(tmp_path: Path) -> None:
    branches = measured(oracle(continuations=8, fewest=2, fewest_likely=16), responses(oracle()), tmp_path)[1]
    times = branches["right"] + branches["wrong"]
    assert (times[branches["probability"] >= LIKELY] == 16).all()
    assert (times[branches["probability"] < LIKELY] == 2).all()
    assert {16, 2} == set(times)


def test_a_token_that_ends_the_response_is_graded_once(tmp_path: Path) -> None:
    measuring = oracle()
    taken = [replace(each, record=each.record[:1]) for each in responses(measuring, problems=1, samples=1)]
    states, branches = measured(measuring, taken, tmp_path)
    assert len(states) == 1
    (end,) = branches[branches["token_id"] == END].itertuples()
    assert end.right == 0  # an empty response is wrong
    assert end.wrong == SETTINGS.fewest > SETTINGS.continuations * end.probability
    assert measuring.pool.asked <= sum(4**length for length in range(LONGEST + 1))  # different texts, not continuations


def test_what_was_not_graded_is_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.oracle.small_world.outcome", lambda text: "ungraded" if "d" in text else "wrong")
    measuring = oracle()
    taken = responses(measuring)
    _, branches = measured(measuring, taken, tmp_path)
    assert (branches["ungraded"] > 0).any()
    _, tokens = measuring.states(taken)
    assert (branches[["right", "wrong", "ungraded"]].sum(axis=1) == tokens["continuations"]).all()


def test_the_states_of_another_model_or_place_are_refused() -> None:
    measuring = oracle()
    taken = responses(measuring)
    states, _ = measuring.states(taken)
    check_sampled_by(states, taken, "no", "model")
    shifted = [replace(each, prompt=((each.prompt[0] + 1) % 4,)) for each in taken]
    for wrong in (measuring.states(shifted)[0], states.assign(logprob=states["logprob"].shift(1, fill_value=-1.0))):
        with pytest.raises(UserError, match="is not the model that sampled these responses"):
            check_sampled_by(wrong, taken, "no", "model")


def test_the_cost_is_said_before(tmp_path: Path) -> None:
    measuring = oracle(mass=0.5)
    taken = responses(measuring)
    states, tokens = measuring.states(taken)
    several = tokens.groupby(KEY)["token_id"].transform("size") > 1
    said = measuring.cost(states, tokens)
    assert said.startswith(f"8 responses to 4 problems: {len(states)} states, ")
    assert (several == (tokens["continuations"] > 0)).all()
    assert f"{several.sum()} tokens to try, {tokens['continuations'].sum():,} continuations" in said
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring.engine, "sample", lambda *_, **__: pytest.fail("sampled to say the cost"))
        measuring.cost(states, tokens)
