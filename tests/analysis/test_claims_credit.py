"""The claim on the measured credit of tokens, on states whose truth was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from claimed import OWN, decided, write_claims
from scipy import stats
from test_states import planted, store_of

from tokencredit.analysis.credit import states as oracle
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.study.exhibits import inputs
from tokencredit.study.measurements import measured_rows

pytestmark = pytest.mark.slow  # tables over whole synthetic studies


def claimed_of(folder: Path, states: pd.DataFrame, branches: pd.DataFrame) -> Store:
    """A study with measured states, and the project's claim on them."""
    store_of(folder, states, branches)
    (contrast,) = OWN["c10"]["contrasts"]
    write_claims(folder / "config", {"c10": {"contrasts": [contrast | {"policies": ["base"]}]}})
    return Store(load_study(folder / "config", "synthetic"), folder / "results")


def c10(store: Store) -> tuple[str, pd.DataFrame]:
    """The outcome of the claim, and its contrasts."""
    of_claims, contrasts = decided(store)
    return of_claims.loc["c10", "outcome"], contrasts[contrasts["claim"] == "c10"]


def test_credit_at_open_places_alone_supports_it_and_is_recomputed_by_hand(tmp_path: Path) -> None:
    store = claimed_of(tmp_path, *planted())
    outcome, contrasts = c10(store)
    assert (outcome, contrasts["outcome"].tolist()) == ("supported", ["supported"])
    states = oracle.states(store, measured_rows(store.study)[0])[0]
    is_open = states["position"] % 2 == 0
    of_open, of_sure = (states[which].groupby("problem_id")["information"].mean() for which in (is_open, ~is_open))
    values = 0.1 * of_open - of_sure
    margin = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    (line,) = contrasts.itertuples()
    assert line.effect == pytest.approx(values.mean())
    assert (line.low, line.high) == (pytest.approx(values.mean() - margin), pytest.approx(values.mean() + margin))
    assert (line.questions, line.seeds, line.unit) == (len(values), "", "nats")
    assert line.files.split() == [f"oracle/base/seed0/{name}.parquet" for name in ("states", "branches")]
    needed = [name for name in inputs(store.study, "table", "claims") if "/oracle/" in name]
    assert needed == [f"synthetic/oracle/base/seed0/{name}.parquet" for name in ("states", "branches")]


def test_credit_where_entropy_is_low_contradicts_it(tmp_path: Path) -> None:
    """The decisive tokens are said to be of less entropy than the others."""
    states, branches = planted()
    decisive = states["position"] % 4 == 0
    states["entropy"] = np.where(decisive, 0.01, 0.02)
    outcome, contrasts = c10(claimed_of(tmp_path, states, branches))
    assert (outcome, contrasts["outcome"].tolist()) == ("contradicted", ["contradicted"])


def test_one_problem_decides_nothing(tmp_path: Path) -> None:
    states, branches = (table[table["problem_id"] == "toy-train-0"] for table in planted())
    outcome, contrasts = c10(claimed_of(tmp_path, states, branches))
    assert outcome == "not measured"
    assert set(contrasts["reason"]) == {"credit is measured on one problem, which tells nothing of others"}
