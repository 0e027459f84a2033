"""Tiny models with random weights of many architectures: those of the tables in docs/models.md, under the names that they have there."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY, END = 40, 39
WINDOW = 6  # tokens that a layer with a window sees

_SHAPE = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=128,
    bos_token_id=0,
    eos_token_id=END,
    pad_token_id=0,
)
_WINDOW = dict(sliding_window=WINDOW)
_MIXED = dict(sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"])
_SOME_WINDOWS = dict(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)
_EXPERTS = dict(num_local_experts=4, num_experts_per_tok=2)
_MANY_EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16)
_LATENT = dict(
    head_dim=None,
    num_key_value_heads=4,
    q_lora_rank=8,
    kv_lora_rank=8,
    qk_nope_head_dim=8,
    qk_rope_head_dim=8,
    v_head_dim=12,
)
_ROUTED = dict(
    n_routed_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    n_group=1,
    topk_group=1,
    first_k_dense_replace=1,
)


def _rope(kind: str, **numbers: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **numbers}}


# By the names of the first table; what transformers calls the family, and what its configuration has beside the small shape.
VERIFIED: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, biases": ("llama", dict(attention_bias=True, mlp_bias=True)),
    "llama, dynamic NTK rope": ("llama", dict(max_position_embeddings=16, **_rope("dynamic", factor=2.0))),
    "llama, yarn rope": ("llama", _rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama, llama3 rope": (
        "llama",
        _rope("llama3", factor=8.0, original_max_position_embeddings=16, low_freq_factor=1.0, high_freq_factor=4.0),
    ),
    "mistral, windows": ("mistral", _WINDOW),
    "ministral, windows": ("ministral", _MIXED),
    "ministral3": ("ministral3", {}),
    "qwen2": ("qwen2", {}),
    "qwen2, windows": ("qwen2", _SOME_WINDOWS),
    "qwen3": ("qwen3", {}),
    "qwen3, windows": ("qwen3", _SOME_WINDOWS),
    "gemma": ("gemma", {}),
    "gemma2, windows and soft caps": ("gemma2", dict(final_logit_softcapping=3.0, **_WINDOW)),
    "gemma3_text, windows": ("gemma3_text", dict(final_logit_softcapping=5.0, **_WINDOW)),
    "phi, head bias": ("phi", {}),
    "phi3, windows": ("phi3", _WINDOW),
    "phi3, LongRoPE": (
        "phi3",
        _rope("longrope", long_factor=[2.0] * 4, short_factor=[1.0] * 4, original_max_position_embeddings=16),
    ),
    "phimoe, windows": ("phimoe", dict(**_EXPERTS, **_WINDOW)),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),
    "olmo3, windows": ("olmo3", _MIXED),
    "olmoe": ("olmoe", dict(num_experts=4, num_experts_per_tok=2)),
    "granite, logit scale": ("granite", dict(logits_scaling=8.0, embedding_multiplier=2.0)),
    "granitemoe, logit scale": ("granitemoe", dict(logits_scaling=4.0, **_EXPERTS)),
    "hyperclovax, logit scale": ("hyperclovax", dict(logits_scaling=0.125)),
    "minicpm3, latent attention": ("minicpm3", _LATENT),
    "starcoder2, windows": ("starcoder2", _WINDOW),
    "gpt_oss, windows and sinks": ("gpt_oss", dict(**_EXPERTS, **_WINDOW)),
    "mixtral": ("mixtral", _EXPERTS),
    "qwen2_moe": ("qwen2_moe", _MANY_EXPERTS),
    "qwen3_moe": ("qwen3_moe", _MANY_EXPERTS),
    "glm4_moe": ("glm4_moe", _ROUTED),
    "deepseek_v2, latent attention": ("deepseek_v2", {**_LATENT, **_ROUTED}),
    "deepseek_v3, latent attention": ("deepseek_v3", {**_LATENT, **_ROUTED}),
    "cohere, logit scale": ("cohere", dict(logit_scale=0.0625)),
    "cohere2, windows and logit scale": ("cohere2", dict(logit_scale=0.25, **_WINDOW)),
    "nanochat, soft cap": ("nanochat", dict(final_logit_softcapping=3.0)),
    "exaone4, windows": ("exaone4", dict(sliding_window_pattern=2, **_WINDOW)),
    "smollm3": ("smollm3", {}),
    "glm4": ("glm4", {}),
    "stablelm": ("stablelm", {}),
    "nemotron": ("nemotron", {}),
    "falcon": ("falcon", dict(head_dim=None)),
    "gpt2": ("gpt2", {}),
    "gpt_neo, windows": (
        "gpt_neo",
        dict(num_layers=2, num_heads=4, window_size=WINDOW, attention_types=[[["global", "local"], 1]]),
    ),
    "gpt_neox": ("gpt_neox", {}),
    "gptj, head bias": ("gptj", dict(n_embd=32, n_head=4, n_layer=2, rotary_dim=8, n_positions=128, n_inner=48)),
    "opt": ("opt", dict(ffn_dim=48, word_embed_proj_dim=32)),
    "bloom, ALiBi": ("bloom", {}),
    "mpt, ALiBi": ("mpt", dict(d_model=32, n_heads=4, n_layers=2, max_seq_len=128)),
}

# By the names of the second table; the last is a part of the sentence.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "mamba": ("mamba", {}, "it has layers of kind linear_attention"),
    "rwkv": ("rwkv", {}, "it has layers with a state of their own"),
    "recurrent_gemma": (
        "recurrent_gemma",
        dict(lru_width=32, block_types=["recurrent", "attention"], attention_window_size=WINDOW),
        "it has layers ",
    ),
    "lfm2": ("lfm2", dict(layer_types=["conv", "full_attention"]), "it has layers of kind conv"),
    "qwen3_next": ("qwen3_next", _MANY_EXPERTS, "it has layers of kind linear_attention"),
    "llama4_text": (
        "llama4_text",
        dict(intermediate_size_mlp=48, attention_chunk_size=8, **_EXPERTS),
        "does not tell its decoder from its head",
    ),
    "modernbert-decoder": ("modernbert-decoder", dict(local_attention=8), "between its last state and its head"),
}


def tiny(family: str, changes: dict[str, Any], seed: int = 0) -> PreTrainedModel:
    """A float32 model whose weights are large enough for every part of it to show in its log-probs; a change to None drops a key."""
    settings = {name: value for name, value in {**_SHAPE, **changes}.items() if value is not None}
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings)).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                large = 3 if "head" in name or "embed" in name else 1
                weight.copy_(torch.randn(weight.shape) * large / weight.shape[-1] ** 0.5)
            elif "bias" in name:
                weight.normal_(0, 0.3)
    return model
