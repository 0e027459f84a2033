"""The measured credit of tokens: I(token; reward | context) at every state against the entropy there, by decile, kind and quadrant."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import xlogy

from tokencredit.analysis.layout import Cell, Wide, WideLine
from tokencredit.analysis.store import Store
from tokencredit.config import EmbeddedModel, Row
from tokencredit.credit import QUADRANTS
from tokencredit.data.embedded_tokenizer import vocabulary
from tokencredit.data.tasks import TASKS
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import CONFIDENCE as STATE_CONFIDENCE
from tokencredit.oracle.estimate import (
    Branches,
    advantages,
    binary_entropy,
    information,
    null_information,
    squared_advantages,
)
from tokencredit.seeds import generator
from tokencredit.statistics import NAN
from tokencredit.study.measurements import measured_rows

STATE = ["problem_id", "cell", "sample", "position"]
TOP = 0.2  # the share of tokens of highest entropy that forking tokens are said to be (arXiv 2506.01939)
RESAMPLES, CONFIDENCE = 2000, 0.95
SUMS = ("states", "entropy", "information", "squared")  # what a group of states holds a share of


def states(store: Store, row: Row, null: bool = False) -> tuple[pd.DataFrame, int]:
    """One line per measured state of a policy, and how many could not be measured: a candidate had fewer than two graded continuations.

    Beside the columns of ``states.parquet``: information, se, low, high (nats, ``estimate.information``), value (V), advantage and
    advantage_se (Q - V of the token taken, in shares of right responses), squared (its square without bias), decile of entropy (1 to 10
    over all measured states), top (among the ``TOP`` share of highest entropy), and for an embedded task the token's kind and decision, the
    entropy of what the token decides, synonyms being one decision (nats). Where a single candidate holds the mass, I lies between 0 and the
    entropy of whether the token is another one; V and the advantage are not known, and the square, at most that of the mass not tried, is
    counted as 0. With ``null`` also what I is estimated at where the state's outcomes are shuffled among its tokens
    (``estimate.null_information``).
    """
    table, branches = store.oracle(row)
    rng = generator("information of nothing", row.path) if null else None
    measured = [_measured(own, found, rng) for own, found in _by_state(table, branches)]
    found = table.assign(**pd.DataFrame(measured, index=table.index))
    model = store.study.config.models[row.model]
    if isinstance(model, EmbeddedModel):
        found["kind"] = _kinds(
            found, model.task, store.training_problems() if TASKS[model.task].KINDS_NEED_PROBLEM else {}
        )
        if hasattr(TASKS[model.task], "decision"):
            found["decision"] = _decisions(found, branches, model.task)
    found = found[found["information"].notna()].reset_index(drop=True)
    if found.empty:
        raise UserError(
            f"{store.paths.measurement(row).folder}: no state could be measured: no continuation was graded."
        )
    return _ranked(found), len(table) - len(found)


def policy_states(store: Store, policy: str, null: bool = False) -> tuple[pd.DataFrame, int]:
    """``states`` of a policy under all training seeds (column ``seed``), ranked by entropy together."""
    parts = [(*states(store, row, null), row.seed) for row in measured_rows(store.study) if row.name == policy]
    found = pd.concat([table.assign(seed=seed) for table, _, seed in parts], ignore_index=True)
    return _ranked(found), sum(refused for _, refused, _ in parts)


def records(store: Store) -> pd.DataFrame:
    """One record per policy and group of its states, all seeds together; see ``groups``."""
    parts = []
    for policy, title in titles(store).items():
        found, refused = policy_states(store, policy, null=True)
        known = {"policy": policy, "title": title, "seeds": " ".join(map(str, store.study.training.seeds))}
        parts.append(groups(found).assign(refused=refused, **known))
    return pd.concat(parts, ignore_index=True)[[*known, *parts[0].columns.drop(list(known))]]


def titles(store: Store) -> dict[str, str]:
    """The policies that are measured, each with its title, in their order."""
    return {row.name: row.title for row in measured_rows(store.study)}


def groups(found: pd.DataFrame) -> pd.DataFrame:
    """One record per group of the states ``found``: all, those of high entropy, each decile of entropy, kind and quadrant.

    entropy, information: mean H and I in nats; ratio: mean I over mean H; size: root mean square of Q - V of the token taken, in shares of
    right responses; share_…: of all states, and of the sums of H, I and (Q - V)^2 over them. Intervals (…_low, …_high) are over problems
    (``ends``); missing with one problem, or where a sum is not above zero.
    single: states with a single candidate; single_information: what I could be on average if those had the most that is possible there;
    where the states have a decision: decision, its mean entropy, and decision_ratio, mean I over that;
    Where the states have a null: null, its mean; less_null, mean I less it, and share_less_null, the group's part of all I less it.
    untried: mean probability of the tokens not tried; above: states whose interval of I begins above H, which the bound forbids;
    above_chance: how many would if all of I were H, so the most that chance explains.
    """
    chosen = [("all", "all", pd.Series(True, index=found.index)), ("entropy", f"top {TOP:.0%}", found["top"])]
    chosen += [("entropy", "above the group's mean", found["quadrant"] % 2 == 0)]
    chosen += [("decile", f"{decile}", found["decile"] == decile) for decile in sorted(set(found["decile"]))]
    if "kind" in found:
        chosen += [("kind", kind, found["kind"] == kind) for kind in sorted(set(found["kind"]))]
    chosen += [("quadrant", name, found["quadrant"] == index) for index, name in enumerate(QUADRANTS)]
    known = {"problems": found["problem_id"].nunique()}
    return pd.DataFrame(
        [{"part": part, "group": name} | known | _summary(found, own) for part, name, own in chosen if own.any()]
    )


def over_problems(
    sums: pd.DataFrame, problem: pd.Series, quantities: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, float]:
    """``quantities`` of the column sums of ``sums`` [..., columns], each with the ends of its interval over problems."""
    of_problem = sums.groupby(problem.to_numpy()).sum().to_numpy(float)
    drawn = quantities(problem_draws(len(of_problem)) @ of_problem)
    found = {}
    for name, value in quantities(of_problem.sum(0)).items():
        found |= dict(
            zip((name, f"{name}_low", f"{name}_high"), (float(value), *ends(drawn[name], len(of_problem))), strict=True)
        )
    return found


@cache
def problem_draws(count: int) -> np.ndarray:
    """How often each of ``count`` problems is drawn in each resample, [RESAMPLES, count]; none with one, which tells nothing of others."""
    if count < 2:
        return np.empty((0, count))
    shares = np.full(count, 1 / count)
    return generator("oracle bootstrap", count).multinomial(count, shares, size=RESAMPLES)


def ends(drawn: np.ndarray, count: int) -> np.ndarray:
    """The ends [2] of the interval of a quantity over its resamples [RESAMPLES] of ``count`` problems; missing where none has a value.

    Percentiles, wider for few problems: resamples vary less than samples do by (n - 1)/n, and their spread is uncertain as that of
    Student's t is (the expanded percentile interval of Hesterberg 2015, arXiv 1411.5279).
    """
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return np.full(2, NAN)
    tail = stats.norm.cdf(-math.sqrt(count / (count - 1)) * stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return np.quantile(drawn, [tail, 1 - tail])


def over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part`` / ``whole``, missing where that is not above zero."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), NAN)


def _ranked(found: pd.DataFrame) -> pd.DataFrame:
    rank = found["entropy"].rank(method="first", pct=True)
    return found.assign(decile=np.ceil(10 * rank).astype(int), top=rank > 1 - TOP)


def _summary(found: pd.DataFrame, chosen: pd.Series) -> dict[str, Any]:
    """Means over the ``chosen`` states, and their share of everything."""
    part = found[chosen]
    sizes = [*SUMS, *(["less_null"] if "null" in found else []), *(["decision"] if "decision" in found else [])]
    every = found.assign(states=1.0, **_less_null(found))[sizes]
    sums = pd.concat([every.where(chosen, 0.0), every.add_prefix("all_")], axis=1)
    single = part["value"].isna()
    possible = part["information"].where(~single, np.minimum(part["high"], part["entropy"]))
    return {
        "states": len(part),
        "entropy": part["entropy"].mean(),
        **over_problems(sums, found["problem_id"], partial(_quantities, sizes)),
        **({"null": part["null"].mean()} if "null" in found else {}),
        "single": int(single.sum()),
        "single_information": possible.mean(),
        "untried": (1 - part["tried"]).clip(lower=0).mean(),
        "above": int((part["low"] > part["entropy"]).sum()),
        "above_chance": float((~single).sum() * (1 - STATE_CONFIDENCE) / 2),
    }


def _quantities(names: list[str], sums: np.ndarray) -> dict[str, np.ndarray]:
    """Means and shares from the ``sums`` [..., 2 columns a name]: those of a group, then those of all states."""
    own, everything = (np.moveaxis(part, -1, 0) for part in np.split(sums, 2, axis=-1))
    of = dict(zip(names, own, strict=True))
    found = {
        "information": over(of["information"], of["states"]),
        "ratio": over(of["information"], of["entropy"]),
        "size": np.sqrt(np.maximum(0.0, over(of["squared"], of["states"]))),
    }
    found |= {
        f"share_{name}": over(part, whole)
        for name, part, whole in zip(names, own, everything, strict=True)
        if name != "decision"
    }
    if "less_null" in of:
        found["less_null"] = over(of["less_null"], of["states"])
    if "decision" in of:
        found["decision"] = over(of["decision"], of["states"])
        found["decision_ratio"] = over(of["information"], of["decision"])
    return found


def _less_null(found: pd.DataFrame) -> dict[str, pd.Series]:
    return {"less_null": found["information"] - found["null"]} if "null" in found else {}


def _by_state(table: pd.DataFrame, branches: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    found = dict(iter(branches.groupby(STATE)))
    return [(own, found[own.problem_id, own.cell, own.sample, own.position]) for own in table.itertuples()]


def _kinds(found: pd.DataFrame, task: str, problems: dict[str, str]) -> pd.Series:
    """The kind of the token of each state; ``problems``: their texts by id, where the task's kinds are told from them."""
    if TASKS[task].KINDS_NEED_PROBLEM and (unknown := set(found["problem_id"]) - problems.keys()):
        raise UserError(
            f"{min(unknown)}: was measured and is not among the {len(problems)} stored training problems, whose texts tell the kinds of "
            f"tokens in {task}."
        )
    kinds = [
        pd.Series(TASKS[task].kinds(tokens.tolist(), problems.get(problem_id, "")), index=tokens.index)
        for (problem_id, *_), tokens in found.groupby(STATE[:-1])["token"]
    ]
    return pd.concat(kinds)


def _decisions(found: pd.DataFrame, branches: pd.DataFrame, task: str) -> pd.Series:
    """The entropy of each state's decision in nats: synonyms are one, and so are the tokens that were not tried."""
    decides = {number: TASKS[task].decision(text) for number, text in enumerate(vocabulary(task))}
    named = branches.assign(decision=branches["token_id"].map(decides).fillna("another"))
    mass = named.groupby([*STATE, "decision"])["probability"].sum()
    tried = mass.groupby(STATE).sum()
    own = -xlogy(mass, mass).groupby(STATE).sum() - xlogy(left := (1 - tried).clip(lower=0), left)
    return own.reindex(pd.MultiIndex.from_frame(found[STATE])).set_axis(found.index)


def _measured(own: Any, found: pd.DataFrame, rng: np.random.Generator | None) -> dict[str, float]:
    """What the counts ``found`` say of the state ``own``; all missing where a candidate has fewer than two graded continuations.

    With ``rng``, for the shuffling, what they would say without information too.
    """
    names = ("information", "se", "low", "high", "value", "advantage", "advantage_se", "squared")
    if len(found) == 1:
        most = float(binary_entropy(own.tried))
        nothing = {} if rng is None else {"null": 0.0}
        return dict(zip(names, (0.0, 0.0, 0.0, most, NAN, NAN, NAN, 0.0), strict=True)) | nothing
    trials = (found["right"] + found["wrong"]).to_numpy()
    if (trials < 2).any():
        return dict.fromkeys(names, NAN)
    seen = Branches(found["probability"].to_numpy(), found["right"].to_numpy(), trials)
    estimate, (advantage, se) = information(seen), advantages(seen)
    taken = found["token_id"].to_numpy().tolist().index(own.token_id)
    value = seen.shares @ seen.means
    of_taken = (advantage[taken], se[taken], squared_advantages(seen)[taken])
    numbers = (estimate.value, estimate.se, estimate.low, estimate.high, value, *of_taken)
    nothing = {} if rng is None else {"null": null_information(seen, rng)}
    return dict(zip(names, map(float, numbers), strict=True)) | nothing


# ---------------------------------------------------------------- layout

_HEADS = {
    "all": "all states",
    "entropy": "by entropy: ",
    "decile": "decile of entropy ",
    "kind": "",
    "quadrant": "",
}
_SHARE = "Share of all (%)"


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """One line per group of states."""
    columns = [("States", ""), ("H (nats)", "mean"), ("I (mnat)", "mean"), ("I/H (%)", "")]
    merged = _has_decisions(table)
    columns += [("I/H (%)", "synonyms merged")] if merged else []
    columns += [(_SHARE, name) for name in ("states", "H", "I", "(Q − V)²", "I less its null")]
    several = table["policy"].nunique() > 1
    rows = []
    for record in table.to_dict("records"):
        group = record["group"].upper() if record["part"] == "quadrant" else record["group"]
        title = "all states" if record["part"] == "all" else _HEADS[record["part"]] + group
        title = f"{record['title']}: {title}" if several else title
        cells = [Cell(f"{record['states']:,}"), Cell(f"{record['entropy']:.3f}")]
        cells += [_cell(record, "information", 1000), _cell(record, "ratio", 100)]
        cells += [_cell(record, "decision_ratio", 100)] if merged else []
        cells += [_cell(record, f"share_{name}", 100) for name in (*SUMS, "less_null")]
        rows.append(WideLine(title, cells, record["policy"]))
    return Wide(columns, rows, _notes(table, store), long=True)


_SYNONYMS = (
    "Synonyms merged: H is that of what the token decides, where words of which any will do decide the same. I is that of the tokens: "
    "which synonym was taken tells nothing of the reward."
)


def _has_decisions(table: pd.DataFrame) -> bool:
    return "decision_ratio" in table and bool(table["decision_ratio"].notna().any())


def _notes(table: pd.DataFrame, store: Store) -> list[str]:
    everything = table[table["part"] == "all"]
    count, single = everything["states"].sum(), everything["single"].sum()
    states = everything["states"] / count
    possible, untried = (100 * states @ everything[name] for name in ("single_information", "untried"))
    measured = 100 * states @ everything["information"]
    return [
        "I: the information that the next token holds about the reward, measured by continuing from every plausible next token; H: the "
        "token's entropy; Q − V: what the token that was taken changed in the chance to be right, squared without the bias of few "
        "continuations, so that shares may fall below zero.",
        *([_SYNONYMS] if _has_decisions(table) else []),
        "I less its null: less what the same estimate finds where the outcomes of a state are shuffled among its tokens, which is its bias "
        "at states without information. Where there is much it takes off too much.",
        f"n = {count:,} states of responses to {everything['problems'].max()} problems, training seeds together; "
        f"{everything['refused'].sum()} more had too few graded continuations. Intervals: {100 * CONFIDENCE:.0f} %, over problems "
        f"resampled {RESAMPLES:,} times; they hold no spread between training runs.",
        f"{everything['above'].sum()} states have an interval of I that begins above H, the bound of the paper; intervals being of "
        f"{100 * STATE_CONFIDENCE:.0f} %, chance alone explains {everything['above_chance'].sum():.0f} at most.",
        f"{single:,} states had a single candidate and count as I = 0; with the most that is possible there, mean I would be "
        f"{10 * possible:.1f} mnat and not {10 * measured:.1f}. Tokens not tried hold {untried:.2g} % of the probability on average.",
        *_predictions(table, store),
    ]


def _predictions(table: pd.DataFrame, store: Store) -> list[str]:
    """The paper's three predictions, of the first policy: what of them is about where credit sits, and what about training."""
    own = table[table["policy"] == table["policy"].iloc[0]].set_index("group")
    if not set(QUADRANTS) <= set(own.index):
        return []

    def share(group: str, name: str) -> str:
        low, high = (_number(100 * own.loc[group, f"share_{name}_{end}"]) for end in ("low", "high"))
        return f"{_number(100 * own.loc[group, f'share_{name}'])} % [{low}, {high}]"

    high = "above the group's mean"
    said = [
        f"{own['title'].iloc[0]}, the paper's predictions 1 and 2: tokens of high entropy are {100 * own.loc[high, 'share_states']:.0f} % "
        f"and hold {share(high, 'information')} of I and {share(high, 'squared')} of (Q − V)², and those of low entropy the rest. "
        f"Prediction 3: I is the same whatever the reward; of (Q − V)² the tokens of high entropy of right responses hold "
        f"{share('phr', 'squared')}, of wrong ones {share('nhr', 'squared')}."
    ]
    named = [name.upper() for name in ("c1", "c2", "c4", "c5") if name in _claims(store)]
    tested = f": claims {', '.join(named)}" if named else ""
    return [
        *said,
        f"What training on a part of the tokens gains or loses does not follow from where credit sits{tested}.",
    ]


def _claims(store: Store) -> set[str]:
    declared = store.study.config.claims
    return set(declared.claims) if declared else set()


def _cell(record: dict[str, Any], name: str, scale: float) -> Cell:
    value, low, high = (scale * record[key] for key in (name, f"{name}_low", f"{name}_high"))
    return Cell(_number(value), "" if math.isnan(low) or low == high else f"[{_number(low)}, {_number(high)}]")


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}".replace("-", "−")
