"""The paper's claims tested on a study: each claim is a conjunction of contrasts, and each contrast a test on stored records.

A claim is *supported* if each of its contrasts is resolved as claimed (the intersection-union test of Berger 1982: the claim's p is the
largest of theirs) and Holm's adjustment over all claims leaves that; *contradicted* if one of its contrasts is resolved the other way
after Holm's adjustment over all contrasts of all claims; else *not measured* where the study lacks a side of one; else *not testable*
where the records could not decide one, however its numbers came out: training is too short, or the comparison holds for an untrained model
too; else *not resolved*. Tests are two-sided, at one minus the confidence of ``config/claims.yaml``. What rests on one training seed is
not resolved: it is about these checkpoints, and a claim is about methods.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tokencredit import statistics
from tokencredit.analysis import scores
from tokencredit.analysis.layout import Cell, Wide, WideLine
from tokencredit.analysis.paper import contrasts, lines
from tokencredit.analysis.paper.contrasts import NOT_TRAINED
from tokencredit.analysis.paper.effect import Effect
from tokencredit.analysis.paper.obtained import ONE_SEED, NotMeasuredError
from tokencredit.analysis.store import Store
from tokencredit.config import Claim, Contrast
from tokencredit.statistics import NAN

SUPPORTED, CONTRADICTED, NOT_MEASURED, NOT_TESTABLE = "supported", "contradicted", "not measured", "not testable"
NOT_RESOLVED = scores.NOT_RESOLVED
FOR_CHECKPOINTS = f"; {scores.CHECKPOINTS}"
OUTCOMES = (SUPPORTED, CONTRADICTED, NOT_RESOLVED, NOT_TESTABLE, NOT_MEASURED)
COLUMNS = (
    *("claim", "statement", "outcome", "contrast", "effect", "low", "high", "unit", "p", "p_holm", "test"),
    *(
        "questions",
        "samples",
        "k",
        "seeds",
        "pairs",
        "detectable",
        "samples_needed",
        "seeds_needed",
        "printed",
        "excluded",
        "reason",
    ),
    *("files", "source"),
)
_NO_TEXTS = dict.fromkeys(("unit", "test", "seeds", "printed", "excluded", "files"), "")


@dataclass(frozen=True)
class _Line:
    """A contrast in words with its effect, or why there is none."""

    contrast: Contrast
    words: str
    effect: Effect | None
    reason: str = ""

    @property
    def as_claimed(self) -> bool:
        return self.effect is not None and self.effect.as_claimed

    @property
    def tested(self) -> bool:
        """Whether its p is one of those that are adjusted."""
        return self.effect is not None and not self.effect.untestable and not math.isnan(self.effect.p_otherwise)


def records(store: Store) -> pd.DataFrame:
    """One line per claim (``contrast`` empty), followed by one per contrast.

    effect with its interval at the configuration's confidence, in ``unit``: points, nats, or a ratio; p of the two-sided test against the
    value that the claim's direction is seen from, of a claim the largest of its contrasts, 1 where one is not as claimed; p_holm of a
    contrast: Holm's over the contrasts of all claims, of the tests that could contradict it (of "needs fewer steps" the reverse, see
    ``contrasts``), of a claim: over all claims; questions, responses per question, k of Pass@k, the training seeds, and how many of them
    are compared as pairs. ``detectable``: the smallest effect found with 80 % power (points, or a factor). Where it is not resolved: the
    responses per question or training seeds that an effect as large as the observed one takes (infinite: none would do). printed: the
    paper's own differences; excluded: those that the interval leaves out. reason; files below the study's folder.
    """
    declared = store.study.config.claims
    claims = declared.claims if declared else {}
    confidence = declared.confidence if declared else statistics.CONFIDENCE
    of_claims = {name: _lines(store, claim, confidence) for name, claim in claims.items()}
    adjusted = _adjusted(
        {(name, place): line for name in of_claims for place, line in enumerate(of_claims[name]) if line.tested}
    )
    found = {
        name: [_record(line, adjusted.get((name, place), NAN), 1 - confidence) for place, line in enumerate(of_claim)]
        for name, of_claim in of_claims.items()
    }
    whole = {
        name: max(line.effect.p if line.as_claimed else 1.0 for line in of_claim)
        for name, of_claim in of_claims.items()
        if all(line.tested for line in of_claim)
    }
    of_all = dict(zip(whole, statistics.holm(list(whole.values())), strict=True)) if whole else {}
    table: list[dict[str, Any]] = []
    for name, claim in claims.items():
        known = {"claim": name, "source": claim.source, "statement": claim.statement}
        of_claim = _claim(found[name], whole.get(name, NAN), of_all.get(name, NAN), 1 - confidence)
        table += [known | line for line in [of_claim, *found[name]]]
    return pd.DataFrame(table, columns=list(COLUMNS))


def outcome_of_claim(outcomes: list[str]) -> str:
    """The outcome of a claim from those of its contrasts. One that is contradicted decides it, whatever was not measured."""
    for decisive in (CONTRADICTED, NOT_MEASURED, NOT_TESTABLE, NOT_RESOLVED):
        if decisive in outcomes:
            return decisive
    return SUPPORTED


def _claim(found: list[dict[str, Any]], p: float, p_holm: float, level: float) -> dict[str, Any]:
    outcome = outcome_of_claim([line["outcome"] for line in found])
    known = {"contrast": "", "p": p, "p_holm": p_holm, **_NO_TEXTS}
    if outcome == SUPPORTED:
        among_all = f"as one of all claims p = {p_holm:.3f}"
        if p_holm >= level:
            return known | {"outcome": NOT_RESOLVED, "reason": f"each of {len(found)} as claimed, but {among_all}"}
        return known | {"outcome": SUPPORTED, "reason": f"each of {len(found)}"}
    deciding = [line for line in found if line["outcome"] == outcome]
    rest = Counter(line["outcome"] for line in found if line["outcome"] != outcome)
    said = list(dict.fromkeys(line["reason"].removesuffix(FOR_CHECKPOINTS) or line["contrast"] for line in deciding))
    untrained = [sentence.removeprefix(NOT_TRAINED) for sentence in said if sentence.startswith(NOT_TRAINED)]
    said = [NOT_TRAINED + ", ".join(untrained)] * bool(untrained) + [s for s in said if not s.startswith(NOT_TRAINED)]
    reason = "; ".join(said)
    if rest:
        counts = ", ".join(f"{rest[name]} {name}" for name in OUTCOMES if name in rest)
        reason += f"; of the other contrasts: {counts}"
    return known | {"outcome": outcome, "reason": reason}


# ---------------------------------------------------------------- contrasts


def _lines(store: Store, claim: Claim, confidence: float) -> list[_Line]:
    found = []
    for contrast, other in contrasts.pairs(claim.contrasts):
        words = contrasts.in_words(store, contrast, other)
        try:
            found.append(_Line(contrast, words, contrasts.measure(store, contrast, other, confidence)))
        except NotMeasuredError as reason:
            found.append(_Line(contrast, words, None, str(reason)))
    return found


def _adjusted(tested: dict[tuple[str, int], _Line]) -> dict[tuple[str, int], float]:
    """Holm's p of all contrasts of all claims together, by claim and place."""
    p_values = [line.effect.p_otherwise for line in tested.values() if line.effect]
    return dict(zip(tested, map(float, statistics.holm(p_values)), strict=True)) if tested else {}


def _record(line: _Line, p_holm: float, level: float) -> dict[str, Any]:
    if line.effect is None:
        return {"contrast": line.words, "outcome": NOT_MEASURED, "reason": line.reason, **_NO_TEXTS}
    judged = _judged(line.effect, p_holm, level)
    return {"contrast": line.words} | lines.measured(line.effect, level) | {"p_holm": p_holm} | judged


def _judged(effect: Effect, p_holm: float, level: float) -> dict[str, Any]:
    """``p_holm``: of what contradicts, which is adjusted. What supports is not: each contrast of a claim has to."""
    tested = effect.tested
    if effect.untestable:
        return {"outcome": NOT_TESTABLE, "reason": effect.untestable}
    if tested.seeds is None:
        return {"outcome": NOT_RESOLVED, "reason": ONE_SEED + (FOR_CHECKPOINTS if tested.p < level else "")}
    if effect.as_claimed and effect.p < level:
        return {"outcome": SUPPORTED, "reason": ""}
    if effect.otherwise and p_holm < level:
        return {"outcome": CONTRADICTED, "reason": ""}
    samples = tested.questions and effect.samples * tested.samples_needed(level=level)
    return {
        "outcome": NOT_RESOLVED,
        "reason": "",
        "samples_needed": _whole(samples) if tested.questions else NAN,
        "seeds_needed": tested.seeds_needed(level=level) if effect.seeds else NAN,
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
        notes = tuple(filter(None, [record["reason"], lines.needed(record)]))
        cells = [Cell(record["outcome"], notes=notes), lines.effect_cell(record), lines.test_cell(record)]
        rows.append(WideLine(title, cells))
    claims = table[table["contrast"] == ""]
    counts = claims["outcome"].value_counts()
    declared = store.study.config.claims
    level = 1 - (declared.confidence if declared else statistics.CONFIDENCE)
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in OUTCOMES)
    notes = [
        f"{len(claims)} claims: {said}.",
        "supported: each contrast is resolved as claimed, and so is the claim after Holm's adjustment over all claims; contradicted: one "
        "is resolved the other way after Holm's adjustment over all contrasts; not testable: the records cannot decide one, however its "
        "numbers come out; with one training seed none is resolved.",
        _family(table, level),
        f"Effects are differences in points (of credit in nats), or ratios of entropies, with {100 * declared.confidence:g} % "
        "intervals; two-sided p."
        if declared
        else "",
        "Sources: " + "; ".join(f"{line.claim.upper()} {line.source}" for line in claims.itertuples()) + ".",
    ]
    return Wide(columns, rows, notes, long=True)


def _family(table: pd.DataFrame, level: float) -> str:
    """How many tests there are, and how many of them chance alone would resolve."""
    p = table.loc[(table["contrast"] != "") & table["p_holm"].notna(), "p"]
    return (
        f"{len(p)} contrasts are tested, some in two claims; without any effect about {level * len(p):.0f} of them would have p below "
        f"{level:g}; {(p < level).sum()} have."
    )
