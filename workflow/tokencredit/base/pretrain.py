"""An embedded base model: a Qwen3-architecture model trained from scratch on generated problems with worked solutions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tokencredit import progress
from tokencredit.base.supervised import Example, new_optimizer, updates
from tokencredit.config import EmbeddedModel
from tokencredit.data.embedded import pretraining_texts
from tokencredit.data.embedded_tokenizer import build_tokenizer, check_text
from tokencredit.errors import UserError
from tokencredit.seeds import derive_seed

_INIT_STD = 0.05  # no study varies it


def build_model(config: EmbeddedModel, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """The untrained model, float32, tied head, initialised from the pretraining seed."""
    shape = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        head_dim=config.hidden_size // config.heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_tokens,
        initializer_range=_INIT_STD,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("embedded weights", config.pretraining.seed))
        model = Qwen3ForCausalLM(shape)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def make_examples(config: EmbeddedModel, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """The pretraining corpus, tokenised; raises ``UserError`` where the prompt template has words that the tokenizer does not know."""
    check_text(config.prompt.format(problem=""), config.task)
    settings = config.pretraining
    pairs = pretraining_texts(settings.tiers, settings.problems, settings.seed, config.task)
    prompts = tokenizer([config.prompt.format(problem=problem) for problem, _ in pairs]).input_ids
    solutions = tokenizer([solution for _, solution in pairs]).input_ids
    examples = [
        Example(prompt, [*solution, tokenizer.eos_token_id])
        for prompt, solution in zip(prompts, solutions, strict=True)
    ]
    longest = max(map(len, examples))
    if longest > config.max_tokens:
        raise UserError(
            f"config/models.yaml: max_tokens = {config.max_tokens} is less than the longest generated text, {longest}."
        )
    return examples


def pretrain(
    config: EmbeddedModel, tokenizer: PreTrainedTokenizerFast, log_path: Path
) -> tuple[Qwen3ForCausalLM, dict[str, Any]]:
    """Train the model of ``config`` from scratch; one line per step (nats per solution token) goes to ``log_path``.

    Returns the model and {loss (mean of the last steps, nats per token), tokens, seconds}. The same seed, threads and machine give the
    same weights.
    """
    settings = config.pretraining
    examples = make_examples(config, tokenizer)
    model = build_model(config, tokenizer)
    model.train()
    optimizer = new_optimizer(model, settings)
    started, tokens, losses = time.monotonic(), 0, []

    def whole(batch: list[Example]) -> list[Tensor]:
        return [solution_loss(model, batch, tokenizer.pad_token_id)]

    with (
        log_path.open("w", encoding="utf-8") as log,
        progress.bar("pretraining", settings.steps) as bar,
    ):
        for record in updates(model, optimizer, examples, settings, whole):
            tokens = record["tokens"]
            losses.append(record["loss"])
            log.write(json.dumps(record) + "\n")
            progress.show_loss(bar, losses[-1])
    model.eval()
    recent = losses[-50:]
    return model, {"loss": sum(recent) / len(recent), "tokens": tokens, "seconds": round(time.monotonic() - started, 1)}


def pretrained(config: EmbeddedModel, folder: Path) -> dict[str, Any]:
    """Train a model and put it into ``folder`` with its tokenizer and its log; its number of parameters, and what ``pretrain`` tells."""
    tokenizer = new_tokenizer(config)
    model, summary = pretrain(config, tokenizer, folder / "train.jsonl")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"parameters": sum(parameter.numel() for parameter in model.parameters()), **summary}


def solution_loss(model: Qwen3ForCausalLM, batch: list[Example], pad: int) -> Tensor:
    """Summed cross-entropy (nats) of the batch's solution tokens; the head is applied to these alone.

    Rows are padded on the right, where causal attention cannot see.
    """
    longest = max(map(len, batch))
    ids = torch.tensor([[*example.prompt, *example.solution, *[pad] * (longest - len(example))] for example in batch])
    row = torch.cat([torch.full((len(example.solution),), index) for index, example in enumerate(batch)])
    column = torch.cat([torch.arange(len(example.prompt), len(example)) for example in batch])
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    logits = model.get_output_embeddings()(hidden[row, column - 1])
    return functional.cross_entropy(logits, ids[row, column], reduction="sum")


def new_tokenizer(config: EmbeddedModel) -> PreTrainedTokenizerFast:
    tokenizer = build_tokenizer(config.task)
    tokenizer.model_max_length = config.max_tokens
    return tokenizer
