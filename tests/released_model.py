"""A stand-in of Qwen2.5-Math-7B: the files and settings of the released model, and little in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.released_data import ANSWERS

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WORDS = ("\\boxed", " So", " Then", " the", " answer", " is")
_END, _TURN, _TURN_ENDS = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_SPECIAL = (_END, _TURN, _TURN_ENDS, "<|object_ref_start|>", "<|object_ref_end|>", "<|vision_pad|>", "<|image_pad|>")
_TEXT_TOO = ("<tool_call>", "</tool_call>")
_CHAT = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
ROWS = 384  # of embedding and head: more than the tokenizer has tokens, as in the released ones


def write_qwen_math(folder: Path, seed: int) -> int:
    """The files of a Qwen2.5-Math-7B: bfloat16 weights in shards, an untied head with rows of no token, a chat template.

    Returns the number of weights.
    Its responses are ``\\boxed{1}`` to ``\\boxed{4}``, sometimes after a word; some are nonsense, and some hold rows of no token.
    """
    folder.mkdir(parents=True)
    tokenizer = _write_tokenizer(folder)
    model = _responding(tokenizer, seed)
    model.save_pretrained(folder, max_shard_size="500KB")
    end = tokenizer.token_to_id(_END)
    _write(folder / "config.json", _settings(end))
    _write(folder / "generation_config.json", {"bos_token_id": end, "eos_token_id": end, "max_new_tokens": 2048})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return model.num_parameters()


def _write_tokenizer(folder: Path) -> Tokenizer:
    """Bytes, a few words of bytes, and the marks behind them: tokenizer.json, vocab.json, merges.txt, tokenizer_config.json."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary, merges = {letter: place for place, letter in enumerate(letters)}, []
    for word in _WORDS:
        whole = ""
        for letter in word.replace(" ", "Ġ"):
            if whole and whole + letter not in vocabulary:
                merges.append((whole, letter))
                vocabulary[whole + letter] = len(vocabulary)
            whole += letter
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in _SPECIAL])
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in _TEXT_TOO])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("".join(f"{one} {other}\n" for one, other in merges), encoding="utf-8")
    added = {
        str(tokenizer.token_to_id(mark)): {"content": mark, "special": mark in _SPECIAL}
        for mark in _SPECIAL + _TEXT_TOO
    }
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": 131072,
        "chat_template": _CHAT,
        "eos_token": _END,
        "pad_token": _END,
        "bos_token": None,
        "unk_token": None,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "split_special_tokens": False,
        "additional_special_tokens": [_TURN, _TURN_ENDS],
        "added_tokens_decoder": added,
    }
    _write(folder / "tokenizer_config.json", settings)
    return tokenizer


def _settings(end: int) -> dict[str, Any]:
    """config.json, in the words of the transformers that wrote the released one."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": ROWS,
        "hidden_size": ROWS,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "max_window_layers": 2,
        "sliding_window": 4096,
        "use_sliding_window": False,
        "use_mrope": False,
        "rope_theta": 10000,
        "rms_norm_eps": 1e-06,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "transformers_version": "4.44.0",
    }


def _responding(tokenizer: Tokenizer, seed: int) -> Qwen2ForCausalLM:
    """A model whose next token depends on the token before it alone: the states are one-hot, and the head holds a row for each."""
    torch.manual_seed(seed)
    config = Qwen2Config.from_dict(_settings(tokenizer.token_to_id(_END)))
    model = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.mul_(0.1)
            layer.mlp.down_proj.weight.mul_(0.1)
        model.model.embed_tokens.weight.copy_(torch.eye(ROWS))
        model.lm_head.weight.copy_(_logits(tokenizer).T / ROWS**0.5)
    return model.to(torch.bfloat16)


def _logits(tokenizer: Tokenizer) -> torch.Tensor:
    """[V, V]: logits of the next token (columns) after each token (rows)."""
    logits = torch.full((ROWS, ROWS), -2.0)

    def then(before: str, *after: str, weight: float = 6.0) -> None:
        for token in after:
            logits[tokenizer.token_to_id(before), tokenizer.token_to_id(token)] = weight

    then("Ċ", "\\boxed", "ĠSo", "ĠThen", weight=5.0)
    then("ĠSo", "\\boxed", "ĠThen")
    then("ĠThen", "\\boxed", "ĠSo")
    then("\\boxed", "{", weight=9.0)
    then("{", *ANSWERS)
    for answer in ANSWERS:
        then(answer, "}", weight=9.0)
    then("}", _TURN_ENDS, weight=8.0)
    then("}", _END)
    return logits


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
