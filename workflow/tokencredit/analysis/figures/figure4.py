"""Figure 4: the entropy of tokens in right and wrong responses, and what it tells about the reward."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokencredit.analysis import style
from tokencredit.analysis.credit.proxy import BINS, mutual_information
from tokencredit.analysis.store import Store
from tokencredit.study.paths import RunFolder


def draw(store: Store) -> style.Drawn:
    """Histograms of token entropy by polarity, below and above the group mean's middle value, log frequency; base policy's rollouts.

    The low part ends at the mean entropy of all tokens, the high part begins there. Printed in each: the mutual information of entropy
    bin and reward, the paper's proxy of credit.
    """
    study = store.study
    tokens = store.tokens(RunFolder.rollouts, study.reference, ["step", "problem_id", "sample", "entropy", "reward"])
    tokens = tokens[tokens["step"] == tokens["step"].min()]
    split = float(tokens["entropy"].mean())
    parts = (("low", tokens[tokens["entropy"] < split]), ("high", tokens[tokens["entropy"] >= split]))
    fig, axes = style.figure(1, 2, height=2.5)
    records = []
    for index, (name, part) in enumerate(parts):
        axis = axes.flat[index]
        edges = (
            np.linspace(0, split, BINS + 1)
            if name == "low"
            else np.linspace(split, max(part["entropy"].max(), split * 1.01), BINS + 1)
        )
        for reward, colour, label in ((1, style.RIGHT, "right responses"), (-1, style.WRONG, "wrong responses")):
            counts, _ = np.histogram(part.loc[np.sign(part["reward"]) == reward, "entropy"], edges)
            axis.stairs(counts, edges, color=colour, label=label, fill=True, alpha=0.25, linewidth=0)
            axis.stairs(counts, edges, color=colour, linewidth=style.BAR)
            records += [
                {"part": name, "reward": reward, "from": low, "to": high, "tokens": count}
                for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
        measured, chance = mutual_information(part, edges)
        axis.set_yscale("log")
        axis.set(xlabel="token entropy (nats)", ylabel="tokens")
        axis.text(
            0.98,
            0.97,
            f"{len(part):,} tokens\n$I$(bin; reward) = {1000 * measured:.2f} mnat\nshuffled rewards: {1000 * chance:.2f} mnat",
            transform=axis.transAxes,
            ha="right",
            va="top",
        )
        style.letter(
            axis,
            index,
            f"{name.capitalize()} entropy, {'below' if name == 'low' else 'above'} the mean of {split:.3f} nats",
        )
        records.append(
            {"part": name, "mutual_information_nats": measured, "shuffled_nats": chance, "tokens": len(part)}
        )
        axis.set_ylim(bottom=0.7, top=axis.get_ylim()[1] * 6)
    style.legend_below(fig, axes.flat[0], columns=2)
    responses = tokens.drop_duplicates(["seed", "problem_id", "sample"])
    note = (
        f"Rollouts of the first step ({style.lines(study)[study.reference].title}, so of the base policy): {len(tokens):,} tokens of "
        f"{len(responses)} responses to {responses['problem_id'].nunique()} problems, {len(study.training.seeds)} training seed(s). "
        f"Mutual information over {BINS} bins; beside it its mean when rewards are shuffled between responses, which is what chance gives."
    )
    return style.Drawn(fig, pd.DataFrame(records), note)
