"""Models, requests and comparisons for the tests of vLLM."""

from __future__ import annotations

import copy

import torch
from transformers import Qwen3ForCausalLM

from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Config, Sampling
from tokencredit.engines.canary import BOUNDS, Canary, canary_sequences
from tokencredit.policy import Scorer, Sequence
from tokencredit.records import Request, Response
from tokencredit.seeds import derive_seed

LONGEST = 160
NAME = "embedded-smoke"


def new_model(tied: bool) -> Qwen3ForCausalLM:
    """An embedded model without training, with weights large enough that its next tokens are far from uniform."""
    settings = Config("config").models[NAME]
    model = build_model(settings, new_tokenizer(settings))
    if not tied:
        model.config.tie_word_embeddings = False
        torch.manual_seed(7)
        model = Qwen3ForCausalLM(model.config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model.eval()


def stirred(model: Qwen3ForCausalLM, scale: float, part: str = "") -> Qwen3ForCausalLM:
    """A copy of ``model`` whose weights with ``part`` in their name have moved by ``scale``, as training would move them."""
    other = copy.deepcopy(model)
    torch.manual_seed(11)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if part in name:
                parameter.add_(scale * torch.randn_like(parameter))
    return other


def requests_for(prompts: list[tuple[int, ...]], samples: int = 4) -> list[Request]:
    return [
        Request(prompt, derive_seed("vllm", index, k)) for index, prompt in enumerate(prompts) for k in range(samples)
    ]


def ask(engine, requests: list[Request], **changes: float) -> list[Response]:
    return engine.sample(requests, **{"temperature": 1.0, "top_p": 1.0, "max_tokens": 24} | changes)


def sequences_of(requests: list[Request], responses: list[Response]) -> list[Sequence]:
    return [Sequence(a.prompt_tokens, b.token_ids) for a, b in zip(requests, responses, strict=True)]


def apart(engine, model, requests: list[Request], temperature: float = 1.0, **changes: float) -> float:
    """Largest |engine - transformers| of the log-probs of sampled tokens, nats."""
    responses = ask(engine, requests, temperature=temperature, **changes)
    told = torch.tensor([logprob for response in responses for logprob in response.logprobs])
    expected = Scorer(model, temperature).score(sequences_of(requests, responses), 4096)[0]
    assert len(told) == len(expected)
    return float((told - expected).abs().max())


def canary_of(engine, model, prompts, temperature: float = 1.0) -> Canary:
    sampling = Sampling(temperature=temperature, top_p=1.0, max_prompt_tokens=100, max_response_tokens=24)
    sequences = canary_sequences(engine, prompts, model.config.vocab_size, sampling)
    return Canary(engine, lambda s: Scorer(model, temperature).score(s, 4096)[0], sequences, BOUNDS["no"])
