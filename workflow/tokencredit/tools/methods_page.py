"""``docs/methods.md``: every credit method with its equation, written from ``METHODS``."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from itertools import groupby
from typing import Any

from tokencredit.credit import METHODS, THRESHOLDS, Method, quadrant_of
from tokencredit.credit.controls import CONTROLS

INTRODUCTION = """\
# Methods

Every credit method, side by side on one interface. Written from `tokencredit.credit.METHODS` by `tokencredit docs`;
do not edit.

Notation: $i$ a response, $t$ a token of it, $T_i$ its length, $r_i = \\pm 1$ its reward, $A_i$ its group advantage (unbiased standard
deviation), $H_{i,t}$ the entropy of the policy's whole distribution before the token (nats), $\\rho_{i,t}$ the current policy's
probability of the token over the old one's, $N$ the response tokens of the optimiser batch, $\\mathrm{sg}$ stop gradient. Where only
$\\hat A_{i,t}$ is given, the loss is

```math
L = -\\frac1N \\sum_{i,t} S_{i,t},\\qquad
S_{i,t} = \\min\\big(\\rho_{i,t} \\hat A_{i,t},\\ \\operatorname{clip}(\\rho_{i,t}, 1 - \\epsilon_l, 1 + \\epsilon_h) \\hat A_{i,t}\\big)
```

with the clip bounds, the KL term and the aggregation of the method's recipe (`recipe` in `config/methods.yaml`).

*Stage*: *rollout*: computed once per step, with whole groups and the old policy; *update*: before every optimiser update, with
entropies and log-probs of the current policy. Either way statistics belong to the whole batch (or group, or response) and never to a
micro-batch. *Status*: *paper*: from the published text or the authors' code; *reconstruction*: from partial sources, marked wherever a
result appears; *own*: made here, as a line to hold others against. *Columns*: what the method needs beside rewards, groups, old log-probs
and entropies; the trainer fills them once, and `tokencredit.credit.TokenSignals` says what each is.

What decides whether a comparison is fair:

1. With one update per rollout all ratios are 1: GSPO, HölderPO, CISPO, clip-higher, KL-Cov and Archer's clip are then exactly GRPO.
   Compare at four updates per rollout or more; every run records `updates`.
2. A weight with another mean is another learning rate, and a random subset of the tokens keeps much of the gain (arXiv 2605.07660):
   see *Controls*.
3. Masks have two denominators, all tokens or the kept ones. Each method's own is stated below.
4. Groups whose rewards are all equal (`A_i = 0`) teach nothing under any method, unless `every_group` is set.
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

# What the paper is about comes first; other families follow by name.
FIRST = ("grpo", "quadrants", "eapo", "hapo")


def page() -> str:
    """The page as Markdown."""
    methods = sorted(METHODS.values(), key=lambda method: (_rank(method.module), list(METHODS).index(method.name)))
    parts = [INTRODUCTION, _overview(methods)]
    for module, members in groupby(methods, key=lambda method: method.module):
        about = inspect.getdoc(importlib.import_module(f"tokencredit.{module}")) or ""
        parts.append(f"## {about.split('. ')[0].split(chr(10))[0].rstrip('.')}\n")
        parts.append(f"Code: `workflow/tokencredit/{module.replace('.', '/')}.py`\n")
        parts += _sections(list(members))
    parts.append(CONTROLS_HEAD)
    for name, control in CONTROLS.items():
        parts.append(f"- `{name}`: {' '.join(_prose(control.function).split())}")
    parts.append("\n" + THRESHOLDS_HEAD)
    parts.append(f"{_prose(quadrant_of).split('`threshold`: ')[1]}\nAllowed: {', '.join(map(_code, THRESHOLDS))}.\n")
    return "\n".join(parts)


def _rank(module: str) -> tuple[int, str]:
    family = module.split(".")[-1]
    return (FIRST.index(family) if family in FIRST else len(FIRST), family)


def _overview(methods: list[Method]) -> str:
    lines = ["| method | source | status | stage | parameters | columns |", "|---|---|---|---|---|---|"]
    for method in methods:
        cells = (
            f"[{method.name}](#{method.name})",
            method.source,
            method.status,
            method.stage,
            ", ".join(f"`{name} = {_value(value)}`" for name, value in method.defaults.items()),
            ", ".join(map(_code, method.columns)),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _sections(family: list[Method]) -> list[str]:
    """A section for each method; slips that several methods of the family share stand with the first of them."""
    said: dict[str, str] = {}
    parts = []
    for method in family:
        first = said.setdefault(method.slips, method.name)
        slips = _markdown(method.slips) if first == method.name else f"As for `{first}`."
        slips = f"\n**Known slips and choices.** {slips}\n" if method.slips else ""
        equation = f"```math\n{method.equation}\n```\n"
        parts.append(
            f"### {method.name}\n\n{_prose(method.function)}\n\n{equation}{slips}\n*{method.status}, {method.stage} stage*\n"
        )
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
