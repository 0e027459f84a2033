"""Sampling engines: responses to prompts, one for each request, behind one small interface.

A response depends only on its own request's seed: neither on its neighbours nor, except for float rounding, on the batch size.
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

# Callback(index of the request, response), called when the response has ended.
OnResponse = Callable[[int, "Response"], None]


class Engine(Protocol):
    """A sampler: gives one response to each request."""

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

        ``on_response`` is called once for each response, in the order in which responses end.
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
