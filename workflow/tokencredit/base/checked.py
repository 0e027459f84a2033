"""The door through which every stage loads a model: a policy and its tokenizer, checked before anything is computed with them.

The installed code may compute a released model otherwise than its files say: a layer's window, a head's scale, a tokenizer's splitting. So
the sampler, the scorer and the model's own forward pass are held against each other on some tokens, and the tokenizer against its file.
Nothing is drawn by lot and nothing is kept: a run with the checks is, byte for byte, the run without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Sequence_
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.base.checked_text import check_tokenizer
from tokencredit.base.store import load_policy, load_tokenizer
from tokencredit.engines.ending import ends_in_text, settle_ends, token_texts
from tokencredit.engines.lengths import boundaries, positions
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence
from tokencredit.records import Request
from tokencredit.seeds import derive_seed

if TYPE_CHECKING:
    from tokencredit.config import Model
    from tokencredit.records import Problem

# Largest mean of |log-prob - the model's own| over a sequence's tokens, nats. Two ways of computing one model agree to 1e-5 in float32, and
# in bfloat16 to some hundredths.
BOUNDS = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
# Tokens that are tried after each prompt; so many of them before a boundary, where one is near.
TOKENS, _BEFORE = 12, 4


def load_checked(
    model_dir: str | Path,
    model: Model,
    problems: Sequence_[Problem],
    *,
    longest: int,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    sampled: bool = True,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The policy and the tokenizer of ``model_dir``; ``model``: its entry of the configuration, which says the prompt of ``problems``.

    ``longest``: the most tokens of a prompt and its response together. ``sampled``: whether the transformers engine samples from it; an
    engine with weights of its own has its canary. The mark that closes the turn of the prompt is made an end of responses.
    ``UserError``, one sentence each, where the weights are not the model's, the tokenizer is not its file's, nothing ends a response, or
    sampler and scorer compute another model than ``model(ids)`` does.
    """
    tokenizer = load_tokenizer(model_dir)
    prompts = check_tokenizer(model_dir, tokenizer, model, problems)
    policy = load_policy(model_dir, dtype, device, longest)
    ends = settle_ends(policy, tokenizer, model.prompt)
    if not ends:
        raise UserError(
            f"{model_dir}: nothing ends a response: neither tokenizer nor generation_config.json names an end token, and the prompt of "
            f"models.yaml closes no turn. Name eos_token in the tokenizer's settings."
        )
    if text := ends_in_text(tokenizer, ends):
        raise UserError(
            f"{model_dir}: token {text[0]} ends a response by eos_token_id, and to the tokenizer it is the text "
            f"{token_texts(tokenizer, text[:1])[0]!r}: responses would be cut there. Name the number of an end token in config.json and "
            f"in generation_config.json; where neither names one, transformers takes the one of {type(policy).__name__}'s family."
        )
    rows, largest = policy.get_input_embeddings().weight.shape[0], max(map(max, prompts))
    if largest >= rows:
        raise UserError(
            f"{model_dir}: the tokenizer gives token {largest} ({tokenizer.convert_ids_to_tokens(largest)!r}) to a model of {rows}; "
            f"they do not belong together."
        )
    check_model(model_dir, policy, tokenizer, prompts, longest, sampled)
    return policy, tokenizer


@dataclass(frozen=True)
class _Tried:
    """A prompt, and the boundary that its response crosses, if any."""

    prompt: tuple[int, ...]
    boundary: int | None


@torch.no_grad()
def check_model(
    model_dir: str | Path,
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[tuple[int, ...]],
    longest: int,
    sampled: bool = True,
) -> None:
    """``UserError`` unless scorer and, where ``sampled``, sampler give the log-probs of ``model(ids)``.

    On prompts of unequal lengths together, and on a response across each length beyond which the model computes otherwise, below
    ``longest``: the end of a window, or of a rope's first stretch.
    """
    longest = min(longest, positions(policy))
    prompts = [prompt[: longest - 1] for prompt in prompts]
    tried = _prompts(policy, prompts, longest)
    if sampled:
        responses = _sampled(model_dir, policy, tokenizer, tried, longest)
    else:
        responses = [
            _cycled(prompts, len(each.prompt) + _room(each.prompt, longest))[len(each.prompt) :] for each in tried
        ]
        responses = [(response, None) for response in responses]
    sequences = [Sequence(each.prompt, tokens) for each, (tokens, _) in zip(tried, responses, strict=True)]
    with _computed(f"{model_dir}: {type(policy).__name__} cannot compute its own log-probs", "use another model"):
        scores = Scorer(policy).score(sequences, sum(map(len, sequences)))[0]
        owns = [_own_logprobs(policy, sequence) for sequence in sequences]
    scored = scores.split([len(each.response) for each in sequences])
    for each, own, (_, by_sampler), by_scorer in zip(tried, owns, responses, scored, strict=True):
        for who, what, found in (("sampler", "sampling", by_sampler), ("trainer's scorer", "training", by_scorer)):
            if found is not None:
                _judge(model_dir, policy, each, who, what, float((found.double() - own).abs().mean()))


def _prompts(policy: PreTrainedModel, prompts: list[tuple[int, ...]], longest: int) -> list[_Tried]:
    """The shortest of ``prompts``, half of it, the longest, and one for each boundary."""
    ordered = sorted(dict.fromkeys(prompts), key=len)
    lengths = {max(1, len(ordered[0]) // 2)}
    chosen = [_Tried(ordered[0][: min(lengths)], None), _Tried(ordered[0], None), _Tried(ordered[-1], None)]
    for boundary in boundaries(policy, longest):
        chosen.append(_Tried(_cycled(prompts, max(1, boundary - _BEFORE)), boundary))
    return list(dict.fromkeys(chosen))


def _cycled(prompts: list[tuple[int, ...]], length: int) -> tuple[int, ...]:
    """``length`` tokens of the prompts, one after the other, and again from the first."""
    tokens = [token for prompt in prompts for token in prompt]
    return tuple((tokens * (length // len(tokens) + 1))[:length])


def _room(prompt: tuple[int, ...], longest: int) -> int:
    return min(TOKENS, longest - len(prompt))


def _sampled(
    model_dir: str | Path,
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tried: list[_Tried],
    longest: int,
) -> list[tuple[tuple[int, ...], Tensor]]:
    """Tokens after each prompt, all prompts in one batch, and the sampler's log-probs of them."""
    engine = TransformersEngine(policy, tokenizer)
    engine.end_tokens = frozenset()  # what is tried must not depend on where a response ends
    requests = [Request(each.prompt, derive_seed("load check", place)) for place, each in enumerate(tried)]
    what = f"{model_dir}: engine 'transformers' cannot sample from {type(policy).__name__} with its cache of keys and values"
    with _computed(what, "use engine 'vllm', or another model"):
        responses = engine.sample(
            requests, temperature=1.0, top_p=1.0, max_tokens=min(_room(each.prompt, longest) for each in tried)
        )
    return [(response.token_ids, torch.tensor(response.logprobs)) for response in responses]


@contextmanager
def _computed(what: str, otherwise: str) -> Iterator[None]:
    """``UserError``, ``what`` and ``otherwise``, where transformers fails within."""
    try:
        yield
    except (TypeError, AttributeError, IndexError, KeyError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"{what} ({type(error).__name__}: {' '.join(str(error).split())[:200]}); {otherwise}."
        ) from error


def _own_logprobs(policy: PreTrainedModel, sequence: Sequence) -> Tensor:
    """[n] float64: log-probs of the response's tokens by the model's own forward pass over this sequence alone."""
    ids = torch.tensor([sequence.prompt + sequence.response], device=policy.device)
    count = len(sequence.response)
    logits = policy(input_ids=ids, use_cache=False, logits_to_keep=count + 1).logits[0, -count - 1 : -1]
    return logits.double().log_softmax(-1).gather(-1, ids[0, -count:, None]).squeeze(-1).cpu()


def _judge(model_dir: str | Path, policy: PreTrainedModel, tried: _Tried, who: str, what: str, apart: float) -> None:
    bound = BOUNDS[policy.dtype]
    if apart <= bound:
        return
    place = f"after a prompt of {len(tried.prompt)} tokens" + (
        f", across its boundary at {tried.boundary}" if tried.boundary else ""
    )
    raise UserError(
        f"{model_dir}: the {who}'s log-probs are {apart:.2g} nats a token from those of the model's own forward pass {place}; {bound:g} "
        f"is allowed. Here {what} would go on with another model than this {type(policy).__name__}; docs/models.md lists those that are "
        f"known to agree."
    )
