"""The gradient of each method's credit in all weights of the base model: which tokens make it, and how many directions it has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokencredit.analysis.credit.states import over, over_problems
from tokencredit.analysis.store import Store
from tokencredit.study.paths import AttributionFolder

DECILE, ATTENTION, METHOD = "decile", "attention", "method"
BY = {DECILE: "entropy", ATTENTION: "attention_entropy"}
DECILES = 10
_RESPONSE = ["method", "seed", "problem_id", "sample"]


def records(store: Store) -> pd.DataFrame:
    """One record per method, and per method and decile of entropy; intervals (…_low, …_high) are over problems.

    The gradient is that of the method's loss on the responses that its run stored of the first step, at the base model, which sampled them,
    as if they were one update; terms that need no credit are not in it. Training seeds together; a method that learns nothing has none.

    part ``decile``: share, what the tokens of a decile of entropy within their response add to the projection of the gradient on itself, as
    a part of the whole; the resamples keep its direction. tokens: their share of all tokens. part ``attention``: the same by deciles of the
    middle layer's attention entropy, as in arXiv 2605.07660.

    part ``method``: rank, the mean over problems of the effective rank of the responses' gradients (arXiv 2606.29238), out of responses,
    the mean number that have one; cosine, the mean of that between the gradients of a problem's responses under the method and under the
    reference method, missing where no problem is learned from by both.
    """
    columns = ["method", "problem_id", "sample", "position", *BY.values(), "share"]
    tokens = store.attribution(AttributionFolder.gradients, columns)
    groups = store.attribution(AttributionFolder.groups, ["method", "problem_id", "responses", "rank", "cosine"])
    tokens = tokens.assign(**{part: deciles(tokens, name) for part, name in BY.items()})
    by_method = dict(iter(tokens.groupby("method"))), dict(iter(groups.groupby("method")))
    learned = [name for name in store.study.methods if name in by_method[1]]
    lines = [{"part": METHOD, "method": name} | _of_groups(by_method[1][name]) for name in learned]
    for part in BY:
        for name in learned:
            lines += [{"part": part, "method": name} | line for line in _by_decile(by_method[0][name], part)]
    titles = {name: method.title for name, method in store.study.methods.items()}
    return pd.DataFrame(lines).assign(title=lambda table: table["method"].map(titles))


def deciles(tokens: pd.DataFrame, name: str) -> pd.Series:
    """The decile of each token by the column ``name`` within its response, 1 to ``DECILES``; of equal tokens the earlier is the lower."""
    rank = tokens.groupby(_RESPONSE)[name].rank(method="first", pct=True)
    return np.ceil(DECILES * rank.round(9)).astype(int)


def _of_groups(own: pd.DataFrame) -> dict[str, float]:
    both = own["cosine"].notna()
    sums = pd.DataFrame({"groups": 1.0, "rank": own["rank"], "cosine": own["cosine"].where(both, 0.0), "both": both})
    found = over_problems(
        sums.astype(float),
        own["problem_id"],
        lambda of: {"rank": over(of[..., 1], of[..., 0]), "cosine": over(of[..., 2], of[..., 3])},
    )
    return {"groups": len(own), "problems": own["problem_id"].nunique(), "responses": own["responses"].mean()} | found


def _by_decile(own: pd.DataFrame, part: str) -> list[dict[str, float]]:
    lines = []
    for decile in range(1, DECILES + 1):
        chosen = own[part] == decile
        sums = pd.DataFrame({"share": own["share"].where(chosen, 0.0), "all": own["share"]})
        found = over_problems(sums, own["problem_id"], lambda of: {"share": over(of[..., 0], of[..., 1])})
        known = {"problems": own["problem_id"].nunique(), "tokens": float(chosen.mean())}
        lines.append({"group": f"{decile}"} | known | found)
    return lines
