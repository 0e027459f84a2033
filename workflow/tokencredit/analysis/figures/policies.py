"""How the measured credit of tokens changes in training: the measured policies side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import style
from tokencredit.analysis.credit import states as oracle
from tokencredit.analysis.store import Store
from tokencredit.oracle.estimate import binary_entropy

# A panel's quantity: its title and the words beside it.
PANELS = {
    "value": ("Solved", "chance to be right V\nat the start (%)"),
    "entropy": ("Entropy", "mean entropy H (nats)"),
    "information": ("Credit", "information I\nof a response (nats)"),
    "ratio": ("Bound", "I/H (%)"),
}
POSSIBLE = style.Line("#cc79a7", "", "_", "h(V) at the start, in (c)")
PERCENT = ("value", "ratio", "share")
RESPONSE = ["seed", "problem_id", "cell", "sample"]
_SUMS = ["states", "entropy", "information", "responses", "valued", "value", "possible"]


def draw(store: Store) -> style.Drawn:
    """Means of each policy's responses with intervals over problems, single seeds as dots; the share of all I by kind of token."""
    shown = _lines(store)
    measured = {policy: oracle.policy_states(store, policy) for policy in shown}
    table = pd.concat([_records(policy, found) for policy, (found, _) in measured.items()], ignore_index=True)
    fig = style.page(7.2, 3.9)
    left, right = fig.subfigures(1, 2, width_ratios=[1.1, 1])
    axes = style.panels(left, 2, 2, sharex=True).flat
    for index, (name, (title, label)) in enumerate(PANELS.items()):
        _policies(axes[index], table[table["quantity"] == name], shown)
        if name == "information":
            _possible(axes[index], table[table["quantity"] == "possible"], shown)
        style.from_zero(axes[index])
        axes[index].set_ylabel(label)
        style.letter(axes[index], index, title)
    axis = style.panels(right, 1, 1)[0, 0]
    _shares(axis, table[table["quantity"] == "share"], shown)
    style.letter(axis, len(PANELS), "Where credit sits")
    style.legend_below(fig, axis, axes[list(PANELS).index("information")], columns=min(6, len(shown) + 1))
    return style.Drawn(fig, table, " ".join([_note(store, measured, table), *style.marks_note(store, shown)]))


def _records(policy: str, found: pd.DataFrame) -> pd.DataFrame:
    """Each quantity of a policy: of all seeds with its interval, and of each seed alone where there are several."""
    parts = [("", found), *((str(seed), own) for seed, own in found.groupby("seed"))]
    lines = []
    for seed, own in parts if found["seed"].nunique() > 1 else parts[:1]:
        responses = _by_response(own)
        numbers = oracle.over_problems(responses[_SUMS], responses["problem_id"], _quantities)
        lines += [
            {"quantity": name, "seed": seed, **_interval(numbers, name)} for name in [*PANELS, "possible", "found"]
        ]
    groups = oracle.groups(found)
    kinds = groups[groups["part"] == ("kind" if "kind" in found else "quadrant")]
    lines += [
        {"quantity": "share", "group": record["group"], "seed": "", **_interval(record, "share_information")}
        for record in kinds.to_dict("records")
    ]
    responses = _by_response(found)
    return pd.DataFrame(lines).assign(policy=policy, problems=found["problem_id"].nunique(), responses=len(responses))


def _by_response(found: pd.DataFrame) -> pd.DataFrame:
    """One line per response: sums over its states, and V at the first of them with several candidates, before which nothing was open."""
    states = found.assign(states=1).groupby(RESPONSE)
    value = states["value"].first()
    known = {"valued": value.notna(), "value": value.fillna(0), "possible": binary_entropy(value.fillna(0))}
    sums = states[["states", "entropy", "information"]].sum()
    return sums.assign(responses=1, **known).reset_index()


def _quantities(sums: np.ndarray) -> dict[str, np.ndarray]:
    states, entropy, information, responses, valued, value, possible = np.moveaxis(sums, -1, 0)
    return {
        "value": oracle.over(value, valued),
        "entropy": oracle.over(entropy, states),
        "information": oracle.over(information, responses),
        "ratio": oracle.over(information, entropy),
        "possible": oracle.over(possible, valued),
        "found": oracle.over(information, possible),
    }


def _interval(numbers: dict[str, float], name: str) -> dict[str, float]:
    return {f"value{end}": numbers[name + end] for end in ("", "_low", "_high")}


def _lines(store: Store) -> dict[str, style.Line]:
    """The line of each policy; the base model has its own also where the study does not evaluate it."""
    titles = oracle.titles(store)
    known = style.marked_lines(store, titles)
    return {name: known.get(name, style.Line(*style.KNOWN["base"], title)) for name, title in titles.items()}


def _policies(axis: Axes, table: pd.DataFrame, shown: dict[str, style.Line]) -> None:
    """One point per policy, its single seeds as dots beside it."""
    scale = _scale(table)
    for place, (policy, line) in enumerate(shown.items()):
        own = table[table["policy"] == policy]
        style.estimates(axis, [place], own[own["seed"] == ""], "value", line, scale)
        single = scale * own.loc[own["seed"] != "", "value"]
        axis.plot(np.full(len(single), place + 0.18), single, ".", color=line.colour, markersize=style.DOT)
    axis.set_xticks(range(len(shown)), [line.title for line in shown.values()], rotation=20, ha="right")
    axis.set_xlim(-0.5, len(shown) - 0.5)
    axis.grid(visible=False, axis="x")


def _possible(axis: Axes, table: pd.DataFrame, shown: dict[str, style.Line]) -> None:
    """Left of a policy's information what the chain rule says that it adds up to over the policy's own responses."""
    own = table[table["seed"] == ""].set_index("policy").loc[list(shown)]
    style.estimates(axis, np.arange(len(shown)) - 0.18, own, "value", POSSIBLE)


def _shares(axis: Axes, table: pd.DataFrame, shown: dict[str, style.Line]) -> None:
    """The share of all I by kind or quadrant, policies one below the other."""
    groups = list(dict.fromkeys(table["group"]))
    for index, (policy, line) in enumerate(shown.items()):
        own = table[table["policy"] == policy].set_index("group").reindex(groups)
        places = np.arange(len(groups)) + 0.7 / len(shown) * (index - (len(shown) - 1) / 2)
        style.estimates(axis, places, own, "value", line, _scale(table), across=True)
    axis.set_yticks(range(len(groups)), [style.QUADRANT_TITLES.get(name, name) for name in groups])
    axis.set_ylim(len(groups) - 0.5, -0.5)
    style.zero(axis)
    axis.set_xlabel("share of all I (%)")
    axis.grid(visible=False, axis="y")


def _scale(table: pd.DataFrame) -> int:
    return 100 if table["quantity"].iloc[0] in PERCENT else 1


def _note(store: Store, measured: dict[str, tuple[pd.DataFrame, int]], table: pd.DataFrame) -> str:
    titles, seeds = oracle.titles(store), len(store.study.training.seeds)
    sizes = ", ".join(
        f"{titles[policy]} {len(found[RESPONSE].drop_duplicates()):,} responses to {found['problem_id'].nunique()} problems "
        f"({len(found):,} states, {refused} more not measured)"
        for policy, (found, refused) in measured.items()
    )
    whole = table[(table["quantity"] == "found") & (table["seed"] == "")]
    sums = ", ".join(
        f"{titles[row.policy]} {100 * row.value:.0f} % [{100 * row.value_low:.0f}, {100 * row.value_high:.0f}]"
        for row in whole.itertuples()
    )
    spread = "dots are single training seeds" if seeds > 1 else "one training seed, whose spread they do not hold"
    return (
        f"n: {sizes}. Bars are {100 * oracle.CONFIDENCE:.0f} % intervals over problems; {spread}. (c) by the chain rule I adds up to h(V), "
        f"the entropy of the reward at the start, over a policy's own responses on average; found: {sums}. A trained policy is measured at "
        f"the responses of its last step, to other problems than those of the base model's first."
    )
