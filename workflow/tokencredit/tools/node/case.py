"""One update of a small model, computed as training does, and by other means: whole logits, one sequence at a time, in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Recipe, Training, load_study
from tokencredit.credit import TokenSignals, group_advantage
from tokencredit.data.embedded import sample_problems
from tokencredit.policy import Sequence
from tokencredit.prompts import prompt_of
from tokencredit.seeds import generator
from tokencredit.train.processes import Processes
from tokencredit.train.sharding import trained_scorer, unsharded
from tokencredit.train.update import Credit, Updater

STUDY, BASE = (
    "smoke",
    "eapo",
)  # the study with the smallest model, and a method on DAPO's recipe: no KL, a mean over tokens
_PROMPTS, _GROUP, _LONGEST = 4, 4, 40
_SPREAD = 4.0  # times the weights of an untrained model: next tokens that are far from equally likely
_RATIO = 0.5  # nats: beyond the bounds of clipping, which lie at -0.22 and 0.25, by more than rounding


@dataclass(frozen=True)
class Precision:
    """Of the weights, and of the passes over them, with their attention: keys of a study's ``training``."""

    weights: torch.dtype = torch.float32
    mixed_precision: Literal["no", "bf16"] = "no"
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"


FLOAT64, FLOAT32 = Precision(torch.float64), Precision()
BFLOAT16, FLASH_ATTENTION = (
    Precision(mixed_precision="bf16"),
    Precision(mixed_precision="bf16", attention="flash_attention_2"),
)


@dataclass(frozen=True)
class Numbers:
    """What an update computes: ``logprob`` and ``entropy`` [N] in nats, its ``loss``, and of each weight ``gradient`` and ``move``."""

    logprob: Tensor
    entropy: Tensor
    loss: float
    gradient: dict[str, Tensor]
    move: dict[str, Tensor]


@dataclass(frozen=True)
class Apart:
    """How far two are apart: the largest difference in nats; of the loss; of gradients and moves, as a share of their length."""

    logprob: float
    entropy: float
    loss: float
    gradient: float
    move: float


@dataclass(frozen=True)
class Case:
    """A minibatch of groups with right and wrong responses, of unequal length, under an untrained ``model`` (float64, on the CPU).

    Of their tokens a third has the ratio 1, and a third each one beyond either bound of clipping.
    """

    model: Qwen3ForCausalLM
    sequences: list[Sequence]
    signals: TokenSignals
    training: Training
    recipe: Recipe


def new_case(config: Path) -> Case:
    """The same case of the same configuration."""
    study = load_study(config, STUDY)
    settings = study.config.models[study.model_name]
    tokenizer = new_tokenizer(settings)
    model = build_model(settings, tokenizer).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(_SPREAD)
    random = generator("node check")
    problems = sample_problems([1], _PROMPTS, seed=0, split="train", task=settings.task)
    prompts = tokenizer([prompt_of(settings.prompt, problem.text) for problem in problems]).input_ids
    lengths = random.integers(1, _LONGEST, _PROMPTS * _GROUP).tolist()
    sequences = [
        Sequence(tuple(prompts[place // _GROUP]), tuple(random.integers(0, len(tokenizer), length).tolist()))
        for place, length in enumerate(lengths)
    ]
    with torch.no_grad():
        rows = [_own(model, sequence) for sequence in sequences]
    logprob, entropy = (torch.cat(column) for column in zip(*rows, strict=True))
    reward = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0] * (_PROMPTS // 2)).double()
    group = torch.arange(_PROMPTS).repeat_interleave(_GROUP)
    signals = TokenSignals(
        response=torch.arange(len(sequences)).repeat_interleave(torch.tensor(lengths)),
        position=torch.cat([torch.arange(length) for length in lengths]),
        entropy=entropy,
        old_logprob=logprob + _RATIO * torch.tensor(random.integers(-1, 2, len(logprob))),
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
    )
    training = study.training.model_copy(update={"grad_clip": 1e9, "micro_batch_tokens": 512})
    return Case(model, sequences, signals, training, study.recipe_of(BASE))


def exact(case: Case) -> Numbers:
    """By PyTorch's log-softmax and AdamW alone, each sequence by itself: neither head, layouts nor loss of this package."""
    model = copy.deepcopy(case.model)
    rows = [_own(model, sequence) for sequence in case.sequences]
    logprob, entropy = (torch.cat(column) for column in zip(*rows, strict=True))
    advantage = case.signals.token_advantage
    ratio = (logprob - case.signals.old_logprob).exp()
    clipped = ratio.clamp(1 - case.recipe.clip_low, 1 + case.recipe.clip_high)
    loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
    loss.backward()
    settings = case.training
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        weight_decay=settings.weight_decay,
    )
    gradient = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    return Numbers(logprob.detach(), entropy.detach(), float(loss.detach()), gradient, _moves(case, model))


def computed(case: Case, processes: Processes, precision: Precision) -> Numbers:
    """As a run computes it, in all ``processes`` together."""
    changes = {"mixed_precision": precision.mixed_precision, "attention": precision.attention}
    training = case.training.model_copy(update=changes)
    policy = copy.deepcopy(case.model).to(precision.weights).to(processes.device)
    scorer = trained_scorer(policy, training, processes)
    logprob, entropy = processes.score(scorer, case.sequences, training.micro_batch_tokens)
    updater = Updater(scorer, training, case.recipe, processes)
    gradient: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        for name, parameter in scorer.model.named_parameters():
            gradient[name] = unsharded(parameter.grad).double().cpu()

    updater.optimizer.register_step_pre_hook(keep)
    credit = Credit("grpo", {}).at_rollout(case.signals)
    assert credit is not None
    loss = updater.update(case.sequences, case.signals, credit)["loss"]
    return Numbers(logprob.double(), entropy.double(), loss, gradient, _moves(case, scorer.model))


def apart(found: Numbers, expected: Numbers) -> Apart:
    """NaN where a number is none."""
    return Apart(
        logprob=float((found.logprob - expected.logprob).abs().max()),
        entropy=float((found.entropy - expected.entropy).abs().max()),
        loss=abs(found.loss - expected.loss),
        gradient=_share(found.gradient, expected.gradient),
        move=_share(found.move, expected.move),
    )


def _own(model: Qwen3ForCausalLM, sequence: Sequence) -> tuple[Tensor, Tensor]:
    """[n] each: log-probs and entropies of the response's tokens, nats, from all logits of this sequence alone."""
    ids = torch.tensor([sequence.prompt + sequence.response])
    logits = model(input_ids=ids, use_cache=False).logits[0, len(sequence.prompt) - 1 : -1]
    logprobs = logits.log_softmax(-1)
    return logprobs.gather(-1, torch.tensor(sequence.response)[:, None]).squeeze(-1), -(logprobs.exp() * logprobs).sum(
        -1
    )


@torch.no_grad()
def _moves(case: Case, model: torch.nn.Module) -> dict[str, Tensor]:
    before = dict(case.model.named_parameters())
    return {
        name: unsharded(parameter.detach()).double().cpu() - before[name]
        for name, parameter in model.named_parameters()
    }


def _share(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The length of the difference as a share of the length of ``expected``, all weights together."""
    if found.keys() != expected.keys():
        missing = sorted(found.keys() ^ expected.keys())
        raise ValueError(f"not the same weights: {', '.join(missing)}.")
    one, other = (torch.cat([each[name].flatten() for name in expected]) for each in (found, expected))
    return float((one - other).norm() / other.norm())
