"""What CreditBench ships: tokens of measured policies with their signals, the tokens tried at each, and credits of known methods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tokencredit import files
from tokencredit.analysis.credit.reference import INFORMATION, RESPONSE, Yardstick, state_numbers, yardstick_of
from tokencredit.config import BenchFile, Config
from tokencredit.errors import UserError

TOKENS, BRANCHES, CREDITS = "tokens.parquet", "branches.parquet", "credits.parquet"
LEARNING, CHECKLIST, BOARD = "learning.csv", "checklist.csv", "leaderboard.csv"
MAKE = "python -m tokencredit.tools.bench records"
SPLIT = "."  # between the name of a method and the number of a split


@dataclass(frozen=True)
class Measured:
    """A measured policy: N ``tokens`` of whole responses, in the order of ``reference.STATE``, in groups whose rewards differ.

    tokens: what names a token (seed, problem_id, cell, sample, position, token_id, token), response and state (numbers), kind, and
    signals by their names in ``TokenSignals``, those of a response at each of its tokens. branches: as ``Store.oracle`` has them, with
    ``seed``.
    """

    name: str
    title: str
    tokens: pd.DataFrame
    branches: pd.DataFrame

    @classmethod
    def of(cls, name: str, title: str, tokens: pd.DataFrame, branches: pd.DataFrame) -> Measured:
        """From the stored tables of one policy; a column that is empty for it is none."""
        tokens = tokens.dropna(axis="columns", how="all").reset_index(drop=True)
        tokens = tokens.assign(response=tokens.groupby(RESPONSE).ngroup(), state=state_numbers(tokens))
        return cls(name, title, tokens, branches.reset_index(drop=True))

    @cached_property
    def yard(self) -> Yardstick:
        """The yardstick of those tokens whose credit could be measured."""
        return yardstick_of(self.tokens, self.branches, self.name)

    @cached_property
    def rows(self) -> np.ndarray:
        """The place among ``tokens`` of each token of the yardstick."""
        place = self.tokens.reset_index(names="row").set_index(["response", "position"])["row"]
        key = pd.MultiIndex.from_frame(self.yard.tokens[["response", "position"]])
        return place.loc[key].to_numpy()

    @cached_property
    def thirds(self) -> dict[str, np.ndarray]:
        """What a third of the continuations says, [N, K] for K splits of them: columns that are measured, judged by the other two thirds.

        value: V of the state before the token; where that was not measured, because one token has nearly all the probability or a candidate
        has too few graded continuations, that of the next state, and after the last token the outcome. information: I of that state in
        nats, to second order in the differences of Q and with the bias of few continuations, 0 where it was not measured. measured: Q - V
        of the token, likewise.
        """
        count, splits = len(self.tokens), self.yard.own_value.shape[1]
        own = {
            "value": self.yard.own_value,
            "information": self.yard.targets[INFORMATION].own,
            "measured": self.yard.own_signed,
        }
        found = {name: np.full((count, splits), np.nan if name == "value" else 0.0) for name in own}
        for name, values in own.items():
            found[name][self.rows] = values
        value, right = found["value"], (self.tokens["reward"] > 0).to_numpy(float)
        last = (self.tokens["response"] != self.tokens["response"].shift(-1)).to_numpy()
        for row in range(count - 1, -1, -1):
            following = right[row] if last[row] else value[row + 1]
            value[row] = np.where(np.isnan(value[row]), following, value[row])
        return found


@dataclass(frozen=True)
class Shipped:
    """The records of CreditBench in their ``folder``. A missing or foreign file is a ``UserError`` that names it."""

    bench: BenchFile
    folder: Path

    @classmethod
    def of(cls, config: Config) -> Shipped:
        return cls(config.bench, config.folder.parent / config.bench.records)

    @cached_property
    def policies(self) -> dict[str, Measured]:
        """The measured policies by name, in the order of the configuration."""
        tokens, branches = (files.read_parquet(self.folder / name) for name in (TOKENS, BRANCHES))
        if absent := [name for name in self.bench.policies if name not in set(tokens["policy"])]:
            raise UserError(
                f"{self.folder / TOKENS}: holds no token of {absent[0]}, which the configuration names; make the records anew: {MAKE}"
            )
        return {
            name: Measured.of(
                name,
                entry.title,
                *(table[table["policy"] == name].drop(columns="policy") for table in (tokens, branches)),
            )
            for name, entry in self.bench.policies.items()
        }

    @cached_property
    def credits(self) -> dict[str, dict[str, np.ndarray]]:
        """By policy and method the advantage of each token, 0 where it is left out: [N, 1], or [N, K] where the credit is measured."""
        path = self.folder / CREDITS
        table, sums = files.read_parquet(path), files.parquet_metadata(path)
        if sums.get(TOKENS) != files.sha256(self.folder / TOKENS):
            raise UserError(f"{path}: is of other tokens than {self.folder / TOKENS}; make the records anew: {MAKE}")
        found: dict[str, dict[str, np.ndarray]] = {}
        for policy, part in table.groupby("policy", sort=False):
            columns = part.drop(columns="policy").dropna(axis="columns", how="all")
            of_method = columns.T.groupby(lambda name: name.partition(SPLIT)[0], sort=False)
            found[policy] = {method: values.to_numpy(float).T for method, values in of_method}
        return found

    @cached_property
    def left_out(self) -> dict[str, dict[str, str]]:
        """By policy, the methods without a credit and why."""
        return files.parquet_metadata(self.folder / CREDITS)["left_out"]

    def table(self, name: str) -> pd.DataFrame:
        """One of the CSV files; texts that are not there are empty."""
        path = self.folder / name
        if not path.is_file():
            raise UserError(f"{path}: no such file; make the records anew: {MAKE}")
        table = pd.read_csv(path)
        texts = table.select_dtypes(exclude="number").columns
        return table.assign(**{column: table[column].fillna("") for column in texts})


def as_table(credits: dict[str, np.ndarray]) -> pd.DataFrame:
    """Credits by method as a table of float32, one column for each method, or for each split."""
    columns = {
        name if values.shape[1] == 1 else f"{name}{SPLIT}{split}": values[:, split].astype(np.float32)
        for name, values in credits.items()
        for split in range(values.shape[1])
    }
    return pd.DataFrame(columns)
