"""The paper's claims tested on a study: each claim is a conjunction of contrasts, and each contrast a test on stored records.

A claim is *supported* if each of its contrasts is resolved as claimed (the intersection-union test of Berger 1982: no adjustment is due,
for the claim holds only if all of them do), *contradicted* if one of them is resolved the other way after Holm's adjustment over the
claim's contrasts, else *not measured* where the study lacks a side of one, else *not resolved*. Tests are two-sided, at one minus the
confidence of ``config/claims.yaml``. A comparison that rests on one training seed is not resolved: it is about these checkpoints, and a
claim is about methods.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd

from tokencredit import statistics
from tokencredit.analysis import scores
from tokencredit.analysis.layout import Cell, Wide
from tokencredit.analysis.paper import contrasts
from tokencredit.analysis.paper.contrasts import NOT_TRAINED, Effect
from tokencredit.analysis.paper.obtained import ONE_SEED, NotMeasuredError
from tokencredit.analysis.store import Store
from tokencredit.config import Claim, Contrast

SUPPORTED, CONTRADICTED, NOT_MEASURED = "supported", "contradicted", "not measured"
NOT_RESOLVED = scores.NOT_RESOLVED
FOR_CHECKPOINTS = f"; {scores.CHECKPOINTS}"
OUTCOMES = (SUPPORTED, CONTRADICTED, NOT_RESOLVED, NOT_MEASURED)
COLUMNS = (
    *("claim", "statement", "outcome", "contrast", "effect", "low", "high", "unit", "p", "p_holm", "test"),
    *("questions", "samples", "seeds", "detectable", "samples_needed", "seeds_needed", "reason", "files", "source"),
)
NONE = float("nan")
_NO_TEXTS = dict.fromkeys(("unit", "test", "seeds", "files"), "")


def records(store: Store) -> pd.DataFrame:
    """One line per claim (``contrast`` empty), followed by one per contrast.

    effect with its interval at the configuration's confidence, in ``unit``: points, nats, or a ratio; p of the two-sided test against the
    value that the claim's direction is seen from; Holm's over the claim's contrasts, of the tests that could contradict it (of "needs fewer
    steps" the reverse, see ``contrasts``); questions, responses per question, the training seeds.
    Where it is not resolved: ``detectable``, the smallest effect found with 80 % power (points, or a factor), and the responses per
    question or training seeds that an effect as large as the observed one takes (infinite: none would do). reason; files below the
    study's folder.
    """
    declared = store.study.config.claims
    lines: list[dict[str, Any]] = []
    for name, claim in declared.claims.items() if declared else ():
        known = {"claim": name, "source": claim.source, "statement": claim.statement}
        found = _contrasts(store, claim, declared.confidence)
        lines += [known | line for line in [_claim(found), *found]]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def outcome_of_claim(outcomes: list[str]) -> str:
    """The outcome of a claim from those of its contrasts. One that is contradicted decides it, whatever was not measured."""
    for decisive in (CONTRADICTED, NOT_MEASURED, NOT_RESOLVED):
        if decisive in outcomes:
            return decisive
    return SUPPORTED


def _claim(found: list[dict[str, Any]]) -> dict[str, Any]:
    outcome = outcome_of_claim([line["outcome"] for line in found])
    deciding = [line for line in found if line["outcome"] == outcome]
    rest = Counter(line["outcome"] for line in found if line["outcome"] != outcome)
    said = list(dict.fromkeys(line["reason"].removesuffix(FOR_CHECKPOINTS) or line["contrast"] for line in deciding))
    untrained = [sentence.removeprefix(NOT_TRAINED) for sentence in said if sentence.startswith(NOT_TRAINED)]
    said = [NOT_TRAINED + ", ".join(untrained)] * bool(untrained) + [s for s in said if not s.startswith(NOT_TRAINED)]
    reason = f"each of {len(found)}" if outcome == SUPPORTED else "; ".join(said)
    if rest:
        counts = ", ".join(f"{rest[name]} {name}" for name in OUTCOMES if name in rest)
        reason += f"; of the other contrasts: {counts}"
    return {"contrast": "", "outcome": outcome, "reason": reason, **_NO_TEXTS}


# ---------------------------------------------------------------- contrasts


def _contrasts(store: Store, claim: Claim, confidence: float) -> list[dict[str, Any]]:
    lines, effects = [], []
    for contrast, other in contrasts.pairs(claim.contrasts):
        line = {"contrast": contrasts.in_words(store, contrast, other)}
        try:
            effect = contrasts.measure(store, contrast, other, confidence)
        except NotMeasuredError as reason:
            lines.append(line | {"outcome": NOT_MEASURED, "reason": str(reason), **_NO_TEXTS})
            continue
        lines.append(line | _measured(effect))
        effects.append((lines[-1], contrast, effect))
    tested = [entry for entry in effects if not math.isnan(entry[2].against.p)]
    for (line, _, _), p in zip(tested, statistics.holm([effect.against.p for *_, effect in tested]), strict=True):
        line["p_holm"] = float(p)
    for line, contrast, effect in effects:
        line |= _judged(effect, contrast, line.get("p_holm", NONE), 1 - confidence, len(tested))
    return lines


def _measured(effect: Effect) -> dict[str, Any]:
    tested = effect.tested
    shown = {key: effect.shown(getattr(tested, key)) for key in ("mean", "low", "high")}
    return {
        "effect": shown["mean"],
        "low": shown["low"],
        "high": shown["high"],
        "unit": effect.unit,
        "p": tested.p,
        "test": effect.test,
        "questions": effect.questions,
        "samples": effect.samples,
        "seeds": " ".join(map(str, effect.seeds)),
        "files": " ".join(effect.files),
    }


def _judged(effect: Effect, contrast: Contrast, p_holm: float, level: float, family: int) -> dict[str, Any]:
    tested = effect.tested
    higher = getattr(contrast, "direction", "higher") == "higher"
    as_claimed, stands = ((side.mean > 0) == higher for side in (tested, effect.against))
    if tested.seeds is None:
        return {"outcome": NOT_RESOLVED, "reason": ONE_SEED + (FOR_CHECKPOINTS if tested.p < level else "")}
    if as_claimed and tested.p < level:
        return {"outcome": SUPPORTED, "reason": ""}
    if not stands and p_holm < level:
        return {"outcome": CONTRADICTED, "reason": ""}
    # Holm's first step: what contradicts is adjusted, what supports is not.
    level = level if as_claimed else level / family
    return {
        "outcome": NOT_RESOLVED,
        "reason": "",
        "detectable": effect.detectable(level),
        "samples_needed": math.nan
        if not tested.questions
        else _whole(effect.samples * tested.samples_needed(level=level)),
        "seeds_needed": tested.seeds_needed(level=level) if effect.seeds else math.nan,
    }


def _whole(count: float) -> float:
    return math.ceil(count) if math.isfinite(count) else count


# ---------------------------------------------------------------- layout


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """Claims with their contrasts below them, outcome first."""
    columns = [("Outcome", ""), ("Effect", "interval"), ("Test", "p, what it rests on")]
    rows = []
    for record in table.to_dict("records"):
        is_claim = record["contrast"] == ""
        title = f"{record['claim'].upper()}. {record['statement']}" if is_claim else f"– {record['contrast']}"
        notes = tuple(filter(None, [record["reason"], _needed(record)]))
        rows.append((title, [Cell(record["outcome"], notes=notes), _effect(record), _test(record)]))
    claims = table[table["contrast"] == ""]
    counts = claims["outcome"].value_counts()
    declared = store.study.config.claims
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in OUTCOMES)
    notes = [
        f"{len(claims)} claims: {said}.",
        "supported: each contrast is resolved as claimed; contradicted: one is resolved the other way, Holm-adjusted over the claim's "
        "contrasts; with one training seed none is resolved.",
        f"Effects are differences in points (of credit in nats), or ratios of entropies, with {100 * declared.confidence:g} % "
        "intervals; two-sided p."
        if declared
        else "",
        "Sources: " + "; ".join(f"{line.claim.upper()} {line.source}" for line in claims.itertuples()) + ".",
    ]
    return Wide(columns, rows, notes, long=True)


def _effect(record: dict[str, Any]) -> Cell:
    if math.isnan(record["effect"]):
        return Cell("")
    low, high = (_number(record, record[end]) for end in ("low", "high"))
    return Cell(_number(record, record["effect"]), "" if math.isnan(record["low"]) else f"[{low}, {high}]")


def _number(record: dict[str, Any], value: float) -> str:
    if record["unit"] == "ratio":
        return f"× {value:.2f}"
    return f"{value:+.{_DIGITS[record['unit']]}f}".replace("-", "−")


_DIGITS = {"points": 1, "nats": 4}


def _test(record: dict[str, Any]) -> Cell:
    if math.isnan(record["effect"]):
        return Cell("")
    counts = [
        ("seeds", len(record["seeds"].split())),
        ("questions", record["questions"]),
        ("responses each", record["samples"]),
    ]
    rests_on = ", ".join(
        f"{count:.0f} {name if count > 1 else name.removesuffix('s')}" for name, count in counts if count > 0
    )
    p = "–" if math.isnan(record["p"]) else "< 0.001" if record["p"] < 0.001 else f"{record['p']:.3f}"
    return Cell(p, notes=(rests_on,))


def _needed(record: dict[str, Any]) -> str:
    """What the comparison could have found, and what an effect as large as the observed one takes."""
    if math.isnan(record["detectable"]):
        return ""
    ways = [("k", record["samples_needed"]), ("seeds", record["seeds_needed"])]
    enough = [f"{name} = {count:.0f}" for name, count in ways if math.isfinite(count)]
    if record["unit"] == "ratio":
        smallest = f"a factor of {record['detectable']:.2f}"
    else:
        smallest = f"±{record['detectable']:.{_DIGITS[record['unit']]}f}"
    takes = "more problems" if record["unit"] == "nats" else " or ".join(enough) or "more than k or seeds"
    return f"finds {smallest}, takes {takes}"
