"""How responses end and what their tokens are as text, for the kinds of tokenizers that models have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.models import tiny_qwen3
from tokencredit.engines.ending import end_tokens, finished_response, token_texts


def byte_level(*marks: str) -> PreTrainedTokenizerFast:
    """A token per byte and one for "Ġso"; the first mark is the end that the tokenizer names."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate([*letters, "so", "Ġso"])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[("s", "o"), ("Ġ", "so")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=marks[0], additional_special_tokens=[AddedToken(mark) for mark in marks[1:]]
    )


@pytest.mark.parametrize("closing", ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"])
def test_a_mark_that_closes_a_turn_ends_a_response_whatever_end_the_folder_names(closing: str) -> None:
    tokenizer = byte_level("<|endoftext|>", "<|start|>", closing)
    ends = end_tokens(tiny_qwen3(), tokenizer)
    assert tokenizer.convert_ids_to_tokens(sorted(ends)) == ["<|endoftext|>", closing]
    ids = tokenizer.encode(f"so so{closing}", add_special_tokens=False)
    response = finished_response(ids, [0.0] * len(ids), ends, tokenizer)
    assert (response.text, response.finish_reason) == ("so so", "stop")


def test_in_the_harmony_format_the_end_of_a_message_is_none_of_the_response() -> None:
    tokenizer = byte_level("<|return|>", "<|end|>", "<|channel|>")
    assert tokenizer.convert_ids_to_tokens(sorted(end_tokens(tiny_qwen3(), tokenizer))) == ["<|return|>"]


def test_the_ends_of_all_settings_count() -> None:
    model = SimpleNamespace(
        generation_config=SimpleNamespace(eos_token_id=[3, 4]),
        config=SimpleNamespace(get_text_config=lambda decoder: SimpleNamespace(eos_token_id=5)),
    )
    assert end_tokens(model, SimpleNamespace(eos_token_id=None)) == {3, 4, 5}


def test_tokens_of_a_byte_level_vocabulary_are_told_as_text() -> None:
    tokenizer = byte_level("<|endoftext|>")
    ids = [*tokenizer.encode("so so\nℕ", add_special_tokens=False), tokenizer.eos_token_id, 100_000]
    assert token_texts(tokenizer, ids) == ["so", " so", "\n", "�", "�", "�", "<|endoftext|>", "<100000>"]


def test_tokens_of_a_sentencepiece_vocabulary_are_told_as_text() -> None:
    vocabulary = {"<unk>": 0, "▁": 1, "so": 2, "▁so": 3, "<0x0A>": 4}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    raw.normalizer = normalizers.Replace(" ", "▁")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert token_texts(PreTrainedTokenizerFast(tokenizer_object=raw), [3, 4, 2]) == [" so", "\n", "so"]
