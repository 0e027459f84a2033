"""Which tokens the policy is sure or unsure of: the numbers and the picture of Figures 9 and 10."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit import statistics
from tokencredit.analysis import style
from tokencredit.analysis.figures.figure11 import shown_token
from tokencredit.analysis.labels import extent
from tokencredit.analysis.store import Store
from tokencredit.statistics import NAN
from tokencredit.study.paths import RunFolder

WORDS, RANKED = 60, 20  # tokens in the cloud, and in the ranking
LEAST, LEAST_SHARE = 5, 2e-4  # occurrences that a token must have: so many, and so large a share of all tokens
FLOOR = 1e-6  # nats; a mean entropy below this weighs like this
LETTERS = 14  # of a token at most
SMALLEST, LARGEST = 6.0, 19.0  # letters of the lightest and of the heaviest token, in points
PAGE = (7.2, 4.0)  # inches
TICKS = (0, 0.01, 0.1, 0.5, 1, 2, 3, 4, 6, 8, 10, 12)  # nats
COLOURS = {"high": "#8c2d04", "low": "#3f4a73"}


def draw(store: Store, part: str) -> style.Drawn:
    """The tokens of highest or lowest (``part``) mean entropy: as words sized by weight, and ranked with their intervals.

    Of the rollouts of the base policy, as Figure 4: the first stored step of the reference method, all seeds. Text is drawn letter by
    letter and never interpreted.
    """
    study = store.study
    tokens = store.tokens(
        RunFolder.rollouts, study.reference, ["step", "problem_id", "sample", "token_id", "token", "entropy"]
    )
    tokens = tokens[tokens["step"] == tokens["step"].min()]
    least = max(LEAST, math.ceil(LEAST_SHARE * len(tokens)))
    mean = float(tokens["entropy"].mean())
    table = ranked(tokens, part, least)
    most = float(table["value"].max()) if len(table) else 1.0
    table = table[(table["value"] >= mean) if part == "high" else (table["value"] < mean)].head(WORDS)
    fig = style.page(*PAGE)
    cloud, bars = style.panels(fig, 1, 2, width_ratios=[1.3, 1]).flat
    cloud.axis("off")
    _bars(bars, table.head(RANKED), part, mean, most)
    style.letter(cloud, 0, f"Tokens of {part} entropy")
    style.letter(bars, 1, f"The {min(RANKED, len(table))} {'highest' if part == 'high' else 'lowest'}")
    fig.draw_without_rendering()
    _cloud(cloud, table, part)
    weight = "its mean entropy" if part == "high" else f"−log10 of its mean entropy in nats (at least {FLOOR:g})"
    responses = tokens.drop_duplicates(["seed", "problem_id", "sample"])
    note = (
        f"Rollouts of the first step ({style.lines(study)[study.reference].title}, so of the base policy), of the groups trained on: n = "
        f"{len(tokens):,} tokens of {len(responses)} responses to {responses['problem_id'].nunique()} problems, "
        f"{len(study.training.seeds)} training seed(s). A token's weight is {weight}; the {len(table)} heaviest of those "
        f"that occur at least {least} times and lie {'above' if part == 'high' else 'below'} the mean entropy of {mean:.3f} nats. "
        "(b) bars from that mean, on the same square-root axis in Figures 9 and 10, beside the number of occurrences; thin bars: 95 % "
        "intervals over problems, none for a token of one problem. ␣ is a space, ⏎ a line break."
    )
    return style.Drawn(fig, table, note)


def ranked(tokens: pd.DataFrame, part: str, least: int) -> pd.DataFrame:
    """One line per token of the vocabulary with ``least`` occurrences or more: the highest (``part`` high) or lowest mean entropy first.

    ``tokens``: columns seed, problem_id, sample, token_id, token, entropy. Columns: token, text (as it is drawn), count, problems, value
    (mean entropy in nats) with low and high, weight. Tokens of one problem are not independent, in whichever of its responses: the interval
    is that of a ratio of sums over problems (Cochran 1977, section 6.3), Student's t, and missing where one problem holds all.
    """
    found = []
    for (_, token), group in tokens.groupby(["token_id", "token"], sort=True):
        if len(group) < least:
            continue
        value = float(group["entropy"].mean())
        problems = group.groupby("problem_id")["entropy"].agg(["sum", "size"])
        margin = NAN
        if len(problems) > 1:
            pull = (problems["sum"] - value * problems["size"]) / problems["size"].mean()
            margin = statistics.margin_of([(statistics.question_se(pull) ** 2, len(pull) - 1)], 0.025)
        found.append(
            {
                "token": token,
                "text": _text(token),
                "count": len(group),
                "problems": len(problems),
                "value": value,
                "low": max(0.0, value - margin) if margin == margin else margin,
                "high": value + margin,
                "weight": value if part == "high" else -math.log10(max(value, FLOOR)),
            }
        )
    columns = ["token", "text", "count", "problems", "value", "low", "high", "weight"]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values(["weight", "count", "token"], ascending=[False, False, True], ignore_index=True)


def rows(widths: list[float], page: float) -> list[list[int]]:
    """Words in rows no wider than ``page``, in their order; the first row in the middle, later ones by turns above and below it."""
    filled: list[list[int]] = [[]]
    for index, width in enumerate(widths):
        if filled[-1] and sum(widths[other] for other in filled[-1]) + width > page:
            filled.append([])
        filled[-1].append(index)
    return [*reversed(filled[1::2]), *filled[0::2]]


def _text(token: str) -> str:
    text = shown_token(token)
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _cloud(axis: Axes, table: pd.DataFrame, part: str) -> None:
    width, height = np.array(axis.get_window_extent().size) * 72 / axis.figure.dpi
    if table.empty:
        axis.text(0.5, 0.5, "no token occurs often enough", ha="center", transform=axis.transAxes)
        return
    sizes, laid = _fitted(table, width, height)
    tall = sum(_height(sizes, row) for row in laid)
    y = (height + tall) / 2
    for row in laid:
        y -= _height(sizes, row)
        boxes = [_box(table["text"].iloc[index], sizes[index]) for index in row]
        x = (width - sum(boxes)) / 2
        for index, box in zip(row, boxes, strict=True):
            text = axis.text(x + box / 2, y + 0.25 * sizes[row].max(), table["text"].iloc[index], parse_math=False)
            text.set(fontsize=sizes[index], color=COLOURS[part], ha="center", va="baseline", in_layout=False)
            x += box
    axis.set(xlim=(0, width), ylim=(0, height))


def _fitted(table: pd.DataFrame, width: float, height: float) -> tuple[np.ndarray, list[list[int]]]:
    """The size of every word in points, linear in its weight, as large as the page allows; and the rows."""
    spread = table["weight"].max() - table["weight"].min()
    share = (table["weight"] - table["weight"].min()) / spread if spread else pd.Series(0.5, table.index)
    for scale in np.arange(1.6, 0.2, -0.05):
        sizes = scale * (SMALLEST + share.to_numpy() * (LARGEST - SMALLEST))
        laid = rows([_box(text, size) for text, size in zip(table["text"], sizes, strict=True)], width)
        if sum(_height(sizes, row) for row in laid) <= height:
            break
    return sizes, laid


def _box(text: str, size: float) -> float:
    return extent(text, size)[0] + 0.55 * size


def _height(sizes: np.ndarray, row: list[int]) -> float:
    return 1.2 * float(sizes[row].max())


def _bars(axis: Axes, table: pd.DataFrame, part: str, mean: float, most: float) -> None:
    """Mean entropy with its interval, from the ``mean`` of all tokens, heaviest on top; beside the token its occurrences.

    The axis is the same in Figures 9 and 10: it ends above ``most``, the highest of all tokens. Its places are square roots, so that it
    begins at zero and still tells low values apart.
    """
    place = np.arange(len(table))
    axis.barh(place, table["value"] - mean, left=mean, height=0.7, color=COLOURS[part], alpha=0.75)
    reach = np.array([table["value"] - table["low"], table["high"] - table["value"]])
    axis.errorbar(table["value"], place, xerr=reach, fmt="none", ecolor=style.INK, elinewidth=style.BAR)
    axis.axvline(mean, color=style.INK, linewidth=style.BAR)
    axis.set_xscale("function", functions=(lambda nats: np.sqrt(np.maximum(nats, 0)), np.square))
    axis.set_xticks([tick for tick in TICKS if tick <= most], [f"{tick:g}" for tick in TICKS if tick <= most])
    axis.set(xlim=(0, 1.1 * most), xlabel="mean entropy (nats)")
    named = [f"{text}  {count:,}" for text, count in zip(table["text"], table["count"], strict=True)]
    axis.set_yticks(place, named, parse_math=False)
    axis.set_ylim(max(len(table), RANKED // 2) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
