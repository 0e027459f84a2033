"""How each method spreads its credit over tokens, from the metrics of its training steps: the numbers of a table and a figure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tokencredit.analysis.layout import Cell, Wide, WideLine, marked, meanings
from tokencredit.analysis.store import Store
from tokencredit.credit import QUADRANTS

SPREAD = (0.05, 0.95)  # quantiles over steps


@dataclass(frozen=True)
class Diagnostic:
    """A metric of every step, its place in the table, and the factor and digits that it is shown with."""

    name: str
    head: str
    title: str
    scale: float = 1.0
    digits: int = 2


DIAGNOSTICS = (
    Diagnostic("weight_gini", "Token weights", "Gini"),
    Diagnostic("effective_tokens", "Token weights", "effective"),
    Diagnostic("sign_changes", "Tokens (%)", "sign changed", scale=100, digits=1),
    Diagnostic("kept", "Tokens (%)", "kept", scale=100, digits=1),
    Diagnostic("correlation_entropy", "Correlation of weight and", "entropy"),
    Diagnostic("correlation_position", "Correlation of weight and", "place"),
    Diagnostic("correlation_logprob", "Correlation of weight and", "log π"),
    *(Diagnostic(f"mass_{name}", "Share of credit (%)", name.upper(), scale=100, digits=1) for name in QUADRANTS),
    Diagnostic("credit_mean", "Credit", "mean |A|"),
)


def records(store: Store) -> pd.DataFrame:
    """One record per method and diagnostic: the mean over all training steps of all seeds, and where 90 % of the steps lie.

    Shares in percent. ``steps``: how many steps of all seeds have the diagnostic; where none has, as constant weights have no
    correlation, ``value``, ``low`` and ``high`` are missing. ``tokens``: response tokens of all steps. A run whose metrics were written
    without the diagnostics is a ``UserError``.
    """
    found = []
    names = [diagnostic.name for diagnostic in DIAGNOSTICS]
    for name, method in store.study.methods.items():
        metrics = store.metrics(name, [*names, "tokens"])[[*names, "tokens"]].astype(float)
        for diagnostic in DIAGNOSTICS:
            values = diagnostic.scale * metrics[diagnostic.name].dropna()
            low, high = values.quantile(SPREAD)
            found.append(
                {
                    "method": name,
                    "title": method.title,
                    "diagnostic": diagnostic.name,
                    "value": values.mean(),
                    "low": low,
                    "high": high,
                    "steps": len(values),
                    "tokens": int(metrics["tokens"].sum()),
                    "seeds": " ".join(map(str, store.study.training.seeds)),
                    "reconstruction": method.reconstruction,
                    "invalid": store.invalid(name),
                }
            )
    return pd.DataFrame(found)


def titles(table: pd.DataFrame) -> dict[str, str]:
    """The methods of ``records`` with their marked titles."""
    methods = table.drop_duplicates("method")
    return {row.method: marked(row.title, row.reconstruction, row.invalid) for row in methods.itertuples()}


def notes(table: pd.DataFrame) -> list[str]:
    """The notes under the table: how many steps and tokens the numbers are of, what is missing, and what the marks mean."""
    steps, tokens = table["steps"].max(), table["tokens"]
    seeds = len(table["seeds"].iloc[0].split())
    lines = [
        f"Means over n = {steps} training steps ({seeds} training seed{'s' if seeds > 1 else ''}); a method had {tokens.min():,} response "
        f"tokens or more. The spread is that of the middle 90 % of the steps, not a confidence interval."
    ]
    if table["value"].isna().any():
        lines.append("– undefined at every step: constant weights have no correlation.")
    return lines + meanings("".join(titles(table).values()))


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """One line per method, one column per diagnostic."""
    shown = titles(table)
    rows = [
        WideLine(title, [_cell(table, method, diagnostic) for diagnostic in DIAGNOSTICS], method)
        for method, title in shown.items()
    ]
    return Wide([(diagnostic.head, diagnostic.title) for diagnostic in DIAGNOSTICS], rows, notes(table))


def _cell(table: pd.DataFrame, method: str, diagnostic: Diagnostic) -> Cell:
    record = table[(table["method"] == method) & (table["diagnostic"] == diagnostic.name)].iloc[0]
    if pd.isna(record["value"]):
        return Cell("–")
    value, low, high = (f"{record[key]:.{diagnostic.digits}f}".replace("-", "−") for key in ("value", "low", "high"))
    return Cell(value, f"[{low}, {high}]")
