"""The signals of measured tokens as arrays: what a credit function sees, one batch for each training seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tokencredit.credit.columns import MEASURED
from tokencredit.credit.signals import KINDS, PER_RESPONSE
from tokencredit.creditbench.records import Measured
from tokencredit.seeds import derive_seed, uniforms

# Columns that a measurement does not hold, and why.
_OF_A_PASS = {
    **dict.fromkeys(
        ("attention_entropy", "uniqueness", "hidden", "privileged_logprob", "privileged_entropy", "contrast_logprob"),
        "made with the weights of the policy, which no bundle holds",
    ),
    "teacher_logprob": "no second model read the responses",
    "residual_norm": "the policy has no adapter",
    "ref_logprob": "the policy was trained without a reference",
}
ABSENT = {**_OF_A_PASS, "begun": "no response goes on from another one"}
# Another pass of a model over the responses for each, as the trainer makes them.
OF_A_PASS = tuple(_OF_A_PASS)


@dataclass(frozen=True)
class Batch:
    """The responses of one training seed, as a step of training has them.

    rows: their places among the tokens of the policy. columns: by the names of ``TokenSignals``, float32 or int64, [n] or per response [R];
    those of ``splits`` are [n, K], one column for each split of the continuations. table: the same for a person, one line a token.
    """

    rows: np.ndarray
    columns: dict[str, np.ndarray | float]
    splits: dict[str, np.ndarray]
    table: pd.DataFrame

    def at(self, split: int) -> dict[str, np.ndarray | float]:
        """All columns of ``TokenSignals``, those that are measured by one split of the continuations."""
        return self.columns | {name: self.splits[name][:, split] for name in MEASURED}

    def shown(self, split: int) -> pd.DataFrame:
        """The table with what is measured by one split of the continuations."""
        return self.table.assign(**{name: values[:, split] for name, values in self.splits.items()})


def batches(measured: Measured) -> Iterator[Batch]:
    """The responses of each training seed. ``UserError`` for none.

    The policy stands where a step begins: the current log-prob, the behaviour's and the sampler's are one, and no step lies behind.
    """
    for _, part in measured.tokens.groupby("seed", sort=True):
        rows = part.index.to_numpy()
        table = part.reset_index(drop=True)
        table["response"] = table.groupby("response").ngroup()
        table["group"] = table.groupby("problem_id").ngroup()
        same = dict.fromkeys(("logprob", "rollout_logprob"), table["old_logprob"])
        noise = {name: _noise(table, name) for name in ("noise", "control_noise")}
        table = table.assign(correct=table["reward"] > 0, **same, **noise)
        first = table[~table.duplicated("response")]
        columns = {name: _typed(first[name]) for name in PER_RESPONSE}
        per_token = table.drop(columns=[*PER_RESPONSE, *_NAMES])
        columns |= {name: _typed(per_token[name]) for name in per_token}
        columns |= {"progress": 0.0, "entropy_history": np.zeros(0)}
        splits = {name: values[rows].astype(np.float32) for name, values in measured.thirds.items()}
        shown = table.assign(kind=[KINDS[kind] for kind in table["kind"]]).drop(columns=_HIDDEN)
        yield Batch(rows, columns, splits, shown)


_NAMES = ["seed", "problem_id", "cell", "sample", "token_id", "token"]
_HIDDEN = ["seed", "problem_id", "cell", "sample", "control_noise"]


def _noise(table: pd.DataFrame, name: str) -> np.ndarray:
    """[n] in [0, 1): a number of each token's own."""
    response = table[["seed", "problem_id", "sample"]].itertuples(index=False, name=None)
    seeds = np.array([derive_seed(seed, name, problem, sample) for seed, problem, sample in response], np.uint64)
    return uniforms(seeds, table["position"].to_numpy())


def _typed(values: pd.Series) -> np.ndarray:
    if values.dtype.kind == "f" and values.name not in ("noise", "control_noise"):
        return values.to_numpy(np.float32)
    return values.to_numpy()
