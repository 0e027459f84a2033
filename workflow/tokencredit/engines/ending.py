"""How a response ends, the same for every engine: which tokens end it, and what is its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokencredit.records import Response

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a response: the tokenizer's, and those of the model's generation settings (some models have several)."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return frozenset(token for token in [tokenizer.eos_token_id, *listed] if token is not None)


def finished_response(
    token_ids: Sequence[int], logprobs: Sequence[float], ends: frozenset[int], tokenizer: PreTrainedTokenizerBase
) -> Response:
    """The response of sampled ``token_ids``: "stop" where its last token is one of ``ends``, which the text leaves out, else "length"."""
    ids = tuple(token_ids)
    finished = ids[-1] in ends
    text = tokenizer.decode(ids[:-1] if finished else ids, skip_special_tokens=True)
    return Response(text, ids, "stop" if finished else "length", tuple(logprobs))
