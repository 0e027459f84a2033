"""Small models for tests."""

from __future__ import annotations

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM


def tiny_qwen3(tied: bool = True) -> Qwen3ForCausalLM:
    """A float64 causal model of a few thousand parameters, its head ``tied`` to the embedding or not."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=tied,
        max_position_embeddings=64,
    )
    return Qwen3ForCausalLM(config).double().eval()


def known_model(logits: torch.Tensor) -> Qwen3ForCausalLM:
    """A float64 causal model whose logits after token i are ``logits[i]`` [V, V], whatever stands before it.

    A real decoder: its layers add nothing, so the state at a token is the token's one-hot embedding, and the head holds a row per token.
    """
    vocabulary = len(logits)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=vocabulary,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        tie_word_embeddings=False,
        max_position_embeddings=64,
    )
    model = Qwen3ForCausalLM(config).double().eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(vocabulary))
        model.model.norm.weight.div_(model.model.norm(torch.eye(vocabulary).double()).max())
        model.lm_head.weight.copy_(logits.T)
    return model
