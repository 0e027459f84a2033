"""Small models for tests."""

from __future__ import annotations

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM


def tiny_qwen3() -> Qwen3ForCausalLM:
    """A float64 causal model of a few thousand parameters with a tied head."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        max_position_embeddings=64,
    )
    return Qwen3ForCausalLM(config).double().eval()
