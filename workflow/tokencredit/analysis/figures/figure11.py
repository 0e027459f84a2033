"""Figure 11: a right and a wrong response to the same problem, token by token."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.patches import Rectangle

from tokencredit.analysis import layout, style
from tokencredit.analysis.store import Store
from tokencredit.study.paths import RunFolder
from tokencredit.study.selection import heat_map_method

WIDTH = 58  # characters of a line
TOKENS = 160  # drawn of a response at most
# Without the darkest ends: letters must be legible on every colour.
ENTROPY_COLOURS = LinearSegmentedColormap.from_list("entropy", mpl.colormaps["YlOrRd"](np.linspace(0, 0.8, 256)))
CREDIT_COLOURS = LinearSegmentedColormap.from_list("credit", mpl.colormaps["PuOr_r"](np.linspace(0.18, 0.82, 256)))
COLUMNS = [
    "step",
    "problem_id",
    "sample",
    "position",
    "token",
    "entropy",
    "reward",
    "group_advantage",
    "advantage",
    "keep",
]


def draw(store: Store) -> style.Drawn:
    """Tokens coloured by entropy (left) and by credit, the token's advantage over its response's (right).

    Text is drawn letter by letter and never interpreted.
    """
    study = store.study
    method = heat_map_method(study)
    tokens = choose(store.tokens(RunFolder.rollouts, method, COLUMNS))
    # A group whose rewards are all equal has no advantage to share out: its tokens count as they are, or not at all.
    share = (tokens["advantage"] / tokens["group_advantage"]).where(tokens["group_advantage"] != 0, 1.0)
    tokens["credit"] = share.where(tokens["keep"], 0.0)
    laid = [place(part) for reward in (1, -1) if len(part := tokens[tokens["reward"] == reward])]
    heights = [table["line"].max() + 1 for table in laid]
    fig, _ = style.figure(1, 1, width=9.5, height=0.5)
    fig.clear()
    fig.set_size_inches(9.5, 0.17 * sum(heights) + 1.25)
    axes = fig.subplots(len(laid), 2, gridspec_kw={"height_ratios": heights}, squeeze=False)
    spread = max(0.01, float((tokens["credit"] - 1).abs().max()))
    scales = (
        ("entropy", ENTROPY_COLOURS, Normalize(0, float(tokens["entropy"].quantile(0.98)))),
        ("credit", CREDIT_COLOURS, TwoSlopeNorm(1, 1 - spread, 1 + spread)),
    )
    for row, table in enumerate(laid):
        answer = "Right" if table["reward"].iloc[0] > 0 else "Wrong"
        advantage = layout.signed(table["group_advantage"].iloc[0], 2)
        for column, (name, colours, norm) in enumerate(scales):
            axis = axes[row, column]
            _paint(axis, table, colours(norm(table[name].to_numpy())))
            style.letter(axis, 2 * row + column, f"{answer} response (A = {advantage}), {name}")
    labels = ("token entropy (nats)", "credit: token advantage / response advantage")
    for column, (_, colours, norm) in enumerate(scales):
        bar = fig.colorbar(
            mpl.cm.ScalarMappable(norm, colours),
            ax=axes[:, column],
            orientation="horizontal",
            aspect=50,
            pad=0.02,
            fraction=0.06,
        )
        bar.set_label(labels[column])
        bar.outline.set_visible(False)
    shown_of = [
        f"{len(table)} tokens of problem {table['problem_id'].iloc[0]}, step {table['step'].iloc[0]}, seed {table['seed'].iloc[0]}"
        for table in laid
    ]
    note = (
        f"{style.lines(study)[method].title}: {' and '.join(shown_of)}; at most {TOKENS} tokens of a response are drawn. "
        "␣ is a space, ⏎ a line break."
    )
    return style.Drawn(fig, pd.concat(laid, ignore_index=True), note)


def choose(tokens: pd.DataFrame) -> pd.DataFrame:
    """The first right and the first wrong response to one problem: of the last stored step that has such a problem, first seed.

    Where no problem has both, as after the first steps of a weak model, the first response of each polarity that there is.
    """
    tokens = tokens.assign(reward=np.sign(tokens["reward"]).astype(int))
    problem = ["step", "seed", "problem_id"]
    both = tokens.groupby(problem)["reward"].nunique().eq(2)
    if both.any():
        places = both[both].reset_index().sort_values(problem, ascending=[False, True, True])
        tokens = tokens.merge(places[problem].head(1), on=problem)
    firsts = tokens.sort_values([*problem, "sample"]).drop_duplicates("reward")[[*problem, "sample"]]
    return tokens.merge(firsts, on=[*problem, "sample"])


def place(tokens: pd.DataFrame) -> pd.DataFrame:
    """The place of each token: its line and column in a page of ``WIDTH`` characters, and the text that is shown for it."""
    line = column = 0
    records = []
    for token in tokens.sort_values("position").head(TOKENS)["token"]:
        text = shown_token(token)[:WIDTH]
        if column + len(text) > WIDTH:
            line, column = line + 1, 0
        records.append((line, column, text))
        column += len(text)
        if "⏎" in text:
            line, column = line + 1, 0
    laid = tokens.sort_values("position").head(TOKENS).copy()
    laid[["line", "column", "text"]] = pd.DataFrame(records, index=laid.index)
    return laid


def shown_token(token: str | None) -> str:
    """A token as it is drawn; ∅ for an empty one, and for an id of the head that the tokenizer has no token for."""
    return "".join(map(shown, token)) if isinstance(token, str) and token else "∅"


def shown(letter: str) -> str:
    """A letter as it is drawn: white space visible, anything unprintable as a replacement character."""
    if letter in "\n\r":
        return "⏎"
    if letter.isspace():
        return "␣"
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _paint(axis: Axes, table: pd.DataFrame, colours: np.ndarray) -> None:
    for (line, column, text), colour in zip(
        table[["line", "column", "text"]].itertuples(index=False), colours, strict=True
    ):
        axis.add_patch(Rectangle((column, line), len(text), 0.94, color=colour, linewidth=0))
        ground = colour[:3]
        ink = max(("black", "white"), key=lambda letters: style.legible(ground, letters))
        for offset, letter in enumerate(text):
            axis.text(
                column + offset + 0.5,
                line + 0.5,
                letter,
                color=ink,
                alpha=0.6 if letter in "␣⏎" else 1,
                fontsize=style.SMALL,
                family="DejaVu Sans Mono",
                ha="center",
                va="center",
                parse_math=False,
            )
    axis.set(xlim=(0, WIDTH), ylim=(table["line"].max() + 1, 0))
    axis.axis("off")
