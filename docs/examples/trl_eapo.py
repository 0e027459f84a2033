"""EAPO inside TRL, on one CPU core in under a minute, with nothing to download: ``python docs/examples/trl_eapo.py``.

A base of 0.15 million parameters is first trained on worked solutions of one-line arithmetic problems, so that some of its answers are
right and some are wrong. Then TRL samples, this package's grader rewards, and EAPO decides which tokens deserve the credit.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig

from tokencredit.adapters.trl import CreditGRPOTrainer
from tokencredit.base.pretrain import new_tokenizer, pretrain
from tokencredit.config import EmbeddedModel, Pretraining
from tokencredit.data.embedded import sample_problems
from tokencredit.grading import GradingPool
from tokencredit.prompts import prompt_of


def main(steps: int = 3, pretraining_steps: int = 600) -> CreditGRPOTrainer:
    """Pretrain the base and train it for ``steps`` steps of EAPO; TRL prints its log of each step."""
    config = EmbeddedModel(
        kind="embedded",
        title="Example",
        hidden_size=64,
        layers=2,
        heads=2,
        intermediate_size=256,
        max_tokens=160,
        prompt="{problem}\n",
        pretraining=Pretraining(
            seed=0,
            tiers=[1],
            problems=9600,
            steps=pretraining_steps,
            batch=32,
            learning_rate=0.005,
            warmup_steps=20,
            weight_decay=0.1,
        ),
    )
    tokenizer = new_tokenizer(config)
    problems = sample_problems([1], rows=64, seed=0, split="train")
    dataset = Dataset.from_list(
        [{"prompt": prompt_of(config.prompt, problem.text), "answer": str(problem.answer)} for problem in problems]
    )
    with tempfile.TemporaryDirectory() as folder, GradingPool() as pool:
        model, _ = pretrain(config, tokenizer, Path(folder) / "pretraining.jsonl")

        def correct(completions: list[str], answer: list[str], **_: Any) -> list[float | None]:
            """+1 right, -1 wrong; None where the grader has no verdict: that response then leaves its group."""
            grades = pool.grade_many(zip(answer, completions, strict=True))
            return [{"right": 1.0, "wrong": -1.0, "ungraded": None}[grade.outcome] for grade in grades]

        trainer = CreditGRPOTrainer(
            model,
            correct,
            GRPOConfig(
                folder,
                max_steps=steps,
                num_generations=8,
                per_device_train_batch_size=16,  # a micro-batch; the group statistics are those of all 64 responses
                gradient_accumulation_steps=4,
                max_completion_length=64,
                learning_rate=3e-4,
                epsilon=0.2,
                epsilon_high=0.28,
                loss_type="dapo",
                use_cpu=True,
                bf16=False,
                activation_checkpointing=False,
                logging_steps=1,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=dataset,
            processing_class=tokenizer,
            credit="eapo",
            credit_params={"alpha": 0.2, "phi": 2.0},
        )
        trainer.train()
    return trainer


if __name__ == "__main__":
    main()
