"""``docs/methods.md``: every credit method with its equation, written from ``METHODS``."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from itertools import groupby
from typing import Any

from tokencredit.credit import METHODS, THRESHOLDS, Method, quadrant_of
from tokencredit.credit.controls import CONTROLS
from tokencredit.errors import UserError

INTRODUCTION = """\
# Methods

Every credit method, ordered by what it claims about credit. `tokencredit docs` writes this page from `tokencredit.credit.METHODS`; do not
edit it.

Notation: $i$ a response, $t$ a token of it, $T_i$ its length, $r_i = \\pm 1$ its reward, $A_i$ its group advantage (unbiased standard
deviation), $H_{i,t}$ the entropy of the policy's whole distribution before the token (nats), $\\rho_{i,t}$ the current policy's
probability of the token over the old one's, $N$ the response tokens of the optimiser batch, $\\mathrm{sg}$ stop gradient. Where only
$\\hat A_{i,t}$ is given, the loss is

```math
L = -\\frac1N \\sum_{i,t} S_{i,t},\\qquad
S_{i,t} = \\min\\big(\\rho_{i,t} \\hat A_{i,t},\\ \\operatorname{clip}(\\rho_{i,t}, 1 - \\epsilon_l, 1 + \\epsilon_h) \\hat A_{i,t}\\big)
```

with the clip bounds, the KL term and the aggregation of the method's recipe (`recipe` in `config/methods.yaml`).

- *Stage*. *rollout*: credit is computed once per step, from whole groups and the old policy. *update*: credit is computed before every
  optimiser update, from the current policy's entropies and log-probs. Statistics never belong to a micro-batch.
- *Status*. *paper*: from the published text or the authors' code. *reconstruction*: from partial sources, and marked wherever a result
  appears. *own*: defined here, as a reference for the others.
- *Columns*. The signals that a method needs beside rewards, groups, old log-probs and entropies (`tokencredit.credit.TokenSignals`).
- *Notes*. Slips in the sources, and choices made here. A symbol that several methods of a family share is defined at the first.

What decides whether a comparison is fair:

1. With one update per rollout all ratios are 1: GSPO, HölderPO, CISPO, clip-higher, KL-Cov and Archer's clip are then exactly GRPO.
   Compare at four updates per rollout or more; every run records `updates`.
2. A weight with another mean is another learning rate, and a random subset of the tokens keeps much of the gain (arXiv 2605.07660):
   see *Controls*.
3. A mask divides by all tokens or by the kept ones, as each method states.
4. Groups whose rewards are all equal (`A_i = 0`) have no gradient under any method, unless `every_group` is set.
"""

CONTROLS_HEAD = """\
## Controls

`control: NAME` beside a method in `config/methods.yaml` replaces its credit by one of these, made from the method's own credit in the
same step.
"""

THRESHOLDS_HEAD = """\
## Thresholds of the quadrants

`params: {threshold: NAME}` on `phr`, `plr`, `nhr` and `nlr`.
"""

# What methods claim about credit, with what is known of it: title, text, and the modules of ``tokencredit.credit`` in their order.
CLAIMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "The outcome says it all",
        "Every token of a response has the same credit; what differs is its size, its sign and the baseline.",
        ("grpo", "reinforce"),
    ),
    (
        "Uncertain tokens carry the credit",
        "The entropy of the policy says where the outcome is decided. For it: arXiv 2506.01939, 2603.22446. Against it: a random fifth of "
        "the tokens has 98 % of the gain (2605.07660), entropy advantages are GRPO within the noise of seeds (2604.23318), and the fifth "
        "of highest entropy is below GRPO on GSM8K (2606.19771). I <= H holds of a state's mean, not of each token.",
        ("quadrants", "eapo", "hapo", "entropy", "archer", "gtpo", "hetero_hapo", "erpo"),
    ),
    (
        "Another signal of the policy carries it",
        "Attention, states, gradients, the adapter, or how a token's distribution differs from others'.",
        ("attention", "delta", "ict", "residual", "shear"),
    ),
    (
        "Hindsight or a teacher tells it",
        "The same policy with the answer in its prompt, or another model, says which tokens speak for the outcome.",
        ("hindsight", "distillation"),
    ),
    (
        "It has to be measured",
        "Continuations of the policy say what a state is worth: the line that a signal can reach at most. They cost samples, which "
        "`metrics.jsonl` counts. Resets learn from the continuations themselves.",
        ("measured", "resets"),
    ),
    (
        "What is known of the tokens, or their place alone",
        "Controls of the claims above: a signal has to beat a token's place, and can be no better than what the task knows.",
        ("kinds", "position"),
    ),
    (
        "It is the update that goes wrong, not the credit",
        "Ratios, bounds and drift: what a token may move, whatever its credit is.",
        ("covariance", "ratios"),
    ),
)
OTHERS = ("Others", "")
CLAUSE = r",\quad "  # between an equation and the definitions of its symbols

# Methods that are not here: name, source and the reason.
NOT_BUILT: tuple[tuple[str, str, str], ...] = (
    (
        "OAR-P, OAR-G",
        "arXiv 2601.07408",
        "The released file lacks the text that makes the model conclude, and the quantile and the boost of its runs. The paper's full "
        "text could not be read.",
    ),
    (
        "SRPO",
        "arXiv 2605.25507",
        "RRPO that restarts where the model itself, asked for its first wrong step, says: the trainer asks nothing, and embedded models "
        "read problems only.",
    ),
    (
        "DelTA's second proxy",
        "arXiv 2605.21467, App. F",
        "The gradient by the state, from the likeliest tokens, one point better in the paper: a column of its own beside `hidden`.",
    ),
    ("RSI-S", "arXiv 2606.31575", "Its formula could not be read."),
)
BATCHING = """\
Keeping a prompt's responses in one update and balancing rewards (arXiv 2605.08666) are no methods but keys of a study:
`training.keep_groups_together` and `training.balance_rewards`.
"""


def page() -> str:
    """The page as Markdown: an overview by claim, then every method, family by family in the same order."""
    parts, families = [INTRODUCTION], []
    for title, text, members in _claims():
        parts.append(f"## {title}\n\n{text}\n" if text else f"## {title}\n")
        parts.append(_overview(members))
        families += [(module, list(each)) for module, each in groupby(members, key=lambda method: method.module)]
    parts.append("## What is not built\n\n| method | source | why |\n|---|---|---|")
    parts += [f"| {' | '.join(entry)} |" for entry in NOT_BUILT]
    parts.append(f"\n{BATCHING}")
    for module, family in families:
        about = inspect.getdoc(importlib.import_module(f"tokencredit.{module}")) or ""
        parts.append(f"## {about.split('. ')[0].split(chr(10))[0].rstrip('.')}\n")
        parts.append(f"Code: `workflow/tokencredit/{module.replace('.', '/')}.py`\n")
        parts += _sections(family)
    parts.append(CONTROLS_HEAD)
    for name, control in CONTROLS.items():
        parts.append(f"- `{name}`: {' '.join(_prose(control.function).split())}")
    parts.append("\n" + THRESHOLDS_HEAD)
    parts.append(f"{_prose(quadrant_of).split('`threshold`: ')[1]}\nAllowed: {', '.join(map(_code, THRESHOLDS))}.\n")
    return "\n".join(parts)


def counted(readme: str) -> str:
    """README with the number of methods. Raises ``UserError`` where there is not exactly one sentence for it."""
    found, times = re.subn(r"(?<=has all )\d+(?= methods)", str(len(METHODS)), readme)
    if times != 1:
        raise UserError("README.md: must say once how many methods docs/methods.md has: has all N methods.")
    return found


def _claims() -> list[tuple[str, str, list[Method]]]:
    """Each claim with its methods, those of no claim at the end; within a claim in its families' order, then as they are declared."""
    sorted_in = {module for _, _, modules in CLAIMS for module in modules}
    rest = tuple(sorted({_family(method) for method in METHODS.values()} - sorted_in))
    found = []
    for title, text, modules in (*CLAIMS, (*OTHERS, rest)):
        members = [method for module in modules for method in METHODS.values() if _family(method) == module]
        found += [(title, text, members)] if members else []
    return found


def _family(method: Method) -> str:
    return method.module.split(".")[-1]


def _overview(methods: list[Method]) -> str:
    """A table of the methods; neighbours that differ in their names alone share a line."""
    lines = ["| method | source | status | stage | parameters | columns |", "|---|---|---|---|---|---|"]
    for cells, alike in groupby(methods, key=_cells):
        lines.append(
            "| " + " | ".join([", ".join(f"[{method.name}](#{method.name})" for method in alike), *cells]) + " |"
        )
    return "\n".join(lines) + "\n"


def _cells(method: Method) -> tuple[str, ...]:
    return (
        method.source,
        method.status,
        method.stage,
        ", ".join(f"`{name} = {_value(value)}`" for name, value in method.defaults.items()),
        ", ".join(map(_code, method.columns)),
    )


def _sections(family: list[Method]) -> list[str]:
    """A section for each method of a family; what an earlier one of the family says as well is not repeated."""
    equations: dict[str, str] = {}
    notes: dict[str, str] = {"": ""}
    defined: set[str] = set()
    parts = []
    for method in family:
        parts.append(f"### {method.name}\n\n{_prose(method.function)}\n")
        formula, *definitions = method.equation.split(CLAUSE)
        if (first := equations.setdefault(method.equation, method.name)) == method.name:
            equation = CLAUSE.join([formula, *(each for each in definitions if each not in defined)])
            parts.append(f"```math\n{equation}\n```\n")
        else:
            parts.append(f"Equation: that of `{first}`.\n")
        shared = max((each for each in notes if method.slips.startswith(each)), key=len)
        if method.slips:
            own = _markdown(method.slips.removeprefix(shared).strip())
            parts.append(f"*Notes.* {f'As for `{notes[shared]}`. ' * bool(shared)}{own}".rstrip() + "\n")
        notes.setdefault(method.slips, method.name)
        defined |= {*definitions}
    return parts


def _prose(function: Any) -> str:
    """A docstring as Markdown, its paragraphs unwrapped."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(_markdown(" ".join(textwrap.dedent(part).split())) for part in paragraphs)


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("\\|", "|").replace("*", "\\*")


def _code(text: str) -> str:
    return f"`{text}`"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
