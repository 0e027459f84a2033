"""The token viewer of the page: right and wrong responses to the same problems under every method, token by token."""

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
from tokencredit.study.selection import heat_map_method

FIRST, LAST = 4, 2  # problems of the first and of the last stored step
TOKENS = 60_000  # of all responses together: 1.4 MB of page
LONGEST = 400  # tokens of one response
COLUMNS = ["step", "problem_id", "sample", "position", "token_id", "token", "entropy", "reward"]
COLUMNS += ["group_advantage", "advantage", "keep", "quadrant"]


def data(store: Store) -> dict[str, Any]:
    """What the page's script reads, ready for JSON: methods with their views, the problems' texts, the names of the quadrants.

    A view is a problem at a step, with the first right and the first wrong response, as far as there are: their first tokens as visible
    text, entropy (nats), advantage after and before credit, quadrant, and whether the token is in the loss. First seed only. At the first
    step all methods have the same policy; at the last, which problems they share is chance. Shared ones come first.

    Where the oracle measured the base model with that seed, responses of the first step also have what it found at each token:
    ``measured_advantage`` (Q - V of the token) and ``information`` (I, nats); null where it found nothing.
    """
    seed = store.study.training.seeds[0]
    titles = {name: line.title for name, line in style.lines(store.study).items() if name in store.study.methods}
    rollouts = {name: _rollouts(store, name, seed) for name in titles}
    views: dict[str, list[pd.DataFrame]] = {name: [] for name in titles}
    for place, most in (("min", FIRST), ("max", LAST)):
        steps = {name: tokens[tokens["step"] == tokens["step"].agg(place)] for name, tokens in rollouts.items()}
        for name, problems in _problems_of_each(steps, most).items():
            views[name] += [steps[name][steps[name]["problem_id"] == problem] for problem in problems]
    measured = _measured(store, seed)
    parts = {name: [_responses(view) for view in found] for name, found in views.items()}
    longest = min(LONGEST, TOKENS // sum(len(responses) for found in parts.values() for responses in found))
    return {
        "start": list(titles).index(heat_map_method(store.study)),
        "methods": [
            {"title": titles[name], "views": [_view(responses, longest, measured) for responses in found]}
            for name, found in parts.items()
        ],
        "problems": _texts(store, {view["problem_id"].iloc[0] for found in views.values() for view in found}),
        "quadrants": [style.QUADRANT_TITLES[name] for name in QUADRANTS],
        "seed": seed,
        "longest": longest,
    }


def _rollouts(store: Store, method: str, seed: int) -> pd.DataFrame:
    tokens = store.tokens(RunFolder.rollouts, method, COLUMNS)
    return tokens[tokens["seed"] == seed].assign(right=tokens["reward"] > 0)


def _measured(store: Store, seed: int) -> dict[tuple[str, int], list[pd.DataFrame]]:
    """What the oracle found at the base model's responses, by problem and sample: one table for each response that has this number."""
    rows = [row for row in measured_rows(store.study) if (row.name, row.seed) == (BASE, seed)]
    found: dict[tuple[str, int], list[pd.DataFrame]] = {}
    for row in rows:
        for (problem, _, sample), states in oracle.states(store, row)[0].groupby(["problem_id", "cell", "sample"]):
            found.setdefault((problem, sample), []).append(states.set_index("position"))
    return found


def _problems_of_each(steps: dict[str, pd.DataFrame], most: int) -> dict[str, list[str]]:
    """At most ``most`` problems of each method at one step: with right and wrong responses first, then what most methods have."""
    both = {name: tokens.groupby("problem_id")["right"].nunique() == 2 for name, tokens in steps.items()}
    shared = Counter(problem for found in both.values() for problem in found[found].index)
    return {
        name: sorted(found.index, key=lambda problem: (not found[problem], -shared[problem], problem))[:most]
        for name, found in both.items()
    }


def _responses(view: pd.DataFrame) -> list[pd.DataFrame]:
    """The first right and the first wrong response of a problem, as far as there are, in the order of their tokens."""
    sides = [view[view["right"] == right] for right in (True, False)]
    return [side[side["sample"] == side["sample"].min()].sort_values("position") for side in sides if len(side)]


def _view(
    responses: list[pd.DataFrame], longest: int, measured: dict[tuple[str, int], list[pd.DataFrame]]
) -> dict[str, Any]:
    first = responses[0].iloc[0]
    return {
        "problem": first["problem_id"],
        "step": int(first["step"]),
        "responses": [
            _response(response, longest) | _credit(response.head(longest), measured) for response in responses
        ],
    }


def _response(tokens: pd.DataFrame, longest: int) -> dict[str, Any]:
    part = tokens.head(longest)
    return {
        "right": bool(tokens["right"].iloc[0]),
        "length": len(tokens),
        "response_advantage": _short(tokens["group_advantage"].iloc[0]),
        "token": [shown_token(token) for token in part["token"]],
        "entropy": [_short(value) for value in part["entropy"]],
        "advantage": [_short(value) for value in part["advantage"]],
        "kept": [int(value) for value in part["keep"]],
        "quadrant": [int(value) for value in part["quadrant"]],
    }


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
