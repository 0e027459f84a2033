"""What the weights of the base model say of the responses that methods stored of their first step: hindsight, and gradients of credit.

Three tables, by their names in ``AttributionFolder``:

- ``hindsight``, one row per token of the measured responses: ``logprob``, ``told_logprob`` (after the model's prompt that holds the gold
  answer) and ``told_kl``, KL(pi told || pi) of the whole distributions before the token; nats.
- ``gradients``, one row per token and method, of the responses that the method's run stored: ``share``, the part of the squared norm of
  the gradient of all of them that the token adds, c_t <grad log pi_t, g> / <g, g> with g = sum_t c_t grad log pi_t; shares add up to one.
  ``entropy`` of the token, nats, and ``attention_entropy`` (``policy.attention``, of the middle layer).
- ``groups``, one row per problem and method: ``rank``, the effective rank of the responses' gradients; ``cosine`` of the group's gradient
  and that of the reference method on the same problem, missing where that learns nothing there; ``responses`` with a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from tokencredit import files
from tokencredit.base.checked import load_checked
from tokencredit.config import Model, Recipe, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.credit import TokenCredit, TokenSignals
from tokencredit.engines.lengths import positions, text_config
from tokencredit.errors import UserError
from tokencredit.oracle.measure import KEY, check_sampled_by
from tokencredit.oracle.responses import Taken, stored_responses
from tokencredit.policy import Sequence, attention_entropy, policy_loss
from tokencredit.policy.gradients import Distributions, along, effective_rank, gradient, inner
from tokencredit.progress import bar
from tokencredit.prompts import encode_privileged_prompt, encode_prompt
from tokencredit.provenance import environment
from tokencredit.records import Problem, problems_from
from tokencredit.statistics import NAN
from tokencredit.study import code
from tokencredit.study import settings as decided
from tokencredit.study.paths import AttributionFolder, RunFolder

HINDSIGHT = [*KEY, "token_id", "logprob", "told_logprob", "told_kl"]
GRADIENTS = ["method", "problem_id", "sample", "position", "entropy", "attention_entropy", "share"]
GROUPS = ["method", "problem_id", "responses", "rank", "cosine"]
_CREDIT = ["step", *("problem_id", "sample", "position", "token_id", "entropy", "old_logprob"), "reward"]
_CREDIT += ["group_advantage", "advantage", "keep"]
_RESPONSE = ["problem_id", "sample"]
# How far the shares of a gradient may add up from one in float32: forward and backward differentiation of one function.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Learned:
    """A stored response as a method learns from it. ``coefficient`` [T]: what its loss multiplies grad log pi_t by, with the sign turned.

    ``record``: its tokens, one line each in order: ``problem_id``, ``sample``, ``position``, ``entropy``, ``attention_entropy``.
    """

    problem_id: str
    sequence: Sequence
    coefficient: Tensor
    record: pd.DataFrame


def attribute(
    study: Study, seed: int, model_dir: Path, runs: list[Path], data: list[Path], out: Path, progress: bool = False
) -> list[Path]:
    """Write the three tables of the base model, in ``model_dir``, at the responses that ``runs`` stored under ``seed``; the files made.

    In float32, whatever the precision of the training's passes.
    """
    sampling, entry = study.training.sampling, study.config.models[study.model_name]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problems = [problem for path in data for problem in problems_from(files.read_parquet(path))]
    model, tokenizer = load_checked(
        model_dir, entry, problems, longest=sampling.longest, dtype=torch.float32, device=device, sampled=False
    )
    policy = Distributions(model, sampling.temperature)

    def encode(problem: Problem) -> tuple[int, ...]:
        return encode_prompt(tokenizer, entry.prompt, problem)

    responses = stored_responses(runs, 1, problems, encode)
    known = {problem.problem_id: problem for problem in problems}
    told = {
        name: _told(tokenizer, entry, known[name], sampling.max_response_tokens, positions(model))
        for name in dict.fromkeys(each.problem_id for each in responses)
    }
    shifted = hindsight(policy, responses, told)
    check_sampled_by(shifted, responses, study.training.mixed_precision, model_dir)
    prompts = {each.problem_id: each.prompt for each in responses}
    layer, by_method = text_config(model).num_hidden_layers // 2, {run.parent.name: run for run in runs}

    def attending(sequences: list[Sequence]) -> Tensor:
        return attention_entropy(model, sequences, layer, study.training.micro_batch_tokens)

    learned = {
        name: _learned(by_method[name], study.recipe_of(name), sampling.max_response_tokens, prompts, attending)
        for name in dict.fromkeys([study.reference, *by_method])
    }
    with bar("gradients", len(learned), progress) as shown:
        gradients, groups = of_methods(policy, learned, lambda: shown.update(1))
    metadata = {
        "study": study.name,
        "policy": BASE,
        "seed": seed,
        "step": 1,
        **decided.attribution(study),
        "model_sha256": files.sha256(model_dir),
        "data_sha256": {str(path.parent.name): files.sha256(path) for path in data},
        "rollouts_sha256": {folder.parent.name: files.sha256(RunFolder(folder).rollouts) for folder in runs},
        "code_digest": code.attribution(),
        "environment": environment(device),
    }
    made = AttributionFolder(out)
    for path, table in ((made.hindsight, shifted), (made.gradients, gradients), (made.groups, groups)):
        files.write_parquet(path, table, metadata)
    return list(made.tables)


def _told(tokenizer: Any, model: Model, problem: Problem, longest: int, room: int) -> tuple[int, ...]:
    """The model's ``privileged_prompt`` of a problem; ``UserError`` where it leaves no ``room`` for the ``longest`` response."""
    tokens = encode_privileged_prompt(tokenizer, model, problem)
    if len(tokens) + longest > room:
        raise UserError(
            f"attribution: with its answer the prompt of problem {problem.problem_id} has {len(tokens)} tokens; the model reads {room}, of "
            f"which max_response_tokens = {longest} are the response's."
        )
    return tokens


@torch.no_grad()
def hindsight(policy: Distributions, responses: list[Taken], told: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    """The table ``hindsight`` of ``responses``; ``told``: the prompt of each problem that holds its answer."""
    parts = []
    for each in responses:
        before, after = (policy(Sequence(prompt, each.token_ids)) for prompt in (each.prompt, told[each.problem_id]))
        own = torch.tensor(each.token_ids, device=before.device)[:, None]
        columns = {
            "logprob": before.gather(1, own).squeeze(1),
            "told_logprob": after.gather(1, own).squeeze(1),
            "told_kl": (after.exp() * (after - before)).sum(1).clamp(min=0),
        }
        values = {name: value.cpu().numpy() for name, value in columns.items()}
        name = {"problem_id": each.problem_id, "cell": each.cell, "sample": each.sample}
        place = {"position": range(len(each.token_ids)), "token_id": each.token_ids}
        parts.append(pd.DataFrame({**place, **values}).assign(**name))
    return pd.concat(parts, ignore_index=True)[HINDSIGHT]


def of_methods(
    policy: Distributions, learned: dict[str, list[Learned]], done: Callable[[], object] = lambda: None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``gradients`` and ``groups`` of the methods in ``learned``, of which the first is the reference; ``done`` after each.

    The gradients of all responses to a problem are held at once, and one for each problem of the reference and of the method.
    """
    gradients: list[pd.DataFrame] = []
    groups: list[tuple[str, str, int, float, float]] = []
    reference: dict[str, Tensor] | None = None
    for method, responses in learned.items():
        directions: dict[str, Tensor] = {}
        for name, own in groupby(responses, lambda each: each.problem_id):
            rows = torch.stack([gradient(policy, each.sequence, each.coefficient) for each in own])
            directions[name] = rows.sum(0)
            other = directions[name] if reference is None else reference.get(name)
            groups.append((method, name, len(rows), effective_rank(rows), _cosine(directions[name], other)))
        if directions:
            gradients.append(_shares(policy, responses, sum(directions.values())).assign(method=method)[GRADIENTS])
        reference = directions if reference is None else reference
        done()
    tokens = pd.concat(gradients, ignore_index=True) if gradients else pd.DataFrame(columns=GRADIENTS)
    return tokens, pd.DataFrame(groups, columns=GROUPS)


def _shares(policy: Distributions, responses: list[Learned], whole: Tensor) -> pd.DataFrame:
    """The tokens of ``responses`` with their share of the gradient ``whole``, which is the sum of theirs."""
    squared = float(inner(whole, whole))
    parts = [
        each.record.assign(share=(each.coefficient * along(policy, each.sequence, whole).cpu() / squared).numpy())
        for each in responses
    ]
    table = pd.concat(parts, ignore_index=True)
    if not abs(table["share"].sum() - 1) <= _ROUNDING:
        raise ValueError(f"the shares of a gradient add up to {table['share'].sum():.6g}, and should to 1.")
    return table


def _cosine(one: Tensor, other: Tensor | None) -> float:
    return NAN if other is None else float(inner(one, other) / (inner(one, one) * inner(other, other)).sqrt())


def _learned(
    run: Path,
    recipe: Recipe,
    max_tokens: int,
    prompts: dict[str, tuple[int, ...]],
    attending: Callable[[list[Sequence]], Tensor],
) -> list[Learned]:
    """The responses of the first step that a run stored and that have a gradient, by problem.

    ``attending``: gives the entropy of the attention before each token of some responses.
    """
    table = files.read_parquet(RunFolder(run).rollouts, _CREDIT)
    table = table[table["step"] == 1].sort_values([*_RESPONSE, "position"], ignore_index=True)
    table["coefficient"] = coefficients(table, recipe, max_tokens).numpy()
    taught = table["coefficient"].ne(0).groupby([table[name] for name in _RESPONSE]).transform("any")
    records = [record for _, record in table[taught].groupby(_RESPONSE, sort=False)]
    sequences = [Sequence(prompts[record["problem_id"].iloc[0]], tuple(record["token_id"])) for record in records]
    attention = attending(sequences).split([len(record) for record in records]) if records else []
    return [
        Learned(
            record["problem_id"].iloc[0],
            sequence,
            torch.tensor(record["coefficient"].to_numpy()),
            record[[*_RESPONSE, "position", "entropy"]].assign(attention_entropy=spread.numpy()),
        )
        for record, sequence, spread in zip(records, sequences, attention, strict=True)
    ]


def coefficients(table: pd.DataFrame, recipe: Recipe, max_tokens: int) -> Tensor:
    """[N] float64: what the loss multiplies grad log pi of each token by, with the sign turned, where no ratio has moved from one.

    ``table``: N tokens with their stored credit, tokens of a response together, as one optimiser batch. Terms that need no credit, KL and
    entropy, are not in it.
    """
    first = table[~table.duplicated(_RESPONSE)]
    old_logprob, advantage = (torch.tensor(table[name].to_numpy(float)) for name in ("old_logprob", "advantage"))
    signals = TokenSignals(
        response=torch.tensor(table.groupby(_RESPONSE, sort=False).ngroup().to_numpy()),
        position=torch.tensor(table["position"].to_numpy()),
        entropy=torch.tensor(table["entropy"].to_numpy()),
        old_logprob=old_logprob,
        reward=torch.tensor(first["reward"].to_numpy()),
        advantage=torch.tensor(first["group_advantage"].to_numpy()),
        group=torch.tensor(first.groupby("problem_id", sort=False).ngroup().to_numpy()),
    )
    logprob = old_logprob.clone().requires_grad_()
    credit = TokenCredit(advantage, torch.tensor(table["keep"].to_numpy()))
    loss, _ = policy_loss(logprob, signals, credit, aggregation=recipe.aggregation, max_response_tokens=max_tokens)
    return -torch.autograd.grad(loss, logprob)[0]
