"""How a response ends, the same for every engine: which tokens end it, and what is its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tokencredit.engines.lengths import text_config
from tokencredit.prompts import BYTE, LIKE_A_MARK, closing_mark
from tokencredit.records import Response

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Marks that close a turn or a text in the chat formats in use, known by their spelling as llama.cpp knows them: a model whose tokenizer
# has one has been trained to end with it, also where the folder names another end (the Qwen2.5 bases) or none.
_CLOSING = (
    *(
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|eot|>",
        "<|end|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|end_of_turn|>",
    ),
    *("<end_of_turn>", "<turn|>", "<|END_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>", "<|return|>", "</s>", "<eos>"),
)
# In OpenAI's harmony format a response is several messages: this mark closes each of them, and the other one the last.
_MESSAGE, _LAST_MESSAGE = "<|end|>", "<|return|>"


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a response: the tokenizer's, those of the model's settings, and the marks that close a turn by their spelling."""
    listed: list[int] = []
    for settings in (model.generation_config, text_config(model)):
        own = getattr(settings, "eos_token_id", None)
        listed += own if isinstance(own, list) else [own]
    added = {token.content: index for index, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    closing = [added[mark] for mark in _CLOSING if mark in added and not (mark == _MESSAGE and _LAST_MESSAGE in added)]
    return frozenset(token for token in [tokenizer.eos_token_id, *listed, *closing] if token is not None)


def settle_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, template: str) -> frozenset[int]:
    """``end_tokens`` and the mark that closes the turn of the prompt ``template``: ``model`` has them from now on, saved too.

    An id that the head has no row for is none of them: it is never sampled.
    """
    ends = end_tokens(model, tokenizer) | ({closing_mark(tokenizer, template)} - {None})
    ends = frozenset(end for end in ends if 0 <= end < model.get_output_embeddings().weight.shape[0])
    model.generation_config.eos_token_id = sorted(ends)
    return ends


def ends_in_text(tokenizer: PreTrainedTokenizerBase, ends: Iterable[int]) -> list[int]:
    """Those of ``ends`` that are text to ``tokenizer``, in order: neither special nor spelled as a mark.

    Some classes of transformers name an end by number where the settings name none, whatever the tokenizer has there.
    """
    marks = _named(tokenizer) | _added_special(tokenizer).keys()
    tokens = {end: tokenizer.convert_ids_to_tokens(end) for end in sorted(ends)}
    return [end for end, token in tokens.items() if token and token not in marks and not LIKE_A_MARK.fullmatch(token)]


def finished_response(
    token_ids: Sequence[int], logprobs: Sequence[float], ends: frozenset[int], tokenizer: PreTrainedTokenizerBase
) -> Response:
    """The response of sampled ``token_ids``: "stop" where its last token is one of ``ends``, which the text leaves out, else "length"."""
    ids = tuple(token_ids)
    finished = ids[-1] in ends
    text = response_text(tokenizer, ids[:-1] if finished else ids)
    return Response(text, ids, "stop" if finished else "length", tuple(logprobs))


def response_text(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    """What a response says: its text without marks.

    Marks are special tokens, but a special token may be a piece of text too: a digit, a byte, ``\\boxed{``. Those are left in.
    """
    text_too = _special_text(tokenizer)
    if text_too.isdisjoint(token_ids):
        return tokenizer.decode(token_ids, skip_special_tokens=True)
    special = {*tokenizer.all_special_ids, *_added_special(tokenizer).values()}
    kept = [token for token in token_ids if token in text_too or token not in special]
    return tokenizer.decode(kept, skip_special_tokens=False)


@lru_cache(maxsize=4)
def _special_text(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The special tokens that are text, by their spelling."""
    return frozenset(
        index
        for name, index in _added_special(tokenizer).items()
        if (BYTE.fullmatch(name) or not LIKE_A_MARK.fullmatch(name)) and name not in _named(tokenizer)
    )


def _added_special(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {token.content: index for index, token in added.items() if token.special}


def _named(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The tokens that have a role: they start, end, pad or stand for the unknown."""
    roles = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
    return {token for role in roles if (token := getattr(tokenizer, role, None))}


def token_texts(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[str]:
    """Each token as the text that it stands for, spaces and line breaks included.

    A vocabulary writes bytes in letters of its own ("Ġso", "▁so"): they are read back. A token that holds part of a letter has � for it. An
    id without a token, of a head that has more rows than the tokenizer has tokens, is ``<id>``.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    decoder = json.dumps(_decoder(tokenizer), ensure_ascii=False)

    def text(index: int) -> str:
        token = tokenizer.convert_ids_to_tokens(index)
        if token is None:
            return f"<{index}>"
        if index in added:
            return token
        if '"ByteLevel"' in decoder:
            return bytes(_BYTES[letter] for letter in token if letter in _BYTES).decode("utf-8", errors="replace")
        if "▁" in decoder:
            byte = re.fullmatch("<0x([0-9A-F]{2})>", token)
            return bytes([int(byte[1], 16)]).decode("utf-8", errors="replace") if byte else token.replace("▁", " ")
        return token

    known = {index: text(index) for index in set(token_ids)}
    return [known[index] for index in token_ids]


def _decoder(tokenizer: PreTrainedTokenizerBase) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None or backend.decoder is None else json.loads(backend.decoder.__getstate__())


def _byte_letters() -> dict[str, int]:
    """The byte that each letter of GPT-2's byte-level alphabet stands for: printable bytes are themselves, others follow from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_letters()
