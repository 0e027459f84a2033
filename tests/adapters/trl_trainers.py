"""TRL trainers small enough for tests: a Qwen3 of a few thousand parameters, scripted rollouts of unequal length, float64 throughout."""

from __future__ import annotations

import random
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from tokencredit.adapters.trl import CreditGRPOTrainer
from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.seeds import derive_seed

GROUP = 4
LONGEST = 9
PROMPTS = ("Ana has 3 apples.", "Ben buys 5 pens.", "Kim finds 7 coins. Then 2 are sold.", "Leo has 9 cups.")


class Exact:
    """Log-probs and entropies in float64, which TRL's fused head computes in float32; for a model in float64."""

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **_: Any
    ) -> tuple[Tensor, Tensor, None]:
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -logits_to_keep - 1 : -1]
        logprobs = torch.log_softmax(logits, dim=-1)
        chosen = logprobs.gather(-1, input_ids[:, -logits_to_keep:, None]).squeeze(-1)
        return chosen, -(logprobs.exp() * logprobs).sum(-1), None


class ExactGRPOTrainer(Exact, GRPOTrainer):
    pass


class ExactCreditTrainer(Exact, CreditGRPOTrainer):
    pass


def tiny_policy(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A float32 model over the embedded vocabulary; its logits are spread, so that entropies differ."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        max_position_embeddings=64,
        initializer_range=0.4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config)


def settings(folder: Any, **changed: Any) -> GRPOConfig:
    """One SGD step of rate 1 on four prompts with four responses each: the change of the weights is minus the gradient."""
    values: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 16,
        "gradient_accumulation_steps": 4,
        "num_generations": GROUP,
        "max_completion_length": LONGEST,
        "max_steps": 1,
        "optim": "sgd",
        "learning_rate": 1.0,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "epsilon": 0.2,
        "epsilon_high": 0.28,
        "loss_type": "dapo",
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "logging_steps": 1,
        "disable_tqdm": True,
        "save_strategy": "no",
        "report_to": "none",
        "seed": 7,
    }
    return GRPOConfig(**values | changed)


def scripted_rollouts(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
    """Random completions, and log-probs that no model would give; both depend on the prompt and the row in the whole batch alone."""
    tokenizer = trainer.processing_class
    ids, logprobs = [], []
    for row, prompt in enumerate(prompts, start=trainer.accelerator.process_index * len(prompts)):
        rng = random.Random(derive_seed("rollout", prompt, row))
        length = rng.randint(1, LONGEST)
        ids.append([rng.randrange(2, len(tokenizer)) for _ in range(length - 1)] + [tokenizer.eos_token_id])
        logprobs.append([-3 * rng.random() for _ in range(length)])
    return {"prompt_ids": tokenizer(prompts).input_ids, "completion_ids": ids, "logprobs": logprobs}


def parity(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """+1 where the tokens add up to an even number, else -1."""
    return [-1.0 if sum(ids) % 2 else 1.0 for ids in completion_ids]


def make_trainer(kind: type[GRPOTrainer], args: GRPOConfig, **more: Any) -> GRPOTrainer:
    tokenizer = build_tokenizer()
    model = more.pop("model", None) or tiny_policy(tokenizer)
    if issubclass(kind, Exact):
        model = model.double()
    return kind(
        model,
        more.pop("reward_funcs", parity),
        args=args,
        train_dataset=Dataset.from_dict({"prompt": list(PROMPTS)}),
        processing_class=tokenizer,
        rollout_func=more.pop("rollout_func", scripted_rollouts),
        **more,
    )


def weights(trainer: GRPOTrainer) -> Tensor:
    """All weights in one row."""
    return torch.cat([value.detach().flatten().clone() for value in trainer.model.parameters()])


def step_taken(trainer: GRPOTrainer) -> Tensor:
    """How ``train`` moved the weights."""
    before = weights(trainer)
    trainer.train()
    return weights(trainer) - before
