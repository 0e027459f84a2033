"""Where the measured credit of tokens sits: against the bound, by kind and quadrant, and against the paper's proxy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import style
from tokencredit.analysis.credit import proxy, states
from tokencredit.analysis.store import Store

# What shares are of, and how they are drawn.
SHARES = {
    "states": style.Line("#7f7f7f", "", "x", "tokens"),
    "entropy": style.Line("#e69f00", "", "s", "entropy H"),
    "information": style.Line("#0072b2", "", "o", "information I"),
    "squared": style.Line("#009e73", "", "D", "(Q − V)² of the token taken"),
}
MEASURED, PROXY = SHARES["information"].colour, "#d55e00"
CLOUD = "#9ecae1"
LEAST = 1e-6  # nats; where the axis of H begins at the lowest
LINEAR = 1e-3  # nats; below it the axis of I is linear, for an estimate may be negative
RESPONSE = (*proxy.RESPONSE, "cell")


def draw(store: Store) -> style.Drawn:
    """Of the first policy's states: I against H with the means of deciles, I/H, shares of the sums, and the proxy by entropy."""
    policy = store.study.oracle.policies[0]
    found, refused = states.policy_states(store, policy)
    groups = states.groups(found)
    part = dict(iter(groups.groupby("part")))
    fig = style.page(7.2, 6.8)
    above, below = fig.subfigures(2, 1, height_ratios=[1, 1.25])
    first, *others = style.panels(above, 1, 3 if "kind" in part else 2).flat
    _cloud(first, found, part["decile"])
    for axis, name in zip(others, ("decile", "kind"), strict=False):
        _ratios(axis, part[name], name)
    left, right = style.panels(below, 1, 2, width_ratios=[1.2, 1]).flat
    _shares(left, groups)
    by_bin, words = _proxy(right, found)
    titles = ["Credit and its bound", "By entropy", *(["By kind of token"] if "kind" in part else [])]
    for index, title in enumerate([*titles, "Where credit sits", "The paper's proxy"]):
        style.letter([first, *others, left, right][index], index, title)
    style.legend_under(left, columns=2)
    note = f"{_note(store, policy, found, refused)} {words}"
    return style.Drawn(fig, pd.concat([groups, by_bin], ignore_index=True), note)


def proxy_by_bin(found: pd.DataFrame) -> pd.DataFrame:
    """By bin of entropy of the states ``found``: what it adds to mean I, to the proxy, and to it by chance, in nats, each cumulated.

    proxy: I(bin of entropy; reward) over tokens; chance: its mean with rewards shuffled among responses. Intervals of information and
    proxy are over problems, that of chance over shuffles. A resample of few problems has more chance in it than the sample, so the
    proxy's interval is the spread of the resamples around the sample.
    """
    edges = np.linspace(0, found["entropy"].max(), proxy.BINS + 1)
    bins, right = proxy.bins_of(found["entropy"], edges), (found["reward"] > 0).to_numpy(int)
    problem = found.groupby("problem_id").ngroup().to_numpy()
    counts = proxy.counted(bins, right, problem, proxy.BINS)
    sums = np.zeros(counts.shape[:2])
    np.add.at(sums, (problem, bins), found["information"])
    draws = states.problem_draws(len(counts))
    seen = proxy.contributions(counts.sum(0))
    again = proxy.contributions(np.tensordot(draws, counts, 1))
    chance = proxy.shuffled(found, edges, response_key=RESPONSE)
    table = pd.DataFrame({"part": "bin", "from": edges[:-1], "to": edges[1:], "states": counts.sum((0, 2))})
    estimates = {
        "information": (sums.sum(0) / len(found), draws @ sums / (draws @ counts.sum((1, 2)))[:, None]),
        "proxy": (seen, again - again.mean(0) + seen if len(again) else again),
    }
    for name, (value, drawn) in estimates.items():
        table[name] = value.cumsum()
        table[[f"{name}_low", f"{name}_high"]] = [states.ends(column, len(counts)) for column in drawn.cumsum(1).T]
    table[["chance", "chance_low", "chance_high"]] = np.transpose(
        [chance.cumsum(1).mean(0), *np.quantile(chance.cumsum(1), [0.025, 0.975], axis=0)]
    )
    return table.assign(as_large=float(np.mean(chance.sum(1) >= seen.sum())))


def _cloud(axis: Axes, found: pd.DataFrame, deciles: pd.DataFrame) -> None:
    """The states with several candidates as dots, and means over all states of each decile of entropy."""
    several = found[found["value"].notna()]
    dots = {"color": CLOUD, "markersize": 2, "alpha": 0.5, "rasterized": True, "zorder": 1}
    axis.plot(several["entropy"], several["information"], ".", **dots)
    least, most = max(LEAST, deciles["entropy"].min() / 2), 1.5 * found["entropy"].max()
    line = np.geomspace(least, most, 200)
    axis.plot(line, line, color=style.INK, linewidth=style.BAR, linestyle=style.DASHED, label="I = H")
    style.estimates(
        axis, deciles["entropy"], deciles, "information", replace(SHARES["information"], title="mean of a decile")
    )
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.set_yticks([-0.1, -0.01, 0, 0.01, 0.1, 1], ["−0.1", "−0.01", "0", "0.01", "0.1", "1"])
    axis.set(xlabel="entropy H (nats)", ylabel="information I (nats)", xlim=(least, most), ylim=(-0.3, most))
    style.legend_under(axis, columns=2)


def _ratios(axis: Axes, table: pd.DataFrame, part: str) -> None:
    """Mean I over mean H of each group, in percent."""
    places = np.arange(len(table))
    style.estimates(axis, places, table, "ratio", SHARES["information"], 100)
    style.zero(axis, upright=False)
    words = [name.replace(" ", "\n") for name in table["group"]]
    axis.set_xticks(places, words, rotation=90 if part == "kind" else 0)
    axis.set(xlabel="decile of entropy" if part == "decile" else "", ylabel="I/H (%)")
    axis.grid(visible=False, axis="x")


def _shares(axis: Axes, groups: pd.DataFrame) -> None:
    """For each group its share of tokens, entropy, information and squared advantage, one below the other."""
    chosen = groups[groups["part"].isin(["entropy", "kind", "quadrant"])]
    blocks = chosen["part"].ne(chosen["part"].shift()).cumsum() - 1
    places = np.arange(len(chosen)) + 0.5 * blocks.to_numpy()  # a gap between entropy, kinds and quadrants
    for index, (name, line) in enumerate(SHARES.items()):
        shifted = places + 0.2 * (index - (len(SHARES) - 1) / 2)
        style.estimates(axis, shifted, chosen, f"share_{name}", line, 100, across=True)
    axis.set_yticks(places, [_title(record) for record in chosen.to_dict("records")])
    axis.set_ylim(places[-1] + 0.6, -0.6)
    style.zero(axis)
    axis.set_xlabel("share of all (%)")
    axis.grid(visible=False, axis="y")


def _title(record: dict) -> str:
    if record["part"] == "quadrant":
        return style.QUADRANT_TITLES[record["group"]]
    return f"entropy: {record['group']}" if record["part"] == "entropy" else record["group"]


def _proxy(axis: Axes, found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The proxy and the measured information, added up from low entropy to high; their numbers, and a sentence on the totals."""
    table = proxy_by_bin(found)
    lines = {
        "information": ("measured I", MEASURED, style.SOLID),
        "proxy": ("proxy", PROXY, style.SOLID),
        "chance": ("proxy, rewards shuffled", "#666666", style.DASHED),
    }
    edges = [0.0, *table["to"]]
    for name, (label, colour, dash) in lines.items():
        value, low, high = ([0.0, *1000 * table[key]] for key in (name, f"{name}_low", f"{name}_high"))
        axis.plot(edges, value, color=colour, linestyle=dash, label=label)
        axis.fill_between(edges, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set(xlabel="entropy H (nats)", ylabel="sum over tokens below H,\nper token (mnat)", xlim=(0, edges[-1]))
    style.legend_under(axis, columns=2)
    total = 1000 * table.iloc[-1][["information", "proxy", "chance", "chance_low", "chance_high"]].astype(float)
    return table, (
        f"(e) sums from low entropy to high. The proxy is the information between {proxy.BINS} bins of the entropy's value and the reward: "
        f"in all {total['proxy']:.1f} mnat, with rewards shuffled among responses {total['chance']:.1f} mnat "
        f"[{total['chance_low']:.1f}, {total['chance_high']:.1f}] (as much in {100 * table['as_large'].iloc[0]:.0f} % of "
        f"{proxy.SHUFFLES} shuffles); measured {total['information']:.1f} mnat."
    )


def _note(store: Store, policy: str, found: pd.DataFrame, refused: int) -> str:
    title = states.titles(store)[policy]
    several = found["value"].notna()
    responses = found[list(RESPONSE)].drop_duplicates()
    above = (found["low"] > found["entropy"]).sum()
    return (
        f"{title}: n = {len(found):,} states of {len(responses):,} responses to {found['problem_id'].nunique()} problems, "
        f"{len(store.study.training.seeds)} training seed(s); {refused} more had too few graded continuations. Bars and bands are "
        f"{100 * states.CONFIDENCE:.0f} % intervals over problems. (a) dots are the {several.sum():,} states with several candidates; "
        f"{above} have an interval that begins above the bound. The others count as I = 0."
    )
