"""What the ratio of full distributions costs where responses are drawn with top-p below 1 (docs/top-p.md): the gradient at the base policy.

``python benchmarks/nucleus.py MODEL_DIR`` samples responses of an embedded model with top-p and without, under the same seeds, and prints
how far the policy gradient of full distributions lies from that of distributions restricted to what could be drawn, beside the distance
between two draws, and the entropy that a small step along each takes away. Minutes on a CPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor
from transformers import PreTrainedModel

from tokencredit.base.checked import load_checked
from tokencredit.config import Config
from tokencredit.credit import group_advantage
from tokencredit.data.embedded import generate_problems
from tokencredit.engines.sampling import nucleus
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.grading import GradingPool
from tokencredit.policy import Sequence
from tokencredit.policy.packing import Padded
from tokencredit.records import Request, problems_from
from tokencredit.seeds import derive_seed
from tokencredit.tools.node.machine import machine

_BATCH = 64  # responses of a pass
_STEP = 1e-3  # length of the step along a gradient, of the weights' own length


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of an embedded base model.")],
    model: Annotated[str, typer.Option(help="Its name in models.yaml.")] = "embedded-1m",
    prompts: Annotated[int, typer.Option(help="Problems.")] = 128,
    samples: Annotated[int, typer.Option(help="Responses to each.")] = 8,
    top_p: Annotated[float, typer.Option(help="Nucleus.")] = 0.95,
    tier: Annotated[int, typer.Option(help="Tier of the problems.")] = 1,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/nucleus.json"),
) -> None:
    settings = Config("config").models[model]
    problems = problems_from(generate_problems([tier], prompts, 0, "train"))
    policy, tokenizer = load_checked(folder, settings, problems, longest=settings.max_tokens)
    encoded = [tuple(tokenizer(settings.prompt.format(problem=problem.problem)).input_ids) for problem in problems]
    engine = TransformersEngine(policy, tokenizer)

    def drawn(mass: float, salt: int) -> tuple[list[Sequence], Tensor, Tensor]:
        requests = [
            Request(p, derive_seed("nucleus", salt, n, k)) for n, p in enumerate(encoded) for k in range(samples)
        ]
        longest = settings.max_tokens - max(map(len, encoded))
        responses = engine.sample(requests, temperature=1.0, top_p=mass, max_tokens=longest)
        golds = [problem.answer for problem in problems for _ in range(samples)]
        grades = pool.grade_many([(gold, response.text) for gold, response in zip(golds, responses, strict=True)])
        reward = torch.tensor([1.0 if grade.outcome == "right" else -1.0 for grade in grades])
        advantage = group_advantage(reward, torch.arange(len(problems)).repeat_interleave(samples))
        sequences = [Sequence(r.prompt_tokens, a.token_ids) for r, a in zip(requests, responses, strict=True)]
        return sequences, advantage, reward

    with GradingPool(1) as pool:
        restricted, other, whole = drawn(top_p, 0), drawn(top_p, 1), drawn(1.0, 0)
    full, shared, mass = _gradients(policy, *restricted[:2], top_p)
    again = _gradients(policy, *other[:2], top_p)[1]
    unrestricted = _gradients(policy, *whole[:2], 1.0)[0]
    found = {
        "top_p": top_p,
        "tokens": len(mass),
        "right": float((restricted[2] > 0).float().mean()),
        "mean mass of what can be drawn": float(mass.mean()),
        "norm, full over shared": float(full.norm() / shared.norm()),
        "cosine, full and shared": _cosine(full, shared),
        "cosine, shared and shared of other draws": _cosine(shared, again),
        "cosine, full and top-p 1": _cosine(full, unrestricted),
        "cosine, shared and top-p 1": _cosine(shared, unrestricted),
        **{
            f"entropy after a step, {name}": _entropy_after(policy, gradient, whole[0])
            - _entropy_after(policy, 0 * full, whole[0])
            for name, gradient in (("full", full), ("shared", shared), ("top-p 1", unrestricted))
        },
        "machine": machine(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, value in found.items():
        print(f"{name}: {value}")


def _logits(policy: PreTrainedModel, sequences: list[Sequence]) -> tuple[Tensor, Padded]:
    batch = Padded(sequences, "cpu")
    return batch.predicting(policy(input_ids=batch.ids, use_cache=False).logits), batch


def _gradients(
    policy: PreTrainedModel, sequences: list[Sequence], advantage: Tensor, top_p: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the mean over tokens of A log pi and of A log(pi / pi(S)), flat; and pi(S) of each token, S what could be drawn."""
    sums = [0.0, 0.0]
    masses, tokens = [], sum(len(sequence.response) for sequence in sequences)
    for start in range(0, len(sequences), _BATCH):
        part = sequences[start : start + _BATCH]
        logits, batch = _logits(policy, part)
        of_token = advantage[start : start + _BATCH].repeat_interleave(
            torch.tensor([len(each.response) for each in part])
        )
        logprob = logits.log_softmax(-1)
        inside = (
            nucleus(logprob.detach().exp().double(), top_p) > 0
            if top_p < 1
            else torch.ones_like(logprob, dtype=torch.bool)
        )
        chosen = logprob.gather(-1, batch.tokens[:, None]).squeeze(-1)
        log_mass = logprob.masked_fill(~inside, -torch.inf).logsumexp(-1)
        masses.append(log_mass.detach().exp())
        for index, value in enumerate((chosen, chosen - log_mass)):
            gradient = torch.autograd.grad(
                (of_token * value).sum() / tokens, list(policy.parameters()), retain_graph=index == 0
            )
            sums[index] = sums[index] + torch.cat([each.flatten() for each in gradient])
    return sums[0], sums[1], torch.cat(masses)


@torch.no_grad()
def _entropy_after(policy: PreTrainedModel, gradient: Tensor, sequences: list[Sequence]) -> float:
    """Mean entropy of the sequences' tokens, nats, after a step along ``gradient``; the weights are put back."""
    weights = torch.nn.utils.parameters_to_vector(policy.parameters())
    length = gradient.norm()
    moved = weights + (_STEP * weights.norm() / length * gradient if length else 0)
    torch.nn.utils.vector_to_parameters(moved, policy.parameters())
    total, tokens = 0.0, 0
    for start in range(0, len(sequences), _BATCH):
        logprob = _logits(policy, sequences[start : start + _BATCH])[0].log_softmax(-1)
        total -= float((logprob.exp() * logprob).sum())
        tokens += len(logprob)
    torch.nn.utils.vector_to_parameters(weights, policy.parameters())
    return total / tokens


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


if __name__ == "__main__":
    typer.run(main)
