"""Sampling engines: responses to prompts, one for each request, behind one small interface.

A response depends on its own request's seed only: neither on its neighbours nor on the batch size (but for float rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from tokencredit.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tokencredit.policy import Sequence
    from tokencredit.records import Request, Response

ENGINES = ("transformers", "vllm")

# Told the place of a request and its response, as soon as that has ended.
OnResponse = Callable[[int, "Response"], None]


# The modules that only one engine takes: weights of its own need a canary.
_ONLY = {"transformers": ("engines.transformers_engine",), "vllm": ("engines.vllm_engine", "engines.canary")}


def code_of_others(name: str) -> tuple[str, ...]:
    """The modules that the engine called ``name`` does not take: a change in them changes nothing that it samples."""
    return tuple(module for engine, modules in _ONLY.items() if engine != name for module in modules)


class Engine(Protocol):
    """Whatever turns requests into responses."""

    name: str

    def sample(
        self,
        requests: list[Request],
        *,
        temperature: float,
        top_p: float,
        max_tokens: int,
        progress: bool = False,
        on_response: OnResponse | None = None,
    ) -> list[Response]:
        """One response for each request, in the order of the requests; at most ``max_tokens`` tokens each, the end token included,
        or as many as a request says itself.

        ``on_response`` is called once for each, in the order in which they end.
        """
        ...


class MirrorEngine(Engine, Protocol):
    """An engine with weights of its own, a copy of the policy's: after every update they have to be pushed."""

    def push_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take over the weights that ``plain_weights`` names, wake up, and forget what was computed with the old ones."""
        ...

    def score(self, sequences: list[Sequence]) -> Tensor:
        """Log-probs (nats, at the engine's temperature) of the response tokens as sampling would report them, response after response."""
        ...

    def sleep(self) -> None:
        """Leave the device's memory to the trainer until the next push."""
        ...

    def close(self) -> None:
        """End the engine and every process of it."""
        ...


def load_engine(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **options: Any) -> Engine:
    """The engine called ``name`` (one of ``ENGINES``) around a model in memory; ``options`` are its constructor's.

    "transformers" samples from ``model`` itself, whatever becomes of it; "vllm" is a ``MirrorEngine`` and starts as a copy of it.
    """
    if name == "transformers":
        from tokencredit.engines.transformers_engine import TransformersEngine

        return TransformersEngine(model, tokenizer, **options)
    if name == "vllm":
        from tokencredit.engines.vllm_engine import VllmEngine

        return VllmEngine(model, tokenizer, **options)
    raise UserError(f"engine {name!r} is not known; allowed: {', '.join(ENGINES)}.")
