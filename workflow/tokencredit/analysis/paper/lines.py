"""What a line of the tables of claims and of experiments says of a contrast's effect."""

from __future__ import annotations

import math
from typing import Any

from tokencredit.analysis import scores
from tokencredit.analysis.layout import Cell, signed
from tokencredit.analysis.paper.effect import Effect
from tokencredit.statistics import NAN


def measured(effect: Effect, level: float) -> dict[str, Any]:
    """The columns of an effect: its interval, its p, what it rests on, and what it could have found at ``level`` with 80 % power."""
    tested = effect.tested
    shown = {key: effect.shown(getattr(tested, key)) for key in ("mean", "low", "high")}
    excluded = {name: value for name, value in effect.printed.items() if tested.excludes(value / 100)}
    return {
        "effect": shown["mean"],
        "low": shown["low"],
        "high": shown["high"],
        "unit": effect.unit,
        "p": effect.p,
        "test": effect.test,
        "questions": effect.questions,
        "samples": effect.samples,
        "k": effect.k,
        "seeds": " ".join(map(str, effect.seeds)),
        "pairs": len(effect.seeds) if tested.paired else 0,
        "detectable": NAN if tested.seeds is None else effect.detectable(level),
        "printed": _printed(effect.printed),
        "excluded": "" if tested.seeds is None else _printed(excluded),
        "files": " ".join(effect.files),
    }


def effect_cell(record: dict[str, Any]) -> Cell:
    """The effect and its interval."""
    if math.isnan(record["effect"]):
        return Cell("")
    low, high = (_number(record, record[end]) for end in ("low", "high"))
    return Cell(_number(record, record["effect"]), "" if math.isnan(record["low"]) else f"[{low}, {high}]")


def test_cell(record: dict[str, Any]) -> Cell:
    """p, and what it rests on."""
    if math.isnan(record["effect"]):
        return Cell("")
    counts = [
        ("seeds", len(record["seeds"].split())),
        ("questions", record["questions"]),
        ("responses each", record["samples"]),
    ]
    of_pairs = ", paired" if record["pairs"] > 0 else ""
    rests_on = ", ".join(
        f"{count:.0f} {name if count > 1 else name.removesuffix('s')}" for name, count in counts if count > 0
    )
    rests_on += of_pairs + (f", k = {record['k']:.0f}" if record["k"] > 0 else "")
    p = "–" if math.isnan(record["p"]) else "< 0.001" if record["p"] < 0.001 else f"{record['p']:.3f}"
    return Cell(p, notes=(rests_on,))


def needed(record: dict[str, Any]) -> str:
    """What the comparison could have found, what an effect as large as the observed one takes, and what of the paper's is excluded."""
    if not (said := finds(record)):
        return ""
    if record["outcome"] == scores.NOT_RESOLVED:
        ways = [("responses", record["samples_needed"]), ("seeds", record["seeds_needed"])]
        enough = [f"{count:.0f} {name}" for name, count in ways if math.isfinite(count)]
        said += f", takes {'more problems' if record['unit'] == 'nats' else ' or '.join(enough) or 'more than responses or seeds'}"
    if record["printed"]:
        excluded = f"excluded: {record['excluded']}" if record["excluded"] else "not excluded"
        said += f"; the paper has {record['printed']}: {excluded}"
    return said


def finds(record: dict[str, Any]) -> str:
    """The smallest effect that the comparison finds with 80 % power; nothing where that is not known."""
    if math.isnan(record["detectable"]):
        return ""
    if record["unit"] == "ratio":
        return f"finds a factor of {record['detectable']:.2f}"
    return f"finds ±{record['detectable']:.{_DIGITS[record['unit']]}f}"


def _printed(effects: dict[str, float]) -> str:
    return ", ".join(f"{value:+.1f} ({name})" for name, value in effects.items())


def _number(record: dict[str, Any], value: float) -> str:
    if record["unit"] == "ratio":
        return f"× {value:.2f}"
    return signed(value, _DIGITS[record["unit"]])


_DIGITS = {"points": 1, "nats": 4}
