"""Sampling engines: responses to prompts, one for each request, behind one small interface.

A response depends on its own request's seed only: neither on its neighbours nor on the batch size (but for float rounding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tokencredit.errors import UserError
from tokencredit.records import Request, Response

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ENGINES = ("transformers",)


class Engine(Protocol):
    """Whatever turns requests into responses."""

    name: str

    def sample(
        self, requests: list[Request], *, temperature: float, top_p: float, max_tokens: int, progress: bool = False
    ) -> list[Response]:
        """One response for each request, in the order of the requests; at most ``max_tokens`` tokens each, the end token included."""
        ...


def load_engine(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **options: Any) -> Engine:
    """The engine called ``name`` (one of ``ENGINES``) around a model in memory; ``options`` are its constructor's."""
    if name == "transformers":
        from tokencredit.engines.transformers_engine import TransformersEngine

        return TransformersEngine(model, tokenizer, **options)
    raise UserError(f"engine {name!r} is not known; allowed: {', '.join(ENGINES)}.")
