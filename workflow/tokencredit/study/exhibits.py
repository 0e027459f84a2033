"""The tables and figures of a study: one entry each, with when it is made, what it reads, and its caption.

The entry ``NAME`` of a table belongs to ``analysis/tables/NAME.py``, that of a figure to ``analysis/figures/NAME.py``. What an entry
declares is what its module may read: ``analysis.store`` refuses any other file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokencredit.config import Study
from tokencredit.study import reads
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.study.selection import (
    ablations,
    alpha_sweep,
    figure2_methods,
    figure5_rows,
    figure7_rows,
    heat_map_method,
    quadrant_runs,
    table3_rows,
)

Kind = Literal["table", "figure"]


@dataclass(frozen=True)
class Exhibit:
    """A table or figure.

    ``when``: whether a study has it. ``reads``: the files that it is made from; of a training run ``run.json``, which stands for the files
    beside it, comes before those of them that are read. ``keys``: the columns of its CSV that say what a row is about, as a person says it.
    ``optional``: it says of a file that is not there that it is not there.
    """

    kind: Kind
    name: str
    title: str
    caption: str
    keys: tuple[str, ...]
    reads: Callable[[Paths], Iterator[Path]]
    when: Callable[[Study], bool] = lambda study: True
    optional: bool = False

    def inputs(self, paths: Paths) -> list[Path]:
        """The files that it is made from, each once, in the order of its declaration."""
        return list(dict.fromkeys(self.reads(paths)))


def exhibits_of(study: Study, kind: Kind | None = None) -> list[Exhibit]:
    """The tables and figures of a study, in the order in which they are shown."""
    return [exhibit for exhibit in EXHIBITS if kind in (None, exhibit.kind) and exhibit.when(study)]


def planned(study: Study) -> dict[str, list[str]]:
    """The names of the tables and figures of a study: {"tables": [...], "figures": [...]}."""
    return {f"{kind}s": [exhibit.name for exhibit in exhibits_of(study, kind)] for kind in ("table", "figure")}


def exhibit(kind: Kind, name: str) -> Exhibit:
    """The entry of a table or figure. Raises ``KeyError`` for a name that no entry has."""
    return _BY_NAME[kind, name]


def inputs(study: Study, kind: Kind, name: str) -> list[str]:
    """The files that a table or figure is made from, relative to the results folder."""
    paths = Paths(study)
    return [paths.relative(path) for path in exhibit(kind, name).inputs(paths)]


# Captions of what is a table and a figure.
SCOREBOARD = (
    "How well the token weights of each method agree with the measured credit of the tokens, in responses of the "
    "base model, and how well the policy that the method trains does in the end. The weight of a token is the "
    "size of the advantage that the method gives it, 0 where it leaves the token out. ρ: Spearman's correlation "
    "within a response, 0 where all weights are equal; noise in the measurement hides agreement, and makes a "
    "little where it is skewed. As high as methods can be expected to come is what a third of the oracle's own "
    "continuations makes of the other two. A correlation over methods says what goes together in this study, not "
    "what causes what."
)
DIAGNOSTICS = (
    "How each method spreads its credit over tokens while it trains: Gini coefficient of the token weights "
    "|A_it| / |A_i| of a response (0: all equal); effective tokens, the share of a response's tokens that its "
    "weights amount to (1: all equal); tokens whose sign is not their response's; correlation of the weight with "
    "the token's entropy, with its place in the response (0 first, 1 last) and with its log-probability; share "
    "of the credit |A| in each quadrant; mean |A| of a token. A token that a method leaves out has weight 0."
)
SEARCH = (
    "Recipes of operators that choose rows of a pool of solutions for a supervised start, searched for on validation problems: an "
    "adaptation of AutoSelection (arXiv 2605.12944), not a reproduction. Every recipe is trained on with as many updates."
)
EXHIBITS = (
    Exhibit(
        "table",
        "table1",
        title="Table 1",
        caption="All methods on all benchmarks: Avg@n and Pass@k in percent with 95 % intervals over questions, and "
        'the paired difference to the reference method on the same questions. "paper" is the number printed '
        "in arXiv 2604.11056v1 for the same model, method and benchmark. The CSV file also has Pass@k at the declared k, and how fast "
        "a method learns: the solve rate of the declared steps, and the area under its learning curve.",
        keys=("method", "benchmark"),
        reads=reads.scored_and_learned,
    ),
    Exhibit(
        "table",
        "table3",
        title="Table 3",
        caption="What the quadrants contribute: EAPO, EAPO that leaves the plain advantage to one quadrant (compared "
        "with EAPO), and training on the tokens of one quadrant alone (compared with the reference method). "
        "PHR, PLR: tokens of right responses at or above, and below, the mean entropy of their group; NHR, "
        "NLR: the same of wrong responses.",
        keys=("method", "benchmark"),
        reads=lambda paths: reads.scored(paths, table3_rows(paths.study)),
        when=lambda study: bool(quadrant_runs(study) or ablations(study)),
    ),
    Exhibit(
        "table",
        "verdicts",
        title="Verdicts on the paper's numbers",
        caption="Every number that the paper prints and this study is to show again, against the number obtained: "
        "the difference with its 90 % interval, a verdict, and the reason where there is none. Tolerances "
        "and confidence are those of config/targets.yaml, declared beforehand.",
        keys=("source", "method", "benchmark", "metric", "step", "k"),
        reads=reads.verdicts,
        when=lambda study: bool(study.targets),
        optional=True,
    ),
    Exhibit(
        "table",
        "experiments",
        title="Experiments",
        caption="The questions that this study was run for. Each expectation was declared in the study's file before it was run, and is "
        "decided by itself.",
        keys=("experiment", "contrast"),
        reads=reads.experiments,
        when=lambda study: bool(study.experiments),
        optional=True,
    ),
    Exhibit(
        "table",
        "claims",
        title="Claims of the paper",
        caption="What the paper claims, each claim as contrasts of stored records that were declared beforehand in "
        "config/claims.yaml. A claim is supported only if each of its contrasts is and Holm's adjustment over all claims leaves it, "
        "contradicted if one of them is resolved the other way (adjusted over the contrasts of all claims); not testable where the "
        "records could not decide it, however they came out; not measured where the study lacks a side; else not resolved. Training "
        "runs count as runs: with one seed no claim about methods is resolved.",
        keys=("claim", "source", "contrast"),
        reads=reads.claims,
        when=lambda study: study.config.claims is not None,
        optional=True,
    ),
    Exhibit(
        "table",
        "oracle",
        title="Measured credit",
        caption="The measured credit of tokens. At every token of stored responses each plausible next token was "
        "tried and continued several times; I is the information that the token holds about the reward, "
        "corrected for the bias of few continuations (it may fall below zero), and H the token's entropy, "
        "which bounds it. I is an average over the tokens that the policy may take; Q − V is of the one that "
        "it took. Shares are of the sums over all states. Intervals are over problems.",
        keys=("policy", "part", "group"),
        reads=lambda paths: reads.measured(paths),
        when=lambda study: study.oracle is not None,
    ),
    Exhibit(
        "table",
        "scoreboard",
        title="Scoreboard of methods",
        caption=SCOREBOARD,
        keys=("part", "method", "metric"),
        reads=reads.scoreboard,
        when=reads.measures_base,
    ),
    Exhibit(
        "table",
        "search",
        title="Search for a data recipe",
        caption=SEARCH
        + " Selection optimism is what the validation score of the winner, the best of as many as the search "
        "evaluated, promises beyond its test; the same difference of a recipe that was not searched for is what the two sets of problems "
        "differ by.",
        keys=("line", "metric", "benchmark"),
        reads=reads.data_recipes,
        when=lambda study: study.data_recipe is not None,
    ),
    Exhibit(
        "table",
        "diagnostics",
        title="How credit is spread",
        caption=DIAGNOSTICS,
        keys=("method",),
        reads=lambda paths: reads.runs(paths, paths.study.methods, RunFolder.metrics),
    ),
    Exhibit(
        "figure",
        "figure1",
        title="Figure 1",
        caption="The plane of reward polarity and token entropy: each quadrant's share of the tokens and of the "
        "absolute advantage under the reference method, as areas and as bars.",
        keys=("quadrant",),
        reads=lambda paths: reads.runs(paths, [paths.study.reference], RunFolder.metrics),
    ),
    Exhibit(
        "figure",
        "figure2",
        title="Figure 2",
        caption="Training on one quadrant of polarity and entropy at a time, and on all tokens: (a) solve rate of "
        "the training rollouts, (b) the mean token entropy of the groups trained on, (c) Pass@n and (d) "
        "Avg@n on the curve benchmark.",
        keys=("source", "panel", "method", "seed", "step"),
        reads=lambda paths: reads.runs(paths, figure2_methods(paths.study), RunFolder.metrics, RunFolder.evaluations),
        when=lambda study: bool(quadrant_runs(study)),
    ),
    Exhibit(
        "figure",
        "figure3",
        title="Figure 3",
        caption="(a) Avg@n on the curve benchmark against training steps, one panel per method. (b) Avg@n there "
        "against the mean length of a response after training, with the Pareto front: fewer tokens, higher "
        "accuracy.",
        keys=("source", "panel", "method", "step"),
        reads=reads.curves_and_scores,
        when=lambda study: study.training.curve.benchmark in study.benchmarks,
    ),
    Exhibit(
        "figure",
        "figure4",
        title="Figure 4",
        caption="Entropy of the tokens of right and wrong responses of the base policy, (a) below and (b) above the "
        "mean, with the mutual information between entropy bin and reward.",
        keys=("part", "reward", "from"),
        reads=lambda paths: reads.runs(paths, [paths.study.reference], RunFolder.rollouts),
    ),
    Exhibit(
        "figure",
        "figure5",
        title="Figure 5",
        caption="Unbiased Pass@k against k of the quadrant runs' last checkpoints, the reference method and the base "
        "model.",
        keys=("source", "method", "benchmark", "k"),
        reads=lambda paths: reads.runs_and_scores(paths, figure5_rows(paths.study)),
        when=lambda study: bool(quadrant_runs(study)),
    ),
    Exhibit(
        "figure",
        "figure6",
        title="Figure 6",
        caption="(a) Mean token entropy of the training rollouts per method, of the groups trained on: some methods "
        "drop groups that are all right or all wrong, so methods are not on the same problems. (b) Absolute "
        "entropy shift of fixed tokens of the base policy under training with the reference method, by "
        "quadrant, on a log axis.",
        keys=("panel", "method", "quadrant", "step"),
        reads=lambda paths: reads.runs(paths, paths.study.methods, RunFolder.metrics, RunFolder.probe),
    ),
    Exhibit(
        "figure",
        "figure7",
        title="Figure 7",
        caption="The strength α of EAPO's entropy term: (a) Avg@n against training steps, (b) the mean of Avg@n over "
        "benchmarks against α, (c) Avg@n of each benchmark.",
        keys=("source", "panel", "method", "benchmark", "seed", "step", "alpha"),
        reads=lambda paths: reads.runs_and_scores(paths, figure7_rows(paths.study), RunFolder.evaluations),
        when=lambda study: bool(alpha_sweep(study)),
    ),
    Exhibit(
        "figure",
        "figure8",
        title="Figure 8",
        caption="Token advantages that each method trains with, share of tokens on a log axis.",
        keys=("method", "from"),
        reads=lambda paths: reads.runs(paths, paths.study.methods, RunFolder.rollouts),
    ),
    Exhibit(
        "figure",
        "figure9",
        title="Figure 9",
        caption="Tokens of high entropy: the higher a token's mean entropy, the larger it is written, and the "
        "highest ranked.",
        keys=("token",),
        reads=lambda paths: reads.runs(paths, [paths.study.reference], RunFolder.rollouts),
    ),
    Exhibit(
        "figure",
        "figure10",
        title="Figure 10",
        caption="Tokens of low entropy: the lower a token's mean entropy, the larger it is written, and the lowest "
        "ranked.",
        keys=("token",),
        reads=lambda paths: reads.runs(paths, [paths.study.reference], RunFolder.rollouts),
    ),
    Exhibit(
        "figure",
        "figure11",
        title="Figure 11",
        caption="A right and a wrong response to the same problem, token by token: coloured by entropy (left) and by "
        "credit (right), the token's advantage over its response's.",
        keys=("reward", "seed", "step", "problem_id", "sample", "position", "token"),
        reads=lambda paths: reads.runs(paths, [heat_map_method(paths.study)], RunFolder.rollouts),
    ),
    Exhibit(
        "figure",
        "credit",
        title="Measured credit",
        caption="The measured credit of tokens against their entropy: (a) the information I that a token holds about "
        "the reward, below its bound I = H; (b) and (c) how much of the bound it is; where tokens, entropy, "
        "I and the squared Q − V of the token taken sit; and, added up from low entropy to high, I beside "
        "the paper's proxy, the mutual information between the entropy's value and the reward, and what "
        "chance makes of that. I is an average over the tokens that the policy may take, Q − V is of the one "
        "that it took: a rare token where the policy was nearly sure may matter much. Both are corrected for "
        "the bias of few continuations and may fall below zero.",
        keys=("part", "group", "from"),
        reads=lambda paths: reads.measured(paths, paths.study.oracle.policies[0]),
        when=lambda study: study.oracle is not None,
    ),
    Exhibit(
        "figure",
        "policies",
        title="Credit along training",
        caption="The measured credit of tokens under the base model and under trained policies at their last step: "
        "the chance to be right, the tokens' entropy, the information that a response's tokens hold about "
        "its reward, its share of the bound, and where it sits.",
        keys=("policy", "group", "seed"),
        reads=reads.measured_policies,
        when=lambda study: study.oracle is not None and len(study.oracle.policies) > 1,
    ),
    Exhibit(
        "figure",
        "scoreboard",
        title="Scoreboard of methods",
        caption=SCOREBOARD,
        keys=("part", "method", "metric"),
        reads=reads.scoreboard,
        when=reads.measures_base,
    ),
    Exhibit(
        "figure",
        "ranking",
        title="Ranking of alternatives",
        caption="How well the credit of each method, and weights that no method has, tell (a) which of two alternatives is better, and (b) "
        "where credit lies, by measured credit. The position itself is the control that every signal has to beat.",
        keys=("part", "method", "metric"),
        reads=reads.ranking,
        when=lambda study: study.attribution,
    ),
    Exhibit(
        "figure",
        "hindsight",
        title="Hindsight and measured credit",
        caption="D is how much likelier a token is to the base model once it is told the answer. If the told policy were the posterior of "
        "the policy given that it will be right, D would be the logarithm of Q over V, what the token changed in the chance to be right.",
        keys=("part", "group", "from"),
        reads=reads.hindsight,
        when=lambda study: study.attribution,
    ),
    Exhibit(
        "figure",
        "gradients",
        title="Gradients of credit",
        caption="The gradient of each method's credit in the weights of the base model: (a) what each decile of entropy adds to it, "
        "(b) in how many directions the responses to a problem pull, and (c) the cosine with the reference method's.",
        keys=("part", "method", "group"),
        reads=reads.gradients,
        when=lambda study: study.attribution,
    ),
    Exhibit(
        "figure",
        "experiments",
        title="Experiments",
        caption="(a) How fast each method of the study's experiments learns. (b) What was expected of every pair, and what came out.",
        keys=("part", "experiment", "name", "seed"),
        reads=reads.experiments,
        when=lambda study: bool(study.experiments),
    ),
    Exhibit(
        "figure",
        "search",
        title="Search for a data recipe",
        caption=SEARCH
        + " (a) The best validation score so far against the recipes evaluated. (b) Which operators the winners "
        "hold. (c) How much of each source the winners keep.",
        keys=("part", "line", "seed", "name"),
        reads=reads.data_recipes,
        when=lambda study: study.data_recipe is not None,
    ),
    Exhibit(
        "figure",
        "diagnostics",
        title="How credit is spread",
        caption=DIAGNOSTICS,
        keys=("method",),
        reads=lambda paths: reads.runs(paths, paths.study.methods, RunFolder.metrics),
    ),
)
_BY_NAME = {(entry.kind, entry.name): entry for entry in EXHIBITS}
