"""The token viewer of the page: a right and a wrong response to one problem under several methods, token by token, along training."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.analysis import style
from tokencredit.analysis.credit import states as oracle
from tokencredit.analysis.figures.figure11 import shown_token
from tokencredit.analysis.store import Store
from tokencredit.config.claim_keys import BASE
from tokencredit.credit import QUADRANTS
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import RunFolder
from tokencredit.study.selection import heat_map_method, plain_method, quadrant_runs

FIRST, LATER = 4, 2  # problems of the first and of each later stored step
SHOWN = 3  # methods that are side by side at the start
STEPS = 8  # stored steps, evenly chosen where there are more
TOKENS = 60_000  # of all responses together
LONGEST = 400  # tokens of one response
COLUMNS = ["step", "problem_id", "sample", "position", "token_id", "token", "entropy", "reward"]
COLUMNS += ["group_advantage", "advantage", "keep", "quadrant"]
_SIDES = (True, False)  # a right response, then a wrong one


def data(store: Store) -> dict[str, Any]:
    """What the page's script reads, ready for JSON. First training seed only.

    ``responses``: every response once, however many methods stored it: its first tokens as visible text, entropy (nats), quadrant, length,
    and whether it is right. ``views``: a problem at a step, and for each method that stored it the first right and the first wrong response
    as far as there are: the response's number, its advantage, that of each token after credit (one number where all are equal), and whether
    each token is in the loss (nothing where all are). At the first step all methods have the same policy, and where they share a problem
    the same responses; later each has its own. Problems that most methods stored come first.

    Where the oracle measured the base model with that seed, responses of the first step also have what it found at each token:
    ``measured_advantage`` (Q - V of the token) and ``information`` (I, nats); null where it found nothing.
    """
    seed = store.study.training.seeds[0]
    titles = {name: line.title for name, line in style.lines(store.study).items() if name in store.study.methods}
    views = _views({name: _rollouts(store, name, seed) for name in titles})
    sides = [side for _, _, of_methods in views for found in of_methods.values() for side in found]
    longest = min(LONGEST, TOKENS // max(1, len(sides)))
    pool = _Pool(longest, _measured(store, seed))
    listed = [
        {
            "step": step,
            "problem": problem,
            "shown": {
                list(titles).index(name): [_credited(side, pool) for side in found]
                for name, found in of_methods.items()
            },
        }
        for step, problem, of_methods in views
    ]
    return {
        "methods": list(titles.values()),
        "names": list(titles),
        "start": [list(titles).index(name) for name in first_shown(store)],
        "steps": sorted({step for step, _, _ in views}),
        "views": listed,
        "responses": pool.responses,
        "problems": _texts(store, {problem for _, problem, _ in views}),
        "quadrants": [style.QUADRANT_TITLES[name] for name in QUADRANTS],
        "seed": seed,
        "longest": longest,
    }


def first_shown(store: Store) -> list[str]:
    """The methods to begin with: the plain one, the one that the study is about, and one that leaves tokens out."""
    study = store.study
    own = heat_map_method(study)
    others = [name for name in (*quadrant_runs(study), *study.methods)]
    return list(dict.fromkeys([plain_method(study, own), own, *others]))[:SHOWN]


class _Pool:
    """Responses, each kept once."""

    def __init__(self, longest: int, measured: dict[tuple[str, int], list[pd.DataFrame]]) -> None:
        self.longest = longest
        self.responses: list[dict[str, Any]] = []
        self._measured = measured
        self._numbers: dict[tuple, int] = {}

    def number(self, tokens: pd.DataFrame) -> int:
        """The place of a response in ``responses``."""
        first, part = tokens.iloc[0], tokens.head(self.longest)
        key = (
            first["step"],
            first["problem_id"],
            *tokens["token_id"],
            *part["quadrant"],
            *map(_short, part["entropy"]),
        )
        if key not in self._numbers:
            self._numbers[key] = len(self.responses)
            self.responses.append(
                {
                    "right": bool(first["right"]),
                    "length": len(tokens),
                    "token": [shown_token(token) for token in part["token"]],
                    "entropy": [_short(value) for value in part["entropy"]],
                    "quadrant": [int(value) for value in part["quadrant"]],
                    **_credit(part, self._measured),
                }
            )
        return self._numbers[key]


def _rollouts(store: Store, method: str, seed: int) -> pd.DataFrame:
    tokens = store.tokens(RunFolder.rollouts, method, COLUMNS)
    return tokens[tokens["seed"] == seed].assign(right=tokens["reward"] > 0)


def _views(rollouts: dict[str, pd.DataFrame]) -> list[tuple[int, str, dict[str, list[pd.DataFrame]]]]:
    """Steps and their problems, with the responses to show of each method that stored it."""
    stored = sorted({int(step) for tokens in rollouts.values() for step in tokens["step"].unique()})
    apart = max(1, len(stored) - 1) / max(1, STEPS - 1)
    chosen = stored if len(stored) <= STEPS else [stored[round(place * apart)] for place in range(STEPS)]
    found = []
    for step in chosen:
        parts = {
            name: dict(list(tokens[tokens["step"] == step].groupby("problem_id"))) for name, tokens in rollouts.items()
        }
        both, known = Counter[str](), Counter[str]()
        for of_method in parts.values():
            known.update(of_method.keys())
            both.update(problem for problem, tokens in of_method.items() if tokens["right"].nunique() == 2)
        best = sorted(known, key=lambda problem: (-both[problem], -known[problem], problem))
        for problem in best[: FIRST if step == chosen[0] else LATER]:
            found.append((step, problem, {n: _responses(of[problem]) for n, of in parts.items() if problem in of}))
    return found


def _responses(view: pd.DataFrame) -> list[pd.DataFrame]:
    """The first right and the first wrong response of a problem, as far as there are, in the order of their tokens."""
    sides = [view[view["right"] == right] for right in _SIDES]
    return [side[side["sample"] == side["sample"].min()].sort_values("position") for side in sides if len(side)]


def _credited(tokens: pd.DataFrame, pool: _Pool) -> dict[str, Any]:
    """What a method makes of a response."""
    part = tokens.head(pool.longest)
    advantage, kept = [_short(value) for value in part["advantage"]], [int(value) for value in part["keep"]]
    return {
        "response": pool.number(tokens),
        "whole": _short(tokens["group_advantage"].iloc[0]),
        "advantage": advantage[0] if len(set(advantage)) == 1 else advantage,
        **({} if all(kept) else {"kept": kept}),
    }


def _measured(store: Store, seed: int) -> dict[tuple[str, int], list[pd.DataFrame]]:
    """What the oracle found at the base model's responses, by problem and sample: one table for each response that has this number."""
    rows = [row for row in measured_rows(store.study) if (row.name, row.seed) == (BASE, seed)]
    found: dict[tuple[str, int], list[pd.DataFrame]] = {}
    for row in rows:
        for (problem, _, sample), states in oracle.states(store, row)[0].groupby(["problem_id", "cell", "sample"]):
            found.setdefault((problem, sample), []).append(states.set_index("position"))
    return found


def _credit(tokens: pd.DataFrame, measured: dict[tuple[str, int], list[pd.DataFrame]]) -> dict[str, Any]:
    """The measured credit of a response's tokens; nothing where this very response was not measured."""
    first, tokens = tokens.iloc[0], tokens.set_index("position")
    for states in measured.get((first["problem_id"], first["sample"]), []) if first["step"] == 1 else []:
        own = states.reindex(tokens.index)
        known = own["token_id"].notna()
        if known.any() and (own["token_id"] == tokens["token_id"])[known].all():
            columns = {"measured_advantage": own["advantage"], "information": own["information"]}
            return {
                name: [None if pd.isna(value) else _short(value) for value in values]
                for name, values in columns.items()
            }
    return {}


def _short(value: float) -> float:
    """Four digits: more than a colour shows, and half of the bytes."""
    return float(f"{value:.4g}")


def _texts(store: Store, problems: set[str]) -> dict[str, dict[str, str]]:
    """Problem and answer by name, of the training sets that are stored. A name that two of them use is left out."""
    paths = [path for path in store.paths.training_problems if store.present(path)]
    sets = [files.read_parquet(path, ["problem_id", "problem", "answer"]) for path in paths]
    if not sets:
        return {}
    table = pd.concat(sets).drop_duplicates("problem_id", keep=False)
    found = table[table["problem_id"].isin(problems)].sort_values("problem_id")
    return {row.problem_id: {"problem": row.problem, "answer": row.answer} for row in found.itertuples()}
